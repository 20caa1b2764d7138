"""Options of the SQLite adapters: ``[adapters.sqlite]``."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .defaults import SqliteDefaults

_DEFAULT = SqliteDefaults()


class SqliteConfig(BaseModel):
    """How the files are opened. The defaults suit a laptop and a repository of some gigabytes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    busy_timeout: float = Field(_DEFAULT.busy_timeout, ge=0, le=600)
    """Seconds to wait for another process's transaction before ``lock_busy``."""
    cache_mb: int = Field(_DEFAULT.cache_mb, ge=1, le=4096)
    """Page cache of the writing connection in MB."""
    mmap_mb: int = Field(_DEFAULT.mmap_mb, ge=0, le=65_536)
    """How much of a file each reader maps, in MB; 0 where mapping is not safe (network file systems)."""
    synchronous: Literal["normal", "full"] = "normal"
    """``full`` also syncs each commit to the disk, so that a power cut loses no acknowledged write."""
    migrations: Literal["auto", "check", "off"] = "auto"
    """A file of an older release is migrated when it is opened for writing; ``check`` refuses it until ``codequay
    migrations --apply``; ``off`` uses it as it is, and what misses something fails."""
