"""Sources that are wrong in one behaviour each."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.errors import NotFound
from codequay.ports.source import SourceBlob, SourceCapabilities, SourceFile, SourceRepo
from codequay.ports.spec import Level

from . import Saboteur
from .source_revisions import (
    Backwards,
    BlamesTheLast,
    ByStatus,
    LinesFromZero,
    NameIsItsId,
    NoRenames,
    ReadsTheWorkingTree,
    RenamedTwice,
    RenamesStay,
    ResolvesOnce,
    UnknownRevisionIsEmpty,
)

__all__ = [
    "Backwards",
    "BlamesTheLast",
    "ByStatus",
    "LinesFromZero",
    "NameIsItsId",
    "NoRenames",
    "ReadsTheWorkingTree",
    "RenamedTwice",
    "RenamesStay",
    "ResolvesOnce",
    "UnknownRevisionIsEmpty",
]


class OutsideToo(Saboteur):
    wrong = "a path beside the repository whose name begins like it counts as inside"

    async def describe(self, path: str) -> SourceRepo:
        if path.endswith("x"):
            path = path[:-1]
        found: SourceRepo = await self.inner.describe(path)
        return found


class NowhereToo(Saboteur):
    wrong = "describe does not look whether the path exists"

    async def describe(self, path: str) -> SourceRepo:
        while True:
            try:
                found: SourceRepo = await self.inner.describe(path)
                return found
            except NotFound:
                path = os.path.dirname(path)
                if path == "/":
                    raise


class RootIsThePath(Saboteur):
    wrong = "describe gives the asked folder as the root"

    async def describe(self, path: str) -> SourceRepo:
        found: SourceRepo = await self.inner.describe(path)
        return replace(found, root=path)


class HeadOfOpening(Saboteur):
    wrong = "describe gives the head that it saw first"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._heads: dict[str, str] = {}

    async def describe(self, path: str) -> SourceRepo:
        found: SourceRepo = await self.inner.describe(path)
        return replace(found, head=self._heads.setdefault(found.root, found.head))


class _Files(Saboteur):
    """One whose list of files is wrong."""

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        return await self.changed(root, list(await self.inner.files(root, revision=revision)), revision)

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        raise NotImplementedError


class ListsDeleted(_Files):
    wrong = "files that were deleted from the working tree are listed while the last revision has them"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        if revision is not None or not (await self.inner.describe(root)).head:
            return files
        known = {file.path for file in files}
        return sorted(files + [one for one in await self.inner.files(root, revision="HEAD") if one.path not in known])


class TrackedOnly(_Files):
    wrong = "untracked files are not listed"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        if revision is not None or not (await self.inner.describe(root)).head:
            return files
        tracked = {one.path for one in await self.inner.files(root, revision="HEAD")}
        return [file for file in files if file.path in tracked]


class IgnoredAlways(_Files):
    wrong = "a file that is ignored is left out although it is tracked"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file for file in files if not file.path.endswith(".log")]


class FoldersFirst(_Files):
    wrong = "files are ordered folder by folder"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return sorted(files, key=lambda file: file.path.split("/"))


class Folded(_Files):
    wrong = "names lose what is not ASCII"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file._replace(path=file.path.encode("ascii", "replace").decode()) for file in files]


class NamesAreUtf8(_Files):
    wrong = "what is not UTF-8 in a name is replaced"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file._replace(path=file.path.replace("\\xff", "\ufffd")) for file in files]


class LinksAreFiles(_Files):
    wrong = "symlinks are listed as files"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file._replace(kind="file") if file.kind == "symlink" else file for file in files]


class SubmodulesAreFiles(_Files):
    wrong = "submodules are listed as files"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file._replace(kind="file") if file.kind == "submodule" else file for file in files]


class EveryFileIsPlain(_Files):
    wrong = "no file is executable"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file._replace(mode=0o100644) if file.kind == "file" else file for file in files]


class NumbersOfThePath(_Files):
    wrong = "a file that was written anew keeps its numbers"

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return [file if revision else file._replace(inode=1) for file in files]


class IdsOfTheBytes(_Files):
    wrong = "blob ids are not git's"
    level = Level.CAPABILITY

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        wrong = [hashlib.sha1(file.blob_id.encode(), usedforsecurity=False).hexdigest() for file in files]
        return [file._replace(blob_id=one) if revision else file for file, one in zip(files, wrong, strict=True)]


class FilesOnce(_Files):
    wrong = "files are listed once and remembered"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[tuple[str, str | None], list[SourceFile]] = {}

    async def changed(self, root: str, files: list[SourceFile], revision: str | None) -> list[SourceFile]:
        return self._known.setdefault((root, revision), files)


class _Read(Saboteur):
    """One whose bytes are wrong."""

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, paths, revision=revision, max_bytes=max_bytes):
            yield await self.changed(root, blob)

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        raise NotImplementedError


class FollowsLinks(_Read):
    wrong = "a symlink is read as the file that it names"

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        if blob.reason != "symlink":
            return blob
        return SourceBlob(blob.path, b"what lies elsewhere")


class ThroughLinks(_Read):
    wrong = "a file is read through a folder that is a symlink"

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        kinds = {file.path: file.kind for file in await self.inner.files(root)}
        if kinds.get(blob.path.partition("/")[0]) != "symlink" or "/" not in blob.path:
            return blob
        return SourceBlob(blob.path, b"what lies elsewhere")


class LineEnds(_Read):
    wrong = "line ends are made alike"

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        return blob if blob.data is None else blob._replace(data=blob.data.replace(b"\r\n", b"\n"))


class FirstBlockOnly(_Read):
    wrong = "of a file the first 64 KiB are given"

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        return blob if blob.data is None else blob._replace(data=blob.data[: 1 << 16])


class VanishedIsEmpty(_Read):
    wrong = "a file that vanished is read as an empty one"

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        return SourceBlob(blob.path, b"") if blob.reason == "vanished" else blob


class NoReason(_Read):
    wrong = "why a file is not given is not said"

    async def changed(self, root: str, blob: SourceBlob) -> SourceBlob:
        return blob._replace(reason="")


class StopsAtTheFirst(Saboteur):
    wrong = "read ends at the first file that cannot be given"

    async def read(self, root: str, paths: Sequence[str], **options: Any) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, paths, **options):
            yield blob
            if blob.data is None:
                return


class InItsOwnOrder(Saboteur):
    wrong = "read gives the files by path, each once"

    async def read(self, root: str, paths: Sequence[str], **options: Any) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, sorted(set(paths)), **options):
            yield blob


class TooLargeByOne(Saboteur):
    wrong = "a file of exactly max_bytes is too large"

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        most = None if max_bytes is None else max(0, max_bytes - 1)
        async for blob in self.inner.read(root, paths, revision=revision, max_bytes=most):
            yield blob


class CutsOff(Saboteur):
    wrong = "a file that is too large is given in part"

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, paths, revision=revision):
            yield blob if blob.data is None else blob._replace(data=blob.data[:max_bytes])


class OneFewer(Saboteur):
    wrong = "of a full batch the last is lost"
    level = Level.CAPABILITY
    capabilities = SourceCapabilities(revisions=True, blame=True, max_batch=500)

    async def read(self, root: str, paths: Sequence[str], **options: Any) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, paths[:499], **options):
            yield blob


class RunsHooks(Saboteur):
    wrong = "a program that the repository holds is run"

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        listed = list(await self.inner.files(root, revision=revision))
        hooks = [file.path for file in listed if file.path.startswith(".hooks/")]
        async for blob in self.inner.read(root, hooks):
            subprocess.run(["sh", "-c", blob.data.decode()], check=False)  # noqa: ASYNC221
        return listed


class OneRevisionAtATime(Saboteur):
    wrong = "which revision is asked for is kept on the adapter"
    level = Level.CONCURRENCY

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        self._revision = revision
        await asyncio.sleep(0)
        return list(await self.inner.files(root, revision=self._revision))


class OneLimitAtATime(Saboteur):
    wrong = "how much of a file is asked for is kept on the adapter"
    level = Level.CONCURRENCY

    async def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        self._max_bytes = max_bytes
        await asyncio.sleep(0)
        async for blob in self.inner.read(root, paths, revision=revision, max_bytes=self._max_bytes):
            yield blob


class _Leaks(Saboteur):
    """One that forgets to close what it opened when its caller goes away."""

    level = Level.CANCELLATION

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left: list[int] = []

    def __del__(self) -> None:
        for descriptor in self._left:
            os.close(descriptor)


class LeaksOnCancel(_Leaks):
    wrong = "a file stays open when files is cancelled"

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        self._left.append(descriptor)
        await asyncio.sleep(0)
        self._left.remove(descriptor)
        os.close(descriptor)
        return list(await self.inner.files(root, revision=revision))


class LeaksOnBreak(_Leaks):
    wrong = "a file stays open when a read is broken off"

    async def read(self, root: str, paths: Sequence[str], **options: Any) -> AsyncIterator[SourceBlob]:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        self._left.append(descriptor)
        async for blob in self.inner.read(root, paths, **options):
            yield blob
        self._left.remove(descriptor)
        os.close(descriptor)


class TurnPerFile(Saboteur):
    wrong = "every file is read in a turn of its own"
    level = Level.BUDGET

    async def read(self, root: str, paths: Sequence[str], **options: Any) -> AsyncIterator[SourceBlob]:
        async for blob in self.inner.read(root, paths, **options):
            self.turn()
            yield blob


class TurnPerListedFile(Saboteur):
    wrong = "every file is looked at in a turn of its own"
    level = Level.BUDGET

    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        listed = list(await self.inner.files(root, revision=revision))
        for _ in listed:
            self.turn()
        return listed
