"""Reading, analysing and staging: each file is read once, and staged only in the stores that lack it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from codequay.ports.chunks import ChunkStore, PlacedFile
from codequay.ports.failpoint import reach
from codequay.ports.generations import ScopeEntry, StageResult
from codequay.ports.lexical import LexicalIndex
from codequay.ports.metadata import Published, StoreRecord
from codequay.ports.source import SourceBlob, SourceControl, SourceFile

from . import filled
from .blob import blob_id_of
from .changes import ReadOptions, Survey, batches, unread
from .manifest import UNREAD, Entry
from .staging import Row, as_chunks, as_lexical

if TYPE_CHECKING:
    from .analyse import Analysed
    from .pool import Inline, Pool

PAGE = 5000
"""Placements per page of a store, and removals per call."""


class FillOptions(ReadOptions, Protocol):
    """What analysing takes from the settings."""

    @property
    def scan_budget_ms(self) -> float: ...
    @property
    def workers(self) -> int | None: ...
    @property
    def inline_below_bytes(self) -> int: ...
    @property
    def chunk_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``files`` and ``bytes`` were read, of ``files_total`` and ``bytes_total``."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


def takes_writes(store: object) -> bool:
    """Whether we fill the store: a lexical index may be somebody else's."""
    return bool(getattr(getattr(store, "capabilities", None), "writable", True))


@dataclass(slots=True)
class Target:
    """A store as one run sees it. ``base`` is the generation to build upon; None when it starts empty.

    ``held`` is what the store shows at ``base``. When it is not ``trusted``, that was made with other options, and
    everything is staged again.
    """

    port: str
    store: ChunkStore | LexicalIndex
    record: StoreRecord
    sealed: frozenset[int] = frozenset()
    base: int | None = None
    held: dict[str, Entry] = field(default_factory=dict)
    trusted: bool = True
    blobs: int = 0
    """Contents that were new to the store in this run."""

    def holds(self, one: Published, data: Path) -> bool:
        """Whether it shows the generation: published with it, or filled with it afterwards."""
        return one.generation in self.sealed and (self.record in one.stores or self.record in filled.records(data, one))

    def wants(self, path: str, entry: Entry) -> bool:
        """Whether the file must be staged here."""
        if not entry.indexed:
            return False
        held = self.held.get(path) if self.trusted else None
        if held is None or not held.indexed or held.blob_id != entry.blob_id:
            return True
        return held.mode not in (entry.mode, UNREAD)

    def gone(self, entries: dict[str, Entry]) -> list[str]:
        """What the store shows and the tree does not hold any more."""
        return [
            path
            for path, held in self.held.items()
            if held.indexed and ((now := entries.get(path)) is None or not now.indexed)
        ]

    @property
    def prepare(self) -> str:
        """What workers do for this store; "" when nothing."""
        prepare: str = getattr(getattr(self.store, "capabilities", None), "prepare", "")
        return prepare

    async def recall(self, repo_id: str) -> None:
        """Ask the store itself what it shows at ``base``."""
        if self.base is None:
            return
        scope = (ScopeEntry(repo_id, self.base),)
        after: tuple[str, str] | None = None
        while True:
            page = await self.store.scan(scope=scope, after=after, limit=PAGE)
            for file in page.files:
                mode = file.mode if isinstance(file, PlacedFile) else UNREAD
                self.held[file.path] = Entry(0, 0, 0, 0, mode, file.blob_id, chunks=0)
            after = page.after
            if after is None:
                return

    async def stage(self, repo_id: str, generation: int, rows: Sequence[Row]) -> None:
        """Stage files as this store takes them."""
        result: StageResult
        if self.port == "chunks":
            result = await cast(ChunkStore, self.store).stage(
                repo_id, generation=generation, files=[as_chunks(*row) for row in rows]
            )
        else:
            result = await cast(LexicalIndex, self.store).stage(
                repo_id, generation=generation, files=[as_lexical(*row) for row in rows]
            )
        self.blobs += result.blobs

    async def remove(self, repo_id: str, generation: int, paths: Sequence[str]) -> None:
        """Take paths out of the generation."""
        for start in range(0, len(paths), PAGE):
            await self.store.stage(repo_id, generation=generation, files=(), removed=paths[start : start + PAGE])


Batch = list[tuple[SourceFile, SourceBlob]]


