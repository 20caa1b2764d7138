"""One file's bytes to plain values: what a worker does, in this process or in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from codequay.ports.lexical import LexFile

from .blob import blob_id_of
from .chunk import Piece, pieces
from .decode import decode
from .languages import language_of
from .scan import scan
from .staging import as_lexical


class Analysed(NamedTuple):
    """A file's chunks. ``codec`` turns its bytes into the text; "" when it is not indexed, for ``reason``.

    A ``reason`` beside a codec tells that the file was indexed otherwise than usual ("budget": by lines).
    ``prepared`` is what the lexical index has made of it here, None when it does so itself.
    """

    blob_id: str
    language: str
    codec: str
    size: int
    pieces: list[Piece]
    reason: str = ""
    detail: str = ""
    prepared: object = None


Prepare = Callable[[LexFile], object]
"""See ``LexicalCapabilities.prepare``."""


def analyse(path: str, raw: bytes, *, chunk_bytes: int, budget_ms: float, prepare: Prepare | None = None) -> Analysed:
    """Decode, find definitions, cut. ``size`` is the text's in bytes of UTF-8."""
    data, codec, nul_at = decode(raw)
    if data is None:
        return Analysed(blob_id_of(raw), "", "", 0, [], "binary", f"NUL at byte {nul_at}")
    language = language_of(path, data)
    blob_id = blob_id_of(raw)
    definitions = scan(data, language, budget_s=budget_ms / 1000)
    reason, detail = (
        ("", "") if definitions is not None else ("budget", f"more than {budget_ms:g} ms; chunked by lines")
    )
    cuts = pieces(data, definitions or [], language=language, blob_id=blob_id, size=chunk_bytes)
    found = Analysed(blob_id, language, codec, len(data), cuts, reason, detail)
    if prepare is None:
        return found
    return found._replace(prepared=prepare(as_lexical(path, data.decode(), found, 0)))
