"""The port cache over a folder: one file per key."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from codequay.ports.cache import ABSENT, NO_EXPIRY, KeyPage
from codequay.ports.spec import BuildContext

from .config import ShelfConfig

T = TypeVar("T")


@asynccontextmanager
async def open_cache(config: ShelfConfig, ctx: BuildContext) -> AsyncIterator[ShelfCache]:
    """The folder is made when something is first written, so a reader makes none."""
    yield ShelfCache(ctx, ctx.data / config.folder)


class ShelfCache:
    """``Cache``. A file holds the key, the time of its end, and the value; its name is the key's hash."""

    def __init__(self, ctx: BuildContext, folder: Path) -> None:
        self._ctx = ctx
        self._folder = folder
        self._one_writer = threading.Lock()
        self._listeners: set[asyncio.Queue[str]] = set()

    async def get(self, key: str) -> bytes | None:
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return await self._ctx.run_sync(lambda: [self._read(key)[0] for key in keys])

    async def exists(self, key: str) -> bool:
        return await self.get(key) is not None

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        await self.set_many({key: value}, ttl=ttl)

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        def work(told: list[str]) -> bool:
            if self._read(key)[0] is not None:
                return False
            self._write(key, value, ttl, told)
            return True

        return await self._writing(work)

    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        def work(told: list[str]) -> None:
            for key, value in items.items():
                self._write(key, value, ttl, told)

        await self._writing(work)

    async def delete(self, keys: Sequence[str]) -> int:
        return await self._writing(lambda told: self._remove(keys, told))

    async def ttl(self, key: str) -> float:
        value, end = await self._ctx.run_sync(self._read, key)
        if value is None:
            return ABSENT
        if end is None:
            return NO_EXPIRY
        left = end - self._ctx.clock.time()  # It may have ended since it was read.
        return left if left > 0 else ABSENT

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        keys = await self._ctx.run_sync(self._keys, prefix)
        found = [key for key in sorted(keys) if after is None or key > after]
        return KeyPage(tuple(found[:limit]), found[limit - 1] if len(found) > limit else None)

    async def purge(self, prefix: str = "") -> None:
        await self._writing(lambda told: self._remove(self._keys(prefix), told))

    async def invalidations(self) -> AsyncIterator[str]:
        heard: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(heard)
        try:
            while True:
                yield await heard.get()
        finally:
            self._listeners.discard(heard)

    async def _writing(self, work: Callable[[list[str]], T]) -> T:
        """Blocking work, one writer at a time. ``run_sync`` lets a cancelled caller go only after its end.

        Listeners are told from the thread: a caller that was cancelled does not come back to do it.
        """
        loop = asyncio.get_running_loop()

        def alone() -> T:
            told: list[str] = []
            with self._one_writer:
                try:
                    return work(told)
                finally:
                    loop.call_soon_threadsafe(self._tell, told)

        return await self._ctx.run_sync(alone)

    def _tell(self, keys: Iterable[str]) -> None:
        for listener in self._listeners:
            for key in keys:
                listener.put_nowait(key)

    def _file(self, key: str) -> Path:
        return self._folder / hashlib.blake2b(key.encode(), digest_size=20).hexdigest()

    def _read(self, key: str) -> tuple[bytes | None, float | None]:
        return self._parse(self._file(key))[1:]

    def _parse(self, file: Path) -> tuple[str, bytes | None, float | None]:
        """Key, value and end; no value when the file is not there or its time is over."""
        try:
            head, _, value = file.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return "", None, None
        key, end = json.loads(head)
        over = end is not None and end <= self._ctx.clock.time()
        return key, None if over else value, end

    def _write(self, key: str, value: bytes, ttl: float | None, told: list[str]) -> None:
        """A reader, and who comes after a crash, finds the old file or the new one."""
        end = None if ttl is None else self._ctx.clock.time() + ttl
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._file(key)
        new = file.with_suffix(".new")
        new.write_bytes(json.dumps([key, end]).encode() + b"\n" + value)
        os.replace(new, file)
        told.append(key)

    def _keys(self, prefix: str) -> list[str]:
        if not self._folder.exists():
            return []
        found = [self._parse(file) for file in self._folder.iterdir() if not file.suffix]
        return [key for key, value, _ in found if value is not None and key.startswith(prefix)]

    def _remove(self, keys: Iterable[str], told: list[str]) -> int:
        there = [key for key in dict.fromkeys(keys) if self._read(key)[0] is not None]
        for key in there:
            self._file(key).unlink()
            told.append(key)
        return len(there)
