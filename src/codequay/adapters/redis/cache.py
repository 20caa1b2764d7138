"""A cache on Redis.

Reads that are asked for in one turn of the loop go out as one ``MGET``. A write and the news of it are one script, so
that nobody hears of what was not written, nor misses what was. Redis keeps keys in no order: ``scan`` and ``purge``
look at every key of the database.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from codequay.ports.cache import ABSENT, NO_EXPIRY, KeyPage
from codequay.ports.diagnose import Finding
from codequay.ports.errors import Unavailable
from codequay.ports.spec import BuildContext, PoolStats

from .config import RedisConfig
from .connection import Client, Script, client
from .diagnose import look
from .listener import Listener
from .reads import Reads

STEP = 1000
"""Keys that one step of SCAN looks at, and that one script removes."""

EPSILON = 1e-6
"""What a float may lack of a whole millisecond."""

# ARGV: channel, milliseconds to live ("" for ever), values
_SET = Script("""
for i, key in ipairs(KEYS) do
    if ARGV[2] == '' then
        redis.call('SET', key, ARGV[i + 2])
    else
        redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[2])
    end
end
redis.call('PUBLISH', ARGV[1], table.concat(KEYS, '\\0'))
""")
_ADD = Script("""
local done
if ARGV[2] == '' then
    done = redis.call('SET', KEYS[1], ARGV[3], 'NX')
else
    done = redis.call('SET', KEYS[1], ARGV[3], 'NX', 'PX', ARGV[2])
end
if not done then
    return 0
end
redis.call('PUBLISH', ARGV[1], KEYS[1])
return 1
""")
_FORGET = Script("""
local gone = {}
for _, key in ipairs(KEYS) do
    if redis.call('UNLINK', key) == 1 then
        gone[#gone + 1] = key
    end
end
if #gone > 0 then
    redis.call('PUBLISH', ARGV[1], table.concat(gone, '\\0'))
end
return #gone
""")


@asynccontextmanager
async def open_cache(config: RedisConfig, ctx: BuildContext) -> AsyncIterator[RedisCache]:
    """Nothing is sent before the first call."""
    cache = RedisCache(await client(config, ctx))
    try:
        yield cache
    finally:
        await cache.close()


class RedisCache:
    """``Cache`` over one server; one exchange a call, but for ``scan`` and ``purge``."""

    def __init__(self, connected: Client) -> None:
        self.client = self._client = connected
        self._prefix = f"{connected.prefix}cache:"
        self._channel = f"{connected.prefix}changed"
        self._reads = Reads(connected)
        self._hearing: set[asyncio.Queue[bytes | None]] = set()
        self._listener = Listener(connected, self._channel, self._told)

    @property
    def pool(self) -> PoolStats:
        return self._client.stats

    async def ping(self) -> None:
        await self._client.command("PING")

    async def get(self, key: str) -> bytes | None:
        return await self._reads.get(self._prefix + key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        found: list[bytes | None] = await self._client.command("MGET", *self._names(keys))
        return found

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        await self._client.script(_SET, [self._prefix + key], [self._channel, _milliseconds(ttl), value])

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        return bool(await self._client.script(_ADD, [self._prefix + key], [self._channel, _milliseconds(ttl), value]))

    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        if items:
            await self._client.script(_SET, self._names(items), [self._channel, _milliseconds(ttl), *items.values()])

    async def delete(self, keys: Sequence[str]) -> int:
        return int(await self._client.script(_FORGET, self._names(keys), [self._channel])) if keys else 0

    async def exists(self, key: str) -> bool:
        return bool(await self._client.command("EXISTS", self._prefix + key))

    async def ttl(self, key: str) -> float:
        left = int(await self._client.command("PTTL", self._prefix + key))
        return {-1: NO_EXPIRY, -2: ABSENT}.get(left, max(left, 1) / 1000)

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        found = set()
        async for key in self._keys(prefix):
            if after is None or key > after:
                found.add(key)
                if len(found) > 4 * limit:
                    found = set(heapq.nsmallest(limit + 1, found))
        page = heapq.nsmallest(limit + 1, found)
        return KeyPage(tuple(page[:limit]), page[limit - 1] if len(page) > limit else None)

    async def purge(self, prefix: str = "") -> None:
        batch: list[str] = []
        async for key in self._keys(prefix):
            batch.append(key)
            if len(batch) >= STEP:
                await self.delete(batch)
                batch = []
        await self.delete(batch)

    async def invalidations(self) -> AsyncIterator[str]:
        """:raises Unavailable: the connection was lost for a moment, and news may have been missed: forget what is
        kept, and listen again; or the cache was closed"""
        await self._listener.start()
        told: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._hearing.add(told)
        try:
            while (keys := await told.get()) is not None:
                for key in keys.decode(errors="replace").split("\0"):
                    yield key[len(self._prefix) :]
        finally:
            self._hearing.discard(told)
        raise Unavailable(
            "the connection to the server was lost for a moment: changes may have been missed",
            remedy="forget what was kept, and listen again",
        )

    async def eval(self, script: str, keys: Sequence[str], args: Sequence[bytes | str | int]) -> Any:
        """Run a Lua script; its ``KEYS`` are the cache's keys under the names that the server knows. Listeners do not
        hear of what it writes."""
        return await self._client.command("EVAL", script, len(keys), *self._names(keys), *args)

    async def diagnose(self) -> list[Finding]:
        return await look(self._client, "cache.redis")

    async def close(self) -> None:
        await self._listener.close()
        self._told(None)
        await self._reads.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _names(self, keys: Sequence[str] | Mapping[str, bytes]) -> list[str]:
        return [self._prefix + key for key in keys]

    async def _keys(self, prefix: str) -> AsyncIterator[str]:
        """Keys that begin with the prefix, in no order, perhaps more than once."""
        pattern = _escaped(self._prefix + prefix) + "*"
        cursor = b"0"
        while True:
            cursor, keys = await self._client.command("SCAN", cursor, "MATCH", pattern, "COUNT", STEP)
            for key in keys:
                yield key.decode(errors="replace")[len(self._prefix) :]
            if cursor == b"0":
                return

    def _told(self, data: bytes | None) -> None:
        for told in self._hearing:
            told.put_nowait(data)


def _milliseconds(ttl: float | None) -> int | str:
    """Redis ends a key within the millisecond after its time: one less, so that nothing outlives its own."""
    return "" if ttl is None else max(1, math.floor(ttl * 1000 + EPSILON) - 1)


def _escaped(text: str) -> str:
    """Text without meaning in a pattern of Redis."""
    return "".join("\\" + c if c in "*?[]\\^-" else c for c in text)
