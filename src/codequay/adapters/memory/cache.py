"""The reference cache."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from codequay.ports.cache import ABSENT, NO_EXPIRY, KeyPage
from codequay.ports.spec import BuildContext, Clock

MAX_BYTES = 256 * 1024 * 1024
"""Keys and values together; above it the keys that were set longest ago are forgotten."""


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

    def ttl(self, key: str) -> float:
        found = self.entry(key)
        if found is None:
            return ABSENT
        return NO_EXPIRY if found.expires is None else found.expires - self.clock.monotonic()


class MemoryCache:
    """``Cache`` over a dictionary. Expired entries go when room is needed or their key is written."""

    def __init__(self, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        self.sync = _Reads(clock)
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._write = threading.Lock()
        self._listeners: set[asyncio.Queue[str]] = set()

    async def get(self, key: str) -> bytes | None:
        return self.sync.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return self.sync.get_many(keys)

    async def ttl(self, key: str) -> float:
        return self.sync.ttl(key)

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        with self._write:
            self._put(key, value, ttl)

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        with self._write:
            if self.sync.entry(key) is not None:
                return False
            self._put(key, value, ttl)
            return True

    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        with self._write:
            for key, value in items.items():
                self._put(key, value, ttl)

    async def delete(self, keys: Sequence[str]) -> int:
        with self._write:
            there = [key for key in dict.fromkeys(keys) if self.sync.entry(key) is not None]
            for key in there:
                self._remove(key)
                self._announce(key)
            return len(there)

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        keys = sorted(
            key
            for key in list(self.sync.entries)
            if key.startswith(prefix) and (after is None or key > after) and self.sync.entry(key) is not None
        )
        return KeyPage(tuple(keys[:limit]), keys[limit - 1] if len(keys) > limit else None)

    async def purge(self, prefix: str = "") -> None:
        await self.delete([key for key in self.sync.entries if key.startswith(prefix)])

    async def invalidations(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _put(self, key: str, value: bytes, ttl: float | None) -> None:
        self._remove(key)
        self.sync.entries[key] = _Entry(value, None if ttl is None else self._clock.monotonic() + ttl)
        self._bytes += len(key) + len(value)
        self._announce(key)
        if self._bytes > self._max_bytes:
            self._make_room(key)

    def _make_room(self, newest: str) -> None:
        """Expired entries go first, then the oldest; the one just stored stays."""
        for key in [key for key in self.sync.entries if self.sync.entry(key) is None]:
            self._remove(key)
        for key in list(self.sync.entries):
            if self._bytes <= self._max_bytes or key == newest:
                break
            self._remove(key)

    def _remove(self, key: str) -> None:
        entry = self.sync.entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(key) + len(entry.value)

    def _announce(self, key: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(key)
