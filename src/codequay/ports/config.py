"""The configuration model of an adapter without options. Alone here it needs pydantic; only the kernel imports it."""

from pydantic import BaseModel, ConfigDict


class NoConfig(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
