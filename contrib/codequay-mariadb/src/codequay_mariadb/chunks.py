"""The chunk store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from codequay.ports.chunks import (
    ChunkRef,
    ChunkStats,
    DefinitionHit,
    FileChunks,
    FilePage,
    FileRef,
    Location,
    PlacedChunk,
)
from codequay.ports.errors import FingerprintMismatch
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.spec import BuildContext

from . import generations, sql, staging
from .config import MariadbConfig
from .connections import Connections
from .reading import Reads
from .schema import FINGERPRINT, Store, Tables, opened


@asynccontextmanager
async def open_chunks(config: MariadbConfig, ctx: BuildContext) -> AsyncIterator[MariadbChunks]:
    """Open the store, making its tables unless the context is read-only.

    :raises NotFound: the context is read-only and there is no store; or there is no such database
    :raises FingerprintMismatch: another release made the tables
    """
    connections = await ctx.shared("connections", lambda: opened(config))
    store = Store(connections, config)
    await store.prepare(readonly=ctx.readonly)
    yield MariadbChunks(connections, store.tables)


class MariadbChunks:
    """``ChunkStore`` on a server. Each read is one transaction and mostly one trip; each write is one transaction."""

    def __init__(self, connections: Connections, tables: Tables) -> None:
        self._connections = connections
        self._t = tables
        self._reads = Reads(connections, tables)

    @property
    def trips(self) -> int:
        """Requests that the connections of this process have sent to the server and had answered."""
        return self._connections.trips

    async def ping(self) -> None:
        await self._connections.read(["SELECT 1"])

    async def identity(self) -> StoreIdentity:
        (rows,) = await self._connections.read([f"SELECT value FROM {self._t.meta} WHERE name = 'store_id'"])
        if not rows:
            raise FingerprintMismatch("the store has lost its id", remedy="drop its tables and index again")
        return StoreIdentity(rows[0][0].decode(), FINGERPRINT)

    async def generations(self, repo_id: str) -> list[GenerationState]:
        t = self._t
        statement = (
            f"SELECT s.generation, s.sealed FROM {t.repo} r JOIN {t.generation} s ON s.repo = r.id"
            f" WHERE r.name = {sql.text(repo_id)} ORDER BY s.generation"
        )
        (rows,) = await self._connections.read([statement])
        return [GenerationState(generation, bool(sealed)) for generation, sealed in rows]

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self._connections.write(lambda tx: generations.begin(tx, self._t, repo_id, generation, base))

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> StageResult:
        return await self._connections.write(lambda tx: staging.stage(tx, self._t, repo_id, generation, files, removed))

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self._connections.write(lambda tx: generations.seal(tx, self._t, repo_id, generation))

    async def drop(self, repo_id: str, *, generation: int) -> None:
        await self._connections.write(lambda tx: generations.drop(tx, self._t, repo_id, generation))

    async def purge(self, repo_id: str) -> None:
        await self._connections.write(lambda tx: generations.purge(tx, self._t, repo_id))

    async def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        return await self._reads.get(refs, scope)

    async def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        return await self._reads.of_file(files, scope)

    async def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        return await self._reads.at(locations, scope)

    async def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        return await self._reads.defined(names, scope, limit)

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return await self._reads.text(blob_ids)

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        return await self._reads.scan(scope, after, limit)

    async def stats(self, *, scope: Scope) -> ChunkStats:
        return await self._reads.stats(scope)
