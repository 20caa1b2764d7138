"""A source of repositories that the program itself writes: for tests, and to index what lies in no file system.

Give one to the application as an override: ``source = MemorySource()``, ``source.add("/demo").write("a.py", b"...")``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import count
from typing import Literal, NamedTuple

from codequay.ports.errors import NotFound
from codequay.ports.source import BlameLine, Change, SourceBlob, SourceFile, SourceRepo
from codequay.ports.spec import BuildContext

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


@asynccontextmanager
async def open_source(config: object, ctx: BuildContext) -> AsyncIterator[MemorySource]:
    """A source without repositories; the program adds them."""
    yield MemorySource()


class _Entry(NamedTuple):
    kind: Literal["file", "symlink", "submodule"]
    mode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Revision:
    tree: dict[str, _Entry]
    author: str
    time: int


class MemoryRepository:
    """A working tree and its revisions. Paths are as the ports write them (see ``codequay.ports.paths``)."""

    def __init__(self, root: str, origin: str = "", branch: str = "main") -> None:
        self.root = root
        self.origin = origin
        self.branch = branch
        self.head = ""
        self._tree: dict[str, _Entry] = {}
        self._revisions: dict[str, _Revision] = {}
        self._ignored: set[str] = set()
        self._written: dict[str, int] = {}
        self._writes = count(1)

    def write(self, path: str, data: bytes, *, mode: int = 0o100644) -> None:
        """Put a regular file into the working tree."""
        self._put(path, _Entry("file", mode, data))

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link into the working tree; nothing follows it."""
        self._put(path, _Entry("symlink", 0o120000, target.encode()))

    def submodule(self, path: str, commit: str) -> None:
        """Put a submodule into the working tree; nothing enters it."""
        self._put(path, _Entry("submodule", 0o160000, commit.encode()))

    def delete(self, path: str) -> None:
        """Take a path out of the working tree."""
        del self._tree[path]

    def ignore(self, path: str) -> None:
        """Leave the path out, unless the last revision has it."""
        self._ignored.add(path)

    def commit(self, *, author: str = "", time: int = 0) -> str:
        """Keep the working tree as a revision; its id is 40 hexadecimal digits. ``time``: seconds since the epoch."""
        kept = self.tree(None)
        said = repr((self.head, len(self._revisions), author, time, sorted(kept.items())))
        self.head = _git_id(said.encode())
        self._revisions[self.head] = _Revision(kept, author, time)
        return self.head

    def tree(self, revision: str | None) -> dict[str, _Entry]:
        """Path -> entry, in the working tree or at a revision (its id, or "HEAD"). For reading only.

        :raises NotFound: no such revision
        """
        if revision is not None:
            return self._revisions[self.resolve(revision)].tree
        tracked = self._revisions[self.head].tree if self.head else {}
        return {path: entry for path, entry in self._tree.items() if path not in self._ignored or path in tracked}

    def resolve(self, revision: str) -> str:
        """The id of a revision (its id, or "HEAD").

        :raises NotFound: no such revision
        """
        found = self.head if revision == "HEAD" else revision
        if found not in self._revisions:
            raise NotFound(f"{self.root} has no revision {revision!r}")
        return found

    def written(self, path: str) -> int:
        """A number that each write of the path changes."""
        return self._written[path]

    def holds(self, path: str) -> bool:
        """Whether the absolute path names this root, a folder or a file of the working tree."""
        inside = path.removeprefix(self.root).removeprefix("/")
        return not inside or inside in self._tree or _is_folder(self._tree, inside)

    def blame(self, path: str, commit: str) -> list[BlameLine]:
        """Who last changed each line of the file, among the revisions up to the commit (an id)."""
        lines: list[tuple[bytes, str]] = []
        for revision, kept in self._revisions.items():
            texts = _LINE.findall(kept.tree[path].data) if path in kept.tree else []
            now = [(text, revision) for text in texts]
            matcher = SequenceMatcher(None, [text for text, _ in lines], texts, autojunk=False)
            for old, new, length in matcher.get_matching_blocks():
                now[new : new + length] = lines[old : old + length]
            lines = now
            if revision == commit:
                break
        kept_by = self._revisions
        return [
            BlameLine(number, revision, kept_by[revision].author, kept_by[revision].time)
            for number, (_, revision) in enumerate(lines, 1)
        ]

    def _put(self, path: str, entry: _Entry) -> None:
        self._tree[path] = entry
        self._written[path] = next(self._writes)


