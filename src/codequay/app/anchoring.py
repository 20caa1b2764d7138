"""Where indexed text is now: a hit in a file that changed since is moved to where its text lies, or marked stale."""

from __future__ import annotations

import os
import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..ports.errors import PortError
from ..ports.paths import os_path

if TYPE_CHECKING:
    from ..ports.chunks import Chunk, PlacedChunk
    from .freshness import Outlook, Tree
    from .messages import ShowAnswer
    from .openings import Openings


KEPT_CHARS = 8_000_000
"""Text of changed files that hits lie in, kept in a process that answers many questions: some hundreds of files."""
FILE_CHARS = 250
"""What a file counts without its text: some ten thousands are kept."""
SETTLED_NS = 2_000_000_000
"""Two writes within one tick of a file system's clock (FAT: two seconds) leave the same numbers."""

_Numbers = tuple[int, int, int, int]
"""Size, mtime and ctime in nanoseconds, inode."""


class Anchor(NamedTuple):
    """Where a hit's text is now: so many lines further down. ``stale`` is None when nobody looked.

    ``alone``: where other chunks of the file are now is not known.
    """

    stale: bool | None
    by: int = 0
    alone: bool = False


_UNSEEN = Anchor(None)
_STALE = Anchor(True)
_THERE = Anchor(False)


class _File:
    """A file as it was when it had these numbers; ``blob_id`` is "" when it is gone or no text.

    A file of the bytes that were indexed holds every chunk where it was, so ``text`` is kept of others only.
    """

    __slots__ = ("_lines", "blob_id", "numbers", "text")

    def __init__(self, numbers: _Numbers | None, blob_id: str, text: str | None) -> None:
        self.numbers = numbers
        self.blob_id = blob_id
        self.text = text
        self._lines: dict[str, int | None] = {}

    @property
    def settled(self) -> bool:
        """Whether a later write must have left other numbers."""
        return self.numbers is not None and time.time_ns() - max(self.numbers[1:3]) > SETTLED_NS

    @property
    def chars(self) -> int:
        """What it counts among those kept."""
        return FILE_CHARS + len(self.text or "")

    def line_of(self, chunk: Chunk) -> int | None:
        """Where a chunk begins in it."""
        if chunk.blob_id == self.blob_id:
            return chunk.start_line
        if chunk.id not in self._lines:
            self._lines[chunk.id] = None if self.text is None else line_of(self.text, chunk.text, near=chunk.start_line)
        return self._lines[chunk.id]


class Anchors:
    """Looks into files as they are now. ``max_bytes``: a larger file is not read, and its hits count as stale."""

    def __init__(self, openings: Openings, *, max_bytes: int) -> None:
        self._openings = openings
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, str], _File] = OrderedDict()
        self._held = 0

    async def of(self, outlook: Outlook, hits: Sequence[PlacedChunk]) -> list[Anchor]:
        """Of each hit, as the files are now."""
        trees = outlook.trees
        doubtful: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for hit in hits:
            tree = trees.get(hit.repo_id)
            if tree is not None and tree.in_doubt(hit.path):
                doubtful[hit.repo_id][hit.path] = hit.chunk.blob_id
        files = {repo_id: await self._files(trees[repo_id], blobs) for repo_id, blobs in doubtful.items()}
        return [
            _anchor(hit.chunk, files[hit.repo_id][hit.path], trees[hit.repo_id])
            if hit.path in doubtful.get(hit.repo_id, ())
            else _THERE
            if hit.repo_id in trees
            else _UNSEEN
            for hit in hits
        ]

    async def shown(self, outlook: Outlook, answer: ShowAnswer, line: int | None) -> ShowAnswer:
        """What is shown, with whether the file still reads so; a chunk is moved if it still holds the line asked."""
        tree = outlook.trees.get(answer.repo)
        if tree is None:
            return answer
        if not tree.in_doubt(answer.path):
            return replace(answer, stale=False)
        text = (await self._files(tree, {answer.path: ""}))[answer.path].text
        if text is None or line is None:
            return replace(answer, stale=text != answer.text)
        start = line_of(text, answer.text, near=answer.start_line)
        if start is None or not start <= line <= start + answer.end_line - answer.start_line:
            return replace(answer, stale=True)
        return replace(answer, stale=False, start_line=start, end_line=start + answer.end_line - answer.start_line)

    async def _files(self, tree: Tree, blobs: Mapping[str, str]) -> dict[str, _File]:
        """The files as they are now, with their texts unless they are the blobs."""
        found: dict[str, _File] = {}
        unread: dict[str, _Numbers | None] = {}
        for path, blob_id in blobs.items():
            numbers = None if tree.commit else _numbers(tree.root, path)
            known = self._recall(tree.root, path, numbers)
            if known is not None and (known.text is not None or known.blob_id == blob_id):
                found[path] = known
            else:
                unread[path] = numbers
        if unread:
            contents = await self._contents(tree, sorted(unread))
            for path, numbers in unread.items():
                blob_id, text = contents.get(path, ("", None))
                found[path] = _File(numbers, blob_id, None if blob_id == blobs[path] else text)
                self._keep(tree.root, path, found[path])
        return found

    async def _contents(self, tree: Tree, paths: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Blob id and text of those files that can be read and are text."""
        from ..indexing.blob import blob_id_of
        from ..indexing.decode import decode

        contents: dict[str, tuple[str, str]] = {}
        try:
            source = await self._openings.source(tree.repo, tree.root)
            async for blob in source.read(tree.root, paths, revision=tree.commit, max_bytes=self._max_bytes):
                data = None if blob.data is None else decode(blob.data).data
                if blob.data is not None and data is not None:
                    contents[blob.path] = blob_id_of(blob.data), data.decode()
        except (PortError, OSError):
            pass
        return contents

    def _recall(self, root: str, path: str, numbers: _Numbers | None) -> _File | None:
        """What was read while the file had these numbers."""
        key = (root, path)
        known = self._kept.get(key)
        if known is None or known.numbers != numbers:
            return None
        self._kept.move_to_end(key)
        return known

    def _keep(self, root: str, path: str, file: _File) -> None:
        """Remember a file, and forget the longest unused ones beyond ``KEPT_CHARS``."""
        key = (root, path)
        old = self._kept.pop(key, None)
        self._held -= old.chars if old else 0
        if not file.blob_id or not file.settled:
            return
        self._kept[key] = file
        self._held += file.chars
        while self._held > KEPT_CHARS:
            _, gone = self._kept.popitem(last=False)
            self._held -= gone.chars


def _numbers(root: str, path: str) -> _Numbers | None:
    try:
        st = os.lstat(os_path(root, path))
    except (OSError, ValueError):
        return None
    return st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino


def line_of(text: str, part: str, *, near: int) -> int | None:
    """The line at which the part begins in the text; None when it is not in it.

    Of several places one at the beginning of a line comes first, then the nearest.
    """
    best: tuple[bool, int, int] | None = None
    line, counted = 1, 0
    at = text.find(part) if part else -1
    while at >= 0:
        line += text.count("\n", counted, at)
        counted = at
        place = (at > 0 and text[at - 1] != "\n", abs(line - near), line)
        if best is None or place < best:
            best = place
        at = text.find(part, at + 1)
    return None if best is None else best[2]


def _anchor(chunk: Chunk, file: _File, tree: Tree) -> Anchor:
    start = file.line_of(chunk)
    if start is None:
        return _STALE
    by = start - chunk.start_line
    return Anchor(False, by, alone=True) if by or tree.changed is not None else _THERE
