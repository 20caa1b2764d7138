"""The reads of the chunk store: each is one statement, so it sees one state of the database; ``scan`` over many
repositories is a few.

A statement answers two kinds of rows: those that were asked for, numbered from 1, and for each entry of the scope that
is not sealed here one row with the negative number of the entry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from codequay.ports.chunks import (
    CLASS_KINDS,
    FUNCTION_KINDS,
    Chunk,
    ChunkRef,
    ChunkStats,
    Definition,
    DefinitionHit,
    FilePage,
    FileRef,
    Location,
    PlacedChunk,
    PlacedFile,
)
from codequay.ports.errors import NotIndexed
from codequay.ports.generations import Scope

from .errors import Damaged
from .pool import Pool, Rows
from .schema import HEAD

REPOS_AT_ONCE = (1, 16, 256)
"""Repositories that ``scan`` asks for in one statement, the more the fewer the first ones held; the last repeats."""

_SCOPE = """
WITH s AS MATERIALIZED (
    SELECT w.n, r.id AS repo, w.generation, g.sealed FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY w
    (name, generation, n) LEFT JOIN {s}.repo r ON r.name = w.name COLLATE "C"
    LEFT JOIN {s}.generation g ON g.repo = r.id AND g.generation = w.generation AND g.sealed
)"""
_UNSEALED = "SELECT -n AS i{nulls} FROM s WHERE sealed IS NULL UNION ALL"
_LYING = f"""
JOIN s ON s.n = w.n CROSS JOIN LATERAL (
    SELECT p.content FROM {{s}}.placement p WHERE p.repo = s.repo AND left(p.path, {HEAD}) = left(w.path, {HEAD})
    AND p.path = w.path COLLATE "C" AND p.born <= s.generation AND p.died > s.generation LIMIT 1
) p JOIN {{s}}.content c ON c.id = p.content"""
"""From the wanted paths ``w`` to their content ``c``."""
_CHUNK = (
    "k.id, c.blob_id, coalesce(k.language, c.language), k.start_byte, k.end_byte, k.start_line, k.end_line, k.text,"
    " k.kind, k.symbol, k.content_hash, k.definitions"
)
_CHUNK_WIDTH = 12


def _kinds(kinds: frozenset[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in sorted(kinds))


_RANK = f"CASE WHEN kind IN ({_kinds(FUNCTION_KINDS)}) THEN 0 WHEN kind IN ({_kinds(CLASS_KINDS)}) THEN 1 ELSE 2 END"


def _statement(s: str, width: int, body: str) -> str:
    return f"{_SCOPE} {_UNSEALED} {body}".format(s=s, nulls=", NULL" * width)


class Reads:
    """Reads of one store."""

    def __init__(self, pool: Pool) -> None:
        s = pool.schema
        self._pool = pool
        self._get = _statement(
            s,
            _CHUNK_WIDTH,
            f"SELECT w.i, {_CHUNK} FROM unnest($3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY w (n, path, id, i)"
            f'{_LYING} JOIN {{s}}.chunk k ON k.content = c.id AND k.id = w.id COLLATE "C"',
        )
        self._of_file = _statement(
            s,
            _CHUNK_WIDTH + 2,
            f"SELECT w.i, c.chunks, k.seq, {_CHUNK} FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY w"
            f" (n, path, i) {_LYING} LEFT JOIN {{s}}.chunk k ON k.content = c.id",
        )
        self._at = _statement(
            s,
            _CHUNK_WIDTH,
            f"SELECT w.i, {_CHUNK} FROM unnest($3::bigint[], $4::text[], $5::bigint[]) WITH ORDINALITY w"
            f" (n, path, line, i) {_LYING} CROSS JOIN LATERAL (SELECT k.* FROM {{s}}.chunk k WHERE k.content = c.id"
            " AND k.start_line <= w.line AND k.end_line >= w.line"
            f" ORDER BY {_RANK}, end_byte - start_byte, start_byte DESC, id LIMIT 1) k",
        )
        self._defined = _statement(
            s,
            5,
            "(SELECT s.n, p.path, k.id, d.name, d.kind, d.line FROM unnest($3::bytea[]) w (name)"
            f" JOIN {{s}}.definition d ON substr(d.name, 1, {HEAD}) = substr(w.name, 1, {HEAD}) AND d.name = w.name"
            " JOIN {s}.placement p ON p.content = d.content"
            " JOIN s ON s.repo = p.repo AND p.born <= s.generation AND p.died > s.generation"
            " JOIN {s}.chunk k ON k.content = d.content AND k.seq = d.chunk"
            " ORDER BY s.n, p.path, d.line, d.name, k.id LIMIT $4)",
        )
        self._scan = _statement(
            s,
            5,
            "(SELECT s.n, p.path, c.blob_id, c.language, p.mode, c.chunks"
            " FROM s JOIN unnest($3::text[]) WITH ORDINALITY w (after, n) ON w.n = s.n AND w.after IS NOT NULL"
            " CROSS JOIN LATERAL"
            " (SELECT p.path, p.content, p.mode FROM {s}.placement p WHERE p.repo = s.repo"
            f' AND left(p.path, {HEAD}) >= left(w.after, {HEAD}) COLLATE "C" AND p.path > w.after COLLATE "C"'
            " AND p.born <= s.generation AND p.died > s.generation"
            f" ORDER BY left(p.path, {HEAD}), p.path LIMIT $4) p"
            " JOIN {s}.content c ON c.id = p.content ORDER BY s.n, p.path LIMIT $4)",
        )
        self._stats = _statement(
            s,
            3,
            "SELECT 1, count(*), coalesce(sum(c.chunks), 0)::bigint, coalesce(sum(c.bytes), 0)::bigint"
            " FROM s JOIN {s}.placement p ON p.repo = s.repo AND p.born <= s.generation AND p.died > s.generation"
            " JOIN {s}.content c ON c.id = p.content",
        )
        self._text = (
            "SELECT w.i, c.chunks, k.seq, k.start_byte, k.text FROM unnest($1::text[]) WITH ORDINALITY w (blob, i)"
            f' CROSS JOIN LATERAL (SELECT c.id, c.chunks FROM {s}.content c WHERE c.blob_id = w.blob COLLATE "C"'
            f" ORDER BY c.digest LIMIT 1) c LEFT JOIN {s}.chunk k ON k.content = c.id"
        )

    async def get(self, refs: Sequence[ChunkRef], scope: Scope) -> list[PlacedChunk | None]:
        numbers = _numbers(scope)
        asked = [ref for ref in refs if ref[0] in numbers]
        rows = await self._rows(
            self._get,
            scope,
            [numbers[ref[0]] for ref in asked],
            [ref[1] for ref in asked],
            [ref[2] for ref in asked],
        )
        found = {asked[row[0] - 1]: row for row in rows}
        return [
            None if (row := found.get(ref)) is None else PlacedChunk(ref[0], ref[1], _chunk(row, 1)) for ref in refs
        ]

    async def of_file(self, files: Sequence[FileRef], scope: Scope) -> list[list[PlacedChunk] | None]:
        numbers = _numbers(scope)
        asked = [file for file in files if file[0] in numbers]
        rows = await self._rows(self._of_file, scope, [numbers[file[0]] for file in asked], [file[1] for file in asked])
        held: dict[int, list[Any]] = {}
        for row in rows:
            held.setdefault(row[0], []).append(row)
        found: dict[FileRef, list[PlacedChunk]] = {}
        for i, chunks in held.items():
            file = asked[i - 1]
            if chunks[0][2] is None:
                chunks = []
            elif len(chunks) != chunks[0][1]:
                raise Damaged(f"{file[1]} without all of its chunks")
            found[file] = [
                PlacedChunk(file[0], file[1], _chunk(row, 3)) for row in sorted(chunks, key=lambda one: int(one[2]))
            ]
        return [None if (whole := found.get(file)) is None else list(whole) for file in files]

    async def at(self, locations: Sequence[Location], scope: Scope) -> list[PlacedChunk | None]:
        numbers = _numbers(scope)
        asked = [one for one in locations if one[0] in numbers]
        rows = await self._rows(
            self._at,
            scope,
            [numbers[one[0]] for one in asked],
            [one[1] for one in asked],
            [min(one[2], 2**63 - 1) for one in asked],
        )
        found = {asked[row[0] - 1]: row for row in rows}
        return [
            None if (row := found.get(one)) is None else PlacedChunk(one[0], one[1], _chunk(row, 1))
            for one in locations
        ]

    async def defined(self, names: Sequence[str], scope: Scope, limit: int) -> list[DefinitionHit]:
        repos = sorted(scope)
        asked = [name.encode() for name in dict.fromkeys(names)]
        rows = await self._rows(self._defined, repos, asked, limit)
        return [
            DefinitionHit(repos[n - 1][0], path, key, name.decode(), kind.decode(), line)
            for n, path, key, name, kind, line in rows
        ]

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        if not blob_ids:
            return []
        blobs = list(dict.fromkeys(blob_ids))
        held: dict[int, list[Any]] = {}
        for row in await self._pool.read(self._text, blobs):
            held.setdefault(row[0], []).append(row)
        texts: dict[str, str] = {}
        for i, pieces in held.items():
            if pieces[0][2] is None:
                pieces = []
            elif len(pieces) != pieces[0][1]:
                raise Damaged(f"blob {blobs[i - 1]} without all of its chunks")
            texts[blobs[i - 1]] = _assembled(pieces)
        return [texts.get(blob) for blob in blob_ids]

    async def scan(self, scope: Scope, after: tuple[str, str] | None, limit: int) -> FilePage:
        repos = sorted(scope)
        first = 0 if after is None else sum(entry[0] < after[0] for entry in repos)
        files: list[PlacedFile] = []
        sizes = iter(REPOS_AT_ONCE)
        many = 0
        while True:
            many = next(sizes, many)
            some = repos[first : first + many]
            starts: list[str | None] = [None] * len(repos)
            for n, entry in enumerate(some, first):
                starts[n] = after[1] if after is not None and entry[0] == after[0] else ""
            rows = await self._rows(self._scan, repos, starts, limit + 1 - len(files))
            files += [
                PlacedFile(repos[n - 1][0], path, blob, language.decode(), mode, chunks)
                for n, path, blob, language, mode, chunks in rows
            ]
            if len(files) > limit:
                last = files[limit - 1]
                return FilePage(tuple(files[:limit]), (last.repo_id, last.path))
            first += many
            if first >= len(repos):
                return FilePage(tuple(files), None)

    async def stats(self, scope: Scope) -> ChunkStats:
        rows = await self._rows(self._stats, scope)
        return ChunkStats(*rows[0][1:]) if rows else ChunkStats(0, 0, 0)

    async def _rows(self, statement: str, scope: Scope, *values: object) -> Rows:
        """The rows that were asked for.

        :raises NotIndexed: a generation of the scope is not sealed here
        """
        if not scope:
            return []
        rows = await self._pool.read(statement, [entry[0] for entry in scope], [entry[1] for entry in scope], *values)
        if rows and (missing := min(row[0] for row in rows)) < 0:
            repo_id, generation = scope[-missing - 1]
            raise NotIndexed(
                f"generation {generation} of {repo_id!r} is not indexed in this store", remedy="codequay index"
            )
        return rows


def _numbers(scope: Scope) -> dict[str, int]:
    return {entry[0]: n for n, entry in enumerate(scope, 1)}


def _chunk(row: Any, first: int) -> Chunk:
    """The chunk in the columns of ``_CHUNK``, of which the first one is ``first``."""
    (id_, blob_id, language, start, end, start_line, end_line, text, kind, symbol, content_hash, definitions) = row[
        first:
    ]
    return Chunk(
        id=id_,
        blob_id=blob_id,
        language=language.decode(),
        start_byte=start,
        end_byte=end,
        start_line=start_line,
        end_line=end_line,
        text=text.decode(),
        kind=kind.decode(),
        symbol=symbol.decode(),
        content_hash=content_hash.decode(),
        definitions=tuple([Definition(*one) for one in json.loads(definitions)]) if definitions else (),
    )


def _assembled(pieces: Sequence[Any]) -> str:
    """A blob's text: each chunk gives the bytes that are not covered yet."""
    whole, covered = bytearray(), 0
    for _, _, _, start, text in sorted(pieces, key=lambda one: int(one[2])):
        whole += text[max(covered - start, 0) :]
        covered = max(covered, start + len(text))
    return whole.decode()
