"""Where indexed text is now: a hit in a file that changed since is moved to where its text lies, or marked stale."""

from __future__ import annotations

import os
import time
from collections import OrderedDict, defaultdict
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from ..ports.errors import PortError
from ..ports.paths import os_path

if TYPE_CHECKING:
    from .freshness import Outlook, Tree
    from .messages import Hit, ShowAnswer
    from .openings import Openings


KEPT_CHARS = 8_000_000
"""Text of files that hits lie in, kept in a process that answers many questions: some hundreds of files."""
SETTLED_NS = 2_000_000_000
"""Two writes within one tick of a file system's clock (FAT: two seconds) leave the same numbers."""

_Numbers = tuple[int, int, int, int]
"""Size, mtime and ctime in nanoseconds, inode."""


class _File:
    """A file as it was when it had these numbers; ``text`` is None when it is gone or no text."""

    __slots__ = ("_lines", "numbers", "text")

    def __init__(self, numbers: _Numbers | None, text: str | None) -> None:
        self.numbers = numbers
        self.text = text
        self._lines: dict[str, int | None] = {}

    @property
    def settled(self) -> bool:
        """Whether a later write must have left other numbers."""
        return self.numbers is not None and time.time_ns() - max(self.numbers[1:3]) > SETTLED_NS

    def line_of(self, chunk_id: str, part: str, *, near: int) -> int | None:
        """Where a chunk begins in it."""
        if chunk_id not in self._lines:
            self._lines[chunk_id] = None if self.text is None else line_of(self.text, part, near=near)
        return self._lines[chunk_id]


class Anchors:
    """Looks into files as they are now. ``max_bytes``: a larger file is not read, and its hits count as stale."""

    def __init__(self, openings: Openings, *, max_bytes: int) -> None:
        self._openings = openings
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, _File] = OrderedDict()
        self._held = 0

    async def hits(self, outlook: Outlook, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """The hits as the files are now."""
        doubtful: defaultdict[str, set[str]] = defaultdict(set)
        for hit in hits:
            tree = outlook.trees.get(hit.repo)
            if tree is not None and tree.in_doubt(hit.path):
                doubtful[hit.repo].add(hit.path)
        files = {repo_id: await self._files(outlook.trees[repo_id], paths) for repo_id, paths in doubtful.items()}
        return tuple(
            _moved(hit, files[hit.repo][hit.path], outlook.trees[hit.repo])
            if hit.path in doubtful.get(hit.repo, ())
            else replace(hit, stale=None if hit.repo not in outlook.trees else False)
            for hit in hits
        )

    async def shown(self, outlook: Outlook, answer: ShowAnswer, line: int | None) -> ShowAnswer:
        """What is shown, with whether the file still reads so; a chunk is moved if it still holds the line asked."""
        tree = outlook.trees.get(answer.repo)
        if tree is None:
            return answer
        if not tree.in_doubt(answer.path):
            return replace(answer, stale=False)
        text = (await self._files(tree, {answer.path}))[answer.path].text
        if text is None or line is None:
            return replace(answer, stale=text != answer.text)
        start = line_of(text, answer.text, near=answer.start_line)
        if start is None or not start <= line <= start + answer.end_line - answer.start_line:
            return replace(answer, stale=True)
        return replace(answer, stale=False, start_line=start, end_line=start + answer.end_line - answer.start_line)

    async def _files(self, tree: Tree, paths: Set[str]) -> dict[str, _File]:
        """The files as they are now."""
        numbers = {path: None if tree.commit else _numbers(tree.root, path) for path in paths}
        found = {path: known for path in paths if (known := self._recall(tree.root, path, numbers[path])) is not None}
        unread = sorted(paths - found.keys())
        if unread:
            texts = await self._texts(tree, unread)
            for path in unread:
                found[path] = _File(numbers[path], texts.get(path))
                self._keep(tree.root, path, found[path])
        return found

    async def _texts(self, tree: Tree, paths: Sequence[str]) -> dict[str, str]:
        """The texts of those files that can be read and are text."""
        from ..indexing.decode import decode

        texts: dict[str, str] = {}
        try:
            source = await self._openings.source(tree.repo, tree.root)
            async for blob in source.read(tree.root, paths, revision=tree.commit, max_bytes=self._max_bytes):
                data = None if blob.data is None else decode(blob.data).data
                if data is not None:
                    texts[blob.path] = data.decode()
        except (PortError, OSError):
            pass
        return texts

    def _recall(self, root: str, path: str, numbers: _Numbers | None) -> _File | None:
        """What was read while the file had these numbers."""
        key = f"{root}\0{path}"
        known = self._kept.get(key)
        if known is None or known.numbers != numbers:
            return None
        self._kept.move_to_end(key)
        return known

    def _keep(self, root: str, path: str, file: _File) -> None:
        """Remember a file, and forget the longest unused ones beyond ``KEPT_CHARS``."""
        key = f"{root}\0{path}"
        old = self._kept.pop(key, None)
        self._held -= len(old.text or "") if old else 0
        if file.text is None or not file.settled:
            return
        self._kept[key] = file
        self._held += len(file.text)
        while self._held > KEPT_CHARS:
            _, gone = self._kept.popitem(last=False)
            self._held -= len(gone.text or "")


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


def _moved(hit: Hit, file: _File, tree: Tree) -> Hit:
    start = file.line_of(hit.id, hit.text, near=hit.start_line)
    if start is None:
        return replace(hit, stale=True)
    by = start - hit.start_line
    if not by and tree.changed is None:
        return replace(hit, stale=False)
    return replace(
        hit,
        stale=False,
        start_line=start,
        end_line=hit.end_line + by,
        line=hit.line + by if hit.line else 0,
        also=(),  # where the others lie now nobody has looked
    )
