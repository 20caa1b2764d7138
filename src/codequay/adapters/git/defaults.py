"""The options and their defaults without pydantic: what a cold process opens the source with."""

from dataclasses import dataclass
from typing import Protocol


class Options(Protocol):
    """What the source reads of a configuration."""

    @property
    def binary(self) -> str: ...


@dataclass(frozen=True, slots=True)
class GitDefaults:
    """Same fields as ``GitConfig``."""

    binary: str = "git"
