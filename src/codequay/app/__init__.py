"""The public face: one frozen request in, one frozen answer out, the same for every interface."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .application import ALL_PORTS, App
from .messages import (
    MAX_LIMIT,
    SEARCH_SCHEMA,
    Coverage,
    Hit,
    IndexAnswer,
    IndexRequest,
    RepoFreshness,
    SearchAnswer,
    SearchRequest,
    ShowAnswer,
    ShowRequest,
    Unit,
)
from .quay import Quay

if TYPE_CHECKING:
    from .migrations import MigrationsAnswer, MigrationsRequest, StoreMigrations
    from .reports import (
        DoctorAnswer,
        DoctorRequest,
        FileReport,
        GcAnswer,
        GcRequest,
        RemoveAnswer,
        RemoveRequest,
        RepoGarbage,
        RepoReport,
        ReposAnswer,
        ReposRequest,
        RepoStatus,
        RunReport,
        RunsAnswer,
        RunsRequest,
        SnapshotReport,
        StatusAnswer,
        StatusRequest,
        WatchEvent,
        WatchRequest,
    )

__all__ = [
    "ALL_PORTS",
    "App",
    "Coverage",
    "DoctorAnswer",
    "DoctorRequest",
    "FileReport",
    "GcAnswer",
    "GcRequest",
    "Hit",
    "IndexAnswer",
    "IndexRequest",
    "MAX_LIMIT",
    "MigrationsAnswer",
    "MigrationsRequest",
    "Quay",
    "RemoveAnswer",
    "RemoveRequest",
    "RepoFreshness",
    "RepoGarbage",
    "RepoReport",
    "ReposAnswer",
    "ReposRequest",
    "RepoStatus",
    "RunReport",
    "RunsAnswer",
    "RunsRequest",
    "SEARCH_SCHEMA",
    "SearchAnswer",
    "SearchRequest",
    "ShowAnswer",
    "ShowRequest",
    "SnapshotReport",
    "StatusAnswer",
    "StatusRequest",
    "StoreMigrations",
    "Unit",
    "WatchEvent",
    "WatchRequest",
]

_LATER = dict.fromkeys(("MigrationsAnswer", "MigrationsRequest", "StoreMigrations"), "migrations")
"""What a search does not need is loaded when it is asked for: a dozen dataclasses cost as much as the query."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LATER.get(name, 'reports')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
