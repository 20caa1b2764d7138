"""The options and their defaults without pydantic: what a cold process opens the source with."""

from dataclasses import dataclass
from typing import Protocol

EXCLUDED = (
    ".bzr", ".cache", ".codequay", ".eggs", ".git", ".gradle", ".hg", ".idea", ".mypy_cache", ".next", ".nox",
    ".pytest_cache", ".ruff_cache", ".svn", ".terraform", ".tox", ".venv", "__pycache__", "bower_components", "build",
    "dist", "node_modules", "site-packages", "target", "venv",
)  # fmt: skip
"""Names of folders that hold what was fetched or built."""


class Options(Protocol):
    """What the source reads of a configuration."""

    @property
    def exclude(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class FolderDefaults:
    """Same fields as ``FolderConfig``."""

    exclude: tuple[str, ...] = EXCLUDED
