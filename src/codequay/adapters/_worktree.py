"""Reading a working tree safely, for the sources that have one.

Nothing outside the tree is read: a symlink is not followed, neither as the file nor as a folder on the way to it, and
a pipe or device is never opened for reading.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Sequence

from codequay.ports.errors import NotFound
from codequay.ports.paths import os_path
from codequay.ports.source import SourceBlob, SourceFile
from codequay.ports.spec import BuildContext

INDEX_FOLDER = ".codequay"
"""Our own folder: never listed, also when it is tracked."""

FILES_PER_HOP = 64
BYTES_PER_HOP = 4_000_000
"""How much one hop to a thread reads: a hop costs about 100 us, and memory stays bounded."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def existing_folder(path: str) -> str:
    """The real folder that ``path`` is, or lies in.

    :raises NotFound: there is no such path
    """
    real = os.path.realpath(path)
    try:
        return real if stat.S_ISDIR(os.stat(real).st_mode) else os.path.dirname(real)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no such file or folder: {path}", remedy="give a path that exists") from None


class Folders:
    """Which folders of a tree are real folders all the way up; each is looked at once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[str, bool] = {"": True}

    def real(self, folder: str) -> bool:
        """Whether ``folder`` (relative, "" for the root) is reached without a symlink."""
        known = self._known.get(folder)
        if known is None:
            known = self.real(folder.rpartition("/")[0])
            if known:
                try:
                    known = stat.S_ISDIR(os.lstat(os_path(self._root, folder)).st_mode)
                except OSError:
                    known = False
            self._known[folder] = known
        return known


def file_of(path: str, st: os.stat_result) -> SourceFile | None:
    """The file as listed; None for what is neither a regular file nor a symlink."""
    if stat.S_ISREG(st.st_mode):
        mode = 0o100755 if st.st_mode & 0o100 else 0o100644
        return SourceFile(path, "file", mode, st.st_size, st.st_mtime_ns, "", st.st_ctime_ns, st.st_ino)
    if stat.S_ISLNK(st.st_mode):
        return SourceFile(path, "symlink", 0o120000, st.st_size, st.st_mtime_ns, "", st.st_ctime_ns, st.st_ino)
    return None


def hidden(path: str) -> bool:
    """Whether the path lies in an index folder."""
    return INDEX_FOLDER in path and INDEX_FOLDER in path.split("/")


def read_file(root: str, path: str, folders: Folders, max_bytes: int | None) -> SourceBlob:
    """One file's bytes, or why not: vanished, unreadable, symlink, not_a_file, too_large, changed."""
    if not folders.real(path.rpartition("/")[0]):
        return SourceBlob(path, None, "vanished")
    name = os_path(root, path)
    try:
        if os.path.islink(name):
            return SourceBlob(path, None, "symlink")
        fd = os.open(name, _FLAGS)
    except FileNotFoundError:
        return SourceBlob(path, None, "vanished")
    except OSError:
        return SourceBlob(path, None, "unreadable")
    try:
        return _read_open(fd, path, max_bytes)
    except OSError:
        return SourceBlob(path, None, "unreadable")
    finally:
        os.close(fd)


def _read_open(fd: int, path: str, max_bytes: int | None) -> SourceBlob:
    """The bytes of an open file, read twice at most when it changes meanwhile."""
    for _ in range(2):
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            return SourceBlob(path, None, "not_a_file")
        if max_bytes is not None and before.st_size > max_bytes:
            return SourceBlob(path, None, "too_large")
        data = _read_all(fd, before.st_size)
        after = os.fstat(fd)
        if len(data) == after.st_size and _times(before) == _times(after):
            return SourceBlob(path, data)
        os.lseek(fd, 0, os.SEEK_SET)
    return SourceBlob(path, None, "changed")


def _times(st: os.stat_result) -> tuple[int, int]:
    return st.st_mtime_ns, st.st_ctime_ns


def _read_all(fd: int, size: int) -> bytes:
    """At most ``size`` bytes: a file that grows meanwhile is noticed by its length."""
    data = os.read(fd, size) if size else b""
    if len(data) == size:
        return data
    parts = [data]
    left = size - len(data)
    while left and (more := os.read(fd, left)):
        parts.append(more)
        left -= len(more)
    return b"".join(parts)


async def read_files(
    ctx: BuildContext, root: str, paths: Sequence[str], max_bytes: int | None
) -> AsyncIterator[SourceBlob]:
    """The files in the order asked, a bounded number of bytes ahead."""
    folders = Folders(root)

    def hop(start: int) -> list[SourceBlob]:
        blobs: list[SourceBlob] = []
        total = 0
        for path in paths[start : start + FILES_PER_HOP]:
            blob = read_file(root, path, folders, max_bytes)
            blobs.append(blob)
            total += len(blob.data or b"")
            if total >= BYTES_PER_HOP:
                break
        return blobs

    done = 0
    while done < len(paths):
        blobs = await ctx.run_sync(hop, done)
        done += len(blobs)
        for blob in blobs:
            yield blob
