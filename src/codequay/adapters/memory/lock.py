"""The reference lock: leases among the tasks of one event loop, in the order of asking."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

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
    """``Lock`` over dictionaries. Fences rise over all keys, and so at each key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._identity = StoreIdentity(uuid.uuid4().hex, FORMAT)
        self._held: dict[str, _Held] = {}
        self._queues: dict[str, list[object]] = {}
        self._changed: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._fence = 0

    async def identity(self) -> StoreIdentity:
        return self._identity

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        deadline = self._clock.monotonic() + wait
        ticket = object()
        queue = self._queues.setdefault(key, [])
        queue.append(ticket)
        try:
            while True:
                held = self._holding(key)
                now = self._clock.monotonic()
                if held is None and queue[0] is ticket:
                    return self._take(key, ttl, owner)
                if now >= deadline:
                    return None
                await self._changes(key, min(deadline, held.expires if held else deadline) - now)
        finally:
            queue.remove(ticket)
            if queue:
                self._announce(key)
            elif self._queues.get(key) is queue:
                del self._queues[key]

    def _take(self, key: str, ttl: float, owner: str) -> Lease:
        self._fence += 1
        lease = Lease(key, uuid.uuid4().hex, self._fence, ttl)
        person = owner or f"{socket.gethostname()}:{os.getpid()}"
        self._held[key] = _Held(lease.token, person, self._clock.monotonic() + ttl)
        self._announce(key)
        return lease

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        held = self._holding(lease.key)
        if held is None or held.token != lease.token:
            raise Conflict(f"the lease of {lease.key!r} has expired or was released")
        held.expires = self._clock.monotonic() + ttl
        self._announce(lease.key)
        return replace(lease, ttl=ttl)

    async def release(self, lease: Lease) -> bool:
        held = self._holding(lease.key)
        if held is None or held.token != lease.token:
            return False
        del self._held[lease.key]
        self._announce(lease.key)
        return True

    async def holder(self, key: str) -> Holder | None:
        held = self._holding(key)
        return Holder(held.owner, held.expires - self._clock.monotonic()) if held else None

    async def wait_lost(self, lease: Lease) -> None:
        while (held := self._holding(lease.key)) is not None and held.token == lease.token:
            await self._changes(lease.key, held.expires - self._clock.monotonic())

    def _holding(self, key: str) -> _Held | None:
        held = self._held.get(key)
        if held is not None and held.expires <= self._clock.monotonic():
            del self._held[key]
            return None
        return held

    def _announce(self, key: str) -> None:
        for future in self._changed.pop(key, ()):
            if not future.done():
                future.set_result(None)

    async def _changes(self, key: str, seconds: float) -> None:
        """Return when somebody touches the key, or after ``seconds``."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed[key].add(changed)
        sleeper = None if seconds == float("inf") else asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({changed, sleeper} if sleeper else {changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if key in self._changed:
                self._changed[key].discard(changed)
                if not self._changed[key]:
                    del self._changed[key]
            if sleeper is not None:
                sleeper.cancel()
