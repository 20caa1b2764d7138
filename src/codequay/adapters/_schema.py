"""The version of an embedded SQLite file, and the steps that bring it forward.

A new file is made by the script of the first version and then by every step, so that a migrated file and a new one are
the same. Steps go forward only, and expand first: a step adds, and what older releases still need is taken away by a
later release. So that an older release, which does not know the step, can tell whether it may use the file, the file
says in ``meta`` which versions may read it and which may write it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codequay.ports.errors import Corrupt, FingerprintMismatch

MIGRATE = "codequay migrations --apply"


@dataclass(frozen=True, slots=True)
class Step:
    """What leads from one version to the next, in one transaction."""

    title: str
    sql: str
    readers: int
    """The oldest version whose release reads a file with this step rightly."""
    writers: int
    """The oldest version whose release may also write it."""
    views: str | None = None
    """Temporary views through which this release reads a file that lacks the step; "" when none are needed, None when
    it cannot."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one file: ``script`` makes version 1, each step the next."""

    script: str
    steps: tuple[Step, ...] = ()
    application_id: int = 0
    """Marks the files for ``file(1)`` and for us; 0: not marked."""
    rebuild: str = "delete {path} and index again: codequay index"
    """How to get a new file."""

    @property
    def version(self) -> int:
        return 1 + len(self.steps)

    def version_of(self, connection: sqlite3.Connection, path: Path) -> int:
        """The version of the file; 0 when it is empty.

        :raises Corrupt: another program's file
        """
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            return 0
        if self.application_id and connection.execute("PRAGMA application_id").fetchone()[0] != self.application_id:
            raise Corrupt(
                f"{path} is a database of another program", remedy=f"move {path} away and index again: codequay index"
            )
        return max(1, version_now(connection))

    def pending(self, version: int) -> tuple[Step, ...]:
        """The steps that a file of that version lacks."""
        return self.steps[version - 1 :]

    def check_newer(self, connection: sqlite3.Connection, path: Path, version: int, *, write: bool) -> None:
        """Refuse a file of a newer release unless it says that this one may use it.

        :raises FingerprintMismatch: it does not
        """
        if version <= self.version:
            return
        said = dict(connection.execute("SELECT key, value FROM meta"))
        promised = said.get("schema_version") == str(version)
        if not promised or int(said["writable_from" if write else "readable_from"]) > self.version:
            raise FingerprintMismatch(
                f"{path} has schema {version} of a newer release; this one {'writes' if write else 'reads'} up to"
                f" {self.version}",
                remedy=f"upgrade codequay, or {self.rebuild.format(path=path)}",
                details={"found": version, "expected": self.version},
            )

    def too_old(self, path: Path, version: int) -> FingerprintMismatch:
        """What to raise for a file that has to be migrated first."""
        return FingerprintMismatch(
            f"{path} has schema {version} of an older release; this one needs {self.version}",
            remedy=MIGRATE,
            details={"found": version, "expected": self.version},
        )

    def read_older(self, connection: sqlite3.Connection, path: Path, version: int) -> None:
        """Let the connection read an older file, through temporary views.

        :raises FingerprintMismatch: a step that the file lacks has none
        """
        for step in self.pending(version):
            if step.views is None:
                raise self.too_old(path, version)
            _run(connection, step.views)

    def create(self, connection: sqlite3.Connection) -> None:
        """Make all tables. Inside a transaction."""
        _run(connection, self.script)
        if self.application_id:
            connection.execute(f"PRAGMA application_id={self.application_id}")
        self.migrate(connection, 1)

    def migrate(self, connection: sqlite3.Connection, version: int) -> None:
        """Run the steps that a file of that version lacks. Inside a transaction, in which it was read."""
        connection.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        for step in self.pending(version):
            _run(connection, step.sql)
        said = {
            "schema_version": self.version,
            "readable_from": max((step.readers for step in self.steps), default=1),
            "writable_from": max((step.writers for step in self.steps), default=1),
        }
        connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in said.items()]
        )
        connection.execute(f"PRAGMA user_version={self.version}")


def version_now(connection: sqlite3.Connection) -> int:
    """The version as the connection's transaction sees it: about 1 us."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in _statements(script):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit."""
    statement = ""
    for part in script.split(";")[:-1]:
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
