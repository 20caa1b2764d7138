"""One file's bytes to plain values: what a worker does, in this process or in another."""

from __future__ import annotations

from typing import NamedTuple

from .chunk import Piece, blob_id_of, pieces
from .decode import decode
from .languages import language_of
from .scan import scan


class Analysed(NamedTuple):
    """A file's chunks. ``codec`` turns its bytes into the text; "" when it is not indexed, for ``reason``.

    A ``reason`` beside a codec tells that the file was indexed otherwise than usual ("budget": by lines).
    """

    blob_id: str
    language: str
    codec: str
    size: int
    pieces: list[Piece]
    reason: str = ""
    detail: str = ""


def analyse(path: str, raw: bytes, *, chunk_bytes: int, budget_ms: float) -> Analysed:
    """Decode, find definitions, cut. ``size`` is the text's in bytes of UTF-8."""
    data, codec, nul_at = decode(raw)
    if data is None:
        return Analysed("", "", "", 0, [], "binary", f"NUL at byte {nul_at}")
    language = language_of(path, data)
    blob_id = blob_id_of(raw)
    found = scan(data, language, budget_s=budget_ms / 1000)
    reason, detail = ("", "") if found is not None else ("budget", f"more than {budget_ms:g} ms; chunked by lines")
    cuts = pieces(data, found or [], language=language, blob_id=blob_id, size=chunk_bytes)
    return Analysed(blob_id, language, codec, len(data), cuts, reason, detail)
