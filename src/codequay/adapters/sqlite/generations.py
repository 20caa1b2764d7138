"""The life of a generation in SQL. Every function but the readers runs inside a write transaction.

A repository's generations form one line, so that two numbers per placement say where it is visible. At most one
generation is not sealed, and it is the newest: ``begin`` deletes what it is not built upon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import GenerationState, Scope

from .errors import Damaged

if TYPE_CHECKING:
    from .connection import Reading

VISIBLE = "p.born <= :g AND (p.died IS NULL OR p.died > :g)"
"""Whether placement ``p`` is in generation ``:g``."""


def states(connection: sqlite3.Connection, repo_id: str) -> list[GenerationState]:
    rows = connection.execute(
        "SELECT g.generation, g.sealed FROM repo r JOIN generation g ON g.repo = r.id WHERE r.name = ? ORDER BY 1",
        (repo_id,),
    )
    return [GenerationState(generation, bool(sealed)) for generation, sealed in rows]


def resolve(connection: Reading, scope: Scope) -> dict[str, tuple[int, int]]:
    """Repository -> (its row, generation), in order of repository.

    :raises NotIndexed: one of the generations is not sealed here
    :raises Damaged: the tables that say so do not fit each other
    """
    found: dict[str, tuple[int, int]] = {}
    for repo_id, generation in sorted(scope):
        key = ("sealed", repo_id, generation)
        repo = connection.memo.get(key)
        if repo is None:
            row = connection.execute(
                "SELECT r.id FROM repo r JOIN generation g ON g.repo = r.id"
                " WHERE r.name = ? AND g.generation = ? AND g.sealed",
                (repo_id, generation),
            ).fetchone()
            if row is None:
                _check(connection)
                raise NotIndexed(
                    f"generation {generation} of {repo_id!r} is not indexed in this store", remedy="codequay index"
                )
            repo = connection.keep(key, row[0])
        found[repo_id] = (repo, generation)
    return found


def _check(connection: sqlite3.Connection) -> None:
    """Damage may hide a row. These two tables are small; the rest of the file is not read.

    :raises Damaged: they are damaged
    """
    for table in ("repo", "generation"):
        found = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
        if found != ("ok",):
            raise Damaged(str(found[0]))


def begin(connection: sqlite3.Connection, repo_id: str, generation: int, base: int | None) -> None:
    existing = {state.generation: state.sealed for state in states(connection, repo_id)}
    if base is not None and not existing.get(base):
        raise NotIndexed(f"generation {base} of {repo_id!r} is not sealed in this store")
    connection.execute("INSERT INTO repo (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (repo_id,))
    repo, highest = connection.execute("SELECT id, highest FROM repo WHERE name = ?", (repo_id,)).fetchone()
    if highest > generation:
        raise Conflict(f"generation {highest} of {repo_id!r} has begun after {generation}")
    connection.execute("UPDATE repo SET highest = ? WHERE id = ?", (generation, repo))
    orphans: set[int] = set()
    for other, sealed in existing.items():
        abandoned = not sealed if base is None else other > base
        if abandoned or other == generation:
            key = (repo, other)
            orphans |= _contents(connection, "repo = ? AND born = ?", key)
            connection.execute("DELETE FROM placement WHERE repo = ? AND born = ?", key)
            connection.execute("DELETE FROM generation WHERE repo = ? AND generation = ?", key)
    if base is None:
        connection.execute("UPDATE placement SET died = ? WHERE repo = ? AND died IS NULL", (generation, repo))
    else:
        connection.execute("UPDATE placement SET died = NULL WHERE repo = ? AND died > ?", (repo, base))
    connection.execute("INSERT INTO generation (repo, generation, base) VALUES (?, ?, ?)", (repo, generation, base))
    collect(connection, orphans)


def begun(connection: sqlite3.Connection, repo_id: str, generation: int) -> tuple[int, bool]:
    """The repository's row and whether the generation is sealed.

    :raises Conflict: it was not begun, or a newer writer has dropped it
    """
    row = connection.execute(
        "SELECT r.id, g.sealed FROM repo r JOIN generation g ON g.repo = r.id WHERE r.name = ? AND g.generation = ?",
        (repo_id, generation),
    ).fetchone()
    if row is None:
        raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
    return row[0], bool(row[1])


def seal(connection: sqlite3.Connection, repo_id: str, generation: int) -> None:
    repo, sealed = begun(connection, repo_id, generation)
    if not sealed:
        connection.execute("UPDATE generation SET sealed = 1 WHERE repo = ? AND generation = ?", (repo, generation))


def drop(connection: sqlite3.Connection, repo_id: str, generation: int) -> None:
    """Forget the generation, the placements that only it showed, and what lay there alone.

    Those were born after the generation below, and died at the one above at the latest.
    """
    remaining = [state.generation for state in states(connection, repo_id)]
    if generation not in remaining:
        return
    repo, _ = begun(connection, repo_id, generation)
    at = remaining.index(generation)
    below = remaining[at - 1] if at else 0
    where, key = "repo = ? AND born > ? AND born <= ?", [repo, below, generation]
    if at + 1 < len(remaining):
        where += " AND died <= ?"
        key.append(remaining[at + 1])
    orphans = _contents(connection, where, key)
    connection.execute(f"DELETE FROM placement WHERE {where}", key)
    connection.execute("DELETE FROM generation WHERE repo = ? AND generation = ?", (repo, generation))
    collect(connection, orphans)


def purge(connection: sqlite3.Connection, repo_id: str) -> None:
    row = connection.execute("SELECT id FROM repo WHERE name = ?", (repo_id,)).fetchone()
    if row is None:
        return
    orphans = _contents(connection, "repo = ?", row)
    connection.execute("DELETE FROM placement WHERE repo = ?", row)
    connection.execute("DELETE FROM generation WHERE repo = ?", row)
    connection.execute("DELETE FROM repo WHERE id = ?", row)
    collect(connection, orphans)


def collect(connection: sqlite3.Connection, contents: Iterable[int]) -> None:
    """Delete those contents that no placement shows any more."""
    for content in contents:
        row = connection.execute(
            "SELECT chunk, chunks, piece, pieces, definition, definitions FROM content"
            " WHERE id = :content AND NOT EXISTS (SELECT 1 FROM placement WHERE content = :content)",
            {"content": content},
        ).fetchone()
        if row is None:
            continue
        for table, first, count in (
            ("chunk", row[0], row[1]),
            ("piece", row[2], row[3]),
            ("definition", row[4], row[5]),
        ):
            connection.execute(f"DELETE FROM {table} WHERE id >= ? AND id < ?", (first, first + count))
        connection.execute("DELETE FROM content WHERE id = ?", (content,))


def _contents(connection: sqlite3.Connection, where: str, key: Iterable[int]) -> set[int]:
    return {row[0] for row in connection.execute(f"SELECT content FROM placement WHERE {where}", tuple(key))}
