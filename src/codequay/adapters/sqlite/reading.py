"""The sync face of the chunk store: its reads, on the thread that asks."""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
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
from codequay.ports.generations import GenerationState, Scope, StoreIdentity

from . import generations
from .connection import Database, store_id
from .generations import VISIBLE
from .schema import INDEX, kind_name, pack_id, unpack_id

FINGERPRINT = f"sqlite-chunks-{INDEX.version}"
_KEYS_PER_STATEMENT = 200

_LIES = f"p.repo = :repo AND p.path = :path AND {VISIBLE}"

_CHUNK = (
    "k.key, c.blob, ifnull(k.language, c.language), k.start_byte, k.end_byte, k.start_line, k.end_line, k.kind,"
    " k.symbol, k.hash, k.definition, k.definitions, k.piece, k.offset, k.size"
)
"""The columns that ``_Inflated.chunk`` takes."""

ONE = (
    f"SELECT {_CHUNK}, t.data FROM placement p CROSS JOIN content c ON c.id = p.content"
    " CROSS JOIN chunk k ON k.id >= c.chunk AND k.id < c.chunk + c.chunks AND k.key = :key"
    f" CROSS JOIN piece t ON t.id = k.piece WHERE {_LIES}"
)
COVERING = (
    f"SELECT {_CHUNK}, t.data FROM placement p CROSS JOIN content c ON c.id = p.content"
    " CROSS JOIN chunk k ON k.content = c.id AND k.start_line <= :line AND k.end_line >= :line"
    f" CROSS JOIN piece t ON t.id = k.piece WHERE {_LIES}"
)
FILE = (
    "SELECT c.chunk, c.chunks, c.definition, c.definitions FROM placement p"
    f" CROSS JOIN content c ON c.id = p.content WHERE {_LIES}"
)
_OF_FILE = (
    f"SELECT {_CHUNK}, t.data FROM chunk k CROSS JOIN content c ON c.id = k.content"
    " CROSS JOIN piece t ON t.id = k.piece WHERE k.id >= ? AND k.id < ? ORDER BY k.id"
)
DEFINED = (
    "SELECT p.path, d.line, d.name, d.kind, k.key FROM definition d CROSS JOIN placement p ON p.content = d.content"
    f" CROSS JOIN chunk k ON k.id = d.chunk WHERE d.name = :name AND +p.repo = :repo AND {VISIBLE}"
    " ORDER BY p.path, d.line, k.key LIMIT :limit"
)
SCAN = (
    "SELECT p.path, c.blob, c.language, p.mode, c.chunks FROM placement p CROSS JOIN content c ON c.id = p.content"
    f" WHERE p.repo = :repo AND p.path > :after AND {VISIBLE} ORDER BY p.path LIMIT :limit"
)
_STATS = (
    "SELECT count(*), ifnull(sum(c.chunks), 0), ifnull(sum(c.bytes), 0) FROM placement p"
    f" CROSS JOIN content c ON c.id = p.content WHERE p.repo = :repo AND {VISIBLE}"
)
_DEFINITIONS = "SELECT name, kind, line FROM definition WHERE id >= ? AND id < ? ORDER BY id"
_DEFINITIONS_OF = (
    "WITH span(first, after) AS (VALUES {}) SELECT d.id, d.name, d.kind, d.line FROM span"
    " CROSS JOIN definition d ON d.id >= span.first AND d.id < span.after"
)
INFLATED_PIECES = 256
"""Pieces of text kept inflated, under 2 MB: questions that follow each other often show the same chunks."""


class ChunkReads:
    """``ChunkStore``'s reads without await; safe from any thread."""

    def __init__(self, database: Database) -> None:
        self._read = database.read

    def identity(self) -> StoreIdentity:
        return StoreIdentity(self._read(store_id), FINGERPRINT)

    def generations(self, repo_id: str) -> list[GenerationState]:
        return self._read(generations.states, repo_id)

    def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        return self._read(get, refs, scope)

    def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        return self._read(of_file, files, scope)

    def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        return self._read(at, locations, scope)

    def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        return self._read(defined, names, scope, limit)

    def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return self._read(text, blob_ids)

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        return self._read(scan, scope, after, limit)

    def stats(self, *, scope: Scope) -> ChunkStats:
        return self._read(stats, scope)


