"""The reads, as statements and what their rows mean. Each call is one trip, ``scan`` over many repositories a few."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

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

from . import sql
from .connections import Connections, Rows
from .errors import Damaged
from .schema import Tables

REPOS_AT_ONCE = 16
"""Repositories that ``scan`` asks for in one trip, once the first did not fill the page."""

_CHUNK = (
    "k.id, c.blob_id, k.language, k.start_byte, k.end_byte, k.start_line, k.end_line, k.text, k.kind, k.symbol,"
    " k.content_hash, k.definitions"
)


class Reads:
    """Reads of one store."""

    def __init__(self, connections: Connections, tables: Tables) -> None:
        self._connections = connections
        self._t = tables

    async def get(self, refs: Sequence[ChunkRef], scope: Scope) -> list[PlacedChunk | None]:
        t = self._t
        at = dict(scope)
        rows = [
            sql.row(i, sql.text(repo), *sql.path(path)[:2], at[repo], sql.text(key))
            for i, (repo, path, key) in enumerate(refs)
            if repo in at
        ]
        found = await self._seen(scope, [
            f"{sql.wanted('i, repo, path, rest_key, g, id', some)} SELECT w.i, {_CHUNK} {self._lying}"
            f" STRAIGHT_JOIN {t.chunk} k ON k.content = p.content AND k.id = w.id"
            f" STRAIGHT_JOIN {t.content} c ON c.digest = p.content"
            for some in sql.parts(rows)
        ])  # fmt: skip
        answer: list[PlacedChunk | None] = [None] * len(refs)
        for i, *chunk in _all(found):
            answer[i] = PlacedChunk(refs[i][0], refs[i][1], _chunk(chunk))
        return answer

    async def of_file(self, files: Sequence[FileRef], scope: Scope) -> list[list[PlacedChunk] | None]:
        t = self._t
        at = dict(scope)
        rows = [
            sql.row(i, sql.text(repo), *sql.path(path)[:2], at[repo])
            for i, (repo, path) in enumerate(files)
            if repo in at
        ]
        found = await self._seen(scope, [
            f"{sql.wanted('i, repo, path, rest_key, g', some)} SELECT w.i, c.chunks, k.seq, {_CHUNK} {self._lying}"
            f" STRAIGHT_JOIN {t.content} c ON c.digest = p.content LEFT JOIN {t.chunk} k ON k.content = p.content"
            for some in sql.parts(rows)
        ])  # fmt: skip
        held: dict[int, list[tuple[int, PlacedChunk]]] = {}
        counts: dict[int, int] = {}
        for i, count, seq, *chunk in _all(found):
            counts[i] = count
            of_file = held.setdefault(i, [])
            if seq is not None:
                of_file.append((seq, PlacedChunk(files[i][0], files[i][1], _chunk(chunk))))
        answer: list[list[PlacedChunk] | None] = [None] * len(files)
        for i, of_file in held.items():
            if len(of_file) != counts[i]:
                raise Damaged(f"{files[i][1]} without all of its chunks")
            answer[i] = [placed for _, placed in sorted(of_file, key=lambda one: one[0])]
        return answer

    async def at(self, locations: Sequence[Location], scope: Scope) -> list[PlacedChunk | None]:
        t = self._t
        at = dict(scope)
        rows = [
            sql.row(i, sql.text(repo), *sql.path(path)[:2], at[repo], line)
            for i, (repo, path, line) in enumerate(locations)
            if repo in at
        ]
        first = sql.listed(map(sql.text, sorted(FUNCTION_KINDS)))
        second = sql.listed(map(sql.text, sorted(CLASS_KINDS)))
        rank = f"CASE WHEN k.kind IN {first} THEN 0 WHEN k.kind IN {second} THEN 1 ELSE 2 END"
        found = await self._seen(scope, [
            f"{sql.wanted('i, repo, path, rest_key, g, line', some)},"
            f" best AS (SELECT w.i, k.content, k.seq, ROW_NUMBER() OVER"
            f" (PARTITION BY w.i ORDER BY {rank}, k.end_byte - k.start_byte, k.start_byte DESC, k.id) AS nr"
            f" {self._lying} STRAIGHT_JOIN {t.chunk} k ON k.content = p.content AND k.start_line <= w.line"
            f" AND k.end_line >= w.line)"
            f" SELECT best.i, {_CHUNK} FROM best STRAIGHT_JOIN {t.chunk} k ON k.content = best.content"
            f" AND k.seq = best.seq STRAIGHT_JOIN {t.content} c ON c.digest = best.content WHERE best.nr = 1"
            for some in sql.parts(rows)
        ])  # fmt: skip
        answer: list[PlacedChunk | None] = [None] * len(locations)
        for i, *chunk in _all(found):
            answer[i] = PlacedChunk(locations[i][0], locations[i][1], _chunk(chunk))
        return answer

    async def defined(self, names: Sequence[str], scope: Scope, limit: int) -> list[DefinitionHit]:
        t = self._t
        repos = sorted(scope)
        asked = [sql.text(name) for name in dict.fromkeys(names)]
        rows = [sql.row(i, sql.text(repo), generation) for i, (repo, generation) in enumerate(repos)]
        statement = (
            f"{sql.wanted('i, repo, g', rows)} SELECT w.i, p.path, p.rest, k.id, d.name, d.kind, d.line"
            f" FROM {t.definition} d STRAIGHT_JOIN {t.placement} p ON p.content = d.content"
            f" STRAIGHT_JOIN {t.repo} r ON r.id = p.repo"
            f" STRAIGHT_JOIN w ON w.repo = r.name AND p.born <= w.g AND p.died > w.g"
            f" STRAIGHT_JOIN {t.chunk} k ON k.content = d.content AND k.seq = d.chunk"
            f" WHERE d.name IN {sql.listed(asked)} ORDER BY w.i, p.path, p.rest, d.line, d.name, k.id LIMIT {limit}"
        )
        found = await self._seen(scope, [statement] if names and repos else [])
        return [
            DefinitionHit(repos[i][0], (path + rest).decode(), key.decode(), name.decode(), kind.decode(), line)
            for i, path, rest, key, name, kind, line in _all(found)
        ]

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        t = self._t
        blobs = list(dict.fromkeys(blob_ids))
        found = await self._seen([], [
            f"{sql.wanted('i, blob_id', some)} SELECT w.i, c.digest, c.chunks, k.seq, k.start_byte, k.text FROM w"
            f" STRAIGHT_JOIN {t.content} c ON c.blob_id = w.blob_id LEFT JOIN {t.chunk} k ON k.content = c.digest"
            for some in sql.parts(sql.row(i, sql.text(blob)) for i, blob in enumerate(blobs))
        ])  # fmt: skip
        cut: dict[int, dict[bytes, list[tuple[int, int, bytes]]]] = {}
        counts: dict[bytes, int] = {}
        for i, digest, count, seq, start, text in _all(found):
            counts[digest] = count
            pieces = cut.setdefault(i, {}).setdefault(digest, [])
            if seq is not None:
                pieces.append((seq, start, text))
        texts: dict[str, str] = {}
        for i, cuts in cut.items():
            digest = min(cuts)
            if len(cuts[digest]) != counts[digest]:
                raise Damaged(f"blob {blobs[i]} without all of its chunks")
            texts[blobs[i]] = _assembled(sorted(cuts[digest]))
        return [texts.get(blob) for blob in blob_ids]

    async def scan(self, scope: Scope, after: tuple[str, str] | None, limit: int) -> FilePage:
        after_repo, after_path = after or ("", "")
        repos = [entry for entry in sorted(scope) if entry[0] >= after_repo]
        files: list[PlacedFile] = []
        asked, many = 0, 1
        while True:
            some = repos[asked : asked + many]
            left = limit + 1 - len(files)
            starts = [after_path if repo == after_repo else "" for repo, _ in some]
            statements = [self._page(entry, start, left) for entry, start in zip(some, starts, strict=True)]
            pages = await self._seen(scope, statements)
            for entry, start, rows in zip(some, starts, pages, strict=True):
                if len(rows) == left and len(rows[-1][0]) == sql.PATH_BYTES:
                    rows = await self._with_alike(scope, entry, start, rows)
                files += [
                    PlacedFile(entry[0], (path + rest).decode(), blob.decode(), language.decode(), mode, chunks)
                    for path, rest, blob, language, mode, chunks in sorted(rows)
                ]
            if len(files) > limit:
                last = files[limit - 1]
                return FilePage(tuple(files[:limit]), (last.repo_id, last.path))
            asked, many = asked + len(some), REPOS_AT_ONCE
            if asked >= len(repos):
                return FilePage(tuple(files), None)

    async def _with_alike(self, scope: Scope, entry: tuple[str, int], start: str, rows: Rows) -> Rows:
        """A page that ends among long paths with one beginning, with all of these: the index does not order them."""
        last = rows[-1][0]
        (alike,) = await self._seen(scope, [self._page(entry, start, None, f"p.path = {sql.raw(last)}")])
        return [*(row for row in rows if row[0] != last), *alike]

    async def stats(self, scope: Scope) -> ChunkStats:
        t = self._t
        rows = [sql.row(sql.text(repo), generation) for repo, generation in scope]
        found = await self._seen(scope, [
            f"{sql.wanted('repo, g', some)} SELECT COUNT(*), COALESCE(SUM(c.chunks), 0), COALESCE(SUM(c.bytes), 0)"
            f" FROM w STRAIGHT_JOIN {t.repo} r ON r.name = w.repo"
            f" STRAIGHT_JOIN {t.placement} p ON p.repo = r.id AND p.born <= w.g AND p.died > w.g"
            f" STRAIGHT_JOIN {t.content} c ON c.digest = p.content"
            for some in sql.parts(rows)
        ])  # fmt: skip
        files, chunks, size = (sum(int(row[n]) for row in _all(found)) for n in range(3))
        return ChunkStats(files, chunks, size)

    @property
    def _lying(self) -> str:
        """From the wanted files to their placements ``p``."""
        t = self._t
        return (
            f"FROM w STRAIGHT_JOIN {t.repo} r ON r.name = w.repo STRAIGHT_JOIN {t.placement} p"
            " ON p.repo = r.id AND p.path = w.path AND p.rest_key = w.rest_key AND p.born <= w.g AND p.died > w.g"
        )

    def _page(self, entry: tuple[str, int], after: str, limit: int | None, where: str = "TRUE") -> str:
        t = self._t
        repo_id, generation = entry
        path, _, rest = sql.path(after)
        return (
            f"SELECT p.path, p.rest, c.blob_id, c.language, p.mode, c.chunks FROM {t.repo} r"
            f" STRAIGHT_JOIN {t.placement} p FORCE INDEX (PRIMARY) ON p.repo = r.id"
            f" STRAIGHT_JOIN {t.content} c ON c.digest = p.content"
            f" WHERE r.name = {sql.text(repo_id)} AND p.path >= {path} AND (p.path > {path} OR p.rest > {rest})"
            f" AND p.born <= {generation} AND p.died > {generation} AND {where} ORDER BY p.path"
            + ("" if limit is None else f" LIMIT {limit}")
        )

    async def _seen(self, scope: Scope, statements: Sequence[str]) -> list[Rows]:
        """The rows of each statement, in one state of the store that has the scope.

        :raises NotIndexed: one of the generations is not sealed here
        """
        looks = [*self._sealed(scope)]
        if not looks and not statements:
            return []
        answers = await self._connections.read([*looks, *statements])
        there = {(repo.decode(), generation) for repo, generation in _all(answers[: len(looks)])}
        for repo_id, generation in sorted(scope):
            if (repo_id, generation) not in there:
                raise NotIndexed(
                    f"generation {generation} of {repo_id!r} is not indexed in this store", remedy="codequay index"
                )
        return answers[len(looks) :]

    def _sealed(self, scope: Scope) -> Iterator[str]:
        t = self._t
        for some in sql.parts(sql.row(sql.text(repo), generation) for repo, generation in scope):
            yield (
                f"{sql.wanted('repo, g', some)} SELECT r.name, s.generation FROM w"
                f" STRAIGHT_JOIN {t.repo} r ON r.name = w.repo"
                f" STRAIGHT_JOIN {t.generation} s ON s.repo = r.id AND s.generation = w.g WHERE s.sealed"
            )


class _Row(NamedTuple):
    """The columns of ``_CHUNK``."""

    id: bytes
    blob_id: bytes
    language: bytes
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    text: bytes
    kind: bytes
    symbol: bytes
    content_hash: bytes
    definitions: bytes


def _chunk(columns: Sequence[Any]) -> Chunk:
    row = _Row(*columns)
    return Chunk(
        id=row.id.decode(),
        blob_id=row.blob_id.decode(),
        language=row.language.decode(),
        start_byte=row.start_byte,
        end_byte=row.end_byte,
        start_line=row.start_line,
        end_line=row.end_line,
        text=row.text.decode(),
        kind=row.kind.decode(),
        symbol=row.symbol.decode(),
        content_hash=row.content_hash.decode(),
        definitions=tuple([Definition(*one) for one in json.loads(row.definitions)]),
    )


def _assembled(pieces: Iterable[tuple[int, int, bytes]]) -> str:
    """A blob's text: each chunk gives the bytes that are not covered yet."""
    whole, covered = bytearray(), 0
    for _, start, text in pieces:
        whole += text[max(covered - start, 0) :]
        covered = max(covered, start + len(text))
    return whole.decode()


def _all(answers: Iterable[Rows]) -> Iterator[tuple[Any, ...]]:
    for rows in answers:
        yield from rows
