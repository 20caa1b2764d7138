"""A source of repositories that the program itself writes: for tests, and to index what lies in no file system.

Give one to the application as an override: ``source = MemorySource()``, ``source.add("/demo").write("a.py", b"...")``.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

from codequay.ports.errors import NotFound, Unsupported
from codequay.ports.source import BlameLine, Change, SourceBlob, SourceFile, SourceRepo
from codequay.ports.spec import BuildContext


@asynccontextmanager
async def open_source(config: object, ctx: BuildContext) -> AsyncIterator[MemorySource]:
    """A source without repositories; the program adds them."""
    yield MemorySource()


class _Entry(NamedTuple):
    kind: Literal["file", "symlink", "submodule"]
    mode: int
    data: bytes


class MemoryRepository:
    """A working tree and its revisions. Paths are as the ports write them (see ``codequay.ports.paths``)."""

    def __init__(self, root: str, origin: str = "", branch: str = "main") -> None:
        self.root = root
        self.origin = origin
        self.branch = branch
        self.head = ""
        self._tree: dict[str, _Entry] = {}
        self._revisions: dict[str, dict[str, _Entry]] = {}
        self._written: dict[str, int] = {}
        self._writes = 0

    def write(self, path: str, data: bytes, *, mode: int = 0o100644) -> None:
        """Put a regular file into the working tree."""
        self._tree[path] = _Entry("file", mode, data)
        self._writes += 1
        self._written[path] = self._writes

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link into the working tree; nothing follows it."""
        self._tree[path] = _Entry("symlink", 0o120000, target.encode())

    def submodule(self, path: str, commit: str) -> None:
        """Put a submodule into the working tree; nothing enters it."""
        self._tree[path] = _Entry("submodule", 0o160000, commit.encode())

    def delete(self, path: str) -> None:
        """Take a path out of the working tree."""
        del self._tree[path]

    def commit(self) -> str:
        """Keep the working tree as a revision; its id is 40 hexadecimal digits."""
        digest = hashlib.sha1(f"{self.head}\0{len(self._revisions)}".encode(), usedforsecurity=False)
        for path, entry in sorted(self._tree.items()):
            digest.update(repr((path, entry)).encode())
        self.head = digest.hexdigest()
        self._revisions[self.head] = dict(self._tree)
        return self.head

    def tree(self, revision: str | None) -> dict[str, _Entry]:
        """Path -> entry, in the working tree or at a revision (its id, or "HEAD").

        :raises NotFound: no such revision
        """
        return self._tree if revision is None else self._revisions[self.resolve(revision)]

    def resolve(self, revision: str) -> str:
        """The id of a revision (its id, or "HEAD").

        :raises NotFound: no such revision
        """
        found = self.head if revision == "HEAD" else revision
        if found not in self._revisions:
            raise NotFound(f"{self.root} has no revision {revision!r}")
        return found

    def written(self, path: str) -> int:
        """A number that each ``write`` of the path changes; 0 for what was not written."""
        return self._written.get(path, 0)

    def holds(self, path: str) -> bool:
        """Whether the absolute path names this root, a folder or a file of the working tree."""
        inside = path.removeprefix(self.root).strip("/")
        return not inside or any(p == inside or p.startswith(inside + "/") for p in self._tree)


class MemorySource:
    """``SourceControl`` over repositories that were added."""

    def __init__(self) -> None:
        self._repositories: dict[str, MemoryRepository] = {}

    def add(self, root: str, *, origin: str = "", branch: str = "main") -> MemoryRepository:
        """A new, empty repository at an absolute path, which need not exist anywhere."""
        root = root.rstrip("/")
        self._repositories[root] = MemoryRepository(root, origin, branch)
        return self._repositories[root]

    async def describe(self, path: str) -> SourceRepo:
        path = path.rstrip("/")
        around = [r for r in self._repositories.values() if path == r.root or path.startswith(r.root + "/")]
        found = max(around, key=lambda r: len(r.root), default=None)
        if found is None or not found.holds(path):
            raise NotFound(f"no repository in memory holds {path}")
        return SourceRepo(found.root, found.root, found.origin, found.head, found.branch, "folder")

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        repository = self._repository(root)
        listed = []
        for path, e in sorted(repository.tree(revision).items()):
            size = len(e.data) if e.kind == "file" else 0
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
                yield SourceBlob(path, None, "vanished")
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
            source = next((old_path for old_path, e in gone.items() if e == entry), None)
            if source is None:
                changes.append(Change("added", path))
            else:
                del gone[source]
                changes.append(Change("renamed", path, source))
        return sorted(changes + [Change("deleted", path) for path in gone], key=lambda c: c.path)

    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        raise Unsupported("repositories in memory know no blame")

    def _repository(self, root: str) -> MemoryRepository:
        found = self._repositories.get(root.rstrip("/"))
        if found is None:
            raise NotFound(f"no repository in memory at {root}")
        return found


def _blob_id(entry: _Entry) -> str:
    if entry.kind == "submodule":
        return entry.data.decode()
    header = b"blob %d\0" % len(entry.data)
    return hashlib.sha1(header + entry.data, usedforsecurity=False).hexdigest()
