"""Shards: a folder's files named as Zoekt names them, in a format of our own: a line of JSON, then every content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from .folding import lower

VERSION = 16
SUFFIX = f"_v{VERSION}.00000.zoekt"
NAME_BYTES = 200


@dataclass(frozen=True)
class Searchable:
    """Bytes, as characters with their places in bytes. A byte that is no UTF-8 is a character."""

    data: bytes

    @cached_property
    def text(self) -> str:
        return self.data.decode("utf-8", "surrogateescape")

    @cached_property
    def lowered(self) -> str:
        return lower(self.text)

    @cached_property
    def _offsets(self) -> list[int] | None:
        if self.data.isascii():
            return None
        return list(accumulate((len(c.encode("utf-8", "surrogateescape")) for c in self.text), initial=0))

    def byte(self, character: int) -> int:
        return character if self._offsets is None else self._offsets[character]


@dataclass(frozen=True)
class Document:
    """A file of a shard; ``content`` is what is searched, which for a skipped file is the reason."""

    name: str
    content: bytes
    language: str
    category: str
    checksum: str

    @cached_property
    def searchable(self) -> Searchable:
        return Searchable(self.content)

    @cached_property
    def searchable_name(self) -> Searchable:
        return Searchable(self.name.encode())

    @cached_property
    def newlines(self) -> list[int]:
        return [at for at, byte in enumerate(self.content) if byte == 10]


@dataclass(frozen=True)
class Shard:
    """A repository's documents, in the order in which they are searched."""

    repo: str
    branch: str
    commit: str
    source: str
    options: str
    indexed: float
    """Seconds since the epoch."""
    documents: tuple[Document, ...] = field(repr=False)
    size: int = 0

    @cached_property
    def average_length(self) -> float:
        return sum(len(d.content) for d in self.documents) / len(self.documents) or 1.0

    @cached_property
    def languages(self) -> frozenset[str]:
        return frozenset(d.language for d in self.documents)


def shard_name(repo: str) -> str:
    quoted = urllib.parse.quote_plus(repo, safe="-_.~")
    if len(quoted) > NAME_BYTES:
        quoted = quoted[:NAME_BYTES] + hashlib.sha1(quoted.encode(), usedforsecurity=False).hexdigest()[:8]
    return quoted + SUFFIX


def write(folder: Path, shard: Shard) -> Path:
    """Put the shard into the folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / shard_name(shard.repo)
    head = {key: getattr(shard, key) for key in ("repo", "branch", "commit", "source", "options", "indexed")}
    head["documents"] = [[d.name, len(d.content), d.language, d.category, d.checksum] for d in shard.documents]
    handle, temporary = tempfile.mkstemp(prefix=path.name + ".", suffix=".tmp", dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.writelines(d.content for d in shard.documents)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
    return path


def read(path: Path) -> Shard:
    with path.open("rb") as file:
        head = json.loads(file.readline())
        documents = tuple(
            Document(name, file.read(size), language, category, checksum)
            for name, size, language, category, checksum in head.pop("documents")
        )
    return Shard(**head, documents=documents, size=path.stat().st_size)


class Folder:
    """The shards of a folder, read again when their files change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[tuple[int, int, int], Shard]] = {}

    def shards(self) -> Sequence[Shard]:
        """What the folder holds now, by repository. A file that vanishes meanwhile, or is no shard, is left out."""
        known = {}
        for entry in sorted(self.path.glob("*.zoekt")):
            try:
                stat = entry.stat()
                mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                before = self._known.get(entry.name)
                known[entry.name] = before if before and before[0] == mark else (mark, read(entry))
            except (OSError, ValueError, KeyError) as error:
                log("server.go", f"[ERROR] reloading: {entry}, err {error}")
        self._known = known
        return sorted((shard for _, shard in known.values()), key=lambda shard: shard.repo)


def log(where: str, what: str) -> None:
    """A line on stderr as Go's log writes it."""
    os.write(2, f"{time.strftime('%Y/%m/%d %H:%M:%S')} {where}: {what}\n".encode())
