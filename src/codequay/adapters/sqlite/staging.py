"""How files are put into a generation: what is unchanged is skipped, what is new is packed and inserted in batches."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from codequay.ports.chunks import Chunk, FileChunks
from codequay.ports.errors import Conflict
from codequay.ports.generations import StageResult

from . import generations
from .schema import PIECE_BYTES, ZLIB_LEVEL, pack_id, pack_kind

_ORDER = attrgetter("start_byte", "end_byte", "id")

_LYING = (
    "SELECT p.id, p.born, p.mode, p.content, c.blob, c.shape FROM placement p JOIN content c ON c.id = p.content"
    " WHERE p.repo = ? AND p.path = ? AND p.died IS NULL"
)


def stage(
    connection: sqlite3.Connection, repo_id: str, generation: int, files: Sequence[FileChunks], removed: Sequence[str]
) -> StageResult:
    """One ``ChunkStore.stage``, inside a write transaction."""
    repo, sealed = generations.begun(connection, repo_id, generation)
    if sealed:
        raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
    last = {file.path: file for file in files}
    orphans: set[int] = set()
    for path in removed:
        if path not in last:
            _remove(connection, repo, generation, path, orphans)
    batch = _Batch(connection)
    dead: list[tuple[int, int]] = []
    moved: list[tuple[int, int, int]] = []
    born: list[tuple[int, str, int, int, int]] = []
    for path, file in last.items():
        blob, shape = pack_id(file.blob_id), _shape(file)
        lying = connection.execute(_LYING, (repo, path)).fetchone()
        if lying is not None and lying[4] == blob and lying[5] == shape:
            if lying[2] == file.mode:
                continue
            content = lying[3]
        else:
            content = batch.content(file, blob, shape)
        if lying is not None and lying[1] == generation:
            moved.append((content, file.mode, lying[0]))
            orphans.add(lying[3])
            continue
        if lying is not None:
            dead.append((generation, lying[0]))
        born.append((repo, path, generation, content, file.mode))
    blobs = batch.insert()
    connection.executemany("UPDATE placement SET died = ? WHERE id = ?", dead)
    connection.executemany("UPDATE placement SET content = ?, mode = ? WHERE id = ?", moved)
    connection.executemany("INSERT INTO placement (repo, path, born, content, mode) VALUES (?, ?, ?, ?, ?)", born)
    generations.collect(connection, orphans)
    return StageResult(blobs, len(born) + len(moved))


def _remove(connection: sqlite3.Connection, repo: int, generation: int, path: str, orphans: set[int]) -> None:
    row = connection.execute(
        "SELECT id, born, content FROM placement WHERE repo = ? AND path = ? AND died IS NULL", (repo, path)
    ).fetchone()
    if row is None:
        return
    if row[1] == generation:
        connection.execute("DELETE FROM placement WHERE id = ?", row[:1])
        orphans.add(row[2])
    else:
        connection.execute("UPDATE placement SET died = ? WHERE id = ?", (generation, row[0]))


def _shape(file: FileChunks) -> bytes:
    """What tells one cutting of a blob from another: a chunk id names chunker, language, blob and span."""
    return blake2b("\0".join([file.language, *[c.id for c in file.chunks]]).encode(), digest_size=8).digest()


class _Batch:
    """New contents of one ``stage``, as rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._new: dict[tuple[bytes | str, bytes], int] = {}
        self._contents: list[tuple[Any, ...]] = []
        self._chunks: list[tuple[Any, ...]] = []
        self._pieces: list[tuple[int, bytes]] = []
        self._definitions: list[tuple[Any, ...]] = []
        self._next: dict[str, int] = {
            table: connection.execute(f"SELECT ifnull(max(id), 0) + 1 FROM {table}").fetchone()[0]
            for table in ("content", "chunk", "piece", "definition")
        }

    def content(self, file: FileChunks, blob: bytes | str, shape: bytes) -> int:
        """The row of the file's content: the one that the store holds, or a new one."""
        key = (blob, shape)
        known = self._new.get(key)
        if known is not None:
            return known
        row = self._connection.execute("SELECT id FROM content WHERE blob = ? AND shape = ?", key).fetchone()
        if row is not None:
            held: int = row[0]
            return held
        content = self._new[key] = self._next["content"] + len(self._contents)
        self._pack(content, file, blob, shape)
        return content

    def insert(self) -> int:
        """Write the rows; how many contents were new."""
        many = self._connection.executemany
        many(f"INSERT INTO content VALUES ({_marks(12)})", self._contents)
        many("INSERT INTO piece VALUES (?, ?)", self._pieces)
        many(f"INSERT INTO chunk VALUES ({_marks(16)})", self._chunks)
        many(f"INSERT INTO definition VALUES ({_marks(6)})", self._definitions)
        return len(self._contents)

    def _pack(self, content: int, file: FileChunks, blob: bytes | str, shape: bytes) -> None:
        first_chunk = chunk = self._next["chunk"] + len(self._chunks)
        first_piece = self._next["piece"] + len(self._pieces)
        first_definition = definition = self._next["definition"] + len(self._definitions)
        language = file.language
        text = _Text()
        for c in sorted(file.chunks, key=_ORDER):
            piece, offset, size = text.add(c)
            definitions = c.definitions
            symbol: str | None = c.symbol
            if definitions:
                for d in definitions:
                    self._definitions.append((definition, d[0], content, chunk, pack_kind(d[1]), d[2]))
                    definition += 1
                if symbol == definitions[0][0]:
                    symbol = None
            self._chunks.append((
                chunk, content, pack_id(c.id), c.start_byte, c.end_byte, c.start_line, c.end_line,
                first_piece + piece, offset, size, pack_kind(c.kind), symbol, pack_id(c.content_hash),
                None if c.language == language else c.language, definition - len(definitions), len(definitions),
            ))  # fmt: skip
            chunk += 1
        pieces = text.close()
        self._pieces.extend(enumerate(pieces, first_piece))
        self._contents.append((
            content, blob, shape, language, text.bytes, text.tiled, first_chunk, chunk - first_chunk, first_piece,
            len(pieces), first_definition, definition - first_definition,
        ))  # fmt: skip


