"""``LexicalIndex`` over two Tantivy indexes and a SQLite sidecar that says what is visible.

A write goes: sidecar (slots, marked as this writer's), Tantivy documents; on seal: sidecar synced, Tantivy committed,
generation sealed. A crash at any point leaves sealed generations whole, and documents that no slot names invisible.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from codequay.ports.errors import Conflict, NotIndexed, PortError
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.lexical import LexFile, LexPage, LexStats, Placed, Plan, RankHit, Term, Unit, Where
from codequay.ports.spec import BuildContext

from .index import FINGERPRINT, FOLDERS, ORDINAL_BITS, ORDINALS, View, Writers, make_indexes, require
from .placements import Reader, Slot, Writer, create
from .words import WORD, Terms

_PLACE = itemgetter(0, 1, 4, 3)
"""Of a hit: repository, path, first line, chunk."""

OVERFETCH = 32
"""Hits asked for beyond k at first: room for a few invisible ones and for ties at the cut."""
GROWTH = 4
"""How many times more to ask for when that was not enough."""
SLOT_CACHE = 100_000
"""Placements kept in memory by a reader, about 50 MB; then it starts anew."""
SPAN_CACHE = 50_000
"""Spans of chunks kept unpacked, about 12 MB; then they start anew. A document's span never changes."""


class Options(Protocol):
    """What the index reads of a configuration."""

    @property
    def busy_timeout(self) -> float: ...

    @property
    def chunk_heap_mb(self) -> int: ...

    @property
    def file_heap_mb(self) -> int: ...


@asynccontextmanager
async def open_lexical(config: Options, ctx: BuildContext) -> AsyncIterator[TantivyLexical]:
    """The index in ``ctx.data/lexical``; created unless the context is read-only.

    :raises NotFound: it is not there and the context is read-only
    :raises FingerprintMismatch: another version of tokenizer, format or Tantivy has built it
    """
    root = ctx.data / "lexical"
    store = await ctx.run_sync(_open, root, config, ctx.readonly)
    try:
        yield TantivyLexical(store, ctx)
    finally:
        await ctx.run_sync(store.close)


def _open(root: Path, config: Options, readonly: bool) -> Store:
    if not readonly:
        root.mkdir(parents=True, exist_ok=True)
        create(root / "placements.db", FINGERPRINT, config.busy_timeout, partial(make_indexes, root))
    return Store(root, config, readonly)


