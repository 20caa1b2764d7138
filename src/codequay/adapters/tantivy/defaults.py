"""The options and their defaults without pydantic: what a search without configuration opens the index with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TantivyDefaults:
    """Same fields as ``TantivyConfig``."""

    busy_timeout: float = 5.0
    chunk_heap_mb: int = 64
    file_heap_mb: int = 30
