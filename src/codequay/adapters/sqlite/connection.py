"""One SQLite file: one writing connection, a pool of reading ones, and one hop into a thread per call.

A write is a function that runs whole on a thread: ``BEGIN IMMEDIATE``, its statements, ``COMMIT``. The caller's
cancellation cannot reach into it, so that it leaves no open transaction and nothing torn; at most the caller does
not learn that the write was done. A read runs inside one transaction too: all its statements see one state.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from codequay.adapters._files import state_of
from codequay.adapters._schema import Schema, version_now
from codequay.ports.errors import Closed, NotFound, PermissionDenied, Unavailable
from codequay.ports.failpoint import reach
from codequay.ports.spec import BuildContext

from .defaults import Options
from .errors import code_of, named
from .files import Way, way_to_read, writable_uri
from .schema import INDEX

T = TypeVar("T")
P = ParamSpec("P")

INDEX_FILE = "codequay.db"
PAGE_BYTES = 8192
"""Several pieces of text fit into a page; at 4096 bytes much of each would stay empty."""
AUTOCHECKPOINT_PAGES = 8_000
"""64 MB of log between checkpoints: bulk loading copies a page once, and the log stays bounded."""
RECLAIM_SHARE = 0.25
"""Share of empty pages from which on the file is written anew; below it they are soon used again."""
RECLAIM_PAGES = 128
"""The same in pages: a megabyte."""
LOG_PAUSE_S = 0.005
READER_CACHE_KB = 4096
"""Readers map the file, so that their own cache holds little but inner pages."""
MEMO = 10_000
"""Things that a reading connection remembers, about 3 MB: mostly where a file lies."""
READ_TRIES = 5
"""A read that the file was changed under is tried again this often."""
_NEEDS_FILES = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY})
"""What says that ``-wal`` and ``-shm`` could not be made."""


class Reading(sqlite3.Connection):
    """A connection with a memo of small things that its reads have found, which the next commit of another empties."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.memo: dict[tuple[Hashable, ...], Any] = {}
        self._commit = -1

    def keep(self, key: tuple[Hashable, ...], found: T) -> T:
        """Add to the memo; a full one starts anew."""
        if len(self.memo) >= MEMO:
            self.memo = {}
        self.memo[key] = found
        return found

    def follow(self) -> bool:
        """Inside a transaction: whether it sees another state than the last one. Then the memo is empty."""
        commit: int = self.execute("PRAGMA data_version").fetchone()[0]
        if commit == self._commit:
            return False
        self._commit = commit
        self.memo = {}
        return True


