"""The files, opened for their migrations alone, whatever version they have."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from codequay.adapters._migrations import FileMigrations
from codequay.adapters._schema import Schema
from codequay.ports.spec import BuildContext

from .cache import CACHE_FILE
from .connection import INDEX_FILE
from .defaults import Options
from .errors import named
from .files import way_to_read, writable_uri
from .lock import LOCK_FILE
from .lock import SCHEMA as LOCK
from .schema import CACHE, INDEX


@asynccontextmanager
async def open_index(config: Options, ctx: BuildContext) -> AsyncIterator[FileMigrations]:
    """Of chunks and metadata."""
    yield _migrations(INDEX_FILE, INDEX, config, ctx)


@asynccontextmanager
async def open_cache(config: Options, ctx: BuildContext) -> AsyncIterator[FileMigrations]:
    yield _migrations(CACHE_FILE, CACHE, config, ctx)


@asynccontextmanager
async def open_lock(config: Options, ctx: BuildContext) -> AsyncIterator[FileMigrations]:
    yield _migrations(LOCK_FILE, LOCK, config, ctx)


def _migrations(name: str, schema: Schema, config: Options, ctx: BuildContext) -> FileMigrations:
    def connect(path: Path, readonly: bool) -> sqlite3.Connection:
        uri = way_to_read(path).uri if readonly else writable_uri(path)
        return sqlite3.connect(uri, uri=True, timeout=config.busy_timeout, isolation_level=None)

    path = ctx.data / name
    return FileMigrations(path, schema, connect, ctx, lambda exc: named(exc, path, schema.rebuild))
