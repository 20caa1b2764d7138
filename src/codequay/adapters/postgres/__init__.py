"""PostgreSQL: chunks, metadata and fenced leases on one server. Specs only; see ``docs.md``."""

from codequay.ports.chunks import ChunkCapabilities
from codequay.ports.lock import LockCapabilities
from codequay.ports.metadata import MetadataCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

__all__ = ["CHUNKS", "LOCK", "METADATA"]

_CONFIG = "codequay.adapters.postgres.config:PostgresConfig"
_CLASSIFY = "codequay.adapters.postgres.errors:classify"
_MIGRATIONS = "codequay.adapters.postgres.migrations:open_migrations"
_DOCS = "codequay.adapters.postgres:docs.md"
_REQUIRES = (Requirement("asyncpg", extra="postgres"),)
_EXTRA = {"auto": "dsn"}
"""A port that is ``auto`` takes this adapter when its address is set."""

CHUNKS = AdapterSpec(
    port="chunks",
    name="postgres",
    factory="codequay.adapters.postgres.chunks:open_chunks",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=ChunkCapabilities(reach="network", durable=True, atomic_batch=True),
    summary="chunks on a PostgreSQL server, shared by everybody who reaches it",
    migrations=_MIGRATIONS,
    requires=_REQUIRES,
    docs=_DOCS,
    extra=_EXTRA,
)

METADATA = AdapterSpec(
    port="metadata",
    name="postgres",
    factory="codequay.adapters.postgres.metadata:open_metadata",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=MetadataCapabilities(reach="network", durable=True, atomic_batch=True),
    summary="generations on a PostgreSQL server, beside the chunks",
    migrations=_MIGRATIONS,
    requires=_REQUIRES,
    docs=_DOCS,
    extra=_EXTRA,
)

LOCK = AdapterSpec(
    port="lock",
    name="postgres",
    factory="codequay.adapters.postgres.lock:open_lock",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=LockCapabilities(
        reach="network", durable=True, atomic_batch=True, exclusive=True, fenced=True, min_ttl=0.1
    ),
    summary="fenced leases on a PostgreSQL server, for every process that reaches it",
    migrations=_MIGRATIONS,
    requires=_REQUIRES,
    docs=_DOCS,
    extra=_EXTRA,
)
