"""Source control: the files of a repository as its version control sees them, at a revision or in the working tree.

An adapter executes nothing of the repository's: no hook, no filter, no configured command. Reads are bounded: a
batch is what the caller asks for and no more. A path is written as ``codequay.ports.generations`` says, and paths are
ordered by code point. ``root`` is always the root of a ``SourceRepo`` that ``describe`` gave.

Without ``revisions`` a source has working trees only, may take any folder for a repository, and itself decides which
files to leave out (what was fetched or built). ``reach`` says whose file systems it sees; ``durable`` and
``atomic_batch`` mean nothing here, as nothing is written. ``max_batch`` is declared as at least 500.
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
    """Origin URL as "host/path": the host in lower case, without user, password, query, default port and ".git";
    "user@host:path" counts as one, and a folder of this machine as none."""
    head: str
    """Commit id of HEAD; "" before the first commit."""
    branch: str
    """Branch name, "" when detached."""
    kind: Literal["git", "folder"]


class SourceFile(NamedTuple):
    """A file. ``kind`` says how to treat it; ``mode`` is as git writes it: 0o100644, 0o100755 when its owner may
    execute it, 0o120000 a symlink, 0o160000 a submodule (SC-12). ``size`` is in bytes: of a symlink those of its
    target, of a submodule 0.

    ``mtime_ns``, ``ctime_ns`` and ``inode`` are the file system's (0 at a revision, and where there are none): while
    all three and the size stay the same, so do the bytes, unless they were written within one tick of its clock.
    """

    path: str
    kind: Literal["file", "symlink", "submodule"]
    mode: int
    size: int
    mtime_ns: int
    blob_id: str = ""
    """At a revision git's id (SHA-1) of the bytes, of a symlink's target, or of a submodule's commit, when known
    without reading; "" otherwise and in the working tree."""
    ctime_ns: int = 0
    inode: int = 0


class SourceBlob(NamedTuple):
    """The bytes of a file; ``data`` is None when it cannot be given, and ``reason`` says why, else it is "".

    Reasons: ``vanished`` (there is no such file, or only behind a symlink), ``symlink``, ``not_a_file`` (a folder, pipe
    or device), ``submodule`` (in a working tree, where it is a folder, also ``not_a_file``), ``too_large`` (above
    ``max_bytes``), ``unreadable``, ``changed`` (it was written to whenever it was read).
    """

    path: str
    data: bytes | None
    reason: str = ""


class Change(NamedTuple):
    """One difference between two revisions; ``old_path`` is set for a rename.

    A file that went and one that came with the same bytes, of which there are some, are a rename, each taken once. So
    may be two that are merely alike. Other bytes, mode or kind under the same path are a modification.
    """

    status: Literal["added", "modified", "deleted", "renamed"]
    path: str
    old_path: str = ""


class BlameLine(NamedTuple):
    """Who last changed a line: commit id, the author's name and time in seconds since the epoch.

    Lines end with "\\n"; the first is 1. Whether a line is followed into a file of another name is left open.
    """

    line: int
    commit: str
    author: str
    time: int


LEAST_BATCH = 500
"""The least ``max_batch`` that a source may declare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCapabilities(Capabilities):
    """What a source declares."""

    revisions: bool = False
    """Files at a revision and ``diff``."""
    blame: bool = False
    """``blame``."""

    def __post_init__(self) -> None:
        if self.max_batch < LEAST_BATCH:
            raise ValueError(f"max_batch is at least {LEAST_BATCH}, not {self.max_batch}")


class SourceControl(Protocol):
    """Files of a repository."""

    @op(effect=Effect.READ)
    async def describe(self, path: str) -> SourceRepo:
        """The repository that the path, a file or folder, lies in or is the root of: the innermost one (SC-01).

        The path is written as the operating system does.
        What has no working tree is no repository. A source without ``revisions`` may answer with the folder itself, the
        one that the file lies in, or one above.

        :raises NotFound: the path does not exist, or no repository of this kind holds it
        :raises PermissionDenied: it cannot be read, or version control refuses its owner
        """
        ...

    @op(effect=Effect.READ)
    async def files(self, root: str, *, revision: str | None = None) -> list[SourceFile]:
        """Every file, by path: in the working tree those that version control would track (tracked, and untracked
        ones that are not ignored; tracked ones that were deleted are left out), or those of the revision.
        Submodules are named and not entered; symlinks are named and not followed (SC-02, SC-03). A repository inside
        that nothing records is named as a submodule or left out.

        :raises NotFound: no such revision
        :raises Unsupported: a revision, when ``revisions`` is not declared (SC-07)
        """
        ...

    @op(effect=Effect.READ, batch="paths", stream=True)
    def read(
        self, root: str, paths: Sequence[str], *, revision: str | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[SourceBlob]:
        """The bytes of each file, in the order asked (SC-04). One that vanished, is no regular file, or is larger
        than ``max_bytes`` comes with ``data=None`` and a reason (SC-05). Nothing is read through a symlink (SC-03).
        A path that ``files`` does not list need not be given.

        :raises NotFound: no such revision
        """
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
        """Differences from revision ``old`` to ``new``, by path (SC-06).

        :raises NotFound: no such revision
        :raises Unsupported: ``revisions`` is not declared (SC-07)
        """
        ...

    @op(effect=Effect.READ)
    async def blame(self, root: str, path: str, *, revision: str | None = None) -> list[BlameLine]:
        """Last change of each line of the file as the revision has it, in order; HEAD when none is given (SC-13).

        :raises NotFound: no such revision, or it has no such file
        :raises Unsupported: ``blame`` is not declared (SC-07)
        """
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
        Clause(
            "SC-01",
            "describe finds the repository from any path inside it and raises NotFound outside (without revisions: for"
            " what does not exist).",
        ),
        Clause("SC-02", "files gives tracked and untracked files, without ignored and deleted ones, by path."),
        Clause("SC-03", "Symlinks and submodules are named with their kind and not followed."),
        Clause("SC-04", "read gives exactly the bytes, in the order asked."),
        Clause("SC-05", "A file that cannot be given comes with a reason and stops nothing."),
        Clause("SC-06", "diff names what was added, modified, deleted and renamed, by path.", Level.CAPABILITY),
        Clause(
            "SC-07",
            "Revisions, blame and more paths than max_batch are refused when they are not declared.",
            Level.CAPABILITY,
        ),
        Clause("SC-08", "Nothing of the repository's is executed: no hook, monitor, filter or configured program."),
        Clause("SC-09", "A name that is not UTF-8 is listed and can be read back."),
        Clause("SC-10", "resolve gives the commit that a name means now, and NotFound for none.", Level.CAPABILITY),
        Clause("SC-11", "A file of the working tree whose bytes were written anew is listed with other numbers."),
        Clause("SC-12", "mode tells a plain file from one that its owner may execute."),
        Clause("SC-13", "blame names the commit that last changed each line, its author and time.", Level.CAPABILITY),
        Clause("SC-14", "A revision is listed and read as it was, whatever the working tree holds.", Level.CAPABILITY),
        Clause("SC-15", "Calls side by side answer as each would alone.", Level.CONCURRENCY),
        Clause(
            "SC-16",
            "A call that is cancelled, or a read that is broken off, leaves nothing running; the next call answers.",
            Level.CANCELLATION,
        ),
        Clause("SC-17", "files takes a constant number of turns, and read far fewer than one a file.", Level.BUDGET),
    ),
)
