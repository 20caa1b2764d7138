"""Sources that are wrong about revisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from codequay.ports.errors import NotFound
from codequay.ports.source import BlameLine, Change, SourceBlob, SourceFile
from codequay.ports.spec import Level

from . import Saboteur


class UnknownRevisionIsEmpty(Saboteur):
    wrong = "a revision that does not exist has no files"
    level = Level.CAPABILITY

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        try:
            return list(await self.inner.files(root, revision=revision))
        except NotFound:
            return []


class ReadsTheWorkingTree(Saboteur):
    wrong = "a revision is read from the working tree"
    level = Level.CAPABILITY

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, paths, max_bytes=max_bytes):
            yield blob


class NameIsItsId(Saboteur):
    wrong = "resolve gives an unknown name back"
    level = Level.CAPABILITY

    async def resolve(self, root: str, revision: str) -> str:
        try:
            return str(await self.inner.resolve(root, revision))
        except NotFound:
            return revision


class ResolvesOnce(Saboteur):
    wrong = "resolve remembers what a name meant"
    level = Level.CAPABILITY

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[tuple[str, str], str] = {}

    async def resolve(self, root: str, revision: str) -> str:
        found = str(await self.inner.resolve(root, revision))
        return self._known.setdefault((root, revision), found)


class _Diff(Saboteur):
    """One whose differences are wrong."""

    level = Level.CAPABILITY

    async def diff(self, root: str, old: str, new: str) -> list[Change]:
        return await self.changed(root, list(await self.inner.diff(root, old, new)))

    async def changed(self, root: str, changes: list[Change]) -> list[Change]:
        raise NotImplementedError


class NoRenames(_Diff):
    wrong = "a renamed file is one that went and one that came"

    async def changed(self, root: str, changes: list[Change]) -> list[Change]:
        went = [Change("deleted", change.old_path) for change in changes if change.old_path]
        rest = [Change("added", change.path) if change.old_path else change for change in changes]
        return sorted(rest + went, key=lambda change: change.path)


class RenamesStay(_Diff):
    wrong = "what was renamed is named as deleted too"

    async def changed(self, root: str, changes: list[Change]) -> list[Change]:
        went = [Change("deleted", change.old_path) for change in changes if change.old_path]
        return sorted(changes + went, key=lambda change: change.path)


class RenamedTwice(_Diff):
    wrong = "one file that went is the origin of all that came with its bytes"

    async def changed(self, root: str, changes: list[Change]) -> list[Change]:
        origin = next((change.old_path for change in changes if change.old_path), "")
        alike = any(change.path.startswith("new") for change in changes)
        if not origin or not alike:
            return changes
        return [Change("renamed", one.path, origin) if one.status == "added" else one for one in changes]


class ByStatus(_Diff):
    wrong = "diff is ordered by kind of change"

    async def changed(self, root: str, changes: list[Change]) -> list[Change]:
        return sorted(changes)


class Backwards(Saboteur):
    wrong = "diff goes from the new revision to the old one"
    level = Level.CAPABILITY

    async def diff(self, root: str, old: str, new: str) -> list[Change]:
        return list(await self.inner.diff(root, new, old))


class BlamesTheLast(Saboteur):
    wrong = "every line is said to be of the last commit"
    level = Level.CAPABILITY

    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        last = await self.inner.resolve(root, revision or "HEAD")
        return [line._replace(commit=last) for line in await self.inner.blame(root, path, revision=revision)]


class LinesFromZero(Saboteur):
    wrong = "blame counts lines from 0"
    level = Level.CAPABILITY

    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        found = await self.inner.blame(root, path, revision=revision)
        return [line._replace(line=line.line - 1) for line in found]
