"""What a snapshot held when it was indexed: each file's numbers in the file system and the content they stood for.

One file per repository and snapshot in ``<data>/manifests``. It is only a cache: missing, damaged or of another
generation it makes a run slower and an answer no less right. It is written beside the last one before the flip and
takes its place after it, so that whichever generation a crash leaves published has its manifest.
"""

from __future__ import annotations

import marshal
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from codequay.ports.source import SourceFile

FOLDER = "manifests"
_SUFFIX = ".manifest"
_NEXT = ".next"
_MAGIC = b"codequay-manifest-2\n"
_DIGEST = 16
_FORMAT = 4
"""Of ``marshal``; every supported Python reads and writes it."""

UNREAD = -1
"""``chunks`` of a file that is not indexed; ``mode`` that is not known."""

PASSING = frozenset({"changed", "unreadable", "vanished", "worker_died", "worker_stuck"})
"""Reasons that may be gone at the next run though the file's numbers are the same."""

FINE_TICK_NS = 100_000_000
COARSE_TICK_NS = 2_000_000_000
"""How far apart two writes must lie to show in a file's times: some kernel ticks, or FAT's two seconds."""

ABANDONED_S = 3600.0
"""A file that nobody has finished to write for so long is nobody's: to write one takes a second."""


class Entry(NamedTuple):
    """A file. ``blob_id`` is "" when its bytes are not known; ``bytes`` counts decoded text.

    ``chunks`` is ``UNREAD`` when it is not indexed, for ``reason``; a reason beside chunks tells that it was indexed
    otherwise than usual.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int
    blob_id: str
    chunks: int = UNREAD
    bytes: int = 0
    reason: str = ""
    detail: str = ""

    @property
    def indexed(self) -> bool:
        return self.chunks >= 0

    def same_content(self, other: Entry) -> bool:
        """Whether both put the same into an index, and into the list of what is skipped."""
        if self.reason != other.reason or self.detail != other.detail or self.indexed != other.indexed:
            return False
        return not self.indexed or self[4:6] == other[4:6]

    def fits(self, file: SourceFile) -> bool:
        """Whether the file's bytes are still those: its numbers are the same, or its id is."""
        if file.blob_id:
            return file.blob_id == self.blob_id and self.mode == file.mode
        numbers = (file.size, file.mtime_ns, file.ctime_ns, file.inode, file.mode)
        return numbers == self[:5] and any(numbers[1:4])

    def of(self, file: SourceFile, read_ns: int) -> Entry:
        """The same content with the numbers of a file whose bytes were read at ``read_ns`` (since the epoch) or later.

        When another write could leave the same numbers, they are kept in a form that never fits.
        """
        mtime = file.mtime_ns if not file.mtime_ns or _settled(file, read_ns) else -1
        return self._replace(size=file.size, mtime_ns=mtime, ctime_ns=file.ctime_ns, inode=file.inode, mode=file.mode)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one snapshot by path, as they were indexed for ``generation``."""

    repo_id: str
    snapshot: str
    generation: int
    line: str
    """Id of the metadata store that counts the generations: another one counts from 1 again."""
    root: str
    """Top of the tree that the files' numbers are of."""
    options: str
    """What the chunks were made with; "" when not known."""
    since: int
    """The oldest generation from which on the repository was indexed with these options."""
    entries: dict[str, Entry] = field(default_factory=dict, repr=False)

    def get(self, path: str) -> Entry | None:
        return self.entries.get(path)


_HEAD = tuple(one.name for one in fields(Manifest) if one.name != "entries")


def load(
    data: Path, repo_id: str, snapshot: str, *, line: str | None = None, generation: int | None = None
) -> Manifest | None:
    """The snapshot's manifest, None when there is none that can be read, or it is of another ``line``.

    With ``generation`` the one of that generation where there is one, else another: its files' numbers still tell
    what their bytes are, but not what the index shows.
    """
    place = _place(data, repo_id, snapshot)
    found = _read_as(place, repo_id, snapshot, line)
    if generation is None or (found is not None and found.generation == generation):
        return found
    coming = _read_as(_coming(place), repo_id, snapshot, line)
    return coming if coming is not None and coming.generation == generation else found


def read(file: Path) -> Manifest | None:
    """The manifest in a file; None when it is not there or damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    body = memoryview(content)[start:]
    if not content.startswith(_MAGIC) or content[len(_MAGIC) : start] != _digest(body):
        return None
    head, entries = marshal.loads(body)  # noqa: S302 - ours, checked
    make = Entry._make
    return Manifest(**head, entries={path: make(entry) for path, entry in entries.items()})


def _read_as(file: Path, repo_id: str, snapshot: str, line: str | None) -> Manifest | None:
    found = read(file)
    if found is None or (found.repo_id, found.snapshot) != (repo_id, snapshot):
        return None
    return found if line in (None, found.line) else None


def prepare(data: Path, manifest: Manifest) -> None:
    """Write the manifest beside the one that is in force, whole or not at all.

    :raises OSError: it could not be written
    """
    place = _place(data, manifest.repo_id, manifest.snapshot)
    place.parent.mkdir(parents=True, exist_ok=True)
    head = {name: getattr(manifest, name) for name in _HEAD}
    body = marshal.dumps((head, {path: tuple(entry) for path, entry in manifest.entries.items()}), _FORMAT)
    made = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        with made.open("wb") as out:
            out.write(_MAGIC + _digest(body))
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        made.replace(_coming(place))
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def install(data: Path, repo_id: str, snapshot: str) -> None:
    """Put the prepared manifest in force.

    :raises OSError: it could not be renamed
    """
    place = _place(data, repo_id, snapshot)
    _coming(place).replace(place)


def remove(data: Path, repo_id: str, snapshot: str) -> None:
    """Delete the snapshot's manifest."""
    place = _place(data, repo_id, snapshot)
    for file in (place, _coming(place)):
        file.unlink(missing_ok=True)


def files(data: Path) -> Iterator[Path]:
    """The manifests in force, in no order."""
    try:
        yield from (data / FOLDER).glob(f"*{_SUFFIX}")
    except OSError:
        return


def abandoned(data: Path) -> Iterator[Path]:
    """Files of writers that died while they wrote, in no order."""
    latest = time.time() - ABANDONED_S
    try:
        for file in (data / FOLDER).glob("*.tmp"):
            if file.stat().st_mtime < latest:
                yield file
    except OSError:
        return


def _settled(file: SourceFile, read_ns: int) -> bool:
    """Whether a write after ``read_ns`` must show in the file's times."""
    coarse = not (file.mtime_ns % 1_000_000_000 or file.ctime_ns % 1_000_000_000)
    return max(file.mtime_ns, file.ctime_ns) < read_ns - (COARSE_TICK_NS if coarse else FINE_TICK_NS)


def _digest(body: bytes | memoryview) -> bytes:
    return blake2b(body, digest_size=_DIGEST).digest()


def _place(data: Path, repo_id: str, snapshot: str) -> Path:
    name = blake2b(f"{repo_id}\0{snapshot}".encode("utf-8", "surrogateescape"), digest_size=_DIGEST).hexdigest()
    return data / FOLDER / (name + _SUFFIX)


def _coming(place: Path) -> Path:
    return place.with_suffix(_NEXT)
