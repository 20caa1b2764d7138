"""One SQLite file: one writing connection, a pool of reading ones, and one hop into a thread per call.

A write is a function that runs whole on a thread: ``BEGIN IMMEDIATE``, its statements, ``COMMIT``. The caller's
cancellation cannot reach into it, so that it leaves no open transaction and nothing torn; at most the caller does
not learn that the write was done. A read runs inside one transaction too: all its statements see one state.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from codequay.ports.errors import Closed, Corrupt, FingerprintMismatch, NotFound, PermissionDenied
from codequay.ports.spec import BuildContext

from .defaults import Options
from .schema import APPLICATION_ID, INDEX, Schema

T = TypeVar("T")
P = ParamSpec("P")

INDEX_FILE = "codequay.db"
PAGE_BYTES = 8192
"""Several pieces of text fit into a page; at 4096 bytes much of each would stay empty."""
AUTOCHECKPOINT_PAGES = 8_000
"""64 MB of log between checkpoints: bulk loading copies a page once, and the log stays bounded."""
READER_CACHE_KB = 4096
"""Readers map the file, so that their own cache holds little but inner pages."""
_REINDEX = "index again: codequay index"


class Database:
    """A file that is open. Made by ``open_database``."""

    def __init__(self, path: Path, schema: Schema, options: Options, *, readonly: bool) -> None:
        self.path = path
        self._schema = schema
        self._options = options
        self._readers: deque[sqlite3.Connection] = deque()
        self._turn = threading.Lock()
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        if readonly:
            self._uri = _readable_uri(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._uri = _uri(path, "rw")
            self._writer = self._open_writer()
        try:
            self.read(self._check)
        except BaseException:
            self.close()
            raise

    def read(self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(connection, ...)`` on one state of the file. Safe from any thread."""
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._open_reader()
        try:
            connection.execute("BEGIN")
            result = fn(connection, *args, **kwargs)
            connection.execute("COMMIT")
        except BaseException:
            # A connection that failed once is not trusted with the next read.
            connection.close()
            raise
        self._readers.append(connection)
        if self._closed:
            self._close_readers()
        return result

    def write(self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(connection, ...)`` in one transaction that is applied whole or not at all."""
        with self._turn:
            connection = self._writing()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = fn(connection, *args, **kwargs)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def checkpoint(self) -> None:
        """Move the log into the file and sync it. Readers of an old state keep the rest of it in the log."""
        with self._turn:
            connection = self._writing()
            connection.execute("PRAGMA busy_timeout=0")
            try:
                with suppress(sqlite3.OperationalError):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.execute(f"PRAGMA busy_timeout={round(self._options.busy_timeout * 1000)}")

    def close(self) -> None:
        with self._turn:
            self._closed = True
            self._close_readers()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _close_readers(self) -> None:
        while self._readers:
            with suppress(IndexError):
                self._readers.pop().close()

    def _writing(self) -> sqlite3.Connection:
        if self._closed:
            raise Closed(f"{self.path} is closed")
        if self._writer is None:
            raise PermissionDenied(f"{self.path} is open for reading only")
        return self._writer

    def _connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=self._options.busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    def _open_reader(self) -> sqlite3.Connection:
        if self._closed:
            raise Closed(f"{self.path} is closed")
        connection = self._connect(self._uri)
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KB}")
            connection.execute(f"PRAGMA mmap_size={self._options.mmap_mb * 1024 * 1024}")
            connection.execute("PRAGMA temp_store=MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._connect(_uri(self.path, "rwc"))
        try:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            if connection.execute("PRAGMA schema_version").fetchone()[0]:
                self._check(connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._options.synchronous}")
            connection.execute(f"PRAGMA cache_size=-{self._options.cache_mb * 1024}")
            connection.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                self._create(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        for statement in self._schema.script.split(";"):
            connection.execute(statement)
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("schema_version", str(self._schema.version)), ("store_id", secrets.token_hex(16))],
        )
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={self._schema.version}")

    def _check(self, connection: sqlite3.Connection) -> None:
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise NotFound(f"{self.path} is empty", remedy=_REINDEX)
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application != APPLICATION_ID:
            raise Corrupt(
                f"{self.path} is a database of another program", remedy="move it away and index again: codequay index"
            )
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != self._schema.version:
            upgrade = "upgrade codequay, or " if version > self._schema.version else ""
            raise FingerprintMismatch(
                f"{self.path} has schema {version}; this release reads {self._schema.version}",
                remedy=f"{upgrade}delete the file and {_REINDEX}",
                details={"found": version, "expected": self._schema.version},
            )


def store_id(connection: sqlite3.Connection) -> str:
    """The random id that the file was given when it was made."""
    return str(connection.execute("SELECT value FROM meta WHERE key='store_id'").fetchone()[0])


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


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(os.fspath(path.absolute()))}?mode={mode}"


def _readable_uri(path: Path) -> str:
    """How to open the file without changing it.

    A file in WAL mode needs ``-wal`` and ``-shm`` beside it. Where the folder is writable a read-write connection
    with ``query_only`` makes them and takes them away again. Elsewhere ``mode=ro`` works if they are there. When
    they are not, nobody can be writing either and the file is whole: ``immutable``.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        size = 0
    if not size:
        raise NotFound(f"there is no index at {path}", remedy=_REINDEX)
    if not os.access(path, os.R_OK):
        raise PermissionDenied(f"{path} may not be read", remedy="check its owner and mode")
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return _uri(path, "rw")
    uri = _uri(path, "ro")
    probe = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        probe.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        return uri
    except sqlite3.OperationalError as exc:
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise PermissionDenied(
                f"{path} has an unfinished log, which a read-only folder does not let us read",
                remedy="open it once where its folder is writable: codequay status",
            ) from exc
        return _uri(path, "ro") + "&immutable=1"
    finally:
        probe.close()
