"""Code-intelligence infrastructure: index git repositories, search them, swap every back end by configuration.

::

    async with codequay.App().run() as quay:
        await quay.index(".")
        answer = await quay.search("session token")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import (
        App,
        Coverage,
        Hit,
        IndexAnswer,
        IndexRequest,
        Quay,
        RepoFreshness,
        RepoStatus,
        SearchAnswer,
        SearchRequest,
        ShowAnswer,
        ShowRequest,
        StatusAnswer,
        StatusRequest,
    )
    from .kernel.settings import Settings, load_settings
    from .ports.errors import PortError
    from .ports.held import DistributedLock, HeldLock

__version__ = "0.1.0"

__all__ = [
    "App",
    "Coverage",
    "DistributedLock",
    "HeldLock",
    "Hit",
    "IndexAnswer",
    "IndexRequest",
    "PortError",
    "Quay",
    "RepoFreshness",
    "RepoStatus",
    "SearchAnswer",
    "SearchRequest",
    "Settings",
    "ShowAnswer",
    "ShowRequest",
    "StatusAnswer",
    "StatusRequest",
    "load_settings",
]

_HOMES = {
    "DistributedLock": "ports.held",
    "HeldLock": "ports.held",
    "PortError": "ports.errors",
    "Settings": "kernel.settings",
    "load_settings": "kernel.settings",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES.get(name, 'app')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
