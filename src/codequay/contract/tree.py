"""The repositories that the trials of ``source`` fill.

A source is checked over files that somebody else writes: its harness says how, with a ``Tree``. What a tree offers is
on the store that a trial gets, beside the operations of the port, and is written into histories like these.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codequay.ports.paths import os_path

from .expect import Unverified
from .harness import Harness


class Place(str):
    """A path that a history names by where it came from: a repeated history has other folders."""

    said: str

    def __new__(cls, path: str, said: str) -> Place:
        place = super().__new__(cls, path)
        place.said = said
        return place

    def __repr__(self) -> str:
        return self.said


class Tree:
    """One repository, empty at first. Paths are as the port writes them (see ``codequay.ports.paths``).

    What a kind of repository does not know is left as it is here: the clauses that need it are then unverified.
    """

    author = "Änne Author"
    """The author of every commit."""
    branch = "main"

    def __init__(self, folder: Path) -> None:
        outside = os.path.realpath(folder)
        self.outside = Place(outside, "store.outside")
        """A folder that exists and lies in no repository."""
        self.root = Place(os.path.join(outside, "repo"), "store.root")
        """The top of the working tree."""
        self.mark = Place(os.path.join(outside, "executed"), "store.mark")
        """The file that programs of the repository would write."""

    def at(self, path: str) -> str:
        """The whole path of what lies in the working tree."""
        return Place(os.path.join(self.root, *path.split("/")), f"store.at({path!r})")

    async def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Put a regular file into the working tree, or other bytes into the one that is there."""
        raise Unverified("its tree cannot write files")

    async def write_all(self, files: Mapping[str, bytes]) -> None:
        """Put many regular files into the working tree, by path: as ``write`` does, where one step is not quicker."""
        for path, data in files.items():
            await self.write(path, data)

    async def link(self, path: str, target: str) -> None:
        """Put a symbolic link into the working tree. ``target`` need not exist."""
        raise Unverified("its tree has no symbolic links")

    async def delete(self, path: str) -> None:
        """Take a file or link out of the working tree, and with it folders that become empty."""
        raise Unverified("its tree cannot delete files")

    async def commit(self) -> str:
        """Make a revision of the working tree, without what is ignored; its id, "" where there are no revisions."""
        return ""

    async def ignore(self, path: str) -> None:
        """Tell version control to leave the path alone while it is not tracked. No file may be written for it."""
        raise Unverified("its tree cannot ignore files")

    async def submodule(self, path: str) -> None:
        """Put another repository under the path; the next commit records it."""
        raise Unverified("its tree has no submodules")

    async def nest(self, path: str) -> None:
        """Put a repository of its own under the path, with the file "inside" in it, which nothing records."""
        raise Unverified("its tree has no repositories inside")

    async def trap(self) -> None:
        """Have everything in the repository that can name a program name one that writes the file ``self.mark``.

        Hooks, filters, monitors, configured commands: whatever this kind knows. Nothing by default.
        """


class DiskTree(Tree):
    """A tree of real files; enough for a source that takes any folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.makedirs(self.root, exist_ok=True)

    async def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        if executable and os.name == "nt":
            raise Unverified("this system has no executable files")
        try:
            _write(Path(os_path(self.root, path)), data, 0o755 if executable else 0o644)
        except (OSError, ValueError) as exc:
            raise Unverified(f"this file system refuses {path!r}: {exc}") from exc

    async def link(self, path: str, target: str) -> None:
        try:
            _link(Path(os_path(self.root, path)), target)
        except (OSError, NotImplementedError) as exc:
            raise Unverified(f"this file system refuses symbolic links: {exc}") from exc

    async def delete(self, path: str) -> None:
        _delete(Path(os_path(self.root, path)), Path(self.root))


def _write(place: Path, data: bytes, mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    place.write_bytes(data)
    place.chmod(mode)


def _delete(place: Path, root: Path) -> None:
    """The file, and the folders that it leaves empty, as version control does."""
    place.unlink()
    for folder in place.parents:
        if folder == root or any(folder.iterdir()):
            return
        folder.rmdir()


def _link(place: Path, target: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)


class SourceHarness(Harness):
    """A harness of a source: as any other, and it says over which tree the adapter is checked."""

    async def plant(self, adapter: Any) -> Tree:
        """An empty repository of the adapter's kind at ``Tree.root``, below ``self.folder``."""
        return DiskTree(self.folder)
