"""Cutting a text into chunks of about 1500 bytes that begin where a definition begins, and naming them.

Chunks tile the text: each byte lies in exactly one. A chunk ends at a definition, else at a blank line, else at a line
break, else (a line longer than a chunk) at a character.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from .scan import Found
from .version import CHUNKER

MAX_DEFINITIONS = 200
"""Names kept of one chunk: a generated table of constants names more than anybody looks for."""


class Piece(NamedTuple):
    """A chunk without its text; as plain values, so that it travels between processes."""

    id: str
    start: int
    end: int
    start_line: int
    end_line: int
    content_hash: str
    definitions: tuple[tuple[str, str, int], ...]


def cut(data: bytes, starts: Sequence[int], size: int) -> list[int]:
    """Where chunks end. ``starts`` holds the first byte of each defining line, ascending."""
    ends: list[int] = []
    at, total = 0, len(data)
    least = size // 4
    while total - at > size:
        limit = at + size
        i = bisect_right(starts, limit) - 1
        if i >= 0 and starts[i] > at + least:
            end = starts[i]
        else:
            end = data.rfind(b"\n\n", at + least, limit) + 2
            if end < 2:
                end = data.rfind(b"\n", at, limit) + 1
            if end < 1:
                end = limit
                while data[end] & 0xC0 == 0x80:
                    end -= 1
        ends.append(end)
        at = end
    if at < total:
        ends.append(total)
    return ends


def chunk_id(language: str, blob_id: str, start: int, end: int) -> str:
    """The id: what the chunk is made of, and not where it lies."""
    key = f"{CHUNKER}\0{language}\0{blob_id}\0{start}\0{end}"
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def pieces(data: bytes, found: Sequence[Found], *, language: str, blob_id: str, size: int) -> list[Piece]:
    """The chunks of a text with their definitions."""
    starts = [one.start for one in found]
    names = [one.at for one in found]
    out: list[Piece] = []
    at, line = 0, 1
    for end in cut(data, starts, size):
        text = data[at:end]
        breaks = text.count(b"\n")
        last = line + breaks - (1 if text.endswith(b"\n") else 0)
        first = bisect_left(names, at)
        definitions = []
        seen, seen_line = at, line
        for one in found[first : min(bisect_left(names, end), first + MAX_DEFINITIONS)]:
            seen_line += data.count(b"\n", seen, one.at)
            seen = one.at
            definitions.append((one.name, one.kind, seen_line))
        digest = hashlib.blake2b(text, digest_size=16).hexdigest()
        out.append(Piece(chunk_id(language, blob_id, at, end), at, end, line, last, digest, tuple(definitions)))
        at, line = end, line + breaks
    return out
