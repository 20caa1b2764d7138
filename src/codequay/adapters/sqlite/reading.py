"""The sync face of the chunk store: its reads, on the thread that asks."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

from codequay.ports.chunks import (
    CLASS_KINDS,
    FUNCTION_KINDS,
    ChunkRef,
    ChunkStats,
    DefinitionHit,
    FilePage,
    FileRef,
    Location,
    PlacedChunk,
    PlacedFile,
)
from codequay.ports.generations import GenerationState, Scope, StoreIdentity

from . import generations, lookup, rows
from .connection import Database, Reading, store_id
from .errors import Damaged
from .generations import VISIBLE
from .schema import kind_name, pack_id, unpack_id

FINGERPRINT = "sqlite-chunks-1"

_LIES = f"p.repo = :repo AND p.path = :path AND {VISIBLE}"

COVERING = (
    f"SELECT {rows.CHUNK} FROM placement p CROSS JOIN content c ON c.id = p.content"
    " CROSS JOIN chunk k ON k.content = c.id AND k.start_line <= :line AND k.end_line >= :line"
    f" CROSS JOIN piece t ON t.id = k.piece WHERE {_LIES}"
)
FILE = (
    "SELECT c.chunk, c.chunks, c.definition, c.definitions FROM placement p"
    f" CROSS JOIN content c ON c.id = p.content WHERE {_LIES}"
)
_OF_FILE = (
    f"SELECT {rows.CHUNK} FROM chunk k CROSS JOIN content c ON c.id = k.content"
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


class ChunkReads:
    """``ChunkStore``'s reads without await; safe from any thread."""

    def __init__(self, database: Database) -> None:
        self._read = database.read
        self.held: lookup.Held = {}

    def identity(self) -> StoreIdentity:
        return StoreIdentity(self._read(store_id), FINGERPRINT)

    def generations(self, repo_id: str) -> list[GenerationState]:
        return self._read(generations.states, repo_id)

    def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        return self._read(lookup.get, refs, scope, self.held)

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


def of_file(connection: Reading, files: Sequence[FileRef], scope: Scope) -> list[list[PlacedChunk] | None]:
    repos = generations.resolve(connection, scope)
    inflated = rows.Inflated()
    answer: list[list[PlacedChunk] | None] = []
    for repo_id, path in files:
        repo, generation = repos.get(repo_id, (0, 0))
        row = connection.execute(FILE, {"repo": repo, "path": path, "g": generation}).fetchone() if repo else None
        if row is None:
            answer.append(None)
            continue
        first, count, first_definition, definitions = row
        names = rows.definitions(connection, first_definition, definitions)
        placed = []
        for chunk in connection.execute(_OF_FILE, (first, first + count)):
            skip = chunk[10] - first_definition
            found = rows.chunk(chunk, inflated.text(chunk), names[skip : skip + chunk[11]])
            placed.append(PlacedChunk(repo_id, path, found))
        if len(placed) != count:
            raise Damaged(f"{path} without all of its chunks")
        answer.append(placed)
    return answer


def at(connection: Reading, locations: Sequence[Location], scope: Scope) -> list[PlacedChunk | None]:
    repos = generations.resolve(connection, scope)
    inflated = rows.Inflated()
    answer: list[PlacedChunk | None] = []
    for repo_id, path, line in locations:
        repo, generation = repos.get(repo_id, (0, 0))
        where = {"repo": repo, "path": path, "g": generation, "line": line}
        covering = connection.execute(COVERING, where).fetchall() if repo else []
        if not covering:
            answer.append(None)
            continue
        row = covering[0] if len(covering) == 1 else min(covering, key=_preference)
        names = rows.definitions(connection, *row[10:12])
        answer.append(PlacedChunk(repo_id, path, rows.chunk(row, inflated.text(row), names)))
    return answer


def _preference(row: Sequence[Any]) -> tuple[int, int, int, str]:
    kind = kind_name(row[7])
    rank = 0 if kind in FUNCTION_KINDS else 1 if kind in CLASS_KINDS else 2
    return rank, row[4] - row[3], -row[3], unpack_id(row[0])


def defined(connection: Reading, names: Sequence[str], scope: Scope, limit: int) -> list[DefinitionHit]:
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
            packed = connection.execute(
                "SELECT data FROM piece WHERE id >= ? AND id < ? ORDER BY id", (piece, piece + pieces)
            ).fetchall()
            if len(packed) != pieces:
                raise Damaged("a blob without all of its text")
            answer.append(b"".join([zlib.decompress(data) for (data,) in packed]).decode())
        else:
            answer.append(_assemble(connection, chunk, chunks).decode())
    return answer


def _assemble(connection: sqlite3.Connection, first: int, count: int) -> bytes:
    """A blob's text from chunks that overlap: each gives the bytes that are not covered yet."""
    inflated = rows.Inflated()
    whole, covered = bytearray(), 0
    for start, piece, offset, size, data in connection.execute(
        "SELECT k.start_byte, k.piece, k.offset, k.size, t.data FROM chunk k CROSS JOIN piece t ON t.id = k.piece"
        " WHERE k.id >= ? AND k.id < ? ORDER BY k.id",
        (first, first + count),
    ):
        whole += inflated.piece(piece, data)[offset + max(covered - start, 0) : offset + size]
        covered = max(covered, start + size)
    return bytes(whole)


def scan(connection: Reading, scope: Scope, after: tuple[str, str] | None, limit: int) -> FilePage:
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


def stats(connection: Reading, scope: Scope) -> ChunkStats:
    files = chunks = size = 0
    for repo, generation in generations.resolve(connection, scope).values():
        row = connection.execute(_STATS, {"repo": repo, "g": generation}).fetchone()
        files, chunks, size = files + row[0], chunks + row[1], size + row[2]
    return ChunkStats(files, chunks, size)
