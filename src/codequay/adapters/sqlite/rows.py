"""Rows -> chunks: the columns of a chunk, its text out of its piece, its definitions."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from codequay.ports.chunks import Chunk, Definition

from .errors import Damaged
from .schema import kind_name, unpack_id

CHUNK = (
    "k.key, c.blob, ifnull(k.language, c.language), k.start_byte, k.end_byte, k.start_line, k.end_line, k.kind,"
    " k.symbol, k.hash, k.definition, k.definitions, k.piece, k.offset, k.size, t.data"
)
"""The columns that the functions below take, of chunk ``k`` in content ``c`` with its piece ``t``."""

SPANS_PER_STATEMENT = 200
INFLATED_PIECES = 256
"""Pieces of text kept inflated, under 2 MB: questions that follow each other often show neighbouring chunks."""

_DEFINITIONS = "SELECT name, kind, line FROM definition WHERE id >= ? AND id < ? ORDER BY id"
_DEFINITIONS_OF = (
    "WITH span(first, after) AS (VALUES {}) SELECT d.id, d.name, d.kind, d.line FROM span"
    " CROSS JOIN definition d ON d.id >= span.first AND d.id < span.after"
)


class Inflated:
    """Text of chunks out of their pieces. The last piece is kept: neighbouring chunks mostly lie in one."""

    def __init__(self) -> None:
        self._piece = -1
        self._text = b""

    def text(self, row: Sequence[Any]) -> str:
        """Of a row's chunk."""
        piece, offset, size, data = row[12:16]
        if data is None:
            raise Damaged("a chunk without its text")
        text = self.piece(piece, data)[offset : offset + size]
        if len(text) != size:
            raise Damaged("a chunk without its text")
        return text.decode()

    def piece(self, piece: int, data: bytes) -> bytes:
        """A whole piece: only inflated to its end does its checksum tell whether it is damaged."""
        if piece != self._piece:
            self._text = _inflate(data)
            self._piece = piece
        return self._text


@lru_cache(maxsize=INFLATED_PIECES)
def _inflate(data: bytes) -> bytes:
    """The text of a piece. Known by its bytes, for a piece's number may be used again."""
    return zlib.decompress(data)


def definitions(connection: sqlite3.Connection, first: int, count: int) -> tuple[Definition, ...]:
    """Definitions with consecutive ids: those of a chunk, or of all chunks of a content."""
    if not count:
        return ()
    rows = connection.execute(_DEFINITIONS, (first, first + count))
    return tuple([Definition(name, kind_name(kind), line) for name, kind, line in rows])


def definitions_of(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> list[tuple[Definition, ...]]:
    """The definitions of each row's chunk, read together."""
    spans = [(row[10], row[10] + row[11]) for row in rows if row[11]]
    known: dict[int, Definition] = {}
    for start in range(0, len(spans), SPANS_PER_STATEMENT):
        some = spans[start : start + SPANS_PER_STATEMENT]
        sql = _DEFINITIONS_OF.format(", ".join(["(?, ?)"] * len(some)))
        for number, name, kind, line in connection.execute(sql, [end for span in some for end in span]):
            known[number] = Definition(name, kind_name(kind), line)
    if any(row[11] > len(known) for row in rows):
        raise Damaged("a chunk without its definitions")
    return [tuple([known[i] for i in range(row[10], row[10] + row[11]) if i in known]) for row in rows]


def chunk(row: Sequence[Any], text: str, names: tuple[Definition, ...]) -> Chunk:
    """The chunk of a row, given what is not in it. A symbol that is not stored is the first definition's name."""
    key, blob, language, start_byte, end_byte, start_line, end_line, kind, symbol, content_hash = row[:10]
    if len(names) != row[11] or (symbol is None and not names):
        raise Damaged("a chunk without its definitions")
    return Chunk(
        unpack_id(key),
        unpack_id(blob),
        language,
        start_byte,
        end_byte,
        start_line,
        end_line,
        text,
        kind_name(kind),
        names[0].name if symbol is None else symbol,
        unpack_id(content_hash),
        names,
    )
