"""A lock to hold: what a user of the port ``lock`` works with, over whichever adapter is configured.

::

    lock = DistributedLock(port, "nightly", ttl=30)
    async with lock.hold(timeout=10) as held:
        await publish(fence=held.fence)

``ttl`` is extended every third of it while the handle is held, so that two extensions may fail. When the lease has
ended nevertheless (the server lost it, or could not be reached in time) ``held.lost`` is set: stop then, for another
may hold the key. A process that was paused notices too late; what protects a store is the fence that it compares.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import Conflict, LockBusy, PortError
from .lock import Lease, Lock

EXTENSIONS = 3
"""Extensions within one ttl."""
AGAIN = 10
"""Tries within one ttl, once an extension has failed."""


class DistributedLock:
    """A key of a lock port. It has no state of its own: tasks may share it, and each acquisition has its own handle."""

    def __init__(self, lock: Lock, key: str, *, ttl: float = 30.0, owner: str = "") -> None:
        """:param ttl: seconds after which the key is free when its holder is gone
        :param owner: what others are told of the holder; empty: host and process
        """
        self.key = key
        self.ttl = ttl
        self._lock = lock
        self._owner = owner

    async def acquire(self, *, blocking: bool = True, timeout: float | None = None) -> HeldLock | None:
        """Take the key, and keep it until the handle is released.

        ``blocking=False`` does not wait; ``timeout`` in seconds, None for ever. None when somebody else holds the key.

        :raises PortError: the lock cannot be reached
        """
        wait = 0.0 if not blocking else float("inf") if timeout is None else timeout
        asked = time.monotonic()
        lease = await self._lock.acquire(self.key, ttl=self.ttl, wait=wait, owner=self._owner)
        # A lease that was waited for began later than it was asked for; when, the lock alone knows.
        return None if lease is None else HeldLock(self._lock, lease, asked if wait <= 0 else time.monotonic())

    @asynccontextmanager
    async def hold(self, *, blocking: bool = True, timeout: float | None = None) -> AsyncIterator[HeldLock]:
        """Hold the key while the block runs.

        :raises LockBusy: somebody else holds it
        """
        held = await self.acquire(blocking=blocking, timeout=timeout)
        if held is None:
            holder = await self._lock.holder(self.key)
            who = f" by {holder.owner} (for {holder.expires_in:.0f} s more at most)" if holder else ""
            raise LockBusy(f"{self.key} is held{who}", remedy="wait until it is released")
        try:
            yield held
        finally:
            await held.release()


class HeldLock:
    """One acquisition, from ``acquire`` until ``release``."""

    def __init__(self, lock: Lock, lease: Lease, since: float) -> None:
        self.lost = asyncio.Event()
        """Set when the lease has ended although nobody released it."""
        self._lock = lock
        self._lease = lease
        self._until = since + lease.ttl
        self._cause: BaseException | None = None
        self._watchdog = asyncio.create_task(self._keep(), name=f"codequay lock {lease.key}")

    @property
    def key(self) -> str:
        return self._lease.key

    @property
    def token(self) -> str:
        """Names this acquisition."""
        return self._lease.token

    @property
    def fence(self) -> int | None:
        """Rises with each acquisition of the key; None where the lock has none."""
        return self._lease.fence

    def check(self) -> None:
        """
        :raises Conflict: the lease is known to be lost
        """
        if self.lost.is_set():
            raise Conflict(
                f"the lease {self.key} was lost while its holder worked: another process may have taken it",
                component="lock",
                remedy="run it again",
            ) from self._cause

    async def extend(self) -> None:
        """Ask the lock itself, out of turn: a process that was paused does not know by its own clock.

        :raises Conflict: the lease is lost
        :raises PortError: the lock cannot be reached; the lease is kept as long as it lasts
        """
        self.check()
        await self._extend()
        self.check()

    async def release(self) -> bool:
        """Give the key back, also when the caller is cancelled meanwhile. False when the lease had ended before."""
        self._watchdog.cancel()
        work = asyncio.create_task(self._end())
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            work.exception()
            raise cancelled
        return work.result()

    async def _end(self) -> bool:
        await asyncio.wait({self._watchdog})
        return await self._lock.release(self._lease)

    async def _keep(self) -> None:
        """Extend until cancelled, or lost. An extension that fails is tried again as long as the lease lasts."""
        ttl = self._lease.ttl
        pause = ttl / EXTENSIONS
        while not self.lost.is_set():
            await asyncio.sleep(max(0.0, min(pause, self._until - time.monotonic())))
            try:
                async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                    await self._extend()
                pause = ttl / EXTENSIONS
            except (PortError, TimeoutError) as exc:
                pause = ttl / AGAIN
                if time.monotonic() >= self._until:
                    self._lose(exc)
            except Exception as exc:  # noqa: BLE001 - nobody extends any more: the holder hears of it, and why
                self._lose(exc)

    async def _extend(self) -> None:
        asked = time.monotonic()
        try:
            await self._lock.extend(self._lease, ttl=self._lease.ttl)
        except Conflict as exc:
            self._lose(exc)
        else:
            self._until = asked + self._lease.ttl

    def _lose(self, cause: BaseException) -> None:
        self._cause = self._cause or cause
        self.lost.set()
