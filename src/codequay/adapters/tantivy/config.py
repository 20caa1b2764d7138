"""Options of the Tantivy adapter: ``[adapters.tantivy]``."""

from pydantic import BaseModel, ConfigDict, Field

from .defaults import TantivyDefaults

_DEFAULT = TantivyDefaults()


class TantivyConfig(BaseModel):
    """How much memory a writer takes. Readers map the files and need none of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    busy_timeout: float = Field(_DEFAULT.busy_timeout, ge=0, le=600)
    """Seconds to wait for another process's transaction on the placements before ``lock_busy``."""
    chunk_heap_mb: int = Field(_DEFAULT.chunk_heap_mb, ge=15, le=4096)
    """Memory of the chunk writer in MB; a segment is written when it is full (Tantivy's least is 15)."""
    file_heap_mb: int = Field(_DEFAULT.file_heap_mb, ge=15, le=4096)
    """The same for the file writer."""
