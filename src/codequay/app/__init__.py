"""The public face: one frozen request in, one frozen answer out, the same for every interface."""

from .application import ALL_PORTS, App
from .messages import (
    MAX_LIMIT,
    SEARCH_SCHEMA,
    Coverage,
    Hit,
    IndexAnswer,
    IndexRequest,
    RepoFreshness,
    RepoStatus,
    SearchAnswer,
    SearchRequest,
    ShowAnswer,
    ShowRequest,
    StatusAnswer,
    StatusRequest,
    Unit,
)
from .quay import Quay

__all__ = [
    "ALL_PORTS",
    "App",
    "Coverage",
    "Hit",
    "IndexAnswer",
    "IndexRequest",
    "MAX_LIMIT",
    "Quay",
    "RepoFreshness",
    "RepoStatus",
    "SEARCH_SCHEMA",
    "SearchAnswer",
    "SearchRequest",
    "ShowAnswer",
    "ShowRequest",
    "StatusAnswer",
    "StatusRequest",
    "Unit",
]
