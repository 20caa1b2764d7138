"""What is asked of the library and what it answers: frozen requests and answers, the same for every interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SEARCH_SCHEMA = "codequay.search/1"
MAX_LIMIT = 1000
"""Hits that one answer holds at most."""
Unit = Literal["file", "chunk", "symbol"]
Refresh = Literal["auto", "never", "always"]
REFRESH: tuple[Refresh, ...] = ("auto", "never", "always")
"""What a question does about files that changed since they were indexed.

``auto`` indexes them first when they are at most ``index.refresh_files`` and nobody else is indexing; what could not be
indexed is marked. ``always`` indexes them all, waiting for another writer, and fails rather than answer from an old
index. ``never`` does not look for them; only the files of the hits are checked.
"""


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """Index one place. ``path`` may lie anywhere inside a repository; the whole repository is indexed.

    ``rev`` indexes that revision instead of the working tree. ``only`` names the stores to fill, when not all.
    """

    path: str = "."
    rev: str | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexAnswer:
    """What an index run did, for one repository."""

    repo: str
    generation: int
    files: int
    chunks: int
    changed_blobs: int
    skipped: Mapping[str, int]
    bytes: int
    seconds: float
    root: str = ""
    data: str = ""
    notes: tuple[str, ...] = ()
    snapshot: str = ""
    """The name that shows the generation now: "worktree", "worktree:FOLDER" or "rev:REV"."""
    changed_files: int = 0
    removed_files: int = 0


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Search below ``path``, in the working tree or as of ``rev``. ``literal`` switches the query syntax off.
    ``check_head`` asks version control whether HEAD moved since (a process start, so not on by default)."""

    query: str
    path: str = "."
    limit: int = 10
    unit: Unit = "file"
    literal: bool = False
    check_head: bool = False
    rev: str | None = None
    refresh: Refresh = "auto"


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers. ``also`` holds further chunks of the same file as (start_line, end_line)."""

    id: str
    repo: str
    path: str
    start_line: int
    end_line: int
    score: float
    symbol: str
    kind: str
    language: str
    text: str
    signals: Mapping[str, float]
    line: int = 0
    """The line within the span that shows best why it answers (counts from 1)."""
    stale: bool | None = None
    """True: the file has changed since, and the text is not in it any more; None: not checked."""
    also: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RepoFreshness:
    """How old the index of one repository is; ``head`` and ``dirty`` are None when not asked or not known."""

    repo: str
    generation: int
    indexed_revision: str
    head: str | None = None
    dirty: int | None = None
    """Files that differed from ``indexed_revision`` when it was indexed."""
    snapshot: str = ""
    pending: int | None = None
    """Files that differ now from what was indexed; None when nobody looked."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what was asked the arm covers. ``files`` holds ``indexed``, ``pending``, ``skipped``."""

    state: Literal["complete", "partial", "cold", "disabled"]
    files: Mapping[str, int] = field(default_factory=dict)
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The envelope of DESIGN section 6. ``notes`` tells what was taken otherwise than typed."""

    hits: tuple[Hit, ...]
    freshness: tuple[RepoFreshness, ...]
    coverage: Mapping[str, Coverage]
    degraded: tuple[str, ...] = ()
    truncated: bool = False
    cursor: str | None = None
    cost: Mapping[str, float] = field(default_factory=dict)
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    schema: str = SEARCH_SCHEMA


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """Show an indexed file, or with ``line`` the chunk that covers it. ``path`` is a path on disk or in the index."""

    path: str
    line: int | None = None
    rev: str | None = None
    refresh: Refresh = "auto"


@dataclass(frozen=True, slots=True)
class ShowAnswer:
    """Lines of a file as indexed."""

    repo: str
    path: str
    start_line: int
    end_line: int
    language: str
    kind: str
    symbol: str
    text: str
    generation: int
    snapshot: str = ""
    stale: bool | None = None
    """True: the file has changed since; None: not checked."""
    notes: tuple[str, ...] = ()
