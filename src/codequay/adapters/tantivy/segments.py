"""The files of an index: which segments the last commit names, and whether their files are what Tantivy wrote.

Tantivy ends each file with a footer that holds the CRC-32 of what comes before, and never looks at it when it opens
an index. A damaged file of terms then gives other answers without a word, so readers here look.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from codequay.adapters._placements import rebuild
from codequay.ports.errors import Corrupt

META = "meta.json"
CHECKED_BYTES = 256_000_000
"""Bytes of files that a reader checks when it opens an index, smallest segments first: 4 GB/s from the page cache, so
60 ms at most. ``codequay doctor`` checks all."""

_PARTS = ("fast", "fieldnorm", "idx", "pos", "store", "term")
_FOOTER = struct.Struct("<II")
"""At the very end: the length of the footer's JSON before it, and Tantivy's magic number."""
_MAGIC = 1337


class Segment(NamedTuple):
    """A segment as ``meta.json`` names it. ``documents`` counts the deleted ones too."""

    id: str
    documents: int
    files: tuple[str, ...]


def read_meta(folder: Path) -> bytes:
    """What the last commit left.

    :raises Corrupt: there is no ``meta.json``
    """
    try:
        return (folder / META).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise Corrupt(f"{folder} holds no index", remedy=rebuild(folder.parent)) from exc


def segments(folder: Path, meta: bytes) -> list[Segment]:
    """The segments that it names.

    :raises Corrupt: it is not what Tantivy writes
    """
    found = []
    try:
        for one in json.loads(meta)["segments"]:
            name = one["segment_id"].replace("-", "")
            files = [f"{name}.{part}" for part in _PARTS]
            if one["deletes"]:
                files.append(f"{name}.{one['deletes']['opstamp']}.del")
            found.append(Segment(name, int(one["max_doc"]), tuple(files)))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Corrupt(f"{folder / META} is damaged", remedy=rebuild(folder.parent)) from exc
    return found


def check(folder: Path, wanted: Iterable[Segment], known: set[str], limit: int, *, named: Path) -> set[str]:
    """The files of the segments, when all are whole. Those in ``known`` are not read again.

    Segments that do not fit into ``limit`` bytes are only taken to be whole. ``named`` is the index's own folder,
    where ``folder`` holds links to it.

    :raises Corrupt: one is damaged or missing
    """
    seen: set[str] = set()
    total = 0
    for segment in sorted(wanted, key=lambda one: one.documents):
        for name in segment.files:
            seen.add(name)
            if name in known:
                continue
            file = folder / name
            try:
                total += file.stat().st_size
                whole = total > limit or intact(file)
            except FileNotFoundError as exc:
                raise Corrupt(f"{named / name} is missing", remedy=rebuild(named.parent)) from exc
            if not whole:
                raise Corrupt(f"{named / name} is damaged: its checksum does not fit", remedy=rebuild(named.parent))
    return seen


def intact(path: Path) -> bool:
    """Whether the file is whole and its checksum fits."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < _FOOTER.size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
            length, magic = _FOOTER.unpack_from(data, size - _FOOTER.size)
            end = size - _FOOTER.size - length
            if magic != _MAGIC or end < 0:
                return False
            try:
                crc = json.loads(bytes(data[end : end + length]))["crc"]
            except (ValueError, KeyError, TypeError):
                return False
            with data[:end] as payload:
                return bool(zlib.crc32(payload) == crc)
