"""A lock that excludes nobody."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from codequay.ports.generations import StoreIdentity
from codequay.ports.lock import Holder, Lease
from codequay.ports.spec import BuildContext


@asynccontextmanager
async def open_lock(config: object, ctx: BuildContext) -> AsyncIterator[NoOpLock]:
    """A lock without state."""
    yield NoOpLock()


class NoOpLock:
    """``Lock`` that always says yes. Its leases never end, so the lost signal never comes."""

    def __init__(self) -> None:
        self._identity = StoreIdentity(uuid.uuid4().hex, "noop-1")

    async def identity(self) -> StoreIdentity:
        return self._identity

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        return Lease(key, uuid.uuid4().hex, None, ttl)

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        return replace(lease, ttl=ttl)

    async def release(self, lease: Lease) -> bool:
        return True

    async def holder(self, key: str) -> Holder | None:
        return None

    async def wait_lost(self, lease: Lease) -> None:
        await asyncio.Event().wait()
