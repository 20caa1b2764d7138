"""How files are put into a generation: one exchange to look, one for the new rows, and COPY where there are many."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import attrgetter
from uuid import UUID

from codequay.ports.chunks import FileChunks
from codequay.ports.errors import Conflict
from codequay.ports.generations import StageResult

from .generations import collect, not_begun
from .pool import Transaction
from .schema import FOREVER, HEAD

COPY_ROWS = 2000
"""Chunks from which on COPY to a temporary table is faster than arrays, in spite of its five exchanges more."""
COPY_BYTES = 64 << 20
"""Text from which on it is: COPY streams, and an array is one value, of 1 GB at most."""

_CHUNK = (
    "content", "seq", "start_byte", "end_byte", "start_line", "end_line", "id", "language", "kind", "symbol",
    "content_hash", "definitions", "text",
)  # fmt: skip
_CHUNK_TYPES = (
    "bigint", "integer", "bigint", "bigint", "bigint", "bigint", "text", "bytea", "bytea", "bytea", "bytea", "text",
    "bytea",
)  # fmt: skip
_DEFINITION = ("content", "chunk", "seq", "line", "name", "kind")
_DEFINITION_TYPES = ("bigint", "integer", "integer", "bigint", "bytea", "bytea")
_ORDER = attrgetter("start_byte", "end_byte", "id")
_JSON = json.JSONEncoder(separators=(",", ":")).encode


_Row = tuple[object, ...]
_Keyed = tuple[int, UUID, FileChunks]
"""A content that the store may lack: the key that it gets, its digest, and a file that holds it."""


def _content(key: int, digest: UUID, file: FileChunks) -> tuple[int, UUID, str, bytes, int, int]:
    size = covered = 0
    for c in sorted(file.chunks, key=_ORDER):
        length = len(c.text.encode())
        size += max(length - max(covered - c.start_byte, 0), 0)
        covered = max(covered, c.start_byte + length)
    return key, digest, file.blob_id, file.language.encode(), len(file.chunks), size


def _chunks(new: Iterable[_Keyed]) -> Iterator[_Row]:
    for key, _, file in new:
        for seq, c in enumerate(sorted(file.chunks, key=_ORDER)):
            yield (
                key, seq, c.start_byte, c.end_byte, c.start_line, c.end_line, c.id,
                None if c.language == file.language else c.language.encode(), c.kind.encode(), c.symbol.encode(),
                c.content_hash.encode(), _JSON(c.definitions) if c.definitions else "", c.text.encode(),
            )  # fmt: skip


def _definitions(new: Iterable[_Keyed]) -> Iterator[_Row]:
    for key, _, file in new:
        for seq, c in enumerate(sorted(file.chunks, key=_ORDER)):
            for number, d in enumerate(c.definitions):
                yield key, seq, number, d.line, d.name.encode(), d.kind.encode()


async def stage(
    tx: Transaction, s: str, repo_id: str, generation: int, files: Sequence[FileChunks], removed: Sequence[str]
) -> StageResult:
    """One ``ChunkStore.stage``.

    :raises Conflict: the generation was not begun, or is sealed
    """
    last = {file.path: file for file in files}
    digests = {path: digest_of(file) for path, file in last.items()}
    paths = [*last, *(path for path in dict.fromkeys(removed) if path not in last)]
    looked = await tx.fetch(
        _LOOK.format(s=s),
        repo_id,
        generation,
        paths,
        [digests.get(path) for path in paths],
        [last[path].mode if path in last else None for path in paths],
    )
    repo, sealed = _begun(looked[0], repo_id, generation)
    if sealed:
        raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")

    died: list[int] = []
    gone: list[int] = []
    orphans: list[int] = []
    placed: list[tuple[str, UUID, int]] = []
    fresh: dict[UUID, tuple[int, FileChunks]] = {}
    for _, number, placement, born, content, key in looked[1:]:
        path = paths[number - 1]
        if placement is not None and born == generation:
            gone.append(placement)
            orphans.append(content)
        elif placement is not None:
            died.append(placement)
        if path not in last:
            continue
        digest = digests[path]
        placed.append((path, digest, last[path].mode))
        if key is not None:
            fresh[digest] = (key, last[path])
    new = [(key, digest, file) for digest, (key, file) in sorted(fresh.items())]
    written = await _write(tx, s, (repo, generation), new, died, gone, placed)
    await collect(tx, s, set(orphans))
    return StageResult(written, len(placed))


def digest_of(file: FileChunks) -> UUID:
    """The key of what was staged: the blob, and how it was cut (a chunk's id names chunker, blob and span)."""
    said = "\0".join([file.blob_id, file.language, *(c.id for c in file.chunks)])
    return UUID(bytes=blake2b(said.encode(), digest_size=16).digest())


def _begun(row: Sequence[object], repo_id: str, generation: int) -> tuple[object, bool]:
    if row[1] is None:
        raise not_begun(repo_id, generation)
    return row[1], bool(row[2])


async def _write(
    tx: Transaction,
    s: str,
    lying: tuple[object, int],
    new: list[_Keyed],
    died: list[int],
    gone: list[int],
    placed: list[tuple[str, UUID, int]],
) -> int:
    """Write what differs; how many contents are new. Another repository's writer may have been first with some."""
    if not (died or gone or placed):
        return 0
    contents = [_content(*one) for one in new]
    values = [*lying, died, gone, *_columns(placed, 3), *_columns(contents, 6)]
    if sum(row[4] for row in contents) >= COPY_ROWS or sum(row[5] for row in contents) >= COPY_BYTES:
        await tx.script(_TEMPORARY)
        await tx.copy(_NEW_CHUNK, _CHUNK, _chunks(new))
        await tx.copy(_NEW_DEFINITION, _DEFINITION, _definitions(new))
        rows = await tx.fetch(_WRITE_MANY.format(s=s), *values)
    else:
        values += _columns(list(_chunks(new)), len(_CHUNK))
        values += _columns(list(_definitions(new)), len(_DEFINITION))
        rows = await tx.fetch(_WRITE.format(s=s), *values)
    keys = {key for key, _, _ in new}
    return sum(row[0] in keys for row in rows)


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _unnested(first: int, types: Sequence[str]) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, first))


