"""The life of a generation. Every function runs inside a transaction of ``Connections.write``.

Writers of one repository wait for each other at its row in ``repo``, which each locks first. Writers of different
repositories meet at contents only: who places a content that is there holds it shared until commit, and who deletes one
holds it alone and looks again whether somebody places it.
"""

from __future__ import annotations

from collections.abc import Iterable

from codequay.ports.errors import Conflict, NotIndexed

from . import sql
from .connections import Rows, Transaction
from .schema import FOREVER, Tables


async def begin(tx: Transaction, t: Tables, repo_id: str, generation: int, base: int | None) -> None:
    name = sql.text(repo_id)
    _, repos, states = await tx.send(
        [
            f"INSERT INTO {t.repo} (name) VALUES ({name}) ON DUPLICATE KEY UPDATE name = VALUES(name)",
            f"SELECT id, highest FROM {t.repo} WHERE name = {name} FOR UPDATE",
            _states(t, name),
        ]
    )
    repo, highest = repos[0]
    existing = {number: bool(sealed) for number, sealed in states}
    if base is not None and not existing.get(base):
        raise NotIndexed(f"generation {base} of {repo_id!r} is not sealed in this store")
    if highest > generation:
        raise Conflict(f"generation {highest} of {repo_id!r} has begun after {generation}")
    given_up = [
        number
        for number, sealed in existing.items()
        if number == generation or (not sealed if base is None else number > base)
    ]
    if base is None:
        carried = f"UPDATE {t.placement} SET died = {generation} WHERE repo = {repo} AND died = {FOREVER}"
    else:
        after = f"died > {base} AND died < {FOREVER}"
        carried = f"UPDATE {t.placement} SET died = {FOREVER} WHERE repo = {repo} AND {after}"
    said = "NULL" if base is None else str(base)
    start = [
        carried,
        f"UPDATE {t.repo} SET highest = {generation} WHERE id = {repo}",
        f"INSERT INTO {t.generation} (repo, generation, base) VALUES ({repo}, {generation}, {said})",
    ]
    if not given_up:
        await tx.commit(start)
        return
    orphans = await _forget(tx, t, f"repo = {repo} AND born IN {_numbers(given_up)}")
    await tx.commit(
        [
            f"DELETE FROM {t.generation} WHERE repo = {repo} AND generation IN {_numbers(given_up)}",
            *start,
            *await collect(tx, t, orphans),
        ]
    )


async def seal(tx: Transaction, t: Tables, repo_id: str, generation: int) -> None:
    (rows,) = await tx.send([begun(t, repo_id, generation)])
    repo, _ = check_begun(rows, repo_id, generation)
    await tx.commit([f"UPDATE {t.generation} SET sealed = 1 WHERE repo = {repo} AND generation = {generation}"])


async def drop(tx: Transaction, t: Tables, repo_id: str, generation: int) -> None:
    """Forget the generation, the placements that only it showed, and what lay there alone.

    Those were born after the generation below, and died at the one above at the latest.
    """
    name = sql.text(repo_id)
    repos, rows = await tx.send([f"SELECT id FROM {t.repo} WHERE name = {name} FOR UPDATE", _states(t, name)])
    remaining = sorted(number for number, _ in rows)
    if generation not in remaining:
        await tx.commit()
        return
    repo = repos[0][0]
    at = remaining.index(generation)
    below = remaining[at - 1] if at else 0
    where = f"repo = {repo} AND born > {below} AND born <= {generation}"
    if at + 1 < len(remaining):
        where += f" AND died <= {remaining[at + 1]}"
    orphans = await _forget(tx, t, where)
    await tx.commit(
        [
            f"DELETE FROM {t.generation} WHERE repo = {repo} AND generation = {generation}",
            *await collect(tx, t, orphans),
        ]
    )


async def purge(tx: Transaction, t: Tables, repo_id: str) -> None:
    (rows,) = await tx.send([f"SELECT id FROM {t.repo} WHERE name = {sql.text(repo_id)} FOR UPDATE"])
    if not rows:
        await tx.commit()
        return
    repo = rows[0][0]
    orphans = await _forget(tx, t, f"repo = {repo}")
    await tx.commit(
        [
            f"DELETE FROM {t.generation} WHERE repo = {repo}",
            f"DELETE FROM {t.repo} WHERE id = {repo}",
            *await collect(tx, t, orphans),
        ]
    )


def begun(t: Tables, repo_id: str, generation: int) -> str:
    """The statement that locks a repository and its generation, for ``check_begun``."""
    return (
        f"SELECT r.id, s.sealed FROM {t.repo} r JOIN {t.generation} s ON s.repo = r.id"
        f" WHERE r.name = {sql.text(repo_id)} AND s.generation = {generation} FOR UPDATE"
    )


def check_begun(rows: Rows, repo_id: str, generation: int) -> tuple[int, bool]:
    """The repository's row and whether the generation is sealed.

    :raises Conflict: it was not begun, or a newer writer has dropped it
    """
    if not rows:
        raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
    return rows[0][0], bool(rows[0][1])


async def collect(tx: Transaction, t: Tables, contents: Iterable[bytes]) -> list[str]:
    """The statements that delete those contents which no placement shows any more.

    They are locked first: whoever places one meanwhile either has committed, and is seen, or waits and finds it gone.
    """
    statements = []
    for some in sql.parts(map(sql.raw, sorted(set(contents)))):
        among = f"digest IN {sql.listed(some)}"
        shown = f"SELECT 1 FROM {t.placement} p WHERE p.content = digest"
        statements += [
            f"SELECT digest FROM {t.content} WHERE {among} ORDER BY digest FOR UPDATE",
            f"SELECT digest FROM {t.content} WHERE {among} AND NOT EXISTS ({shown})",
        ]
    if not statements:
        return []
    answers = await tx.send(statements)
    dead = [sql.raw(digest) for rows in answers[1::2] for (digest,) in rows]
    return [
        f"DELETE FROM {table} WHERE {column} IN {sql.listed(some)}"
        for some in sql.parts(dead)
        for table, column in ((t.definition, "content"), (t.chunk, "content"), (t.content, "digest"))
    ]


async def _forget(tx: Transaction, t: Tables, where: str) -> list[bytes]:
    """Delete placements; the contents that lay there."""
    rows, _ = await tx.send(
        [
            f"SELECT DISTINCT content FROM {t.placement} WHERE {where}",
            f"DELETE FROM {t.placement} WHERE {where}",
        ]
    )
    return [content for (content,) in rows]


def _states(t: Tables, name: str) -> str:
    return f"SELECT g.generation, g.sealed FROM {t.repo} r JOIN {t.generation} g ON g.repo = r.id WHERE r.name = {name}"


def _numbers(values: Iterable[int]) -> str:
    return sql.listed(map(str, values))