class _Inflated:
    """Rows -> chunks. The last piece is kept: neighbouring chunks mostly lie in one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._piece = -1
        self._text = b""

    def chunk(self, row: Sequence[Any], definitions: tuple[Definition, ...] | None = None) -> Chunk:
        (key, blob, language, start_byte, end_byte, start_line, end_line, kind, symbol, content_hash) = row[:10]
        (definition, count, piece, offset, size, data) = row[10:]
        if definitions is None:
            definitions = self.definitions(definition, count) if count else ()
        if symbol is None:
            symbol = definitions[0].name
        return Chunk(
            unpack_id(key),
            unpack_id(blob),
            language,
            start_byte,
            end_byte,
            start_line,
            end_line,
            self.text(piece, data)[offset : offset + size].decode(),
            kind_name(kind),
            symbol,
            unpack_id(content_hash),
            definitions,
        )

    def text(self, piece: int, data: bytes) -> bytes:
        if piece != self._piece:
            self._text = _inflate(data)
            self._piece = piece
        return self._text

    def definitions(self, first: int, count: int) -> tuple[Definition, ...]:
        rows = self._connection.execute(_DEFINITIONS, (first, first + count))
        return tuple([Definition(name, kind_name(kind), line) for name, kind, line in rows])

    def chunks(self, rows: Sequence[Sequence[Any]]) -> list[Chunk]:
        """The chunks of several rows; their definitions are read together."""
        spans = [(row[10], row[10] + row[11]) for row in rows if row[11]]
        known: dict[int, Definition] = {}
        for start in range(0, len(spans), _KEYS_PER_STATEMENT):
            some = spans[start : start + _KEYS_PER_STATEMENT]
            sql = _DEFINITIONS_OF.format(", ".join(["(?, ?)"] * len(some)))
            for number, name, kind, line in self._connection.execute(sql, [end for span in some for end in span]):
                known[number] = Definition(name, kind_name(kind), line)
        return [self.chunk(row, tuple([known[i] for i in range(row[10], row[10] + row[11])])) for row in rows]


@lru_cache(maxsize=INFLATED_PIECES)
def _inflate(data: bytes) -> bytes:
    """The text of a piece. Known by its bytes, for a piece's number may be used again."""
    return zlib.decompress(data)


def get(connection: sqlite3.Connection, refs: Sequence[ChunkRef], scope: Scope) -> list[PlacedChunk | None]:
    repos = generations.resolve(connection, scope)
    answer: list[PlacedChunk | None] = [None] * len(refs)
    files: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, ref in enumerate(refs):
        files[ref[0], ref[1]].append(i)
    inflated = _Inflated(connection)
    alone: list[int] = []
    rows: list[Sequence[Any]] = []
    for (repo_id, path), places in files.items():
        if repo_id not in repos:
            continue
        repo, generation = repos[repo_id]
        where: dict[str, Any] = {"repo": repo, "path": path, "g": generation}
        if len(places) == 1:
            where["key"] = pack_id(refs[places[0]][2])
            row = connection.execute(ONE, where).fetchone()
            if row is not None:
                alone += places
                rows.append(row)
            continue
        by_id = _chunks_of(connection, where, [refs[i][2] for i in places], inflated)
        for i in places:
            chunk = by_id.get(refs[i][2])
            if chunk is not None:
                answer[i] = PlacedChunk(repo_id, path, chunk)
    for i, chunk in zip(alone, inflated.chunks(rows), strict=True):
        answer[i] = PlacedChunk(refs[i][0], refs[i][1], chunk)
    return answer


def _chunks_of(
    connection: sqlite3.Connection, where: dict[str, Any], ids: Sequence[str], inflated: _Inflated
) -> dict[str, Chunk]:
    """Several chunks of one file by id: its range is read once for many of them."""
    keys = [pack_id(chunk_id) for chunk_id in dict.fromkeys(ids)]
    found: dict[str, Chunk] = {}
    for start in range(0, len(keys), _KEYS_PER_STATEMENT):
        some = {f"k{i}": key for i, key in enumerate(keys[start : start + _KEYS_PER_STATEMENT])}
        sql = ONE.replace("k.key = :key", f"k.key IN ({', '.join(':' + name for name in some)})")
        for row in connection.execute(sql, where | some):
            chunk = inflated.chunk(row)
            found[chunk.id] = chunk
    return found


def of_file(connection: sqlite3.Connection, files: Sequence[FileRef], scope: Scope) -> list[list[PlacedChunk] | None]:
    repos = generations.resolve(connection, scope)
    inflated = _Inflated(connection)
    answer: list[list[PlacedChunk] | None] = []
    for repo_id, path in files:
        repo, generation = repos.get(repo_id, (0, 0))
        row = connection.execute(FILE, {"repo": repo, "path": path, "g": generation}).fetchone() if repo else None
        if row is None:
            answer.append(None)
            continue
        first, count, first_definition, definitions = row
        names = inflated.definitions(first_definition, definitions)
        placed = []
        for chunk in connection.execute(_OF_FILE, (first, first + count)):
            skip = chunk[10] - first_definition
            placed.append(PlacedChunk(repo_id, path, inflated.chunk(chunk, names[skip : skip + chunk[11]])))
        answer.append(placed)
    return answer


