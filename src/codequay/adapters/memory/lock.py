"""The reference lock: leases among the tasks of one event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

from codequay.ports.errors import Conflict
from codequay.ports.generations import StoreIdentity
from codequay.ports.lock import Holder, Lease
from codequay.ports.spec import BuildContext, Clock

FORMAT = "memory-lock-1"


@asynccontextmanager
async def open_lock(config: object, ctx: BuildContext) -> AsyncIterator[MemoryLock]:
    """A lock of its own: only tasks that were given this one exclude each other."""
    yield MemoryLock(ctx.clock)


@dataclass(slots=True)
class _Held:
    token: str
    owner: str
    expires: float


class MemoryLock:
    """``Lock`` over a dictionary, made inside a running event loop. Fences rise over all keys, and so at each key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._identity = StoreIdentity(uuid.uuid4().hex, FORMAT)
        self._held: dict[str, _Held] = {}
        self._fences = count()
        self._changed = asyncio.get_running_loop().create_future()

    async def identity(self) -> StoreIdentity:
        return self._identity

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        deadline = self._clock.monotonic() + wait
        while held := self._holding(key):
            if self._clock.monotonic() >= deadline:
                return None
            await self._change(min(held.expires, deadline))
        lease = Lease(key, uuid.uuid4().hex, next(self._fences), ttl)
        person = owner or f"{socket.gethostname()}:{os.getpid()}"
        self._held[key] = _Held(lease.token, person, self._clock.monotonic() + ttl)
        return lease

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        held = self._holding(lease.key)
        if held is None or held.token != lease.token:
            raise Conflict(f"the lease of {lease.key!r} has expired or was released")
        held.expires = self._clock.monotonic() + ttl
        self._wake()
        return replace(lease, ttl=ttl)

    async def release(self, lease: Lease) -> bool:
        held = self._holding(lease.key)
        if held is None or held.token != lease.token:
            return False
        del self._held[lease.key]
        self._wake()
        return True

    async def holder(self, key: str) -> Holder | None:
        held = self._holding(key)
        return Holder(held.owner, held.expires - self._clock.monotonic()) if held else None

    async def wait_lost(self, lease: Lease) -> None:
        while (held := self._holding(lease.key)) and held.token == lease.token:
            await self._change(held.expires)

    def _holding(self, key: str) -> _Held | None:
        held = self._held.get(key)
        return held if held and held.expires > self._clock.monotonic() else None

    def _wake(self) -> None:
        self._changed.set_result(None)
        self._changed = asyncio.get_running_loop().create_future()

    async def _change(self, until: float) -> None:
        """Return when a lease was extended or released, or at the time ``until``."""
        sleeper = asyncio.ensure_future(self._clock.sleep(until - self._clock.monotonic()))
        try:
            await asyncio.wait({self._changed, sleeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
