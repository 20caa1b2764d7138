"""What is asked of the library and what it answers: frozen requests and answers, the same for every interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SEARCH_SCHEMA = "codequay.search/1"
MAX_LIMIT = 1000
"""Hits that one answer holds at most."""
Unit = Literal["file", "chunk", "symbol"]


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """Index one place. ``path`` may lie anywhere inside a repository; the whole repository is indexed."""

    path: str = "."


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


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Search below ``path``. ``literal`` switches the query syntax off. ``check_head`` asks version control whether
    HEAD moved since (a process start, so not on by default)."""

    query: str
    path: str = "."
    limit: int = 10
    unit: Unit = "file"
    literal: bool = False
    check_head: bool = False


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
    also: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RepoFreshness:
    """How old the index of one repository is; ``head`` and ``dirty`` are None when not asked or not known."""

    repo: str
    generation: int
    indexed_revision: str
    head: str | None = None
    dirty: int | None = None


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


@dataclass(frozen=True, slots=True)
class StatusRequest:
    path: str = "."


@dataclass(frozen=True, slots=True)
class RepoStatus:
    """One repository of the index."""

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


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    data: str
    repos: tuple[RepoStatus, ...]
    capabilities: Mapping[str, Any] = field(default_factory=dict)
