"""The cache in ``cache.db``: a file of its own, so that forgetting it is deleting it and no index waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from codequay.ports.cache import ABSENT, NO_EXPIRY, KeyPage
from codequay.ports.spec import BuildContext, Clock

from .connection import Database, Hops, open_database, store_id
from .defaults import Options
from .schema import CACHE

CACHE_FILE = "cache.db"
KEPT_CHANGES = 10_000
"""Changes kept for ``invalidations``; a listener further behind misses the oldest."""
POLL_SECONDS = 0.1
"""How often a listener looks for the changes of other processes; those of its own wake it at once."""

_ALIVE = "(expires IS NULL OR expires > ?)"


@asynccontextmanager
async def open_cache(config: Options, ctx: BuildContext) -> AsyncIterator[SqliteCache]:
    """Open the file, making it unless the context is read-only; what has expired is deleted.

    :raises NotFound: the context is read-only and there is no cache
    """
    hops = await ctx.shared(CACHE_FILE, lambda: open_database(CACHE_FILE, CACHE, config, ctx))
    if not ctx.readonly:
        await hops.write(_expire, ctx.clock.time())
    yield SqliteCache(hops, ctx.clock)


class CacheReads:
    """The sync face; safe from any thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._read = database.read
        self._clock = clock

    def get(self, key: str) -> bytes | None:
        return self._read(_get, key, self._clock.time())

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._read(_get_many, keys, self._clock.time())

    def exists(self, key: str) -> bool:
        return self._read(_exists, key, self._clock.time())

    def ttl(self, key: str) -> float:
        return self._read(_ttl, key, self._clock.time())


class SqliteCache:
    """``Cache`` over one file. Each call is one hop and one transaction."""

    def __init__(self, hops: Hops, clock: Clock) -> None:
        self._hops = hops
        self._clock = clock
        self._changed = asyncio.Event()
        self.sync = CacheReads(hops.database, clock)

    async def ping(self) -> None:
        await self._hops.read(store_id)

    async def get(self, key: str) -> bytes | None:
        return await self._hops.run(self.sync.get, key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return await self._hops.run(self.sync.get_many, keys)

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        await self.set_many({key: value}, ttl=ttl)

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        now = self._clock.time()
        added = await self._hops.write(_add, key, value, _end(now, ttl), now)
        self._wake()
        return added

    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        await self._hops.write(_set, items, _end(self._clock.time(), ttl))
        self._wake()

    async def delete(self, keys: Sequence[str]) -> int:
        count = await self._hops.write(_delete, keys, self._clock.time())
        self._wake()
        return count

    async def exists(self, key: str) -> bool:
        return await self._hops.run(self.sync.exists, key)

    async def ttl(self, key: str) -> float:
        return await self._hops.run(self.sync.ttl, key)

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        return await self._hops.read(_scan, prefix, after, limit, self._clock.time())

    async def purge(self, prefix: str = "") -> None:
        await self._hops.write(_purge, prefix)
        self._wake()

    async def invalidations(self) -> AsyncIterator[str]:
        seen = await self._hops.read(_last_change)
        while True:
            changed = self._changed
            changes = await self._hops.read(_changes, seen)
            for seq, key in changes:
                seen = seq
                yield key
            if not changes:
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    continue

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _end(now: float, ttl: float | None) -> float | None:
    return None if ttl is None else now + ttl


def _get(connection: sqlite3.Connection, key: str, now: float) -> bytes | None:
    row = connection.execute(f"SELECT value FROM entry WHERE key = ? AND {_ALIVE}", (key, now)).fetchone()
    return None if row is None else bytes(row[0])


def _get_many(connection: sqlite3.Connection, keys: Sequence[str], now: float) -> list[bytes | None]:
    return [_get(connection, key, now) for key in keys]


def _exists(connection: sqlite3.Connection, key: str, now: float) -> bool:
    return connection.execute(f"SELECT 1 FROM entry WHERE key = ? AND {_ALIVE}", (key, now)).fetchone() is not None


def _ttl(connection: sqlite3.Connection, key: str, now: float) -> float:
    row = connection.execute(f"SELECT expires FROM entry WHERE key = ? AND {_ALIVE}", (key, now)).fetchone()
    if row is None:
        return ABSENT
    return NO_EXPIRY if row[0] is None else float(row[0] - now)


def _set(connection: sqlite3.Connection, items: Mapping[str, bytes], expires: float | None) -> None:
    connection.executemany(
        "INSERT INTO entry (key, value, expires) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
        [(key, value, expires) for key, value in items.items()],
    )
    _note(connection, items)


def _add(connection: sqlite3.Connection, key: str, value: bytes, expires: float | None, now: float) -> bool:
    cursor = connection.execute(
        "INSERT INTO entry (key, value, expires) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
        " SET value = excluded.value, expires = excluded.expires WHERE entry.expires <= ?",
        (key, value, expires, now),
    )
    added = cursor.rowcount == 1
    if added:
        _note(connection, [key])
    return added


def _delete(connection: sqlite3.Connection, keys: Sequence[str], now: float) -> int:
    gone = []
    for key in dict.fromkeys(keys):
        alive = _exists(connection, key, now)
        connection.execute("DELETE FROM entry WHERE key = ?", (key,))
        if alive:
            gone.append(key)
    _note(connection, gone)
    return len(gone)


def _purge(connection: sqlite3.Connection, prefix: str) -> None:
    rows = connection.execute("SELECT id, key FROM entry WHERE key >= ? ORDER BY key", (prefix,)).fetchall()
    gone = [row for row in rows if row[1].startswith(prefix)]
    connection.executemany("DELETE FROM entry WHERE id = ?", [(row[0],) for row in gone])
    _note(connection, [row[1] for row in gone])


def _expire(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("DELETE FROM entry WHERE expires <= ?", (now,))


def _scan(connection: sqlite3.Connection, prefix: str, after: str | None, limit: int, now: float) -> KeyPage:
    rows = connection.execute(
        f"SELECT key FROM entry WHERE key >= ? AND key > ? AND {_ALIVE} ORDER BY key LIMIT ?",
        (prefix, after or "", now, limit + 1),
    )
    keys = [key for (key,) in rows if key.startswith(prefix)]
    return KeyPage(tuple(keys[:limit]), keys[limit - 1] if len(keys) > limit else None)


def _note(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    connection.executemany("INSERT INTO change (key) VALUES (?)", [(key,) for key in keys])
    connection.execute("DELETE FROM change WHERE seq <= (SELECT max(seq) FROM change) - ?", (KEPT_CHANGES,))


def _last_change(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT ifnull(max(seq), 0) FROM change").fetchone()
    last: int = row[0]
    return last


def _changes(connection: sqlite3.Connection, seen: int) -> list[tuple[int, str]]:
    return connection.execute("SELECT seq, key FROM change WHERE seq > ? ORDER BY seq", (seen,)).fetchall()
