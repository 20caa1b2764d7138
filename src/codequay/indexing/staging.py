"""What a worker found, as each store takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codequay.ports.chunks import Chunk, Definition, FileChunks
from codequay.ports.lexical import LexFile, LexSpan

if TYPE_CHECKING:
    from .analyse import Analysed
    from .chunk import Piece

Row = tuple[str, str, "Analysed", int]
"""Path, text, chunks, mode."""


def as_chunks(path: str, text: str, found: Analysed, mode: int) -> FileChunks:
    """A file for the chunk store. Offsets are of UTF-8, which for plain ASCII are the text's own."""
    data = None if text.isascii() else text.encode()
    return FileChunks(
        path,
        found.blob_id,
        found.language,
        mode,
        tuple(_chunk(piece, text, data, found) for piece in found.pieces),
    )


def _chunk(piece: Piece, text: str, data: bytes | None, found: Analysed) -> Chunk:
    definitions = tuple(Definition(*one) for one in piece.definitions)
    first = definitions[0] if definitions else Definition("", "block", 0)
    return Chunk(
        piece.id,
        found.blob_id,
        found.language,
        piece.start,
        piece.end,
        piece.start_line,
        piece.end_line,
        text[piece.start : piece.end] if data is None else data[piece.start : piece.end].decode(),
        first.kind,
        first.name,
        piece.content_hash,
        definitions,
    )


def as_lexical(path: str, text: str, found: Analysed, mode: int) -> LexFile:
    """A file for the lexical index."""
    return LexFile(
        path,
        found.blob_id,
        found.language,
        mode,
        text,
        tuple(Definition(*one) for piece in found.pieces for one in piece.definitions),
        tuple(LexSpan(piece.id, piece.start, piece.end, piece.start_line, piece.end_line) for piece in found.pieces),
        found.prepared,
    )
