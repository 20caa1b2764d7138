"""The life of a generation. Every function runs inside a transaction in which nobody else writes the repository.

Writers of different repositories meet at contents only: who places a content that is there holds it shared until
commit, and who deletes one holds it alone and looks again whether somebody places it.
"""

from __future__ import annotations

from collections.abc import Collection

from codequay.ports.errors import Conflict, NotIndexed

from .pool import Transaction
from .schema import FOREVER


async def begin(tx: Transaction, s: str, repo_id: str, generation: int, base: int | None) -> None:
    rows = await tx.fetch(
        f"SELECT r.id, r.highest, g.generation, g.sealed FROM {s}.repo r LEFT JOIN {s}.generation g ON g.repo = r.id"
        " WHERE r.name = $1",
        repo_id,
    )
    existing = {row[2]: row[3] for row in rows if row[2] is not None}
    if base is not None and not existing.get(base):
        raise NotIndexed(f"generation {base} of {repo_id!r} is not sealed in this store")
    highest = rows[0][1] if rows else 0
    if highest > generation:
        raise Conflict(f"generation {highest} of {repo_id!r} has begun after {generation}")
    given_up = [
        number
        for number, sealed in existing.items()
        if number == generation or (not sealed if base is None else number > base)
    ]
    orphans: list[int] = []
    if given_up:
        repo = rows[0][0]
        orphans = await _forget(tx, s, "repo = $1 AND born = ANY($2)", repo, given_up)
        await tx.fetch(f"DELETE FROM {s}.generation WHERE repo = $1 AND generation = ANY($2)", repo, given_up)
    if base is None:
        carried = f"UPDATE {s}.placement p SET died = $2 FROM r WHERE p.repo = r.id AND p.died = {FOREVER}"
    else:
        carried = (
            f"UPDATE {s}.placement p SET died = {FOREVER} FROM r"
            f" WHERE p.repo = r.id AND p.died > $3 AND p.died < {FOREVER}"
        )
    await tx.fetch(
        f"WITH r AS (INSERT INTO {s}.repo (name, highest) VALUES ($1, $2)"
        " ON CONFLICT (name) DO UPDATE SET highest = excluded.highest RETURNING id),"
        f" carried AS ({carried})"
        f" INSERT INTO {s}.generation (repo, generation, base) SELECT r.id, $2, $3::bigint FROM r",
        repo_id,
        generation,
        base,
    )
    await collect(tx, s, orphans)


async def seal(tx: Transaction, s: str, repo_id: str, generation: int) -> None:
    rows = await tx.fetch(
        f"UPDATE {s}.generation g SET sealed = true FROM {s}.repo r"
        " WHERE r.name = $1 AND g.repo = r.id AND g.generation = $2 RETURNING 1",
        repo_id,
        generation,
    )
    if not rows:
        raise not_begun(repo_id, generation)


async def drop(tx: Transaction, s: str, repo_id: str, generation: int) -> None:
    """Forget the generation, the placements that only it showed, and what lay there alone.

    Those were born after the generation below, and died at the one above at the latest.
    """
    rows = await tx.fetch(
        f"SELECT r.id, g.generation FROM {s}.repo r JOIN {s}.generation g ON g.repo = r.id WHERE r.name = $1"
        " ORDER BY g.generation",
        repo_id,
    )
    remaining = [row[1] for row in rows]
    if generation not in remaining:
        return
    repo, at = rows[0][0], remaining.index(generation)
    below = remaining[at - 1] if at else 0
    above = remaining[at + 1] if at + 1 < len(remaining) else FOREVER
    where = "repo = $1 AND died > $2 AND died <= $4 AND born > $2 AND born <= $3"
    orphans = await _forget(tx, s, where, repo, below, generation, above)
    await tx.fetch(f"DELETE FROM {s}.generation WHERE repo = $1 AND generation = $2", repo, generation)
    await collect(tx, s, orphans)


async def purge(tx: Transaction, s: str, repo_id: str) -> None:
    rows = await tx.fetch(f"SELECT id FROM {s}.repo WHERE name = $1", repo_id)
    if not rows:
        return
    repo = rows[0][0]
    orphans = await _forget(tx, s, "repo = $1", repo)
    await tx.fetch(f"WITH g AS (DELETE FROM {s}.generation WHERE repo = $1) DELETE FROM {s}.repo WHERE id = $1", repo)
    await collect(tx, s, orphans)


async def collect(tx: Transaction, s: str, contents: Collection[int]) -> None:
    """Delete those contents which no placement shows any more.

    They are locked first: whoever places one meanwhile either has committed, and is seen, or waits and finds it gone.
    """
    if not contents:
        return
    some = list(contents)
    await tx.fetch(f"SELECT 1 FROM {s}.content WHERE id = ANY($1) ORDER BY digest FOR UPDATE", some)
    await tx.fetch(
        f"WITH dead AS (DELETE FROM {s}.content c WHERE id = ANY($1) AND NOT EXISTS"
        f" (SELECT 1 FROM {s}.placement p WHERE p.content = c.id) RETURNING id),"
        f" d AS (DELETE FROM {s}.definition USING dead WHERE content = dead.id)"
        f" DELETE FROM {s}.chunk USING dead WHERE content = dead.id",
        some,
    )


def not_begun(repo_id: str, generation: int) -> Conflict:
    return Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")


async def _forget(tx: Transaction, s: str, where: str, *values: object) -> list[int]:
    """Delete placements; the contents that lay there."""
    rows = await tx.fetch(
        f"WITH gone AS (DELETE FROM {s}.placement WHERE {where} RETURNING content) SELECT DISTINCT content FROM gone",
        *values,
    )
    return [row[0] for row in rows]