class Store:
    """The index without await: reads from any thread (also the sync face), writes one at a time."""

    def __init__(self, root: Path, config: Options, readonly: bool) -> None:
        self._root = root
        self._config = config
        self._sidecar = root / "placements.db"
        self._terms = Terms()
        self._reader = Reader(self._sidecar, readonly=readonly, timeout=config.busy_timeout, fingerprint=FINGERPRINT)
        try:
            self._views: dict[Unit, View] = {unit: View(root / folder, unit) for unit, folder in FOLDERS.items()}
        except BaseException:
            self._reader.close()
            raise
        self._seen = -1
        self._sealed: dict[tuple[str, int], int] = {}
        self._slots: dict[int, Slot] = {}
        self._spans: dict[int, tuple[str, int, int]] = {}
        self._refreshing = threading.Lock()
        self._writing = threading.Lock()
        self._placements: Writer | None = None
        self._writers: Writers | None = None

    def close(self) -> None:
        """Commit what was staged, so that a later process can go on with it, and close."""
        with self._writing:
            try:
                if self._placements is not None and self._writers is not None:
                    if self._placements.unfinished():
                        self._commit(self._placements, self._writers)
                    self._release()
            finally:
                if self._placements is not None:
                    self._placements.close()
                    self._placements = None
                self._reader.close()
                for view in self._views.values():
                    view.close()

    def identity(self) -> StoreIdentity:
        return self._reader.identity

    def generations(self, repo_id: str) -> list[GenerationState]:
        return self._reader.generations(repo_id)

    def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        shown = self._shown(scope)
        weights: dict[str, float] = defaultdict(float)
        for text, weight in terms:
            for term in self._terms.query(WORD.findall(text)):
                weights[term] += weight
        if not weights or not shown:
            return []
        return _by_place(self._best(unit, weights, shown, k, where))[:k]

    def _best(
        self, unit: Unit, weights: dict[str, float], shown: dict[str, int], k: int, where: Where | None
    ) -> list[RankHit]:
        """At least the k best visible hits, best first, with every hit that ties with the last of them."""
        view = self._views[unit]
        query = view.query(weights)
        limit = k + OVERFETCH
        while True:
            scores, ids = view.search(query, limit)
            numbers = [i >> ORDINAL_BITS for i in ids]
            slots = self._placed(numbers, shown, where)
            visible = [(s, i, slots[n]) for s, i, n in zip(scores, ids, numbers, strict=True) if n in slots]
            exhausted = len(scores) < limit
            if exhausted or (len(visible) >= k and scores[-1] < visible[k - 1][0]):
                break
            limit = max(limit * GROWTH, min(limit * k // (len(visible) + 1), view.searcher.num_docs + 1))
        if not exhausted:
            visible = [hit for hit in visible if hit[0] >= visible[k - 1][0]]
        make = RankHit._make
        if unit == "file":
            return [make((slot[0], slot[1], slot[3], "", 0, 0, score)) for score, _, slot in visible]
        known = self._spans
        if len(known) > SPAN_CACHE:
            self._spans = known = {}
        hits = []
        for score, i, slot in visible:
            span = known.get(i)
            if span is None:
                span = known[i] = slot.span(i & ORDINALS)
            hits.append(make((slot[0], slot[1], slot[3], span[0], span[1], span[2], score)))
        return hits

    def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        shown = self._shown(scope)
        if not shown:
            return []
        view = self._views["file"]
        query = require(plan, self._terms, view.schema)
        if query is None:
            return [
                Placed(repo_id, path, blob, language)
                for repo_id, generation in sorted(shown.items())
                for path, blob, language in self._reader.placed(self._number(repo_id, generation), generation, "", -1)
                if not where or where.admits(path, language)
            ]
        _, ids = view.search(query, max(view.searcher.num_docs, 1))
        slots = self._placed([i >> ORDINAL_BITS for i in ids], shown, where)
        return sorted(Placed(*slot[:4]) for slot in slots.values())

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        shown = self._shown(scope)
        start = after or ("", "")
        files: list[Placed] = []
        for repo_id, generation in sorted(shown.items()):
            if repo_id < start[0]:
                continue
            above = start[1] if repo_id == start[0] else ""
            rows = self._reader.placed(self._number(repo_id, generation), generation, above, limit + 1 - len(files))
            files += [Placed(repo_id, *row) for row in rows]
            if len(files) > limit:
                return LexPage(tuple(files[:limit]), (files[limit - 1].repo_id, files[limit - 1].path))
        return LexPage(tuple(files), None)

    def stats(self, *, scope: Scope) -> LexStats:
        shown = self._shown(scope)
        counts = [self._reader.counts(self._number(repo_id, g), g) for repo_id, g in shown.items()]
        dead = [view.dead() for view in self._views.values()]
        gone, total = (sum(column) for column in zip(*dead, strict=True))
        return LexStats(sum(f for f, _ in counts), sum(c for _, c in counts), gone / total if total else 0.0)

    def _shown(self, scope: Scope) -> dict[str, int]:
        """The scope, when every generation in it is sealed here; the views then hold all its documents."""
        if self._reader.version() != self._seen:
            self._refresh()
        for repo_id, generation in scope:
            self._number(repo_id, generation)
        return dict(scope)

    def _number(self, repo_id: str, generation: int) -> int:
        number = self._sealed.get((repo_id, generation))
        if number is None:
            raise NotIndexed(
                f"generation {generation} of {repo_id!r} is not indexed in this store", remedy="codequay index PATH"
            )
        return number

    def _refresh(self) -> None:
        """Follow another connection's commit.

        Sealed generations are read before the views: by then their documents are committed.
        """
        with self._refreshing:
            version = self._reader.version()
            sealed = self._reader.sealed()
            for view in self._views.values():
                view.reload()
            self._slots = {}
            self._sealed = sealed
            self._seen = version

    def _placed(self, wanted: list[int], shown: dict[str, int], where: Where | None) -> dict[int, Slot]:
        """Those of the slots that are visible and admitted."""
        known = self._slots
        distinct = set(wanted)
        missing = [slot for slot in distinct if slot not in known]
        if missing:
            if len(known) + len(missing) > SLOT_CACHE:
                self._slots = known = {slot: known[slot] for slot in distinct if slot in known}
            known.update(self._reader.slots(missing))
        found: dict[int, Slot] = {}
        for number in distinct:
            slot = known.get(number)
            if slot is None:
                continue
            generation = shown.get(slot.repo_id)
            if generation is None or not slot.born <= generation < slot.died:
                continue
            if not where or where.admits(slot.path, slot.language):
                found[number] = slot
        return found

    def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        with self._writing:
            placements, writers = self._open_writers()
            try:
                with placements:
                    placements.begin(repo_id, generation, base)
            except PortError:
                self._release_idle(placements)
                raise
            self._guarded(placements, lambda: self._commit(placements, writers))

    def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        with self._writing:
            placements, writers = self._open_writers()
            last = {file.path: file for file in files}
            added: list[tuple[int, LexFile]] = []
            blobs = 0
            with placements:
                number, sealed = placements.staging(repo_id, generation)
                if sealed:
                    raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
                placements.mark(number, generation)
                for path in removed:
                    if path not in last:
                        placements.remove(number, generation, path)
                for file in last.values():
                    placed = placements.place(number, generation, file)
                    if placed is not None:
                        added.append((placed[0], file))
                        blobs += placed[1]

            def add() -> None:
                for slot, file in added:
                    writers.add(slot, file, self._terms)

            self._guarded(placements, add)
            return StageResult(blobs, len(added))

    def seal(self, repo_id: str, *, generation: int) -> None:
        with self._writing:
            placements, writers = self._open_writers()
            number, sealed = placements.staging(repo_id, generation)
            if not sealed:
                self._guarded(placements, lambda: self._commit(placements, writers))
                with placements:
                    placements.seal(number, generation)
                placements.sync()
            self._release_idle(placements)

    def drop(self, repo_id: str, *, generation: int) -> None:
        self._forget(repo_id, generation)

    def purge(self, repo_id: str) -> None:
        self._forget(repo_id, None)

    def _forget(self, repo_id: str, generation: int | None) -> None:
        with self._writing:
            placements, writers = self._open_writers()
            with placements:
                placements.forget(repo_id, generation)
            self._guarded(placements, lambda: self._commit(placements, writers))
            self._release_idle(placements)

    def _open_writers(self) -> tuple[Writer, Writers]:
        """The writers, opened anew when there are none or the last ones have failed."""
        if self._placements is None:
            self._placements = Writer(self._sidecar, self._config.busy_timeout)
        if self._writers is None:
            heaps: dict[Unit, int] = {
                "chunk": self._config.chunk_heap_mb * 1_000_000,
                "file": self._config.file_heap_mb * 1_000_000,
            }
            self._writers = Writers(self._root, heaps)
        return self._placements, self._writers

    def _commit(self, placements: Writer, writers: Writers) -> None:
        doomed = placements.doomed()
        if not doomed and not placements.unfinished():
            return
        placements.sync()
        writers.delete(doomed)
        writers.commit()
        with placements:
            placements.buried(doomed)
            placements.committed()

    def _guarded(self, placements: Writer, work: Callable[[], None]) -> None:
        """Tantivy work. After a failure the writers may have lost documents without a word, so they are given up."""
        try:
            work()
        except BaseException:
            if self._writers is not None:
                self._writers.discard()
                self._writers = None
            with placements:
                placements.abandon()
            raise

    def _release_idle(self, placements: Writer) -> None:
        """Let other processes write when nothing of ours waits for a commit."""
        if not placements.unfinished():
            self._release()

    def _release(self) -> None:
        writers, self._writers = self._writers, None
        if writers is not None:
            writers.close()


def _by_place(hits: list[RankHit]) -> list[RankHit]:
    """Hits that come by falling score, those of one score by place. Most scores are alone: only runs are sorted."""
    scores = [hit[6] for hit in hits]
    if len(set(scores)) == len(scores):
        return hits
    start = 0
    for end in range(1, len(hits) + 1):
        if end == len(hits) or scores[end] != scores[start]:
            if end - start > 1:
                hits[start:end] = sorted(hits[start:end], key=_PLACE)
            start = end
    return hits


class TantivyLexical:
    """``LexicalIndex`` with one hop to a thread per call; ``sync`` has the reads without."""

    def __init__(self, store: Store, ctx: BuildContext) -> None:
        self._store = store
        self._run = ctx.run_sync

    @property
    def sync(self) -> Store:
        return self._store

    async def identity(self) -> StoreIdentity:
        return self._store.identity()

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return await self._run(self._store.generations, repo_id)

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self._run(partial(self._store.begin, repo_id, generation=generation, base=base))

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        return await self._run(partial(self._store.stage, repo_id, generation=generation, files=files, removed=removed))

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self._run(partial(self._store.seal, repo_id, generation=generation))

    async def drop(self, repo_id: str, *, generation: int) -> None:
        await self._run(partial(self._store.drop, repo_id, generation=generation))

    async def purge(self, repo_id: str) -> None:
        await self._run(partial(self._store.purge, repo_id))

    async def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        return await self._run(partial(self._store.rank, terms, scope=scope, unit=unit, k=k, where=where))

    async def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        return await self._run(partial(self._store.candidates, plan, scope=scope, where=where))

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        return await self._run(partial(self._store.scan, scope=scope, after=after, limit=limit))

    async def stats(self, *, scope: Scope) -> LexStats:
        return await self._run(partial(self._store.stats, scope=scope))
