"""The options with their defaults, and nothing to import: what a cold process opens its stores with."""

from dataclasses import dataclass
from typing import Protocol


class Options(Protocol):
    """What the connections read of a configuration."""

    @property
    def busy_timeout(self) -> float: ...

    @property
    def cache_mb(self) -> int: ...

    @property
    def mmap_mb(self) -> int: ...

    @property
    def synchronous(self) -> str: ...

    @property
    def migrations(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SqliteDefaults:
    """See ``SqliteConfig``, whose defaults these are."""

    busy_timeout: float = 5.0
    cache_mb: int = 32
    mmap_mb: int = 256
    synchronous: str = "normal"
    migrations: str = "auto"
