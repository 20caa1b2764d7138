"""One index run: lease, generation, batches into the stores, seal, publish, drop what is old.

No store knows which generation is current, so a crash or a cancellation anywhere leaves the published one whole; the
next run throws the unfinished one away.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, cast

from codequay.ports.chunks import ChunkStore
from codequay.ports.errors import LockBusy, PortError
from codequay.ports.generations import ScopeEntry, StageResult
from codequay.ports.lexical import LexicalIndex
from codequay.ports.lock import Lease, Lock
from codequay.ports.metadata import Fence, MetadataStore, Publication, Published, Repo, SkippedFile, StoreRecord
from codequay.ports.source import SourceControl, SourceFile, SourceRepo

from .analyse import Analysed
from .ignore import NAME as IGNORE_FILE
from .ignore import Ignore
from .pool import Inline, Pool, default_workers
from .staging import Row, as_chunks, as_lexical
from .version import CHUNKER

LEASE_S = 60.0
EXTEND_EVERY_S = 20.0
READABLE_S = 600.0
"""Seconds for which a superseded generation stays readable, for requests that began before the flip."""
FILES_PER_BATCH = 1000
PAGE = 5000
"""Placements per page when a base is compared, and removals per call."""


class IndexOptions(Protocol):
    """What an index run reads of the settings."""

    @property
    def enable(self) -> Sequence[str]: ...
    @property
    def max_file_bytes(self) -> int: ...
    @property
    def scan_budget_ms(self) -> float: ...
    @property
    def workers(self) -> int | None: ...
    @property
    def inline_below_bytes(self) -> int: ...
    @property
    def chunk_bytes(self) -> int: ...
    @property
    def batch_bytes(self) -> int: ...


class IndexPorts(Protocol):
    """The ports of an index run."""

    @property
    def chunks(self) -> ChunkStore: ...
    @property
    def lexical(self) -> LexicalIndex: ...
    @property
    def metadata(self) -> MetadataStore: ...
    @property
    def source(self) -> SourceControl: ...
    @property
    def lock(self) -> Lock: ...
    def adapter_name(self, port: str, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``files`` and ``bytes`` were read, of ``files_total`` and ``bytes_total``."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run did. ``bytes`` counts decoded text; ``changed_blobs`` were new to the chunk store."""

    generation: int
    files: int
    chunks: int
    changed_blobs: int
    skipped: Mapping[str, int]
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Store:
    """A store of generations as one run sees it. ``base`` is None when it starts empty."""

    port: str
    store: ChunkStore | LexicalIndex
    record: StoreRecord
    base: int | None = None

    async def stage(self, repo_id: str, generation: int, rows: Sequence[Row]) -> StageResult:
        """Stage files as this store takes them."""
        if self.port == "chunks":
            return await cast(ChunkStore, self.store).stage(
                repo_id, generation=generation, files=[as_chunks(*row) for row in rows]
            )
        return await cast(LexicalIndex, self.store).stage(
            repo_id, generation=generation, files=[as_lexical(*row) for row in rows]
        )


@dataclass(slots=True)
class _Tally:
    seen: set[str] = field(default_factory=set)
    skipped: list[SkippedFile] = field(default_factory=list)
    chunks: int = 0
    bytes: int = 0
    changed: int = 0
    read_files: int = 0
    read_bytes: int = 0


async def index_repository(
    ports: IndexPorts,
    *,
    repo: Repo,
    found: SourceRepo,
    settings: IndexOptions,
    revision: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    readable_s: float = READABLE_S,
) -> IndexReport:
    """Index the whole repository and publish the result; drop what was superseded more than ``readable_s`` ago.

    :raises LockBusy: another process indexes it
    :raises Conflict: another process published first, or the lease was lost; nothing is changed
    """
    started = time.perf_counter()
    async with _lease(ports.lock, repo.repo_id) as (lease, check):
        await ports.metadata.put_repo(repo)
        before = await ports.metadata.published([repo.repo_id])
        base = before[0] if before else None
        generation = await ports.metadata.open_generation(repo.repo_id, base=base.generation if base else None)
        stores = await _begin(ports, settings.enable, repo.repo_id, generation, base)
        tally = _Tally()
        await _fill(ports, stores, tally, repo.repo_id, generation, found, settings, revision, progress, check)
        await asyncio.gather(*(_remove(one, repo.repo_id, generation, tally.seen) for one in stores))
        check()
        await asyncio.gather(*(one.store.seal(repo.repo_id, generation=generation) for one in stores))
        lock_id = await ports.lock.identity()
        await ports.metadata.publish(
            Publication(
                repo_id=repo.repo_id,
                generation=generation,
                base=base.generation if base else None,
                revision=revision or found.head,
                files=len(tally.seen),
                chunks=tally.chunks,
                bytes=tally.bytes,
                stores=tuple(one.record for one in stores),
                skipped=tuple(sorted(tally.skipped)),
                fence=Fence(ports.adapter_name("lock"), lock_id.store_id, lease.fence),
            )
        )
        notes = await _drop_old(ports.metadata, stores, repo.repo_id, generation, readable_s)
    return IndexReport(
        generation,
        len(tally.seen),
        tally.chunks,
        tally.changed,
        dict(Counter(one.reason for one in tally.skipped)),
        tally.bytes,
        time.perf_counter() - started,
        tuple(notes),
    )