def _typed(columns: Sequence[str], types: Sequence[str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in zip(columns, types, strict=True))


_LOOK = f"""
WITH g AS (
    SELECT r.id, g.sealed FROM {{s}}.repo r JOIN {{s}}.generation g ON g.repo = r.id
    WHERE r.name = $1 AND g.generation = $2
), lying AS MATERIALIZED (
    SELECT w.i, w.digest, w.mode, p.id, p.born, p.content, p.mode AS had_mode, c.digest AS had
    FROM unnest($3::text[], $4::uuid[], $5::integer[]) WITH ORDINALITY w (path, digest, mode, i)
    LEFT JOIN LATERAL (
        SELECT p.* FROM g JOIN {{s}}.placement p ON p.repo = g.id AND left(p.path, {HEAD}) = left(w.path, {HEAD})
        AND p.path = w.path COLLATE "C" AND p.died + 0 = {FOREVER} LIMIT 1
    ) p ON true
    LEFT JOIN {{s}}.content c ON c.id = p.content
), wanted AS MATERIALIZED (
    SELECT DISTINCT digest FROM lying WHERE digest IS DISTINCT FROM had AND digest IS NOT NULL ORDER BY digest
), held AS MATERIALIZED (
    SELECT w.digest, c.id FROM wanted w
    LEFT JOIN LATERAL (SELECT c.id FROM {{s}}.content c WHERE c.digest = w.digest FOR KEY SHARE) c ON true
), keyed AS MATERIALIZED (
    SELECT digest, CASE WHEN id IS NULL THEN nextval('{{s}}.content_id') END AS key FROM held
)
SELECT 0 AS what, (SELECT id FROM g) AS a, (SELECT sealed FROM g)::integer::bigint AS b, NULL::bigint AS c,
    NULL::bigint AS d, NULL::bigint AS e
UNION ALL
SELECT 1, l.i, l.id, l.born, l.content, k.key FROM lying l LEFT JOIN keyed k ON k.digest = l.digest
WHERE CASE WHEN l.digest IS NULL THEN l.id IS NOT NULL ELSE (l.digest, l.mode) IS DISTINCT FROM (l.had, l.had_mode) END
ORDER BY what
"""
"""The generation; then each path at which something changes: its number, what lies there, and a key for its content if
that is new. What lies there unchanged cannot go away: nobody else writes this repository.

``died + 0`` keeps the planner off ``idx_chunks_repo_snapshot``: while the table has no statistics that looks as good as
the paths' index, and holds every file that is alive."""

_WRITING = """
WITH fresh AS (
    INSERT INTO {{s}}.content (id, digest, blob_id, language, chunks, bytes)
    SELECT * FROM unnest($8::bigint[], $9::uuid[], $10::text[], $11::bytea[], $12::integer[], $13::bigint[])
    ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest RETURNING id, digest
), k AS (
    INSERT INTO {{s}}.chunk ({chunk}) SELECT w.* FROM {chunks} w (content)
    WHERE w.content IN (SELECT id FROM fresh)
), d AS (
    INSERT INTO {{s}}.definition ({definition}) SELECT w.* FROM {definitions} w (content)
    WHERE w.content IN (SELECT id FROM fresh)
), died AS (
    UPDATE {{s}}.placement SET died = $2 WHERE id = ANY($3::bigint[])
), gone AS (
    DELETE FROM {{s}}.placement WHERE id = ANY($4::bigint[])
), placed AS (
    INSERT INTO {{s}}.placement (repo, path, born, content, mode)
    SELECT $1, w.path, $2, coalesce(f.id, c.id), w.mode FROM unnest($5::text[], $6::uuid[], $7::integer[]) w
    (path, digest, mode) LEFT JOIN fresh f ON f.digest = w.digest LEFT JOIN {{s}}.content c ON c.digest = w.digest
)
SELECT id FROM fresh
"""


def _writing(chunks: str, definitions: str) -> str:
    """``_WRITING`` with the rows of chunks and of definitions from there; ``{s}`` still stands for the schema."""
    columns = {"chunk": ", ".join(_CHUNK), "definition": ", ".join(_DEFINITION)}
    return _WRITING.format(**columns, chunks=chunks, definitions=definitions)


_WRITE = _writing(
    f"unnest({_unnested(14, _CHUNK_TYPES)})",
    f"unnest({_unnested(14 + len(_CHUNK), _DEFINITION_TYPES)})",
)
_NEW_CHUNK, _NEW_DEFINITION = "new_chunk", "new_definition"
_WRITE_MANY = _writing(f"pg_temp.{_NEW_CHUNK}", f"pg_temp.{_NEW_DEFINITION}")
_TEMPORARY = "".join(
    f"CREATE TEMPORARY TABLE {name} ({_typed(columns, types)}) ON COMMIT DROP;"
    for name, columns, types in (
        (_NEW_CHUNK, _CHUNK, _CHUNK_TYPES),
        (_NEW_DEFINITION, _DEFINITION, _DEFINITION_TYPES),
    )
)
"""They are of the transaction, so that nothing is left in the session."""
