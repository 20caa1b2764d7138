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
        with self._lock:
            found = {
                (repo_id, path, c.id): PlacedChunk(repo_id, path, c)
                for repo_id, path, _, file in self._placed(scope)
                for c in file.chunks
            }
        return [found.get((ref[0], ref[1], ref[2])) for ref in refs]

    def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        with self._lock:
            found = {
                (repo_id, path): [PlacedChunk(repo_id, path, c) for c in _ordered(file)]
                for repo_id, path, _, file in self._placed(scope)
            }
        return [found.get((ref[0], ref[1])) for ref in files]

    def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        files = self.of_file([FileRef(where[0], where[1]) for where in locations], scope=scope)
        answer: list[PlacedChunk | None] = []
        for where, placed in zip(locations, files, strict=True):
            covering = [p for p in placed or () if p.chunk.start_line <= where[2] <= p.chunk.end_line]
            answer.append(min(covering, key=_preference) if covering else None)
        return answer

    def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        wanted = set(names)
        with self._lock:
            hits = [
                DefinitionHit(repo_id, path, c.id, d.name, d.kind, d.line)
                for repo_id, path, _, file in self._placed(scope)
                for c in file.chunks
                for d in c.definitions
                if d.name in wanted
            ]
        return sorted(hits, key=lambda h: (h.repo_id, h.path, h.line, h.name, h.chunk_id))[:limit]

    def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        with self._lock:
            found = {blob_id: _text(file) for (blob_id, *_), file in self._content.items() if blob_id in set(blob_ids)}
        return [found.get(blob_id) for blob_id in blob_ids]

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        with self._lock:
            rows = [
                ((repo_id, path), PlacedFile(repo_id, path, p.blob_id, p.language, p.mode, len(file.chunks)))
                for repo_id, path, p, file in self._placed(scope)
            ]
        return FilePage(*page(rows, after, limit))

    def stats(self, *, scope: Scope) -> ChunkStats:
        with self._lock:
            placed = [file for _, _, _, file in self._placed(scope)]
        return ChunkStats(
            len(placed), sum(len(f.chunks) for f in placed), sum(len((_text(f)).encode()) for f in placed)
        )


class MemoryChunks:
    """``ChunkStore`` over dictionaries."""

    def __init__(self) -> None:
        self.sync = _Chunks(FORMAT, lambda file: tuple(chunk.id for chunk in file.chunks))

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
    return sorted(file.chunks, key=lambda c: (c.start_byte, c.end_byte, c.id))


def _preference(placed: PlacedChunk) -> tuple[int, int, int, str]:
    c = placed.chunk
    rank = 0 if c.kind in FUNCTION_KINDS else 1 if c.kind in CLASS_KINDS else 2
    return rank, c.end_byte - c.start_byte, -c.start_byte, c.id


def _text(file: FileChunks) -> str:
    """Each chunk gives only the bytes that are not covered yet."""
    text = bytearray()
    for c in _ordered(file):
        text += c.text.encode()[max(len(text) - c.start_byte, 0) :]
    return text.decode()
