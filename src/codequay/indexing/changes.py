"""What a tree holds now, against what was indexed: by the file system's numbers, and by reading where they differ.

Only files whose numbers say nothing are read, and only to be hashed; nothing is analysed and nothing written here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from codequay.ports.metadata import Published
from codequay.ports.source import SourceBlob, SourceControl, SourceFile, SourceRepo

from .blob import blob_id_of
from .ignore import NAME as IGNORE_FILE
from .ignore import Ignore
from .manifest import PASSING, UNREAD, Entry, Manifest, load

FILES_PER_BATCH = 1000
MANY_RENEWED = 64
"""Files that are read for nothing at each comparison, from which on writing a manifest costs less."""


class ReadOptions(Protocol):
    """What reading a tree takes from the settings."""

    @property
    def max_file_bytes(self) -> int: ...
    @property
    def batch_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Survey:
    """A tree at one time, by path. ``known`` are files whose content an index has met at that path, and files that
    are never indexed; ``fresh`` are the others."""

    root: str
    revision: str | None
    known: dict[str, Entry] = field(repr=False)
    fresh: tuple[SourceFile, ...] = field(repr=False)
    renewed: int = 0
    """How many of ``known`` had to be read, because their numbers had changed."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How a tree differs from what a published generation shows; its length is the number of differing files.

    ``changed`` are paths that were added, or hold something else now, ``removed`` those that are gone; both are sorted.
    Without ``exact`` nobody knows what the generation was made from (its manifest is lost): every file counts as
    changed, and only an index run helps.
    """

    changed: tuple[str, ...]
    removed: tuple[str, ...]
    exact: bool
    generation: int
    """The generation that was compared with; 0 for none."""
    survey: Survey = field(repr=False)

    def __len__(self) -> int:
        return len(self.changed) + len(self.removed)

    @property
    def worth_keeping(self) -> bool:
        """Whether so many files were read only to find the same bytes (after a checkout back and forth, or a copy) that
        an index run pays though nothing has changed: it keeps their new numbers and publishes nothing."""
        return self.survey.renewed >= MANY_RENEWED


async def compare(
    source: SourceControl,
    *,
    data: Path,
    found: SourceRepo,
    repo_id: str,
    line: str,
    snapshot: str,
    published: Published | None,
    settings: ReadOptions,
    revision: str | None = None,
) -> Changes:
    """The tree at ``found.root`` (or ``revision``) against ``published``, which may be what another snapshot shows.

    :param line: id of the metadata store that says what is published
    :param snapshot: whose manifest knows the numbers of the tree's files
    """
    generation = published.generation if published else None

    def loaded(name: str) -> Manifest | None:
        return load(data, repo_id, name, line=line, generation=generation)

    listing = asyncio.ensure_future(source.files(found.root, revision=revision))
    try:
        own = await asyncio.to_thread(loaded, snapshot)
        shown = own
        if published is not None and published.snapshot != snapshot:
            shown = await asyncio.to_thread(loaded, published.snapshot)
        if shown is not None and shown.generation != generation:
            shown = None
        files = await listing
    finally:
        listing.cancel()
    priors = [one for one in (own, shown) if one is not None] if shown is not None else []
    seen = await survey(source, files, root=found.root, revision=revision, priors=priors, settings=settings)
    return against(seen, shown, generation or 0)


def against(seen: Survey, shown: Manifest | None, generation: int) -> Changes:
    """A tree against a generation's manifest."""
    if shown is None:
        paths = {*seen.known, *(file.path for file in seen.fresh)}
        return Changes(tuple(sorted(paths)), (), False, generation, seen)
    held = shown.entries
    changed = [file.path for file in seen.fresh]
    for path, entry in seen.known.items():
        before = held.get(path)
        if before is not entry and (before is None or not entry.same_content(before)):
            changed.append(path)
    there = seen.known.keys() | {file.path for file in seen.fresh}
    return Changes(tuple(sorted(changed)), tuple(sorted(held.keys() - there)), True, generation, seen)


