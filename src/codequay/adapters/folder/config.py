"""Options of the folder source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from .defaults import FolderDefaults


class FolderConfig(BaseModel):
    """Options of the folder source."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    exclude: tuple[str, ...] = Field(
        default=FolderDefaults().exclude, description="Names of folders that are not entered."
    )
