"""``LexicalIndex`` over two Tantivy indexes and a SQLite sidecar that says what is visible: the reads."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import compress, count, islice
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from codequay.adapters._placements import rebuild
from codequay.adapters._words import WORD
from codequay.ports.chunks import FileRef
from codequay.ports.errors import Corrupt, NotIndexed
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.lexical import (
    LexFile,
    LexPage,
    LexStats,
    Placed,
    Plan,
    RankHit,
    RankPlace,
    ReadFiles,
    Term,
    Unit,
    Where,
)
from codequay.ports.spec import BuildContext

from .index import FINGERPRINT, FOLDERS, ORDINAL_BITS, ORDINALS, View, make_indexes, require
from .placements import Reader, Slot, create
from .words import Terms

if TYPE_CHECKING:
    from codequay.ports.diagnose import Finding

    from .writing import Options, Staging

T = TypeVar("T")

OVERFETCH = 16
"""Hits asked for beyond k at first: room for a few invisible ones and for ties at the cut. Enough for 97 of 100."""
GROWTH = 4
"""How many times more to ask for beyond k when that was not enough."""
SLOT_CACHE = 100_000
"""Placements kept in memory by a reader, about 50 MB; then it starts anew."""
HIT_CACHE = 50_000
"""Documents of one unit and scope of which a reader remembers what they show, about 14 MB; then it starts anew."""
WORD_CACHE = 10_000
"""Words of queries whose terms are remembered, about 5 MB."""
SCOPE_CACHE = 8
"""Pairs of unit and scope that it remembers them for."""

_make_hit = partial(tuple.__new__, RankHit)
"""``RankHit._make`` without its check: 200 hits are made per question."""


@dataclass(slots=True)
class _Known:
    """What was read since one commit of the sidecar; the next commit throws it away as a whole."""

    version: int = -1
    sealed: dict[tuple[str, int], int] = field(default_factory=dict)
    slots: dict[int, Slot] = field(default_factory=dict)
    shown: dict[tuple[Unit, Scope], dict[int, RankPlace | None]] = field(default_factory=dict)
    """What a document is to a scope; None: invisible. Dicts only grow, or are replaced: readers hold them unlocked."""


@asynccontextmanager
async def open_lexical(config: Options, ctx: BuildContext) -> AsyncIterator[TantivyLexical]:
    """The index in ``ctx.data/lexical``; created unless the context is read-only.

    :raises NotFound: it is not there and the context is read-only
    :raises FingerprintMismatch: another version of tokenizer, format or Tantivy has built it
    """
    root = ctx.data / "lexical"
    store = await ctx.run_sync(_open, root, config, ctx.readonly)
    lexical = TantivyLexical(store, root, config, ctx)
    try:
        yield lexical
    finally:
        await ctx.run_sync(lexical.close)


def _open(root: Path, config: Options, readonly: bool) -> Store:
    if not readonly:
        root.mkdir(parents=True, exist_ok=True)
        create(root / "placements.db", FINGERPRINT, config.busy_timeout, partial(make_indexes, root))
    return Store(root, config, readonly)


class Store:
    """The reads without await, from any thread: also the sync face."""

    def __init__(self, root: Path, config: Options, readonly: bool) -> None:
        self.terms = Terms()
        self._root = root
        sidecar = root / "placements.db"
        self._reader = Reader(sidecar, readonly=readonly, timeout=config.busy_timeout, fingerprint=FINGERPRINT)
        try:
            self._views: dict[Unit, View] = {unit: View(root / folder, unit) for unit, folder in FOLDERS.items()}
        except BaseException:
            self._reader.close()
            raise
        self._terms_of = lru_cache(WORD_CACHE)(lambda text: self.terms.query(WORD.findall(text)))
        self._known = _Known()
        self._refreshing = threading.Lock()

    def close(self) -> None:
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
        known = self._current(scope)
        weights: dict[str, float] = defaultdict(float)
        for text, weight in terms:
            for term in self._terms_of(text):
                weights[term] += weight
        if not weights or not scope:
            return []
        return self._whole(known, scope, self._best(known, unit, weights, tuple(scope), k, where))

    def _best(
        self, known: _Known, unit: Unit, weights: dict[str, float], scope: Scope, k: int, where: Where | None
    ) -> list[RankHit]:
        """The k best visible hits by falling score, those of one score by place."""
        view = self._views[unit]
        query = view.query(weights)
        limit = k + OVERFETCH
        while True:
            scores, ids = view.search(query, limit)
            exhausted = len(scores) < limit
            last = scores[-1] if scores else 0.0
            shown = self._show(known, unit, scope, ids)
            if where or None in shown:
                admits = where.admits if where else _admits_all
                kept = [n for n, at in enumerate(shown) if at is not None and admits(at.file.path, at.language)]
                shown, scores = [shown[n] for n in kept], [scores[n] for n in kept]
            if exhausted or (len(scores) >= k and last < scores[k - 1]):
                break
            limit = max(k + (limit - k) * GROWTH, min(limit * k // (len(scores) + 1), view.searcher.num_docs + 1))
        end = min(k, len(scores))
        while end < len(scores) and scores[end] == scores[end - 1]:
            end += 1
        hits = list(map(_make_hit, zip(shown[:end], scores[:end], strict=True)))
        _order_ties(hits, scores[:end])
        return hits[:k]

    def _show(self, known: _Known, unit: Unit, scope: Scope, ids: Sequence[int]) -> list[RankPlace | None]:
        """What the documents are to the scope."""
        memo = known.shown.get((unit, scope))
        if memo is None or len(memo) > HIT_CACHE:
            if len(known.shown) >= SCOPE_CACHE:
                known.shown = {}
            known.shown[unit, scope] = memo = {}
        try:
            return list(map(memo.__getitem__, ids))
        except KeyError:
            missing = [i for i in ids if i not in memo]
            slots = self._visible(known, {i >> ORDINAL_BITS for i in missing}, scope)
            for i in missing:
                slot = slots.get(i >> ORDINAL_BITS)
                if slot is None:
                    memo[i] = None
                    continue
                chunk_id, start, end = slot.span(i & ORDINALS) if unit == "chunk" else ("", 0, 0)
                memo[i] = RankPlace(FileRef(slot.repo_id, slot.path), start, chunk_id, end, slot.language)
            return list(map(memo.__getitem__, ids))

    def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        known = self._current(scope)
        if not scope:
            return []
        view = self._views["file"]
        query = require(plan, self.terms, view.schema)
        if query is None:
            found = [
                Placed(repo_id, path, blob, language)
                for repo_id, generation in sorted(scope)
                for path, blob, language in self._reader.placed(_number(known, repo_id, generation), generation, "", -1)
                if not where or where.admits(path, language)
            ]
            return self._whole(known, scope, found)
        _, ids = view.search(query, max(view.searcher.num_docs, 1))
        slots = self._visible(known, {i >> ORDINAL_BITS for i in ids}, scope).values()
        found = sorted(Placed(*slot[:4]) for slot in slots if not where or where.admits(slot.path, slot.language))
        return self._whole(known, scope, found)

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        known = self._current(scope)
        start = after or ("", "")
        files: list[Placed] = []
        for repo_id, generation in sorted(scope):
            if repo_id < start[0]:
                continue
            above = start[1] if repo_id == start[0] else ""
            rows = self._reader.placed(_number(known, repo_id, generation), generation, above, limit + 1 - len(files))
            files += [Placed(repo_id, *row) for row in rows]
            if len(files) > limit:
                last = files[limit - 1]
                return self._whole(known, scope, LexPage(tuple(files[:limit]), (last.repo_id, last.path)))
        return self._whole(known, scope, LexPage(tuple(files), None))

    def stats(self, *, scope: Scope) -> LexStats:
        known = self._current(scope)
        counts = [self._reader.counts(_number(known, repo_id, g), g) for repo_id, g in scope]
        held = sum(view.documents() for view in self._views.values())
        dead = max(0, held - sum(self._reader.lying()))
        found = LexStats(sum(f for f, _ in counts), sum(c for _, c in counts), dead / held if held else 0.0)
        return self._whole(known, scope, found)

    def diagnose(self) -> list[Finding]:
        """See ``SupportsDiagnose``."""
        from .diagnose import diagnose

        return diagnose(self._root, self._reader, self._views)

    def _current(self, scope: Scope) -> _Known:
        """What is known of the last commit, when every generation of the scope is sealed in it.

        The views then hold all their documents.
        """
        known = self._known
        if self._reader.version() != known.version:
            known = self._refresh()
        for entry in scope:
            _number(known, *entry)
        return known

    def _whole(self, known: _Known, scope: Scope, answer: T) -> T:
        """The answer, which several statements have given: whole unless its scope was dropped or purged meanwhile.

        :raises NotIndexed: it was
        """
        if self._reader.version() != known.version:
            now = _Known(sealed=self._reader.sealed())
            for entry in scope:
                if _number(now, *entry) != _number(known, *entry):
                    raise _not_indexed(*entry)
        return answer

    def _refresh(self) -> _Known:
        """Follow another connection's commit.

        Sealed generations are read before the views: by then their documents are committed.
        """
        with self._refreshing:
            known = _Known(self._reader.version(), self._reader.sealed())
            for view in self._views.values():
                view.reload()
            self._known = known
            return known

    def _visible(self, known: _Known, wanted: set[int], scope: Scope) -> dict[int, Slot]:
        """Those of the slots that the scope shows."""
        slots = known.slots
        missing = [slot for slot in wanted if slot not in slots]
        if missing:
            if len(slots) + len(missing) > SLOT_CACHE:
                known.slots = slots = {slot: slots[slot] for slot in wanted if slot in slots}
            before = len(slots)
            slots.update(self._reader.slots(missing))
            if len(slots) < before + len(missing):
                self._excuse(known, [slot for slot in missing if slot not in slots])
        generations = dict(scope)
        found: dict[int, Slot] = {}
        for number in wanted:
            slot = slots.get(number)
            if slot is not None and slot.born <= generations.get(slot.repo_id, -1) < slot.died:
                found[number] = slot
        return found

    def _excuse(self, known: _Known, absent: Sequence[int]) -> None:
        """Documents without a placement: it is being deleted, or was since this read began.

        :raises Corrupt: neither; leaving them out would be a wrong answer
        """
        doomed = self._reader.doomed(absent)
        if len(doomed) < len(absent) and self._reader.version() == known.version:
            raise Corrupt(
                f"{self._root} is damaged: {len(absent) - len(doomed)} documents lie nowhere",
                remedy=rebuild(self._root),
            )


def _number(known: _Known, repo_id: str, generation: int) -> int:
    """The number of a repository whose generation is sealed here."""
    number = known.sealed.get((repo_id, generation))
    if number is None:
        raise _not_indexed(repo_id, generation)
    return number


def _not_indexed(repo_id: str, generation: int) -> NotIndexed:
    return NotIndexed(
        f"generation {generation} of {repo_id!r} is not indexed in this store", remedy="codequay index PATH"
    )


def _admits_all(path: str, language: str) -> bool:
    return True


def _order_ties(hits: list[RankHit], scores: list[float]) -> None:
    """Sort each run of one score by place."""
    ties = list(compress(count(1), map(eq, scores, islice(scores, 1, None))))
    while ties:
        end = ties.pop() + 1
        start = end - 2
        while ties and ties[-1] == start:
            ties.pop()
            start -= 1
        if end - start > 2:
            hits[start:end] = sorted(hits[start:end])
        elif hits[start + 1] < hits[start]:
            hits[start], hits[start + 1] = hits[start + 1], hits[start]


class TantivyLexical:
    """``LexicalIndex`` with one hop to a thread per call; ``sync`` has the reads without.

    The write side is imported when it is first used: a search has no need of it.
    """

    def __init__(self, store: Store, root: Path, config: Options, ctx: BuildContext) -> None:
        self._store = store
        self._root = root
        self._config = config
        self._run = ctx.run_sync

    def close(self) -> None:
        """Close the write side first: it commits what was staged."""
        try:
            if "staging" in self.__dict__:
                self.staging.close()
        finally:
            self._store.close()

    @cached_property
    def staging(self) -> Staging:
        """The writes."""
        from .writing import Staging

        return Staging(self._root, self._config, self._store.terms)

    @property
    def sync(self) -> Store:
        return self._store

    async def identity(self) -> StoreIdentity:
        return self._store.identity()

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return await self._run(self._store.generations, repo_id)

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self._run(partial(self.staging.begin, repo_id, generation=generation, base=base))

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        return await self._run(
            partial(self.staging.stage, repo_id, generation=generation, files=files, removed=removed)
        )

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self._run(partial(self.staging.seal, repo_id, generation=generation))

    async def drop(self, repo_id: str, *, generation: int) -> None:
        await self._run(partial(self.staging.drop, repo_id, generation=generation))

    async def purge(self, repo_id: str) -> None:
        await self._run(partial(self.staging.purge, repo_id))

    async def compact(self, read: ReadFiles) -> int:
        from .compaction import compact

        return await compact(self.staging, self._run, read)

    async def diagnose(self) -> list[Finding]:
        return await self._run(self._store.diagnose)

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