async def survey(
    source: SourceControl,
    files: Sequence[SourceFile],
    *,
    root: str,
    revision: str | None,
    priors: Sequence[Manifest],
    settings: ReadOptions,
    retry: bool = False,
) -> Survey:
    """Sort a listing into what the manifests know and what must be analysed.

    :param priors: manifests to know contents from; those of the same tree also tell by the files' numbers
    :param retry: analyse again what had cost a worker
    """
    ignore = await _ignore(source, files, root, revision, settings.max_file_bytes)
    same_tree = [one.entries for one in priors if one.root == root]
    known: dict[str, Entry] = {}
    fresh: list[SourceFile] = []
    doubtful: list[SourceFile] = []
    for file in files:
        path = file.path
        if ignore.ignored(path):
            continue
        if file.kind != "file":
            known[path] = _skipped(file, file.kind)
            continue
        if file.size > settings.max_file_bytes:
            known[path] = too_large(file, settings.max_file_bytes)
            continue
        for entries in same_tree:
            entry = entries.get(path)
            if entry is not None and entry.blob_id and entry.fits(file):
                break
        else:
            entry = None
        if entry is None and file.blob_id:
            entry = _with_blob(priors, path, file.blob_id)
            entry = entry and entry.of(file, 0)
        if entry is not None:
            if retry and entry.reason in PASSING:
                fresh.append(file)
            else:
                known[path] = entry
        elif not file.blob_id and any(path in one.entries for one in priors):
            doubtful.append(file)
        else:
            fresh.append(file)
    renewed = 0
    async for file, blob, read_ns in _hashed(source, doubtful, root, revision, settings):
        entry = _met(priors, file, blob, read_ns)
        if entry is None or (retry and entry.reason in PASSING):
            fresh.append(file)
        else:
            known[file.path] = entry
            renewed += bool(entry.blob_id)
    fresh.sort()
    return Survey(root, revision, known, tuple(fresh), renewed)


def too_large(file: SourceFile, max_bytes: int) -> Entry:
    """A file that is not read, for its size."""
    return _skipped(file, "too_large", f"more than {max_bytes} bytes (index.max_file_bytes)")


async def batches(
    source: SourceControl, files: Sequence[SourceFile], root: str, revision: str | None, settings: ReadOptions
) -> AsyncIterator[list[tuple[SourceFile, SourceBlob]]]:
    """The files with their bytes, at most ``batch_bytes`` (or one file) at a time."""
    start = 0
    while start < len(files):
        size, end = files[start].size, start + 1
        while end < len(files) and end - start < FILES_PER_BATCH and size + files[end].size <= settings.batch_bytes:
            size += files[end].size
            end += 1
        part = files[start:end]
        paths = [file.path for file in part]
        blobs = source.read(root, paths, revision=revision, max_bytes=settings.max_file_bytes)
        yield list(zip(part, [blob async for blob in blobs], strict=True))
        start = end


def unread(file: SourceFile, blob: SourceBlob, settings: ReadOptions) -> Entry:
    """A file that could not be read; its numbers never fit, so that it is tried again."""
    if blob.reason == "too_large":
        return too_large(file, settings.max_file_bytes)._replace(mtime_ns=-1)
    return _skipped(file, blob.reason or "unreadable")._replace(mtime_ns=-1)


def _skipped(file: SourceFile, reason: str, detail: str = "") -> Entry:
    return Entry(
        file.size, file.mtime_ns, file.ctime_ns, file.inode, file.mode, "", UNREAD, 0, reason=reason, detail=detail
    )


def _with_blob(priors: Sequence[Manifest], path: str, blob_id: str) -> Entry | None:
    """What a manifest says of that content at that path."""
    return next((e for one in priors if (e := one.entries.get(path)) is not None and e.blob_id == blob_id), None)


def _met(priors: Sequence[Manifest], file: SourceFile, found: str | Entry, read_ns: int) -> Entry | None:
    """The entry of a file that was read (``found`` is its blob id, or why it was not); None when it is new there."""
    if isinstance(found, str):
        entry = _with_blob(priors, file.path, found)
        return entry and entry.of(file, read_ns)
    entries = (one.entries.get(file.path) for one in priors)
    return found if any(e is not None and e.reason == found.reason for e in entries) else None


async def _hashed(
    source: SourceControl, files: Sequence[SourceFile], root: str, revision: str | None, settings: ReadOptions
) -> AsyncIterator[tuple[SourceFile, str | Entry, int]]:
    """Each file with its blob id, or with why it has none, and when it began to be read."""
    began = time.time_ns()
    async for batch in batches(source, files, root, revision, settings):
        ids = await asyncio.to_thread(
            lambda pairs: [None if blob.data is None else blob_id_of(blob.data) for _, blob in pairs], batch
        )
        for (file, blob), blob_id in zip(batch, ids, strict=True):
            yield file, blob_id or unread(file, blob, settings), began
        began = time.time_ns()


async def _ignore(
    source: SourceControl, files: Sequence[SourceFile], root: str, revision: str | None, max_bytes: int
) -> Ignore:
    """The patterns at the top of the tree."""
    text = ""
    if any(file.path == IGNORE_FILE for file in files):
        async for blob in source.read(root, [IGNORE_FILE], revision=revision, max_bytes=max_bytes):
            text = (blob.data or b"").decode("utf-8", "replace")
    return Ignore(text)
