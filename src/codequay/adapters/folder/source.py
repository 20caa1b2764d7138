"""The source port over a plain folder: no revisions, no blame."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from codequay.adapters._worktree import INDEX_FOLDER, existing_folder, file_of, read_files
from codequay.ports.errors import Unsupported
from codequay.ports.paths import path_from_bytes
from codequay.ports.source import BlameLine, Change, SourceBlob, SourceFile, SourceRepo
from codequay.ports.spec import BuildContext

from .defaults import Options


@asynccontextmanager
async def open_source(config: Options, ctx: BuildContext) -> AsyncIterator[FolderSource]:
    """The folder source."""
    yield FolderSource(frozenset(config.exclude) | {INDEX_FOLDER}, ctx)


class FolderSource:
    """Every regular file and symlink below a folder."""

    def __init__(self, exclude: frozenset[str], ctx: BuildContext) -> None:
        self._exclude = exclude
        self._ctx = ctx

    async def describe(self, path: str) -> SourceRepo:
        """The nearest folder at or above ``path`` that holds our index, else the folder itself."""
        where = await self._ctx.run_sync(existing_folder, path)
        root = _indexed_above(where) or where
        return SourceRepo(root, root, "", "", "", "folder")

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        return await self._ctx.run_sync(_walk, root, self._exclude)

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        async for blob in read_files(self._ctx, root, paths, max_bytes):
            yield blob

    async def resolve(self, root: str, revision: str) -> str:
        raise Unsupported("a folder knows no revisions")

    async def diff(self, root: str, old: str, new: str) -> list[Change]:
        raise Unsupported("a folder knows no revisions")

    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        raise Unsupported("a folder knows no blame")


def _indexed_above(folder: str) -> str:
    """The nearest folder with an index folder that is ours: another user's, or a symlink, does not move the root."""
    while True:
        try:
            st = os.lstat(os.path.join(folder, INDEX_FOLDER))
            if stat.S_ISDIR(st.st_mode) and (not hasattr(os, "getuid") or st.st_uid == os.getuid()):
                return folder
        except OSError:
            pass
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above


def _walk(root: str, exclude: frozenset[str]) -> list[SourceFile]:
    """By path. A folder that cannot be listed is named as a file, so that reading it says why."""
    found: list[SourceFile] = []
    pending = [b""]
    top, own = os.fsencode(root), os.fsencode(INDEX_FOLDER)
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(top, folder)) as listing:
                entries = list(listing)
        except OSError:
            if not folder:
                raise
            found.append(SourceFile(path_from_bytes(folder), "file", 0o040000, 0, 0))
            continue
        above = folder + b"/" if folder else b""
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if path_from_bytes(entry.name) not in exclude:
                    pending.append(above + entry.name)
            elif entry.name != own:
                try:
                    file = file_of(path_from_bytes(above + entry.name), entry.stat(follow_symlinks=False))
                except OSError:
                    continue
                if file is not None:
                    found.append(file)
    return sorted(found)
