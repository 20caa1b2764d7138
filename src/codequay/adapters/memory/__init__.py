"""The reference adapters: every port in plain Python objects, for tests and for reading."""

from codequay.ports.cache import CacheCapabilities
from codequay.ports.chunks import ChunkCapabilities
from codequay.ports.lexical import LexicalCapabilities
from codequay.ports.lock import LockCapabilities
from codequay.ports.metadata import MetadataCapabilities
from codequay.ports.source import SourceCapabilities
from codequay.ports.spec import AdapterSpec

__all__ = ["CACHE", "CHUNKS", "LEXICAL", "LOCK", "METADATA", "SOURCE"]

_DOCS = "codequay.adapters.memory:docs.md"

CHUNKS = AdapterSpec(
    port="chunks",
    name="memory",
    factory="codequay.adapters.memory.chunks:open_chunks",
    capabilities=ChunkCapabilities(atomic_batch=True),
    summary="chunks in this process; gone when it closes",
    docs=_DOCS,
)
LEXICAL = AdapterSpec(
    port="lexical",
    name="memory",
    factory="codequay.adapters.memory.lexical:open_lexical",
    capabilities=LexicalCapabilities(atomic_batch=True),
    summary="brute-force words and substrings in this process",
    docs=_DOCS,
)
METADATA = AdapterSpec(
    port="metadata",
    name="memory",
    factory="codequay.adapters.memory.metadata:open_metadata",
    capabilities=MetadataCapabilities(atomic_batch=True),
    summary="repositories and generations in this process; gone when it closes",
    docs=_DOCS,
)
SOURCE = AdapterSpec(
    port="source",
    name="memory",
    factory="codequay.adapters.memory.source:open_source",
    capabilities=SourceCapabilities(revisions=True, blame=True),
    summary="repositories that the program itself writes, with revisions",
    docs=_DOCS,
)
LOCK = AdapterSpec(
    port="lock",
    name="memory",
    factory="codequay.adapters.memory.lock:open_lock",
    capabilities=LockCapabilities(exclusive=True, fenced=True),
    summary="fenced leases among the tasks of one process",
    docs=_DOCS,
)
CACHE = AdapterSpec(
    port="cache",
    name="memory",
    factory="codequay.adapters.memory.cache:open_cache",
    capabilities=CacheCapabilities(atomic_batch=True, max_value=64 * 1024 * 1024, room=256 * 1024 * 1024),
    summary="bytes with a time to live in this process, oldest forgotten above 256 MiB",
    docs=_DOCS,
)