class Filling:
    """One pass over what must be read: while a batch is staged, the next is analysed and the one after is read.

    ``entries`` becomes what the tree holds, by path. ``begin`` gives the generation to stage into, at the first need.
    """

    def __init__(
        self,
        source: SourceControl,
        repo_id: str,
        targets: Sequence[Target],
        *,
        settings: FillOptions,
        begin: Callable[[], Awaitable[int]],
        check: Callable[[], None],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self._source = source
        self._repo_id = repo_id
        self._targets = targets
        self._settings = settings
        self._begin = begin
        self._check = check
        self._progress = progress
        self._read_files = 0
        self._read_bytes = 0

    async def fill(self, seen: Survey) -> None:
        """Bring every store to the tree. Nothing is sealed."""
        wanted = list(seen.fresh)
        for path, entry in seen.known.items():
            if any(target.wants(path, entry) for target in self._targets):
                wanted.append(_file(path, entry))
            else:
                self.entries[path] = entry
        wanted.sort()
        await self._read(seen, wanted)
        for target in self._targets:
            gone = target.gone(self.entries)
            if gone:
                await target.remove(self._repo_id, await self._begin(), gone)

    async def _read(self, seen: Survey, wanted: Sequence[SourceFile]) -> None:
        if not wanted:
            return
        total = sum(file.size for file in wanted)
        flying: deque[tuple[Batch, int, asyncio.Task[list[Analysed]]]] = deque()

        async def land() -> None:
            batch, began, task = flying[0]
            analysed = await task
            flying.popleft()
            await self._stage(batch, began, analysed, seen)
            self._read_files += len(batch)
            self._read_bytes += sum(len(blob.data or b"") for _, blob in batch)
            if self._progress is not None:
                self._progress(Progress(self._read_files, len(wanted), self._read_bytes, total))

        try:
            async with self._analyser(total) as analyser:
                began = time.time_ns()
                async for batch in batches(self._source, wanted, seen.root, seen.revision, self._settings):
                    reach("index.walk")
                    raw = [(file.path, blob.data) for file, blob in batch if blob.data is not None]
                    flying.append((batch, began, asyncio.create_task(analyser.analyse(raw))))
                    while len(flying) > analyser.workers:
                        await land()
                    began = time.time_ns()
                while flying:
                    await land()
        finally:
            for _, _, task in flying:
                task.cancel()

    async def _stage(self, batch: Batch, began: int, analysed: Sequence[Analysed], seen: Survey) -> None:
        """Stage one batch in every store at the same time, each taking what it lacks."""
        results = iter(analysed)
        rows: list[tuple[Entry, Row]] = []
        for file, blob in batch:
            if blob.data is None:
                self.entries[file.path] = unread(file, blob, self._settings)
                continue
            one = next(results)
            entry = _entry(one, blob.data)
            known = seen.known.get(file.path)
            entry = entry.of(file, began) if known is None else Entry._make(known[:5] + entry[5:])
            self.entries[file.path] = entry
            if one.codec and any(target.wants(file.path, entry) for target in self._targets):
                rows.append((entry, (file.path, blob.data.decode(one.codec), one, file.mode)))
        if not rows:
            return
        self._check()
        generation = await self._begin()
        await asyncio.gather(
            *(
                target.stage(self._repo_id, generation, mine)
                for target in self._targets
                if (mine := [row for entry, row in rows if target.wants(row[0], entry)])
            )
        )

    def _analyser(self, total: int) -> Inline | Pool:
        from . import memory
        from .pool import Inline, Pool, default_workers

        settings = self._settings
        workers = default_workers() if settings.workers is None else settings.workers
        if not workers or total < settings.inline_below_bytes:
            return Inline(chunk_bytes=settings.chunk_bytes, budget_ms=settings.scan_budget_ms)
        memory.save()
        prepare = next((one.prepare for one in self._targets if one.prepare), "")
        return Pool(workers, chunk_bytes=settings.chunk_bytes, budget_ms=settings.scan_budget_ms, prepare=prepare)


def _file(path: str, entry: Entry) -> SourceFile:
    return SourceFile(path, "file", entry.mode, entry.size, entry.mtime_ns, "", entry.ctime_ns, entry.inode)


def _entry(one: Analysed, raw: bytes) -> Entry:
    """What analysing found; a file that cost its worker has no blob id from there."""
    chunks = len(one.pieces) if one.codec else UNREAD
    return Entry(0, 0, 0, 0, 0, one.blob_id or blob_id_of(raw), chunks, one.size, one.reason, one.detail)
