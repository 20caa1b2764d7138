"""The reference cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from weakref import WeakSet

from codequay.ports.cache import ABSENT, NO_EXPIRY, KeyPage
from codequay.ports.spec import BuildContext, Clock

ROOM = 256 * 1024 * 1024
"""Bytes of keys and values together; above it the keys that were set longest ago are forgotten."""


@asynccontextmanager
async def open_cache(config: object, ctx: BuildContext) -> AsyncIterator[MemoryCache]:
    """An empty cache; what it holds is gone when it closes."""
    yield MemoryCache(ctx.clock)


class _Entry(NamedTuple):
    value: bytes
    expires: float | None


class _Reads:
    """The entries, oldest first, and the sync face over them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: dict[str, _Entry] = {}

    def entry(self, key: str) -> _Entry | None:
        found = self.entries.get(key)
        if found is None or (found.expires is not None and found.expires <= self.clock.monotonic()):
            return None
        return found

    def get(self, key: str) -> bytes | None:
        found = self.entry(key)
        return None if found is None else found.value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def exists(self, key: str) -> bool:
        return self.entry(key) is not None

    def ttl(self, key: str) -> float:
        found = self.entries.get(key)
        if found is None:
            return ABSENT
        if found.expires is None:
            return NO_EXPIRY
        left = found.expires - self.clock.monotonic()
        return left if left > 0 else ABSENT


class MemoryCache:
    """``Cache`` over a dictionary. Writes are for one event loop; the sync face reads from any thread."""

    def __init__(self, clock: Clock) -> None:
        self.sync = _Reads(clock)
        self._clock = clock
        self._bytes = 0
        self._listeners: WeakSet[asyncio.Queue[str]] = WeakSet()

    async def get(self, key: str) -> bytes | None:
        return self.sync.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return self.sync.get_many(keys)

    async def exists(self, key: str) -> bool:
        return self.sync.exists(key)

    async def ttl(self, key: str) -> float:
        return self.sync.ttl(key)

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        self._put(key, value, ttl)

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        if self.sync.exists(key):
            return False
        self._put(key, value, ttl)
        return True

    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        for key, value in items.items():
            self._put(key, value, ttl)

    async def delete(self, keys: Sequence[str]) -> int:
        there = {key for key in keys if self.sync.exists(key)}
        for key in there:
            self._remove(key)
            self._announce(key)
        return len(there)

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        keys = sorted(
            key for key in self.sync.entries if key.startswith(prefix) and key > (after or "") and self.sync.exists(key)
        )
        return KeyPage(tuple(keys[:limit]), keys[limit - 1] if len(keys) > limit else None)

    async def purge(self, prefix: str = "") -> None:
        await self.delete([key for key in self.sync.entries if key.startswith(prefix)])

    async def invalidations(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        while True:
            yield await queue.get()

    def _put(self, key: str, value: bytes, ttl: float | None) -> None:
        self._remove(key)
        self.sync.entries[key] = _Entry(value, None if ttl is None else self._clock.monotonic() + ttl)
        self._bytes += _size(key, value)
        self._announce(key)
        if self._bytes > ROOM:
            self._make_room()

    def _make_room(self) -> None:
        """What has expired goes first, then the oldest, so that what was just stored stays."""
        for key in [key for key in self.sync.entries if not self.sync.exists(key)]:
            self._remove(key)
        while self._bytes > ROOM:
            self._remove(next(iter(self.sync.entries)))

    def _remove(self, key: str) -> None:
        entry = self.sync.entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(key, entry.value)

    def _announce(self, key: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(key)


def _size(key: str, value: bytes) -> int:
    return len(key.encode()) + len(value)
