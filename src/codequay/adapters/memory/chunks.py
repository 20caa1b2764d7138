"""The reference chunk store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from codequay.ports.chunks import (
    CLASS_KINDS,
    FUNCTION_KINDS,
    Chunk,
    ChunkRef,
    ChunkStats,
    DefinitionHit,
    FileChunks,
    FilePage,
    FileRef,
    Location,
    PlacedChunk,
    PlacedFile,
)
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.spec import BuildContext

from .generations import Generations, page

FORMAT = "memory-chunks-1"


@asynccontextmanager
async def open_chunks(config: object, ctx: BuildContext) -> AsyncIterator[MemoryChunks]:
    """An empty store; what it holds is gone when it closes."""
    yield MemoryChunks()


class _Chunks(Generations[FileChunks]):
    """The store without await: also the sync face."""

    def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        found = {(*file, placed.chunk.id): placed for file, chunks in self._files(scope).items() for placed in chunks}
        return [found.get(tuple(ref)) for ref in refs]

    def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        found = self._files(scope)
        return [found.get(tuple(file)) for file in files]

    def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        found = self._files(scope)
        return [_best(found.get((repo_id, path), []), line) for repo_id, path, line in locations]

    def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        hits = [
            DefinitionHit(repo_id, file.path, chunk.id, one.name, one.kind, one.line)
            for repo_id, file in self._placed(scope)
            for chunk in file.chunks
            for one in chunk.definitions
            if one.name in names
        ]
        return sorted(hits, key=lambda hit: (hit.repo_id, hit.path, hit.line, hit.name, hit.chunk_id))[:limit]

    def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        with self._lock:
            found = {file.blob_id: _text(file) for file in self._held()}
        return [found.get(blob_id) for blob_id in blob_ids]

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        rows = [
            PlacedFile(repo_id, file.path, file.blob_id, file.language, file.mode, len(file.chunks))
            for repo_id, file in self._placed(scope)
        ]
        return FilePage(*page(rows, after, limit))

    def stats(self, *, scope: Scope) -> ChunkStats:
        files = [file for _, file in self._placed(scope)]
        return ChunkStats(
            len(files), sum(len(file.chunks) for file in files), sum(len(_text(file).encode()) for file in files)
        )

    def _files(self, scope: Scope) -> dict[tuple[str, ...], list[PlacedChunk]]:
        """Chunks by (repo_id, path), those of a file in order."""
        return {
            (repo_id, file.path): [PlacedChunk(repo_id, file.path, chunk) for chunk in _ordered(file)]
            for repo_id, file in self._placed(scope)
        }


class MemoryChunks:
    """``ChunkStore`` over dictionaries."""

    def __init__(self) -> None:
        self.sync = _Chunks(FORMAT)

    async def identity(self) -> StoreIdentity:
        return self.sync.identity()

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return self.sync.generations(repo_id)

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        self.sync.begin(repo_id, generation=generation, base=base)

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> StageResult:
        return self.sync.stage(repo_id, generation=generation, files=files, removed=removed)

    async def seal(self, repo_id: str, *, generation: int) -> None:
        self.sync.seal(repo_id, generation=generation)

    async def drop(self, repo_id: str, *, generation: int) -> None:
        self.sync.drop(repo_id, generation=generation)

    async def purge(self, repo_id: str) -> None:
        self.sync.purge(repo_id)

    async def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        return self.sync.get(refs, scope=scope)

    async def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        return self.sync.of_file(files, scope=scope)

    async def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        return self.sync.at(locations, scope=scope)

    async def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        return self.sync.defined(names, scope=scope, limit=limit)

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return self.sync.text(blob_ids)

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        return self.sync.scan(scope=scope, after=after, limit=limit)

    async def stats(self, *, scope: Scope) -> ChunkStats:
        return self.sync.stats(scope=scope)


def _ordered(file: FileChunks) -> list[Chunk]:
    return sorted(file.chunks, key=lambda chunk: (chunk.start_byte, chunk.end_byte, chunk.id))


def _best(chunks: list[PlacedChunk], line: int) -> PlacedChunk | None:
    """Of the chunks that cover the line, the one that ``at`` gives."""
    covering = [placed for placed in chunks if placed.chunk.start_line <= line <= placed.chunk.end_line]
    return min(covering, key=lambda placed: _preference(placed.chunk), default=None)


def _preference(chunk: Chunk) -> tuple[bool, bool, int, int, str]:
    size = chunk.end_byte - chunk.start_byte
    return chunk.kind not in FUNCTION_KINDS, chunk.kind not in CLASS_KINDS, size, -chunk.start_byte, chunk.id


def _text(file: FileChunks) -> str:
    """Each chunk gives only the bytes that are not covered yet."""
    text = b""
    for chunk in _ordered(file):
        text += chunk.text.encode()[len(text) - chunk.start_byte :]
    return text.decode()