@asynccontextmanager
async def _lease(lock: Lock, repo_id: str) -> AsyncIterator[tuple[Lease, Callable[[], None]]]:
    """The repository's lease, extended while the block runs. The function given along raises when it was lost."""
    key = f"repo:{repo_id}"
    lease = await lock.acquire(key, ttl=LEASE_S, owner=f"{socket.gethostname()}:{os.getpid()}")
    if lease is None:
        holder = await lock.holder(key)
        who = f" by {holder.owner} (for {holder.expires_in:.0f} s more at most)" if holder else ""
        raise LockBusy(f"{repo_id} is being indexed{who}", remedy="wait until it has ended, then index again")

    async def extend() -> None:
        while True:
            await asyncio.sleep(EXTEND_EVERY_S)
            await lock.extend(lease, ttl=LEASE_S)

    beat = asyncio.create_task(extend())

    def check() -> None:
        if beat.done():
            beat.result()

    try:
        yield lease, check
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
        await asyncio.shield(lock.release(lease))


async def _begin(
    ports: IndexPorts, enable: Sequence[str], repo_id: str, generation: int, base: Published | None
) -> list[_Store]:
    """Begin in every enabled store: upon the base where the same store holds it, else from nothing."""
    stores = []
    known = {record.port: record for record in base.stores} if base else {}
    candidates: list[tuple[str, ChunkStore | LexicalIndex]] = []
    if "chunks" in enable:
        candidates.append(("chunks", ports.chunks))
    if "lexical" in enable:
        candidates.append(("lexical", ports.lexical))
    for port, store in candidates:
        identity = await store.identity()
        record = StoreRecord(port, ports.adapter_name(port), identity.store_id, f"{identity.fingerprint}+{CHUNKER}")
        one = _Store(port, store, record)
        if base is not None and known.get(port) == record:
            states = await store.generations(repo_id)
            if any(state.generation == base.generation and state.sealed for state in states):
                one.base = base.generation
        await store.begin(repo_id, generation=generation, base=one.base)
        stores.append(one)
    return stores


async def _fill(
    ports: IndexPorts,
    stores: Sequence[_Store],
    tally: _Tally,
    repo_id: str,
    generation: int,
    found: SourceRepo,
    settings: IndexOptions,
    revision: str | None,
    progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
) -> None:
    """Read, analyse and stage, batch by batch: while one is staged, the next is analysed and the one after is read."""
    listed = await _listed(ports.source, found.root, revision, settings.max_file_bytes, tally)
    total = sum(file.size for file in listed)
    modes = {file.path: file.mode for file in listed}

    async def stage(raw: list[tuple[str, bytes]], running: asyncio.Task[list[Analysed]]) -> None:
        pairs = _kept(raw, await running, tally)
        check()
        await _stage(stores, tally, repo_id, generation, pairs, modes)
        tally.read_files += len(raw)
        tally.read_bytes += sum(len(data) for _, data in raw)
        if progress is not None:
            progress(Progress(tally.read_files, len(listed), tally.read_bytes, total))

    flying: deque[tuple[list[tuple[str, bytes]], asyncio.Task[list[Analysed]]]] = deque()
    try:
        async with _analyser(settings, total) as analyser:
            async for raw in _batches(ports.source, found.root, listed, revision, settings, tally):
                flying.append((raw, asyncio.create_task(analyser.analyse(raw))))
                while len(flying) > analyser.workers:
                    await stage(*flying.popleft())
            while flying:
                await stage(*flying.popleft())
    finally:
        for _, task in flying:
            task.cancel()


def _analyser(settings: IndexOptions, total: int) -> Inline | Pool:
    workers = default_workers() if settings.workers is None else settings.workers
    if not workers or total < settings.inline_below_bytes:
        return Inline(chunk_bytes=settings.chunk_bytes, budget_ms=settings.scan_budget_ms)
    return Pool(workers, chunk_bytes=settings.chunk_bytes, budget_ms=settings.scan_budget_ms)


