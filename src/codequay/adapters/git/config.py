"""Options of the git source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from .defaults import GitDefaults


class GitConfig(BaseModel):
    """Options of the git source."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    binary: str = Field(
        default=GitDefaults().binary, min_length=1, description="The git program: a name on PATH, or a path."
    )
