"""SQLite: chunks and metadata in one file, cache and leases in others. Specs only; see ``docs.md``."""

from codequay.ports.cache import CacheCapabilities
from codequay.ports.chunks import ChunkCapabilities
from codequay.ports.lock import LockCapabilities
from codequay.ports.metadata import MetadataCapabilities
from codequay.ports.spec import AdapterSpec

__all__ = ["CACHE", "CHUNKS", "LOCK", "METADATA"]

_CONFIG = "codequay.adapters.sqlite.config:SqliteConfig"
_CLASSIFY = "codequay.adapters.sqlite.errors:classify"
_DOCS = "codequay.adapters.sqlite:docs.md"
_EXTRA = {"defaults": "codequay.adapters.sqlite.defaults:SqliteDefaults"}
"""A stand-in for the configuration model with its defaults and without pydantic, for when nothing is configured."""

CHUNKS = AdapterSpec(
    port="chunks",
    name="sqlite",
    factory="codequay.adapters.sqlite.chunks:open_chunks",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=ChunkCapabilities(reach="host", durable=True, atomic_batch=True, reclaim=True),
    summary="chunks in a SQLite file beside the repository",
    migrations="codequay.adapters.sqlite.migrations:open_index",
    docs=_DOCS,
    extra=_EXTRA,
)

METADATA = AdapterSpec(
    port="metadata",
    name="sqlite",
    factory="codequay.adapters.sqlite.metadata:open_metadata",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=MetadataCapabilities(reach="host", durable=True, atomic_batch=True),
    summary="generations in the SQLite file of the chunks",
    migrations="codequay.adapters.sqlite.migrations:open_index",
    docs=_DOCS,
    extra=_EXTRA,
)

CACHE = AdapterSpec(
    port="cache",
    name="sqlite",
    factory="codequay.adapters.sqlite.cache:open_cache",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=CacheCapabilities(reach="host", durable=True, atomic_batch=True),
    summary="a cache in a SQLite file, shared by the processes of this machine",
    migrations="codequay.adapters.sqlite.migrations:open_cache",
    docs=_DOCS,
    extra=_EXTRA,
)

LOCK = AdapterSpec(
    port="lock",
    name="sqlite",
    factory="codequay.adapters.sqlite.lock:open_lock",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=LockCapabilities(reach="host", durable=True, atomic_batch=True, exclusive=True, fenced=True),
    summary="leases in a SQLite file, for the processes of this machine",
    migrations="codequay.adapters.sqlite.migrations:open_lock",
    docs=_DOCS,
    extra=_EXTRA,
)
