"""The lease of a repository: at most one process writes it, as far as the configured lock can exclude."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from codequay.ports.errors import LockBusy, PortError
from codequay.ports.held import DistributedLock, HeldLock
from codequay.ports.lock import Lock

LEASE_S = 60.0


def lease_key(repo_id: str) -> str:
    """The lock's key of a repository."""
    return f"repo:{repo_id}"


@asynccontextmanager
async def repository_lease(lock: Lock, repo_id: str, *, wait: float = 0.0) -> AsyncIterator[HeldLock]:
    """The repository's lease, extended while the block runs.

    :raises LockBusy: another process still holds it after ``wait`` seconds
    """
    key = lease_key(repo_id)
    named = DistributedLock(lock, key, ttl=LEASE_S, owner=f"{socket.gethostname()}:{os.getpid()}")
    held = await named.acquire(blocking=wait > 0, timeout=wait)
    if held is None:
        holder = await lock.holder(key)
        who = f" by {holder.owner} (for {holder.expires_in:.0f} s more at most)" if holder else ""
        raise LockBusy(f"{repo_id} is being indexed{who}", remedy="wait until it has ended, then index again")
    try:
        yield held
    finally:
        # What was published stays published: a release that fails, as on a full disk, ends with the lock or expires.
        with suppress(PortError):
            await held.release()
