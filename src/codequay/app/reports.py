"""Upkeep: what is asked about the state of an index, or done to it, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..ports.diagnose import Finding


@dataclass(frozen=True, slots=True)
class ReposRequest:
    """The repositories of the index that holds ``path``."""

    path: str = "."


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """A name and what it shows: "worktree", "worktree:FOLDER" of a linked one, or "rev:REV"."""

    snapshot: str
    generation: int
    revision: str
    files: int
    chunks: int
    bytes: int
    published_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RepoReport:
    """A repository of the index. Without snapshots it was removed, or never wholly indexed; gc deletes it."""

    repo: str
    root: str
    origin: str
    snapshots: tuple[SnapshotReport, ...]


@dataclass(frozen=True, slots=True)
class ReposAnswer:
    data: str
    repos: tuple[RepoReport, ...]


@dataclass(frozen=True, slots=True)
class RemoveRequest:
    """Take a repository out of the index: ``repo`` is its id or a path in it. ``rev`` takes out that revision alone.

    ``purge`` deletes its data now instead of with the next gc.
    """

    repo: str
    path: str = "."
    rev: str | None = None
    purge: bool = False


@dataclass(frozen=True, slots=True)
class RemoveAnswer:
    """``snapshots`` are the names that were taken away."""

    data: str
    repo: str
    snapshots: tuple[str, ...]
    purged: bool


@dataclass(frozen=True, slots=True)
class GcRequest:
    """Delete what nothing shows any more. ``dry_run`` only says what that is."""

    path: str = "."
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RepoGarbage:
    """What one repository held for nothing.

    ``generations`` were superseded or abandoned; ``names`` are of linked work trees that are gone; ``purged``: the
    whole repository had been removed.
    """

    repo: str
    generations: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    purged: bool = False
    skipped: str = ""
    """Why nothing was done: another process was writing."""


@dataclass(frozen=True, slots=True)
class GcAnswer:
    """What was deleted, or under ``dry_run`` would be. ``files`` are leftovers in the index folder.

    ``compacted`` names the stores that were, or would be, written anew without their dead documents. ``freed`` in
    bytes of the index folder; 0 under ``dry_run``.
    """

    data: str
    dry_run: bool
    repos: tuple[RepoGarbage, ...]
    files: tuple[str, ...] = ()
    compacted: tuple[str, ...] = ()
    freed: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


Verdict = Literal["ok", "incomplete", "wrong"]
"""``incomplete``: nothing indexed, cold, or older than a search refreshes by itself; ``wrong``: somebody must act."""


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    path: str = "."


@dataclass(frozen=True, slots=True)
class DoctorAnswer:
    """What was looked at, the well things included, in the order of the look. ``data`` is "" when it is not known."""

    data: str
    verdict: Verdict
    findings: tuple[Finding, ...]


RunState = Literal["running", "ok", "failed", "interrupted", "killed"]
"""``interrupted``: by a signal, and put away; ``killed``: it did not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """An index run. ``at`` in seconds since the epoch; ``error`` is a code and ``message`` a text when it failed."""

    run: str
    kind: str
    """"index", or "refresh" before an answer."""
    path: str
    at: float
    pid: int
    state: RunState
    seconds: float | None = None
    repo: str = ""
    snapshot: str = ""
    generation: int = 0
    files: int = 0
    changed_files: int = 0
    removed_files: int = 0
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunsRequest:
    path: str = "."
    limit: int = 20


@dataclass(frozen=True, slots=True)
class RunsAnswer:
    """The latest index runs, newest first."""

    data: str
    runs: tuple[RunReport, ...]


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """The index that holds ``path``; of a file also what became of it. ``pending`` and ``skipped`` list such files."""

    path: str = "."
    pending: bool = False
    skipped: bool = False


FileState = Literal["indexed", "changed", "new", "removed", "skipped", "left_out"]
"""``changed``, ``new`` and ``removed`` since it was indexed, by what is on disk; ``left_out``: version control or
``.codequayignore`` names it, or it is not part of the repository."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file. ``reason`` and ``detail`` say why it was skipped, or indexed otherwise than usual."""

    repo: str
    path: str
    state: FileState
    reason: str = ""
    detail: str = ""
    language: str = ""
    chunks: int = 0
    snapshot: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class RepoStatus:
    """A repository of the index, under one of its names."""

    repo: str
    root: str
    generation: int
    revision: str
    files: int
    chunks: int
    bytes: int
    skipped: Mapping[str, int]
    published_at: float
    stores: Mapping[str, str]
    """Port -> adapter that holds the generation; a configured port that is missing or differs is cold."""
    cold: tuple[str, ...] = ()
    snapshot: str = ""
    pending: int | None = None
    """Files that differ now from what was indexed; None when the tree cannot be compared."""
    moved_to: str = ""
    """The commit that the snapshot's revision names now, when it is another one."""
    elsewhere: tuple[str, ...] = ()
    """Those of ``cold`` whose store on another machine, or in another index folder, holds the generation."""


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """``file`` is set when one was asked for; ``files`` are those that were to be listed; ``unheld`` are repositories
    of the same metadata that only other machines or index folders have indexed."""

    data: str
    repos: tuple[RepoStatus, ...]
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    file: FileReport | None = None
    files: tuple[FileReport, ...] = ()
    unheld: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Keep the index of ``path`` current. ``settle_ms``: how long the tree must be quiet before it is indexed;
    ``poll`` looks at the files instead of waiting for the system to report changes."""

    path: str = "."
    settle_ms: int = 200
    poll: bool = False


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A run of the watch. ``error`` is set when it failed; it is tried again."""

    repo: str
    generation: int
    changed_files: int
    removed_files: int
    seconds: float
    error: str = ""
    remedy: str = ""