class Database:
    """A file that is open. Made by ``open_database``."""

    def __init__(self, path: Path, schema: Schema, options: Options, *, readonly: bool) -> None:
        self.path = path
        self._schema = schema
        self._options = options
        self._readers: deque[_Reader] = deque()
        self._turn = threading.Lock()
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        self._version = 0
        """Of the file, as the writer last saw it."""
        self._way = Way(writable_uri(path))
        try:
            with self._naming():
                self._open(readonly)
        except BaseException:
            self.close()
            raise

    def _open(self, readonly: bool) -> None:
        if readonly:
            self._way = way_to_read(self.path)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._open_writer()
        try:
            self._read(version_now)
        except sqlite3.OperationalError as exc:
            if not self._way.touching or code_of(exc) not in _NEEDS_FILES:
                raise
            self._way = way_to_read(self.path, touching=False)
            self._read(version_now)

    def read(self, fn: Callable[Concatenate[Reading, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(connection, ...)`` on one state of the file. Safe from any thread."""
        try:
            return self._read(fn, *args, **kwargs)
        except Exception as exc:
            error = self._named(exc)
            if error is exc:
                raise
            raise error from exc

    def _read(self, fn: Callable[Concatenate[Reading, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(READ_TRIES):
            reader = self._take_reader()
            connection = reader.connection
            try:
                connection.execute("BEGIN")
                if connection.follow() and version_now(connection) != reader.version:
                    connection.close()
                    continue
                result = fn(connection, *args, **kwargs)
                connection.execute("COMMIT")
            except BaseException as exc:
                # A connection that failed once is not trusted with the next read.
                connection.close()
                if isinstance(exc, Exception) and self._moved(reader.way):
                    continue
                raise
            if self._moved(reader.way):
                connection.close()
                continue
            self._readers.append(reader)
            if self._closed:
                self._close_readers()
            return result
        raise Unavailable(f"{self.path} changes faster than it can be read here", remedy="try again")

    def _take_reader(self) -> _Reader:
        if self._moved(self._way):
            self._way = way_to_read(self.path)
        while self._readers:
            with suppress(IndexError):
                reader = self._readers.pop()
                if reader.way is self._way:
                    return reader
                reader.connection.close()
        return self._open_reader(self._way)

    def _moved(self, way: Way) -> bool:
        """Whether somebody has written to a file that was opened as one that stays."""
        return way.still is not None and way.still != state_of(self.path)

    def write(self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(connection, ...)`` in one transaction that is applied whole or not at all.

        :raises LockBusy: another process holds its transaction for longer than ``busy_timeout``
        """
        with self._turn, self._naming():
            connection = self._writing()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._follow(connection)
                result = fn(connection, *args, **kwargs)
                reach("sqlite.commit")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def look(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``fn(connection)`` on a connection of its own and without a transaction: where pages are damaged, even
        the end of a transaction fails."""
        with self._naming(), closing(self._open_reader(self._way).connection) as connection:
            return fn(connection)

    def reclaim(self) -> int:
        """Write the file anew when much of it is empty; bytes given back.

        The copy is made on the disk, beside the file's own temporary files, and goes through the log: readers go on.

        :raises LockBusy: another process writes
        """
        with self._turn, self._naming():
            self._writing()
            with closing(self._connect(writable_uri(self.path))) as connection:
                pages, empty = _pages(connection)
                if empty < max(RECLAIM_PAGES, RECLAIM_SHARE * pages):
                    return 0
                connection.execute("PRAGMA temp_store=FILE")
                connection.execute("VACUUM")
                given_back = (pages - _pages(connection)[0]) * PAGE_BYTES
        self.checkpoint()
        return given_back

    def checkpoint(self) -> None:
        """Move the log into the file and sync it. Readers of an old state keep the rest of it in the log."""
        with self._turn, self._naming():
            connection = self._writing()
            connection.execute("PRAGMA busy_timeout=0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.OperationalError as exc:
                if code_of(exc) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
            finally:
                connection.execute(f"PRAGMA busy_timeout={round(self._options.busy_timeout * 1000)}")

    def close(self) -> None:
        with self._turn:
            self._closed = True
            self._close_readers()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            error = self._named(exc)
            if error is exc:
                raise
            raise error from exc

    def _named(self, exc: Exception) -> Exception:
        return named(exc, self.path, self._schema.rebuild)

    def _close_readers(self) -> None:
        while self._readers:
            with suppress(IndexError):
                self._readers.pop().connection.close()

    def _writing(self) -> sqlite3.Connection:
        if self._closed:
            raise Closed(f"{self.path} is closed")
        if self._writer is None:
            raise PermissionDenied(f"{self.path} is open for reading only")
        return self._writer

    def _connect(self, uri: str) -> Reading:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=self._options.busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=Reading,
        )

    def _open_reader(self, way: Way) -> _Reader:
        if self._closed:
            raise Closed(f"{self.path} is closed")
        connection = self._connect(way.uri)
        try:
            connection.execute("PRAGMA temp_store=MEMORY")
            version = self._schema.version_of(connection, self.path)
            if not version:
                raise NotFound(f"{self.path} is empty", remedy="index again: codequay index")
            self._schema.check_newer(connection, self.path, version, write=False)
            if self._options.migrations != "off":
                self._schema.read_older(connection, self.path, version)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KB}")
            if way.still is None:  # a page that is mapped and then cut off would end the process
                connection.execute(f"PRAGMA mmap_size={self._options.mmap_mb * 1024 * 1024}")
        except BaseException:
            connection.close()
            raise
        return _Reader(connection, way, version)

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._connect(writable_uri(self.path, create=True))
        try:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            self._admit(connection)
            self._keep_log(connection)
            connection.execute(f"PRAGMA synchronous={self._options.synchronous}")
            connection.execute(f"PRAGMA cache_size=-{self._options.cache_mb * 1024}")
            connection.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("PRAGMA secure_delete=OFF")
            if self._version < self._schema.version and (not self._version or self._options.migrations == "auto"):
                connection.execute("BEGIN IMMEDIATE")
                self._bring_forward(connection)
                reach("sqlite.commit")
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep_log(self, connection: sqlite3.Connection) -> None:
        """Switch a new file to WAL. When two processes do so at once SQLite answers busy without waiting."""
        deadline = time.monotonic() + self._options.busy_timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as exc:
                if code_of(exc) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(LOG_PAUSE_S)

    def _admit(self, connection: sqlite3.Connection) -> None:
        """Look at the file's version.

        :raises FingerprintMismatch: it may not be written by this release, or not before it is migrated
        """
        self._version = self._schema.version_of(connection, self.path)
        self._schema.check_newer(connection, self.path, self._version, write=True)
        if 0 < self._version < self._schema.version and self._options.migrations == "check":
            raise self._schema.too_old(self.path, self._version)

    def _bring_forward(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or migrate those that are there; another process may have done it meanwhile."""
        self._admit(connection)
        if not self._version:
            self._schema.create(connection)
            connection.execute("INSERT INTO meta VALUES ('store_id', ?)", (secrets.token_hex(16),))
        elif self._version < self._schema.version:
            self._schema.migrate(connection, self._version)
        self._version = version_now(connection)

    def _follow(self, connection: sqlite3.Connection) -> None:
        """Look again when another process has migrated the file since it was opened."""
        if version_now(connection) != self._version:
            self._admit(connection)


class _Reader(NamedTuple):
    """A reading connection, the way it was opened, and the version it was made ready for."""

    connection: Reading
    way: Way
    version: int


def store_id(connection: sqlite3.Connection) -> str:
    """The random id that the file was given when it was made."""
    return str(connection.execute("SELECT value FROM meta WHERE key='store_id'").fetchone()[0])


def _pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Pages of the file, and how many of them are empty."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (empty,) = connection.execute("PRAGMA freelist_count").fetchone()
    return pages, empty


class Hops:
    """The way from the event loop to a ``Database``: one thread hop per call, one write at a time."""

    def __init__(self, database: Database, ctx: BuildContext) -> None:
        self.database = database
        self.run = ctx.run_sync
        self._turn = asyncio.Lock()

    async def write(self, fn: Callable[..., T], *args: Any) -> T:
        """``database.write`` on a thread. Writers queue on the loop, where they hold no thread of the pool."""
        async with self._turn:
            return await self.run(self.database.write, fn, *args)

    async def write_durably(self, fn: Callable[..., T], *args: Any) -> T:
        """The same, and synced to the disk."""
        async with self._turn:
            return await self.run(self._write_durably, fn, *args)

    async def read(self, fn: Callable[..., T], *args: Any) -> T:
        return await self.run(self.database.read, fn, *args)

    async def reclaim(self) -> int:
        """``database.reclaim`` on a thread, in turn with the writes."""
        async with self._turn:
            return await self.run(self.database.reclaim)

    def _write_durably(self, fn: Callable[..., T], *args: Any) -> T:
        result = self.database.write(fn, *args)
        self.database.checkpoint()
        return result


async def open_index(options: Options, ctx: BuildContext) -> Hops:
    """``codequay.db``, opened once for every port that lies in it."""
    return await ctx.shared(INDEX_FILE, lambda: open_database(INDEX_FILE, INDEX, options, ctx))


@asynccontextmanager
async def open_database(name: str, schema: Schema, options: Options, ctx: BuildContext) -> AsyncIterator[Hops]:
    """Open ``name`` under the data folder.

    :raises NotFound: the context is read-only and there is no such file
    :raises FingerprintMismatch: the file's schema is of another release
    """
    path = ctx.data / name
    database = await ctx.run_sync(lambda: Database(path, schema, options, readonly=ctx.readonly))
    try:
        yield Hops(database, ctx)
    finally:
        await ctx.run_sync(database.close)
