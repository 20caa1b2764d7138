"""Caches that are wrong in one behaviour each."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from codequay.ports.cache import ABSENT, NO_EXPIRY, CacheCapabilities
from codequay.ports.spec import Level

from . import Saboteur


class FoldsCase(Saboteur):
    wrong = "keys that differ in case are one"

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await self.inner.get(key.lower())
        return found

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        await self.inner.set(key.lower(), value, **options)


class FoldsNonAscii(Saboteur):
    wrong = "characters beyond ASCII are lost from keys"

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await self.inner.get(key.encode("ascii", "replace").decode())
        return found

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        await self.inner.set(key.encode("ascii", "replace").decode(), value, **options)

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        await self.inner.set_many({k.encode("ascii", "replace").decode(): v for k, v in items.items()}, **options)


class EmptyIsAbsent(Saboteur):
    wrong = "an empty value reads as no value"

    async def get(self, key: str) -> bytes | None:
        return await self.inner.get(key) or None


class GetManySorted(Saboteur):
    wrong = "get_many answers in the order of keys"

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return list(await self.inner.get_many(sorted(keys)))


class GetManyWithoutAbsent(Saboteur):
    wrong = "get_many leaves out what is absent"

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [value for value in await self.inner.get_many(keys) if value is not None]


class IgnoresTtl(Saboteur):
    wrong = "set_many does not hand the ttl on"

    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        await self.inner.set_many(items)


class KeepsOldTtl(Saboteur):
    wrong = "set without ttl keeps the one before"

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        left = await self.inner.ttl(key)
        await self.inner.set(key, value, ttl=ttl if ttl is not None or left <= 0 else left)


class ExpiresLate(Saboteur):
    wrong = "an entry lives a second too long"

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        await self.inner.set(key, value, ttl=None if ttl is None else ttl + 1)


class AddRaces(Saboteur):
    wrong = "add looks first and writes later"

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        if await self.inner.get(key) is not None:
            return False
        await asyncio.sleep(0)
        await self.inner.set(key, value, ttl=ttl)
        return True


class AddOverwrites(Saboteur):
    wrong = "add that loses still renews the ttl"

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        won = bool(await self.inner.add(key, value, ttl=ttl))
        if not won and ttl is not None:
            await self.inner.set(key, await self.inner.get(key), ttl=ttl)
        return won


class DeletesByPrefix(Saboteur):
    wrong = "delete takes everything that begins with the key"

    async def delete(self, keys: Sequence[str]) -> int:
        gone = int(await self.inner.delete(keys))
        for key in keys:
            await self.inner.purge(key)
        return gone


class DeletesTheFirst(Saboteur):
    wrong = "delete looks at the first key only"

    async def delete(self, keys: Sequence[str]) -> int:
        return int(await self.inner.delete(keys[:1]))


class CountsWhatWasAsked(Saboteur):
    wrong = "delete counts the keys it was given"

    async def delete(self, keys: Sequence[str]) -> int:
        await self.inner.delete(keys)
        return len(set(keys))


class TtlOfNothing(Saboteur):
    wrong = "ttl answers the same for no end and no key"

    async def ttl(self, key: str) -> float:
        return max(float(await self.inner.ttl(key)), -1.0)


class TtlLooksTwice(Saboteur):
    wrong = "ttl looks at the clock once to know whether the key is there, and again for what is left"

    async def ttl(self, key: str) -> float:
        found = float(await self.inner.ttl(key))
        return found if found < 0 else float(self.inner.sync.entries[key].expires - self.inner.sync.clock.monotonic())


class ScanIgnoresLimit(Saboteur):
    wrong = "scan gives everything at once"

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> Any:
        return await self.inner.scan(prefix=prefix, after=after, limit=1000)


class ScanSkipsOne(Saboteur):
    wrong = "each page of scan begins one key too late"

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> Any:
        page = await self.inner.scan(prefix=prefix, after=after, limit=limit)
        return page if after is None or len(page.keys) < 2 else replace(page, keys=page.keys[1:])


class PurgesTooMuch(Saboteur):
    wrong = "the prefix of purge is a pattern"

    async def purge(self, prefix: str = "") -> None:
        await self.inner.purge(prefix.partition("_")[0])


class SilentDelete(Saboteur):
    wrong = "delete is not announced"

    async def invalidations(self) -> AsyncIterator[str]:
        async for key in self.inner.invalidations():
            if await self.inner.get(key) is not None:
                yield key


class TruncatesValues(Saboteur):
    wrong = "values end at 64 kB"

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        await self.inner.set(key, value[:65_536], **options)

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        await self.inner.set_many({k: v[:65_536] for k, v in items.items()}, **options)


class KeysByWord(Saboteur):
    """A base: keys are stored as ``stored`` says."""

    def stored(self, key: str) -> str:
        raise NotImplementedError

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await self.inner.get(self.stored(key))
        return found

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return list(await self.inner.get_many([self.stored(key) for key in keys]))

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        await self.inner.set(self.stored(key), value, **options)

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        await self.inner.set_many({self.stored(key): value for key, value in items.items()}, **options)


class TrimsKeys(KeysByWord):
    wrong = "a space at the end of a key does not count"

    def stored(self, key: str) -> str:
        return key.rstrip()


class ComposesAccents(KeysByWord):
    wrong = "two spellings of an accent are one"

    def stored(self, key: str) -> str:
        return unicodedata.normalize("NFC", key)


class CutsLongKeys(KeysByWord):
    wrong = "keys are cut at 255 characters"

    def stored(self, key: str) -> str:
        return key[:255]


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
        if name not in ("get", "get_many", "add", "set_many", "delete", "ttl", "scan", "purge"):
            return super().__getattribute__(name)

        async def after_writing(*args: Any, **options: Any) -> Any:
            await self._write()
            return await getattr(self.inner, name)(*args, **options)

        return after_writing


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


class ReadsItsOwnCopy(Saboteur):
    wrong = "a value that was read once is not read again until its own opening writes"
    level = Level.CAPABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[str, bytes] = {}
        self._writes = 0

    async def get(self, key: str) -> bytes | None:
        writes = self._writes
        found: bytes | None = await self.inner.get(key)
        if found is not None and writes == self._writes:
            return self._known.setdefault(key, found)
        return found

    def __getattribute__(self, name: str) -> Any:
        if name not in ("add", "set", "set_many", "delete", "purge"):
            return super().__getattribute__(name)

        async def forgetting(*args: Any, **options: Any) -> Any:
            self._writes += 1
            try:
                return await getattr(self.inner, name)(*args, **options)
            finally:
                self._writes += 1
                self._known.clear()

        return forgetting


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


class AnnouncesReads(Saboteur):
    wrong = "a key that is read is announced"

    async def get(self, key: str) -> bytes | None:
        self.inner._announce(key)
        found: bytes | None = await self.inner.get(key)
        return found


class SetsOneByOne(Saboteur):
    wrong = "atomic batches are declared, and set_many stores one after the other"
    level = Level.CONCURRENCY

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        for key, value in items.items():
            await self.inner.set(key, value, **options)
            await asyncio.sleep(0)


class KeepsEverything(Saboteur):
    wrong = "a room is declared and nothing forgotten"
    level = Level.CAPABILITY
    capabilities = CacheCapabilities(atomic_batch=True, max_value=131_072, room=1_000_000)


class ForgetsEarly(Saboteur):
    wrong = "it forgets when its room is half full"
    level = Level.CAPABILITY
    capabilities = CacheCapabilities(atomic_batch=True, max_value=131_072, room=1_000_000)

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        await self.inner.set(key, value, **options)
        while self.inner._bytes > 500_000:
            self.inner._remove(next(iter(self.inner.sync.entries)))


class CutsTheLargest(Saboteur):
    wrong = "a value of exactly max_value loses its last byte"
    level = Level.CAPABILITY
    capabilities = CacheCapabilities(atomic_batch=True, max_value=200_000)

    async def set(self, key: str, value: bytes, **options: Any) -> None:
        await self.inner.set(key, value[:199_999], **options)


class CutsTheLargestBatch(Saboteur):
    wrong = "a batch of exactly max_batch loses its last item"
    level = Level.CAPABILITY
    capabilities = CacheCapabilities(atomic_batch=True, max_batch=500)

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        await self.inner.set_many(dict(islice(items.items(), 499)), **options)


class DeclaresScript(Saboteur):
    wrong = "script is declared, and there is no eval"
    level = Level.CAPABILITY
    capabilities = CacheCapabilities(atomic_batch=True, script=True)


class TurnPerKey(Saboteur):
    wrong = "get_many asks once per key"
    level = Level.BUDGET

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        for _ in keys:
            self.turn()
        return list(await self.inner.get_many(keys))


class SyncFaceOfYesterday:
    def __init__(self, reads: Any) -> None:
        self._reads = reads
        self.ttl = reads.ttl
        self.get_many = reads.get_many

    def get(self, key: str) -> bytes | None:
        found = self._reads.entries.get(key)
        return None if found is None else found.value or None


class SyncMissesEmpty(Saboteur):
    wrong = "the sync face reads an empty value as no value"

    @property
    def sync(self) -> Any:
        return SyncFaceOfYesterday(self.inner.sync)


class EmptyHasNoTtl(Saboteur):
    wrong = "an empty value without an end counts as absent for ttl"

    async def ttl(self, key: str) -> float:
        left = float(await self.inner.ttl(key))
        return ABSENT if left == NO_EXPIRY and not await self.inner.get(key) else left


class StopsAtNul(Saboteur):
    wrong = "a short value ends at its first NUL"

    async def set_many(self, items: Mapping[str, bytes], **options: Any) -> None:
        cut = {key: value if len(value) > 1000 else value.partition(b"\0")[0] for key, value in items.items()}
        await self.inner.set_many(cut, **options)


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
