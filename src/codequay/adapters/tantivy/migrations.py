"""The sidecar, opened for its migrations alone, whatever version it has."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from codequay.adapters._migrations import FileMigrations
from codequay.adapters._placements import connect
from codequay.ports.spec import BuildContext

from .placements import SCHEMA
from .writing import Options


@asynccontextmanager
async def open_sidecar(config: Options, ctx: BuildContext) -> AsyncIterator[FileMigrations]:
    """Of ``placements.db``; Tantivy's own files have no tables."""

    def open_file(path: Path, readonly: bool) -> sqlite3.Connection:
        return connect(path, readonly=readonly, timeout=config.busy_timeout)

    yield FileMigrations(ctx.data / "lexical" / "placements.db", SCHEMA, open_file, ctx)
