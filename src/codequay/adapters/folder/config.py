"""Options of the folder source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

EXCLUDED = (
    ".bzr", ".cache", ".codequay", ".eggs", ".git", ".gradle", ".hg", ".idea", ".mypy_cache", ".next", ".nox",
    ".pytest_cache", ".ruff_cache", ".svn", ".terraform", ".tox", ".venv", "__pycache__", "bower_components", "build",
    "dist", "node_modules", "site-packages", "target", "venv",
)  # fmt: skip
"""Names of folders that hold what was fetched or built."""


class FolderConfig(BaseModel):
    """Options of the folder source."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    exclude: tuple[str, ...] = Field(default=EXCLUDED, description="Names of folders that are not entered.")
