"""The source port over the git program."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from codequay.adapters._worktree import Folders, existing_folder, file_of, hidden, read_files
from codequay.ports.errors import NotFound, PermissionDenied
from codequay.ports.paths import os_path, path_from_bytes, path_to_bytes
from codequay.ports.source import BlameLine, Change, SourceBlob, SourceFile, SourceRepo
from codequay.ports.spec import BuildContext

from .defaults import Options
from .errors import GitError
from .origin import normal_origin
from .process import Git

ARGUMENTS = 200
"""Paths on one command line: 200 paths of 4 kB still fit the smallest limit in use (1 MB, macOS)."""

SHA1_DIGITS = 40
_SUBMODULE = b"160000"
_STATUS: dict[str, Literal["added", "modified", "deleted", "renamed"]] = {
    "A": "added",
    "C": "added",
    "D": "deleted",
    "M": "modified",
    "R": "renamed",
    "T": "modified",
}


@asynccontextmanager
async def open_source(config: Options, ctx: BuildContext) -> AsyncIterator[GitSource]:
    """The git source; git itself is started per call."""
    yield GitSource(Git(config.binary), ctx)


class GitSource:
    """Files as git sees them. The working tree is read directly, a revision through ``git cat-file``."""

    def __init__(self, git: Git, ctx: BuildContext) -> None:
        self._git = git
        self._ctx = ctx

    async def describe(self, path: str) -> SourceRepo:
        where = await self._ctx.run_sync(existing_folder, path)
        try:
            top, common = await self._places(where)
        except GitError as exc:
            if "not a git repository" in exc.stderr and "dubious" not in exc.stderr:
                raise NotFound(f"{path} is not in a git repository", remedy="git init, or give another path") from exc
            raise
        root = await self._ctx.run_sync(os.path.realpath, top)
        if where != root and not where.startswith(root.rstrip(os.sep) + os.sep):
            raise PermissionDenied(
                f"the repository of {path} has its working tree elsewhere, at {root}",
                remedy="git config --unset core.worktree",
            )
        head, branch, url = await asyncio.gather(
            self._git.ask(root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}"),
            self._git.ask(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
            self._git.ask(root, "config", "--get", "remote.origin.url"),
        )
        main = root
        if os.path.basename(common) == ".git":
            main = await self._ctx.run_sync(os.path.realpath, os.path.dirname(common))
        return SourceRepo(root, main, normal_origin(url), head, branch, "git")

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        if revision is not None:
            listed = await self._git.run(
                root, "ls-tree", "-r", "-z", "-l", "--full-tree", await self._commit(root, revision)
            )
            return sorted(_plain(file) for file in map(_tree_entry, _records(listed)) if not hidden(file.path))
        listed = await self._git.run(root, "ls-files", "-t", "-c", "-o", "-s", "-z", "--exclude-standard")
        return await self._ctx.run_sync(_worktree_files, root, listed)

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        if revision is None:
            async for blob in read_files(self._ctx, root, paths, max_bytes):
                yield blob
            return
        commit = await self._commit(root, revision)
        async with self._git.start(root, ("cat-file", "--batch")) as process:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("git was started without pipes")
            for start in range(0, len(paths), ARGUMENTS):
                part = paths[start : start + ARGUMENTS]
                found = await self._entries(root, commit, part)
                for path in part:
                    file = found.get(path)
                    reason = "vanished" if file is None else _unread(file, max_bytes)
                    if file is None or reason:
                        yield SourceBlob(path, None, reason)
                        continue
                    process.stdin.write(file.blob_id.encode() + b"\n")
                    await process.stdin.drain()
                    header = (await process.stdout.readline()).split()
                    if len(header) != 3:
                        yield SourceBlob(path, None, "unreadable")
                        continue
                    data = await process.stdout.readexactly(int(header[2]) + 1)
                    yield SourceBlob(path, data[:-1])

    async def resolve(self, root: str, revision: str) -> str:
        return await self._commit(root, revision)

    async def diff(self, root: str, old: str, new: str) -> list[Change]:
        ends = await asyncio.gather(self._commit(root, old), self._commit(root, new))
        out = await self._git.run(
            root, "diff-tree", "-r", "-z", "-M", "--name-status", "--no-ext-diff", "--no-textconv", *ends
        )
        fields = iter(_records(out))
        changes = []
        for field in fields:
            letter = field[:1].decode()
            first = path_from_bytes(next(fields))
            if letter in "RC":
                second = path_from_bytes(next(fields))
                changes.append(Change(_STATUS[letter], second, first if letter == "R" else ""))
            else:
                changes.append(Change(_STATUS.get(letter, "modified"), first))
        return sorted(changes, key=lambda change: change.path)

    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        """Without a revision: at HEAD, because git passes a file of the working tree through configured filters."""
        commit = await self._commit(root, revision or "HEAD")
        out = await self._git.run(root, "blame", "--porcelain", "--no-textconv", commit, "--", path_to_bytes(path))
        return _blame_lines(out)

    async def _places(self, where: str) -> tuple[str, str]:
        """The top of the working tree and the folder that all linked working trees share."""
        absolute = ("rev-parse", "--path-format=absolute")
        top, _, common = (await self._git.ask(where, *absolute, "--show-toplevel", "--git-common-dir")).partition("\n")
        if "\n" not in common:
            return top, common
        # a name with a line break: asked one by one
        return (
            await self._git.ask(where, *absolute, "--show-toplevel"),
            await self._git.ask(where, *absolute, "--git-common-dir"),
        )

    async def _commit(self, root: str, revision: str) -> str:
        found = await self._git.ask(
            root, "rev-parse", "--quiet", "--verify", "--end-of-options", revision + "^{commit}"
        )
        if not found:
            raise NotFound(f"no such revision: {revision}", remedy="git fetch, or name another revision")
        return found

    async def _entries(self, root: str, commit: str, paths: Sequence[str]) -> dict[str, SourceFile]:
        # -t: a folder is named also when something below it is asked for
        out = await self._git.run(
            root, "ls-tree", "-t", "-z", "-l", "--full-tree", commit, "--", *map(path_to_bytes, paths)
        )
        return {file.path: file for file in map(_tree_entry, _records(out))}


def _records(out: bytes) -> list[bytes]:
    return out.split(b"\0")[:-1]


def _tree_entry(record: bytes) -> SourceFile:
    """``mode SP type SP id SP+ size TAB path``; the size is "-" for what is no blob."""
    meta, _, name = record.partition(b"\t")
    mode, _, blob_id, size = meta.split()
    kind: Literal["file", "symlink", "submodule"] = "file"
    if mode == _SUBMODULE:
        kind = "submodule"
    elif mode == b"120000":
        kind = "symlink"
    length = 0 if size == b"-" else int(size)
    return SourceFile(path_from_bytes(name), kind, int(mode, 8), length, 0, blob_id.decode())


def _plain(file: SourceFile) -> SourceFile:
    """A repository of SHA-256 objects has other ids than ours."""
    return file if len(file.blob_id) == SHA1_DIGITS else file._replace(blob_id="")


def _unread(file: SourceFile, max_bytes: int | None) -> str:
    """Why a file of a revision is not given; "" when it is."""
    if file.kind != "file":
        return file.kind
    if stat.S_ISDIR(file.mode):
        return "not_a_file"
    return "too_large" if max_bytes is not None and file.size > max_bytes else ""


def _worktree_files(root: str, listed: bytes) -> list[SourceFile]:
    """What ``ls-files -t`` lists and the working tree holds. An unmerged path is listed once per side."""
    folders = Folders(root)
    found: dict[str, SourceFile] = {}
    for record in _records(listed):
        untracked = record.startswith(b"? ")
        meta, name = (b"", record[2:]) if untracked else record[2:].split(b"\t", 1)
        path = path_from_bytes(name.rstrip(b"/"))
        if not path or path in found or hidden(path):
            continue
        if meta.startswith(_SUBMODULE) or name.endswith(b"/"):
            found[path] = SourceFile(path, "submodule", 0o160000, 0, 0)
            continue
        if not folders.real(path.rpartition("/")[0]):
            continue
        try:
            file = file_of(path, os.lstat(os_path(root, path)))
        except OSError:
            continue
        if file is not None:
            found[path] = file
    return sorted(found.values())


def _blame_lines(out: bytes) -> list[BlameLine]:
    """Porcelain: a header per line, the commit's fields at its first appearance, the text after a tab."""
    authors: dict[str, str] = {}
    times: dict[str, int] = {}
    lines = []
    commit = ""
    number = 0
    for raw in out.split(b"\n"):
        if raw.startswith(b"\t"):
            lines.append(BlameLine(number, commit, authors.get(commit, ""), times.get(commit, 0)))
            commit = ""
        elif not commit:
            parts = raw.split()
            if len(parts) >= 3:
                commit, number = parts[0].decode(), int(parts[2])
        elif raw.startswith(b"author "):
            authors[commit] = raw[7:].decode(errors="replace")
        elif raw.startswith(b"author-time "):
            times[commit] = int(raw[12:])
    return lines
