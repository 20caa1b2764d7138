"""Bytes of a file to text: UTF-16 by its mark, UTF-8, else Latin-1, which takes any byte."""

from __future__ import annotations

import codecs
from typing import NamedTuple


class Decoded(NamedTuple):
    """The text in UTF-8 without a byte order mark, and the codec that gives the same text from the file's bytes.

    ``data`` is None for a binary file; ``nul_at`` then says at which byte the first NUL lies.
    """

    data: bytes | None
    codec: str
    nul_at: int = -1


def decode(raw: bytes) -> Decoded:
    """A file with a NUL anywhere is binary, unless it is UTF-16 and the text itself has none."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = raw.decode("utf-16").encode()
        except UnicodeError:
            return Decoded(None, "", max(raw.find(0), 0))
        at = text.find(0)
        return Decoded(None, "", at) if at >= 0 else Decoded(text, "utf-16")
    at = raw.find(0)
    if at >= 0:
        return Decoded(None, "", at)
    data = raw.removeprefix(codecs.BOM_UTF8)
    try:
        data.decode()
    except UnicodeDecodeError:
        return Decoded(raw.decode("latin-1").encode(), "latin-1")
    return Decoded(data, "utf-8-sig")
