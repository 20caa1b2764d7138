"""Source control: the files of a repository as its version control sees them, at a revision or in the working tree.

An adapter executes nothing of the repository's: no hook, no filter, no configured command. Reads are bounded: a
batch is what the caller asks for and no more. A path is written as ``codequay.ports.generations`` says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from .errors import InvalidArgument
from .generations import check_batch, check_path
from .op import Effect, op
from .spec import Capabilities, Clause, Level, PortSpec


@dataclass(frozen=True, slots=True)
class SourceRepo:
    """A repository as found on disk. ``origin`` and ``head`` are "" when there is none."""

    root: str
    """Top of the working tree that the asked path lies in, resolved."""
    main_root: str
    """Top of the main working tree: differs from ``root`` in a linked worktree."""
    origin: str
    """Origin URL without user, password and ".git", as "host/path"."""
    head: str
    """Commit id of HEAD."""
    branch: str
    """Branch name, "" when detached."""
    kind: Literal["git", "folder"]


class SourceFile(NamedTuple):
    """A file. ``kind`` says how to treat it; ``size`` in bytes.

    ``mtime_ns``, ``ctime_ns`` and ``inode`` are the file system's (0 at a revision, and where there are none): while
    all three and the size stay the same, so do the bytes, unless they were written within one tick of its clock.
    """

    path: str
    kind: Literal["file", "symlink", "submodule"]
    mode: int
    size: int
    mtime_ns: int
    blob_id: str = ""
    """Git's id (SHA-1) of the bytes that ``read`` gives, when known without reading ("" in the working tree)."""
    ctime_ns: int = 0
    inode: int = 0


class SourceBlob(NamedTuple):
    """The bytes of a file; ``data`` is None when it vanished or cannot be read, and ``reason`` says why."""

    path: str
    data: bytes | None
    reason: str = ""


class Change(NamedTuple):
    """One difference between two revisions; ``old_path`` is set for a rename."""

    status: Literal["added", "modified", "deleted", "renamed"]
    path: str
    old_path: str = ""


class BlameLine(NamedTuple):
    """Who last changed a line; ``time`` in seconds since the epoch."""

    line: int
    commit: str
    author: str
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCapabilities(Capabilities):
    """What a source declares."""

    revisions: bool = False
    """Files at a revision and ``diff``."""
    blame: bool = False
    """``blame``."""


class SourceControl(Protocol):
    """Files of a repository."""

    @op(effect=Effect.READ)
    async def describe(self, path: str) -> SourceRepo:
        """The repository that the path lies in (SC-01).

        :raises NotFound: the path does not exist, or no repository of this kind holds it
        :raises PermissionDenied: it cannot be read, or version control refuses its owner
        """
        ...

    @op(effect=Effect.READ)
    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        """Every file, by path: in the working tree those that version control would track (tracked, and untracked
        ones that are not ignored; tracked ones that were deleted are left out), or those of the revision.
        Submodules are named and not entered; symlinks are named and not followed (SC-02, SC-03).

        :raises NotFound: no such revision
        :raises Unsupported: a revision, when ``revisions`` is not declared (SC-07)
        """
        ...

    @op(effect=Effect.READ, batch="paths", stream=True)
    def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        """The bytes of each file, in the order asked (SC-04). One that vanished, is no regular file, or is larger
        than ``max_bytes`` comes with ``data=None`` and a reason (SC-05)."""
        ...

    @op(effect=Effect.READ)
    async def resolve(self, root: str, revision: str) -> str:
        """The id of the commit that a revision (branch, tag, abbreviated id) names now (SC-10).

        :raises NotFound: no such revision
        :raises Unsupported: ``revisions`` is not declared (SC-07)
        """
        ...

    @op(effect=Effect.READ)
    async def diff(self, root: str, old: str, new: str) -> list[Change]:
        """Differences from revision ``old`` to ``new``, by path (SC-06)."""
        ...

    @op(effect=Effect.READ)
    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        """Last change of each line, in order."""
        ...


def _revision(caps: SourceCapabilities, revision: str | None) -> None:
    if revision is None:
        return
    if not revision or revision.startswith("-") or "\0" in revision or "\n" in revision:
        raise InvalidArgument(f"not a revision: {revision!r}")
    if not caps.revisions:
        from .errors import Unsupported

        raise Unsupported("this source knows no revisions", remedy="use a git repository, or leave the revision out")


def _files(caps: SourceCapabilities, root: str, *, revision: str | None = None) -> None:
    _revision(caps, revision)


def _read(
    caps: SourceCapabilities,
    root: str,
    paths: Sequence[str],
    *,
    revision: str | None = None,
    max_bytes: int | None = None,
) -> None:
    check_batch("paths", paths, caps.max_batch)
    for path in paths:
        check_path(path)
    _revision(caps, revision)


def _resolve(caps: SourceCapabilities, root: str, revision: str) -> None:
    _revision(caps, revision)


def _diff(caps: SourceCapabilities, root: str, old: str, new: str) -> None:
    _revision(caps, old)
    _revision(caps, new)


def _blame(caps: SourceCapabilities, root: str, path: str, *, revision: str | None = None) -> None:
    check_path(path)
    _revision(caps, revision)
    if not caps.blame:
        from .errors import Unsupported

        raise Unsupported("this source knows no blame")


PORT = PortSpec(
    name="source",
    protocol=SourceControl,
    capabilities=SourceCapabilities,
    summary="files of a repository at a revision or in the working tree",
    checks={"files": _files, "read": _read, "resolve": _resolve, "diff": _diff, "blame": _blame},
    clauses=(
        Clause("SC-01", "describe finds the repository from any path inside it, and raises NotFound outside."),
        Clause("SC-02", "files gives tracked and untracked files, without ignored and deleted ones, by path."),
        Clause("SC-03", "Symlinks and submodules are named with their kind and not followed."),
        Clause("SC-04", "read gives exactly the bytes, in the order asked."),
        Clause("SC-05", "A file that cannot be given comes with a reason and stops nothing."),
        Clause("SC-06", "diff names what was added, modified, deleted and renamed.", Level.CAPABILITY),
        Clause("SC-07", "Revisions and blame that are not declared are refused.", Level.CAPABILITY),
        Clause("SC-08", "Nothing of the repository's is executed: no hook, monitor, filter or configured program."),
        Clause("SC-09", "A name that is not UTF-8 is listed and can be read back.", Level.CORE),
        Clause("SC-10", "resolve gives the commit that a name means now, and NotFound for none.", Level.CAPABILITY),
        Clause("SC-11", "A file of the working tree whose bytes were written anew is listed with other numbers."),
    ),
)