class _Text:
    """A blob's text, packed into pieces. Chunks come in order; one that overlaps shares the bytes where it can."""

    def __init__(self) -> None:
        self.bytes = 0
        """Length of the blob's text as it is assembled."""
        self.tiled = True
        """The pieces joined are the blob's text."""
        self._covered = 0
        self._pieces: list[bytes] = []
        self._open = bytearray()
        self._origin = 0
        """The blob's offset of the open piece's first byte."""

    def add(self, chunk: Chunk) -> tuple[int, int, int]:
        """Put the chunk's text in; its piece, offset there and length."""
        raw = chunk.text.encode()
        if len(self._open) >= PIECE_BYTES:
            self._flush()
        start, length = chunk.start_byte, len(self._open)
        if not length:
            self._origin = start
        offset = start - self._origin
        shared = length - offset
        if shared and not (0 < shared <= length and _agree(self._open, raw, offset)):
            self._origin, offset, shared = start - length, length, 0
        added = raw[shared:]
        self._open += added
        fresh = max(len(raw) - max(self._covered - start, 0), 0)
        self.bytes += fresh
        self.tiled = self.tiled and len(added) == fresh
        self._covered = max(self._covered, start + len(raw))
        return len(self._pieces), offset, len(raw)

    def close(self) -> list[bytes]:
        if self._open:
            self._flush()
        return self._pieces

    def _flush(self) -> None:
        self._pieces.append(zlib.compress(self._open, ZLIB_LEVEL))
        self._open = bytearray()


def _agree(held: bytearray, raw: bytes, offset: int) -> bool:
    """Whether what is held from ``offset`` on is the beginning of ``raw``, or the other way round."""
    both = min(len(held) - offset, len(raw))
    return held[offset : offset + both] == raw[:both]


def _marks(count: int) -> str:
    return ", ".join("?" * count)
