"""The chunk store in ``codequay.db``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

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
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.spec import BuildContext

from . import generations, lookup, reading, staging
from .connection import Hops, open_index, store_id
from .defaults import Options

if TYPE_CHECKING:
    from codequay.ports.diagnose import Finding


@asynccontextmanager
async def open_chunks(config: Options, ctx: BuildContext) -> AsyncIterator[SqliteChunks]:
    """Open the file, making it unless the context is read-only.

    :raises NotFound: the context is read-only and there is no index
    :raises FingerprintMismatch: another release made the file
    """
    yield SqliteChunks(await open_index(config, ctx))


class SqliteChunks:
    """``ChunkStore`` over one file. Each call is one hop and one transaction."""

    def __init__(self, hops: Hops) -> None:
        self._hops = hops
        self.sync = reading.ChunkReads(hops.database)

    async def ping(self) -> None:
        await self._hops.read(store_id)

    async def diagnose(self) -> list[Finding]:
        from . import diagnose

        return await self._hops.run(self._hops.database.look, diagnose.chunks)

    async def identity(self) -> StoreIdentity:
        return await self._hops.run(self.sync.identity)

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return await self._hops.run(self.sync.generations, repo_id)

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self._hops.write(generations.begin, repo_id, generation, base)

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> StageResult:
        return await self._hops.write(staging.stage, repo_id, generation, files, removed)

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self._hops.write_durably(generations.seal, repo_id, generation)

    async def drop(self, repo_id: str, *, generation: int) -> None:
        await self._hops.write(generations.drop, repo_id, generation)

    async def purge(self, repo_id: str) -> None:
        await self._hops.write(generations.purge, repo_id)

    async def reclaim(self) -> int:
        return await self._hops.reclaim()

    async def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        return await self._hops.read(lookup.get, refs, scope, self.sync.held)

    async def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        return await self._hops.read(reading.of_file, files, scope)

    async def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        return await self._hops.read(reading.at, locations, scope)

    async def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        return await self._hops.read(reading.defined, names, scope, limit)

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return await self._hops.read(reading.text, blob_ids)

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        return await self._hops.read(reading.scan, scope, after, limit)

    async def stats(self, *, scope: Scope) -> ChunkStats:
        return await self._hops.read(reading.stats, scope)
