"""Looking for damage: SQLite's own check of the tables of one port, and of what refers to what."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence

from codequay.ports.diagnose import Finding, Level

CHUNK_TABLES = ("repo", "generation", "content", "placement", "chunk", "piece", "definition")
METADATA_TABLES = ("repository", "counter", "publication", "shown", "fence", "skipped", "meta")
_DAMAGES = 5
"""Lines of SQLite's report that are passed on; the first ones name the page."""
_REMEDY = "delete codequay.db (with its -wal and -shm) and index again: codequay index"

_DANGLING = {
    "a file without its content": """
SELECT count(*) FROM placement p LEFT JOIN content c ON c.id = p.content WHERE c.id IS NULL""",
    "content without its text": """
SELECT count(*) FROM content c WHERE c.pieces > 0
AND (SELECT count(*) FROM piece p WHERE p.id >= c.piece AND p.id < c.piece + c.pieces) <> c.pieces""",
    "content without its chunks": """
SELECT count(*) FROM content c WHERE c.chunks > 0
AND (SELECT count(*) FROM chunk k WHERE k.id >= c.chunk AND k.id < c.chunk + c.chunks) <> c.chunks""",
}


def chunks(connection: sqlite3.Connection) -> list[Finding]:
    """What is wrong with the chunk store's tables."""
    component = "chunks.sqlite"
    damage = list(_damage(connection, CHUNK_TABLES))
    if not damage:
        for what, sql in _DANGLING.items():
            (count,) = connection.execute(sql).fetchone()
            if count:
                damage.append(f"{count} times {what}")
        damage += _unreadable(connection)
    return _findings(component, damage)


def metadata(connection: sqlite3.Connection) -> list[Finding]:
    """What is wrong with the metadata's tables."""
    return _findings("metadata.sqlite", list(_damage(connection, METADATA_TABLES)))


def _unreadable(connection: sqlite3.Connection) -> list[str]:
    """Text that does not inflate: SQLite's pages carry no checksum, the pieces of text do."""
    bad = 0
    for (data,) in connection.execute("SELECT data FROM piece"):
        try:
            zlib.decompress(data)
        except zlib.error:
            bad += 1
    return [f"{bad} pieces of text do not inflate"] if bad else []


def _findings(component: str, damage: Sequence[str]) -> list[Finding]:
    if damage:
        return [Finding(Level.ERROR, component, f"the index file is damaged: {line}", _REMEDY) for line in damage]
    return [Finding(Level.OK, component, "the tables are whole")]


def _damage(connection: sqlite3.Connection, tables: Sequence[str]) -> Iterator[str]:
    """SQLite's report on each table that there is; a page that cannot be read ends the look at its table."""
    try:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as exc:
        yield str(exc)
        return
    for table in tables:
        if table not in there:
            yield f"table {table} is missing"
            continue
        try:
            rows = connection.execute(f"PRAGMA integrity_check({table})").fetchmany(_DAMAGES)
        except sqlite3.DatabaseError as exc:
            yield f"table {table}: {exc}"
        else:
            yield from (f"table {table}: {line}" for (line,) in rows if line != "ok")
