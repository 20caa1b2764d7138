"""Caches that are wrong in one behaviour each."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from codequay.ports.cache import ABSENT, NO_EXPIRY, CacheCapabilities
from codequay.ports.spec import Level

from . import Saboteur
from .cache_together import *  # noqa: F403 - the saboteurs of several calls, openings and processes


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


class ExistsAfterItsEnd(Saboteur):
    wrong = "a key whose time is over exists until it is removed"

    async def exists(self, key: str) -> bool:
        return key in self.inner.sync.entries


class ExistsByPrefix(Saboteur):
    wrong = "a key exists when another one begins with it"

    async def exists(self, key: str) -> bool:
        return bool((await self.inner.scan(prefix=key, limit=1)).keys)


class EmptyDoesNotExist(Saboteur):
    wrong = "a key with an empty value does not exist"

    async def exists(self, key: str) -> bool:
        return bool(await self.inner.get(key))


class AskingProlongs(Saboteur):
    wrong = "a key that is asked for by exists lives ten seconds longer"

    async def exists(self, key: str) -> bool:
        there = bool(await self.inner.exists(key))
        if there and await self.inner.ttl(key) != NO_EXPIRY:
            entry = self.inner.sync.entries[key]
            self.inner.sync.entries[key] = entry._replace(expires=entry.expires + 10)
        return there


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


class AnnouncesReads(Saboteur):
    wrong = "a key that is read is announced"

    async def get(self, key: str) -> bytes | None:
        self.inner._announce(key)
        found: bytes | None = await self.inner.get(key)
        return found


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


class ExistsByWalking(Saboteur):
    wrong = "exists walks through the keys, a turn each"
    level = Level.BUDGET

    async def exists(self, key: str) -> bool:
        for one in (await self.inner.scan()).keys:
            self.turn()
            if one == key:
                return True
        return False


class ExistsIsHeard(Saboteur):
    wrong = "a key that is asked for by exists is announced"

    async def exists(self, key: str) -> bool:
        self.inner._announce(key)
        return bool(await self.inner.exists(key))


class SyncFaceOfYesterday:
    def __init__(self, reads: Any) -> None:
        self._reads = reads
        self.ttl = reads.ttl
        self.get_many = reads.get_many
        self.exists = reads.exists

    def get(self, key: str) -> bytes | None:
        found = self._reads.entries.get(key)
        return None if found is None else found.value or None


class SyncMissesEmpty(Saboteur):
    wrong = "the sync face reads an empty value as no value"

    @property
    def sync(self) -> Any:
        return SyncFaceOfYesterday(self.inner.sync)


class SyncFaceOfEverything:
    def __init__(self, reads: Any) -> None:
        self._reads = reads
        self.get, self.get_many, self.ttl = reads.get, reads.get_many, reads.ttl

    def exists(self, key: str) -> bool:
        return key in self._reads.entries


class SyncExistsAfterItsEnd(Saboteur):
    wrong = "on the sync face a key exists until it is removed"

    @property
    def sync(self) -> Any:
        return SyncFaceOfEverything(self.inner.sync)


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