async def _listed(
    source: SourceControl, root: str, revision: str | None, max_bytes: int, tally: _Tally
) -> list[SourceFile]:
    """The files to read, by path; the others are noted as skipped, but for those that ``.codequayignore`` names."""
    text = ""
    async for blob in source.read(root, [IGNORE_FILE], revision=revision, max_bytes=max_bytes):
        text = (blob.data or b"").decode("utf-8", "replace")
    ignore = Ignore(text)
    listed = []
    for file in await source.files(root, revision=revision):
        if ignore.ignored(file.path):
            continue
        if file.kind != "file":
            tally.skipped.append(SkippedFile(file.path, file.kind))
        elif file.size > max_bytes:
            tally.skipped.append(_too_large(file.path, max_bytes))
        else:
            listed.append(file)
    return listed


def _too_large(path: str, max_bytes: int) -> SkippedFile:
    return SkippedFile(path, "too_large", f"more than {max_bytes} bytes (index.max_file_bytes)")


async def _batches(
    source: SourceControl,
    root: str,
    listed: Sequence[SourceFile],
    revision: str | None,
    settings: IndexOptions,
    tally: _Tally,
) -> AsyncIterator[list[tuple[str, bytes]]]:
    """The files' bytes, at most ``batch_bytes`` (or one file) at a time."""
    start = 0
    while start < len(listed):
        size, end = listed[start].size, start + 1
        while end < len(listed) and end - start < FILES_PER_BATCH and size + listed[end].size <= settings.batch_bytes:
            size += listed[end].size
            end += 1
        raw = []
        paths = [file.path for file in listed[start:end]]
        async for blob in source.read(root, paths, revision=revision, max_bytes=settings.max_file_bytes):
            if blob.data is not None:
                raw.append((blob.path, blob.data))
            elif blob.reason == "too_large":
                tally.skipped.append(_too_large(blob.path, settings.max_file_bytes))
            else:
                tally.skipped.append(SkippedFile(blob.path, blob.reason or "unreadable"))
        if raw:
            yield raw
        start = end


def _kept(
    raw: Sequence[tuple[str, bytes]], analysed: Sequence[Analysed], tally: _Tally
) -> list[tuple[str, bytes, Analysed]]:
    """The files to stage; counts them, and notes what was skipped or indexed otherwise than usual."""
    pairs = []
    for (path, data), one in zip(raw, analysed, strict=True):
        if one.reason:
            tally.skipped.append(SkippedFile(path, one.reason, one.detail))
        if one.codec:
            tally.seen.add(path)
            tally.chunks += len(one.pieces)
            tally.bytes += one.size
            pairs.append((path, data, one))
    return pairs


async def _stage(
    stores: Sequence[_Store],
    tally: _Tally,
    repo_id: str,
    generation: int,
    pairs: Sequence[tuple[str, bytes, Analysed]],
    modes: Mapping[str, int],
) -> None:
    """Stage one batch in every store at the same time. The first store's count of new blobs is the run's."""
    texts = [data.decode(one.codec) for _, data, one in pairs]
    rows = [(path, text, one, modes[path]) for (path, _, one), text in zip(pairs, texts, strict=True)]
    results = await asyncio.gather(*(one.stage(repo_id, generation, rows) for one in stores))
    if results:
        tally.changed += results[0].blobs


async def _remove(one: _Store, repo_id: str, generation: int, seen: set[str]) -> None:
    """Take out what the base has and this run has not seen."""
    if one.base is None:
        return
    scope = (ScopeEntry(repo_id, one.base),)
    after: tuple[str, str] | None = None
    while True:
        page = await one.store.scan(scope=scope, after=after, limit=PAGE)
        gone = [file.path for file in page.files if file.path not in seen]
        if gone:
            await one.store.stage(repo_id, generation=generation, files=(), removed=gone)
        after = page.after
        if after is None:
            return


async def _drop_old(
    metadata: MetadataStore, stores: Sequence[_Store], repo_id: str, generation: int, readable_s: float
) -> list[str]:
    """Forget what was superseded long enough ago, but never the generation before this one.

    The run has succeeded: a failure is only noted.
    """
    notes = []
    try:
        history = await metadata.history(repo_id)
        keep = {one.generation for one in history[-2:]} | {generation}
        for old, newer in pairwise(history):
            if time.time() - newer.published_at < readable_s:
                keep.add(old.generation)
        for one in stores:
            for state in await one.store.generations(repo_id):
                if state.generation not in keep:
                    await one.store.drop(repo_id, generation=state.generation)
        for old in history:
            if old.generation not in keep:
                await metadata.retire(repo_id, generation=old.generation)
    except PortError as exc:
        notes.append(f"old generations were not dropped: {exc.message}")
    return notes