class MemorySource:
    """``SourceControl`` over repositories that were added."""

    def __init__(self) -> None:
        self._repositories: dict[str, MemoryRepository] = {}

    def add(self, root: str, *, origin: str = "", branch: str = "main") -> MemoryRepository:
        """A new, empty repository at an absolute path without "/" at its end, which need not exist anywhere."""
        self._repositories[root] = MemoryRepository(root, origin, branch)
        return self._repositories[root]

    async def describe(self, path: str) -> SourceRepo:
        root = path = path.rstrip("/")
        while root and root not in self._repositories:
            root = root.rpartition("/")[0]
        found = self._repositories.get(root)
        if found is None or not found.holds(path):
            raise NotFound(f"no repository in memory holds {path}")
        return SourceRepo(
            root=found.root,
            main_root=found.root,
            origin=found.origin,
            head=found.head,
            branch=found.branch,
            kind="folder",
        )

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        repository = self._repository(root)
        listed = []
        for path, e in sorted(repository.tree(revision).items()):
            size = 0 if e.kind == "submodule" else len(e.data)
            if revision is None:
                listed.append(SourceFile(path, e.kind, e.mode, size, 0, inode=repository.written(path)))
            else:
                listed.append(SourceFile(path, e.kind, e.mode, size, 0, _blob_id(e)))
        return listed

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        tree = self._repository(root).tree(revision)
        for path in paths:
            entry = tree.get(path)
            if entry is None:
                yield SourceBlob(path, None, "not_a_file" if _is_folder(tree, path) else "vanished")
            elif entry.kind != "file":
                yield SourceBlob(path, None, entry.kind)
            elif max_bytes is not None and len(entry.data) > max_bytes:
                yield SourceBlob(path, None, "too_large")
            else:
                yield SourceBlob(path, entry.data)

    async def resolve(self, root: str, revision: str) -> str:
        return self._repository(root).resolve(revision)

    async def diff(self, root: str, old: str, new: str) -> list[Change]:
        repository = self._repository(root)
        before, after = repository.tree(old), repository.tree(new)
        gone = {path: before[path] for path in sorted(before.keys() - after.keys())}
        changes: list[Change] = []
        for path, entry in sorted(after.items()):
            if path in before:
                if before[path] != entry:
                    changes.append(Change("modified", path))
                continue
            source = next(
                (old_path for old_path, e in gone.items() if (e.kind, e.data) == (entry.kind, entry.data)), None
            )
            if source is None:
                changes.append(Change("added", path))
            else:
                del gone[source]
                changes.append(Change("renamed", path, source))
        return sorted(changes + [Change("deleted", path) for path in gone], key=lambda c: c.path)

    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        repository = self._repository(root)
        commit = repository.resolve("HEAD" if revision is None else revision)
        entry = repository.tree(commit).get(path)
        if entry is None or entry.kind != "file":
            raise NotFound(f"revision {commit} has no file {path!r}")
        return repository.blame(path, commit)

    def _repository(self, root: str) -> MemoryRepository:
        found = self._repositories.get(root)
        if found is None:
            raise NotFound(f"no repository in memory at {root}")
        return found


def _is_folder(tree: Iterable[str], path: str) -> bool:
    return any(one.startswith(path + "/") for one in tree)


def _blob_id(entry: _Entry) -> str:
    return entry.data.decode() if entry.kind == "submodule" else _git_id(entry.data)


def _git_id(data: bytes) -> str:
    header = b"blob %d\0" % len(data)
    return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()
