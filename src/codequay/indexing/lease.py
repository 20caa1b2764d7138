"""The lease of a repository: at most one process writes it, as far as the configured lock can exclude."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from codequay.ports.errors import Conflict, LockBusy, PortError
from codequay.ports.lock import Lease, Lock

LEASE_S = 60.0
EXTEND_EVERY_S = 20.0
"""Two extensions may fail before the lease expires."""


class Held:
    """A lease while it is held."""

    def __init__(self, lock: Lock, lease: Lease) -> None:
        self._lock = lock
        self._lease = lease
        self._lost: PortError | None = None
        self._until = time.monotonic() + lease.ttl

    @property
    def fence(self) -> int | None:
        return self._lease.fence

    def check(self) -> None:
        """
        :raises Conflict: the lease is known to be lost
        """
        if self._lost is not None:
            raise self._conflict() from self._lost

    async def confirm(self) -> None:
        """Ask the lock itself: a process that was paused does not know by its own clock.

        :raises Conflict: the lease is lost
        """
        self.check()
        await self._extend()
        self.check()

    async def keep(self) -> None:
        """Extend until cancelled, or lost. An extension that fails for another reason is tried again in time."""
        while self._lost is None:
            await asyncio.sleep(EXTEND_EVERY_S)
            try:
                await self._extend()
            except PortError as exc:
                if time.monotonic() > self._until:
                    self._lost = exc

    async def _extend(self) -> None:
        asked = time.monotonic()
        try:
            await self._lock.extend(self._lease, ttl=LEASE_S)
        except Conflict as exc:
            self._lost = exc
        else:
            self._until = asked + LEASE_S

    def _conflict(self) -> Conflict:
        return Conflict(
            f"the lease {self._lease.key} was lost while its holder worked: another process may have taken it."
            " Nothing was published",
            component="lock",
            remedy="run it again",
        )


def lease_key(repo_id: str) -> str:
    """The lock's key of a repository."""
    return f"repo:{repo_id}"


@asynccontextmanager
async def repository_lease(lock: Lock, repo_id: str, *, wait: float = 0.0) -> AsyncIterator[Held]:
    """The repository's lease, extended while the block runs.

    :raises LockBusy: another process still holds it after ``wait`` seconds
    """
    key = lease_key(repo_id)
    lease = await lock.acquire(key, ttl=LEASE_S, wait=wait, owner=f"{socket.gethostname()}:{os.getpid()}")
    if lease is None:
        holder = await lock.holder(key)
        who = f" by {holder.owner} (for {holder.expires_in:.0f} s more at most)" if holder else ""
        raise LockBusy(f"{repo_id} is being indexed{who}", remedy="wait until it has ended, then index again")
    held = Held(lock, lease)
    beat = asyncio.create_task(held.keep())
    try:
        yield held
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
        # What was published stays published: a release that fails, as on a full disk, ends with the lock or expires.
        with suppress(PortError):
            await asyncio.shield(lock.release(lease))