def at(connection: sqlite3.Connection, locations: Sequence[Location], scope: Scope) -> list[PlacedChunk | None]:
    repos = generations.resolve(connection, scope)
    inflated = _Inflated(connection)
    answer: list[PlacedChunk | None] = []
    for repo_id, path, line in locations:
        repo, generation = repos.get(repo_id, (0, 0))
        where = {"repo": repo, "path": path, "g": generation, "line": line}
        rows = connection.execute(COVERING, where).fetchall() if repo else []
        if not rows:
            answer.append(None)
            continue
        row = rows[0] if len(rows) == 1 else min(rows, key=_preference)
        answer.append(PlacedChunk(repo_id, path, inflated.chunk(row)))
    return answer


def _preference(row: Sequence[Any]) -> tuple[int, int, int, str]:
    kind = kind_name(row[7])
    rank = 0 if kind in FUNCTION_KINDS else 1 if kind in CLASS_KINDS else 2
    return rank, row[4] - row[3], -row[3], unpack_id(row[0])


def defined(connection: sqlite3.Connection, names: Sequence[str], scope: Scope, limit: int) -> list[DefinitionHit]:
    hits: list[DefinitionHit] = []
    for repo_id, (repo, generation) in generations.resolve(connection, scope).items():
        of_repo: list[DefinitionHit] = []
        for name in dict.fromkeys(names):
            where = {"name": name, "repo": repo, "g": generation, "limit": limit}
            for path, line, found, kind, key in connection.execute(DEFINED, where):
                of_repo.append(DefinitionHit(repo_id, path, unpack_id(key), found, kind_name(kind), line))
        of_repo.sort(key=lambda h: (h.path, h.line, h.name, h.chunk_id))
        hits += of_repo[: limit - len(hits)]
        if len(hits) == limit:
            break
    return hits


def text(connection: sqlite3.Connection, blob_ids: Sequence[str]) -> list[str | None]:
    answer: list[str | None] = []
    for blob_id in blob_ids:
        row = connection.execute(
            "SELECT tiled, chunk, chunks, piece, pieces FROM content WHERE blob = ? LIMIT 1", (pack_id(blob_id),)
        ).fetchone()
        if row is None:
            answer.append(None)
            continue
        tiled, chunk, chunks, piece, pieces = row
        if tiled:
            rows = connection.execute(
                "SELECT data FROM piece WHERE id >= ? AND id < ? ORDER BY id", (piece, piece + pieces)
            )
            answer.append(b"".join([zlib.decompress(data) for (data,) in rows]).decode())
        else:
            answer.append(_assemble(connection, chunk, chunks).decode())
    return answer


def _assemble(connection: sqlite3.Connection, first: int, count: int) -> bytes:
    """A blob's text from chunks that overlap: each gives the bytes that are not covered yet."""
    inflated = _Inflated(connection)
    whole, covered = bytearray(), 0
    for start, piece, offset, size, data in connection.execute(
        "SELECT k.start_byte, k.piece, k.offset, k.size, t.data FROM chunk k CROSS JOIN piece t ON t.id = k.piece"
        " WHERE k.id >= ? AND k.id < ? ORDER BY k.id",
        (first, first + count),
    ):
        whole += inflated.text(piece, data)[offset + max(covered - start, 0) : offset + size]
        covered = max(covered, start + size)
    return bytes(whole)


def scan(connection: sqlite3.Connection, scope: Scope, after: tuple[str, str] | None, limit: int) -> FilePage:
    after_repo, after_path = after or ("", "")
    files: list[PlacedFile] = []
    for repo_id, (repo, generation) in generations.resolve(connection, scope).items():
        if repo_id < after_repo:
            continue
        where = {
            "repo": repo,
            "g": generation,
            "after": after_path if repo_id == after_repo else "",
            "limit": limit + 1 - len(files),
        }
        files += [
            PlacedFile(repo_id, path, unpack_id(blob), language, mode, chunks)
            for path, blob, language, mode, chunks in connection.execute(SCAN, where)
        ]
        if len(files) > limit:
            last = files[limit - 1]
            return FilePage(tuple(files[:limit]), (last.repo_id, last.path))
    return FilePage(tuple(files), None)


def stats(connection: sqlite3.Connection, scope: Scope) -> ChunkStats:
    files = chunks = size = 0
    for repo, generation in generations.resolve(connection, scope).values():
        row = connection.execute(_STATS, {"repo": repo, "g": generation}).fetchone()
        files, chunks, size = files + row[0], chunks + row[1], size + row[2]
    return ChunkStats(files, chunks, size)
