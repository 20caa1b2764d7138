"""Options: the table ``[adapters.shelf]``."""

from pydantic import BaseModel, ConfigDict


class ShelfConfig(BaseModel):
    """Where the shelf stands."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    folder: str = "shelf"
    """A folder below the data folder."""
