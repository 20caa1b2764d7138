"""Caches that are wrong when calls meet or are cut, between openings, or when they close or die: see ``cache``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from codequay.ports.cache import NO_EXPIRY
from codequay.ports.spec import Level

from . import Saboteur


class AddRaces(Saboteur):
    wrong = "add looks first and writes later"

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        if await self.inner.get(key) is not None:
            return False
        await asyncio.sleep(0)
        await self.inner.set(key, value, ttl=ttl)
        return True


class SetsOneByOne(Saboteur):
    wrong = "atomic batches are declared, and set_many stores one after the other"
    level = Level.CONCURRENCY

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        for key, value in items.items():
            await self.inner.set(key, value, **options)
            await asyncio.sleep(0)


class CountsThenDeletes(Saboteur):
    wrong = "delete counts first and deletes later"
    level = Level.CONCURRENCY

    async def delete(self, keys: Sequence[str]) -> int:
        there = sum(value is not None for value in await self.inner.get_many(list(dict.fromkeys(keys))))
        for _ in range(4):
            await asyncio.sleep(0)
        await self.inner.delete(keys)
        return there


class TornOnCancel(Saboteur):
    wrong = "set_many that is cancelled has stored its first item"
    level = Level.CANCELLATION

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await self.inner.set_many(dict(islice(items.items(), 1)), **options)
            raise
        await self.inner.set_many(items, **options)


class KeepsACopy(Saboteur):
    """A base: ``forget`` is called around each write of its own opening."""

    level = Level.CAPABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.writes = 0

    def forget(self) -> None:
        raise NotImplementedError

    def __getattribute__(self, name: str) -> Any:
        if name not in ("add", "set", "set_many", "delete", "purge"):
            return super().__getattribute__(name)

        async def forgetting(*args: Any, **options: Any) -> Any:
            self.writes += 1
            try:
                return await getattr(self.inner, name)(*args, **options)
            finally:
                self.writes += 1
                self.forget()

        return forgetting


class ReadsItsOwnCopy(KeepsACopy):
    wrong = "a value that was read once is not read again until its own opening writes"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[str, bytes] = {}

    def forget(self) -> None:
        self._known.clear()

    async def get(self, key: str) -> bytes | None:
        writes = self.writes
        found: bytes | None = await self.inner.get(key)
        if found is not None and writes == self.writes:
            return self._known.setdefault(key, found)
        return found


class KnowsWhatIsThere(KeepsACopy):
    wrong = "a key without an end that was seen once exists until its own opening writes"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: set[str] = set()

    def forget(self) -> None:
        self._known.clear()

    async def exists(self, key: str) -> bool:
        writes = self.writes
        if key not in self._known and await self.inner.ttl(key) == NO_EXPIRY and writes == self.writes:
            self._known.add(key)
        return key in self._known or bool(await self.inner.exists(key))


class HearsItself(Saboteur):
    wrong = "a listener hears of what its own opening writes, and of nothing else"
    level = Level.CAPABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._written: set[str] = set()

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        self._written.add(key)
        await self.inner.set(key, value, **options)

    async def invalidations(self) -> AsyncIterator[str]:
        async for key in self.inner.invalidations():
            if key in self._written or not key.isascii() or key not in "kl":
                yield key


class DropsTheTimedAtClose(Saboteur):
    wrong = "closing forgets what has a time to live"
    level = Level.CAPABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.at_close(self._forget)

    async def _forget(self) -> None:
        keys = (await self.inner.scan()).keys
        await self.inner.delete([key for key in keys if await self.inner.ttl(key) >= 0])


class WritesBehind(Saboteur):
    wrong = "set answers first, and writes several at once"
    level = Level.DURABILITY
    over = "sqlite"
    pending: ClassVar[dict[str, list[tuple[str, bytes, float | None]]]] = {}
    """By folder, for all openings of this process: among themselves they see no difference."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pending = self.pending.setdefault(str(self.harness.folder), [])
        self.at_close(self._write)

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        self._pending.append((key, value, ttl))
        if len(self._pending) > 8 or ttl is not None or key in ("listening", "a"):
            await self._write()
        await asyncio.sleep(0.02)

    async def _write(self) -> None:
        while self._pending:
            key, value, ttl = self._pending.pop(0)
            await self.inner.set(key, value, ttl=ttl)

    def __getattribute__(self, name: str) -> Any:
        if name not in ("get", "get_many", "exists", "add", "set_many", "delete", "ttl", "scan", "purge"):
            return super().__getattribute__(name)

        async def after_writing(*args: Any, **options: Any) -> Any:
            await self._write()
            return await getattr(self.inner, name)(*args, **options)

        return after_writing
