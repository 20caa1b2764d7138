"""Small stores and files for the tests of this folder."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from codequay.adapters.postgres.chunks import open_chunks
from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.errors import classify
from codequay.adapters.postgres.lock import open_lock
from codequay.adapters.postgres.metadata import open_metadata
from codequay.adapters.postgres.migrations import open_migrations
from codequay.ports.chunks import Chunk, Definition, FileChunks
from codequay.ports.errors import PortError, Verdict
from codequay.ports.generations import ScopeEntry
from tests.contexts import build_context

from .server import PASSWORD, Server

REPO = "example/repo"
OPENERS: dict[str, Callable[..., AbstractAsyncContextManager[Any]]] = {
    "chunks": open_chunks,
    "metadata": open_metadata,
    "lock": open_lock,
    "migrations": open_migrations,
}


def scope(generation: int) -> list[ScopeEntry]:
    return [ScopeEntry(REPO, generation)]


def schema_name() -> str:
    return f"t_{secrets.token_hex(6)}"


def config(server: Server, **options: Any) -> PostgresConfig:
    return PostgresConfig(
        **{"dsn": server.url(), "password": PASSWORD, "schema": schema_name(), "min_pool": 0, "timeout": 5, **options}
    )


@asynccontextmanager
async def opened(port: str, config: PostgresConfig, *, readonly: bool = False) -> AsyncIterator[Any]:
    async with build_context(Path("/nowhere"), readonly=True) as ctx:
        ctx.readonly = readonly
        async with OPENERS[port](config, ctx) as store:
            yield store


def make_file(path: str, text: str, **fields: Any) -> FileChunks:
    """A file of one chunk, with one definition if ``fields`` names a symbol."""
    raw = text.encode(errors="surrogatepass")
    blob = blake2b(raw, digest_size=20).hexdigest()
    symbol = fields.get("symbol", "")
    made = {
        "id": blake2b(repr((blob, fields)).encode(), digest_size=16).hexdigest(),
        "blob_id": blob,
        "language": "python",
        "start_byte": 0,
        "end_byte": len(raw),
        "start_line": 1,
        "end_line": text.count("\n") + 1,
        "text": text,
        "definitions": (Definition(symbol, "function", 1),) if symbol else (),
        **fields,
    }
    chunk = Chunk(**made)
    return FileChunks(path, chunk.blob_id, chunk.language, 0o100644, (chunk,))


def verdict(error: BaseException) -> Verdict:
    """What a user is told of it."""
    if isinstance(error, PortError):
        return Verdict(type(error), error.message, error.remedy, error.ambiguous)
    found = classify(error)
    assert found is not None, repr(error)
    return found
