"""The chunk store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

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
from codequay.ports.generations import GenerationState, Scope, StageResult
from codequay.ports.spec import BuildContext

from . import generations, staging
from .config import PostgresConfig
from .errors import NO_TABLE, state_of
from .migrations import Store, opened_store, writer
from .port import ServerPort
from .reading import Reads


@asynccontextmanager
async def open_chunks(config: PostgresConfig, ctx: BuildContext) -> AsyncIterator[PostgresChunks]:
    """Open the store, making its tables where the options and the context allow it.

    :raises NotFound: the context is read-only and there is no store
    :raises FailedPrecondition: there is no such database, or the server cannot be used
    :raises FingerprintMismatch: the tables are missing or of another release
    """
    yield PostgresChunks(await opened_store(config, ctx))


class PostgresChunks(ServerPort):
    """``ChunkStore`` on a server. Each read is one statement and each write one transaction."""

    component = "chunks.postgres"

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._reads = Reads(store.pool)

    async def generations(self, repo_id: str) -> list[GenerationState]:
        rows = await self._pool.read(
            f"SELECT g.generation, g.sealed FROM {self._schema}.repo r JOIN {self._schema}.generation g"
            " ON g.repo = r.id WHERE r.name = $1 ORDER BY g.generation",
            repo_id,
        )
        return [GenerationState(generation, sealed) for generation, sealed in rows]

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self._pool.write(
            lambda tx: generations.begin(tx, self._schema, repo_id, generation, base), alone=self._writer(repo_id)
        )

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> StageResult:
        return await self._pool.write(
            lambda tx: staging.stage(tx, self._schema, repo_id, generation, files, removed),
            alone=self._writer(repo_id),
        )

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self._pool.write(
            lambda tx: generations.seal(tx, self._schema, repo_id, generation), alone=self._writer(repo_id)
        )

    async def drop(self, repo_id: str, *, generation: int) -> None:
        try:
            await self._pool.write(
                lambda tx: generations.drop(tx, self._schema, repo_id, generation), alone=self._writer(repo_id)
            )
        except asyncpg.PostgresError as exc:
            _tolerate_missing_table(exc)

    async def purge(self, repo_id: str) -> None:
        try:
            await self._pool.write(lambda tx: generations.purge(tx, self._schema, repo_id), alone=self._writer(repo_id))
        except asyncpg.PostgresError as exc:
            _tolerate_missing_table(exc)

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

    def _writer(self, repo_id: str) -> int:
        return writer(self._schema, f"chunks {repo_id}")


def _tolerate_missing_table(exc: asyncpg.PostgresError) -> None:
    """What is not there needs no deleting; reads do not take it so lightly."""
    if state_of(exc) not in NO_TABLE:
        raise exc
