"""``Migratable`` for a SQLite file with a ``Schema``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from codequay.ports.failpoint import reach
from codequay.ports.migrations import Migration
from codequay.ports.spec import BuildContext

from ._schema import Schema

Connect = Callable[[Path, bool], sqlite3.Connection]
"""``(path, readonly)`` -> a connection in autocommit mode."""
Named = Callable[[Exception], Exception]
"""What an exception means that concerns the file itself."""


class FileMigrations:
    """The steps of one file. The transaction that migrates it keeps every other writer out."""

    def __init__(
        self, path: Path, schema: Schema, connect: Connect, ctx: BuildContext, named: Named = lambda exc: exc
    ) -> None:
        self._path = path
        self._schema = schema
        self._connect = connect
        self._run = ctx.run_sync
        self._named = named

    async def migrations(self) -> list[Migration]:
        return await self._do(self._migrations)

    async def migrate(self) -> list[Migration]:
        return await self._do(self._migrate)

    async def _do(self, work: Callable[[], list[Migration]]) -> list[Migration]:
        try:
            return await self._run(work)
        except Exception as exc:
            error = self._named(exc)
            if error is exc:
                raise
            raise error from exc

    def _migrations(self) -> list[Migration]:
        if not self._path.exists():
            return []
        with closing(self._connect(self._path, True)) as connection:
            version = self._schema.version_of(connection, self._path)
            self._schema.check_newer(connection, self._path, version, write=False)
        return self._listed(version) if version else []

    def _migrate(self) -> list[Migration]:
        if not self._path.exists():
            return []
        with closing(self._connect(self._path, False)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            version = self._schema.version_of(connection, self._path)
            self._schema.check_newer(connection, self._path, version, write=True)
            if not 0 < version < self._schema.version:
                return []
            self._schema.migrate(connection, version)
            reach("sqlite.commit")
            connection.execute("COMMIT")
        return [replace(one, applied=True) for one in self._listed(version) if not one.applied]

    def _listed(self, version: int) -> list[Migration]:
        steps = [("the first tables", self._schema.script), *((step.title, step.sql) for step in self._schema.steps)]
        return [
            Migration(self._path.name, number, title, sql.strip(), number <= version)
            for number, (title, sql) in enumerate(steps, 1)
        ]
