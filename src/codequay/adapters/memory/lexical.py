"""The reference lexical index: BM25 over every visible document, and candidates by looking at every text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from codequay.ports.chunks import FileRef
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.lexical import (
    AllOf,
    LexFile,
    LexPage,
    LexStats,
    Literal_,
    Placed,
    Plan,
    RankHit,
    RankPlace,
    Term,
    Unit,
    Where,
)
from codequay.ports.spec import BuildContext

from .generations import Generations, page
from .words import words

FORMAT = "memory-lexical-1"
K1 = 1.2
"""How fast repeated words stop to count (Robertson and Zaragoza 2009, the usual value)."""
B = 0.75
"""How much long documents are discounted (the usual value)."""


@asynccontextmanager
async def open_lexical(config: object, ctx: BuildContext) -> AsyncIterator[MemoryLexical]:
    """An empty index; what it holds is gone when it closes."""
    yield MemoryLexical()


class _Lexical(Generations[LexFile]):
    """The index without await: also the sync face."""

    def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        with self._lock:
            documents = list(self._documents(scope, unit))
        average = sum(bag.total() for _, bag in documents) / len(documents) if documents else 0.0
        weights: Counter[str] = Counter()
        for text, weight in terms:
            for word in dict.fromkeys(words(text)):
                weights[word] += weight  # type: ignore[assignment]
        holding = {word: sum(word in bag for _, bag in documents) for word in weights}
        hits = []
        for place, bag in documents:
            if where is not None and not where.admits(place.file.path, place.language):
                continue
            score = sum(
                weight * _bm25(bag[word], bag.total() / average, holding[word], len(documents))
                for word, weight in weights.items()
                if word in bag
            )
            if score > 0:
                hits.append(RankHit(place, score))
        return sorted(hits, key=lambda h: (-h.score, h.place))[:k]

    def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        with self._lock:
            return [
                Placed(repo_id, path, p.blob_id, p.language)
                for repo_id, path, p, file in self._placed(scope)
                if (where is None or where.admits(path, p.language)) and _satisfies(file.text, plan)
            ]

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        with self._lock:
            rows = [
                ((repo_id, path), Placed(repo_id, path, p.blob_id, p.language))
                for repo_id, path, p, _ in self._placed(scope)
            ]
        return LexPage(*page(rows, after, limit))

    def stats(self, *, scope: Scope) -> LexStats:
        with self._lock:
            placed = [file for _, _, _, file in self._placed(scope)]
        return LexStats(len(placed), sum(len(file.spans) for file in placed), 0.0)

    def _documents(self, scope: Scope, unit: Unit) -> Iterator[tuple[RankPlace, Counter[str]]]:
        for repo_id, path, placement, file in self._placed(scope):
            if unit == "file":
                yield RankPlace(FileRef(repo_id, path), 0, "", 0, placement.language), Counter(words(file.text))
                continue
            raw = file.text.encode()
            for span in file.spans:
                text = raw[span.start_byte : span.end_byte].decode(errors="replace")
                lines = (span.start_line, span.chunk_id, span.end_line)
                yield RankPlace(FileRef(repo_id, path), *lines, placement.language), Counter(words(text))


class MemoryLexical:
    """``LexicalIndex`` over dictionaries."""

    def __init__(self) -> None:
        self.sync = _Lexical(FORMAT, lambda file: tuple(span.chunk_id for span in file.spans))

    async def identity(self) -> StoreIdentity:
        return self.sync.identity()

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return self.sync.generations(repo_id)

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        self.sync.begin(repo_id, generation=generation, base=base)

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        return self.sync.stage(repo_id, generation=generation, files=files, removed=removed)

    async def seal(self, repo_id: str, *, generation: int) -> None:
        self.sync.seal(repo_id, generation=generation)

    async def drop(self, repo_id: str, *, generation: int) -> None:
        self.sync.drop(repo_id, generation=generation)

    async def purge(self, repo_id: str) -> None:
        self.sync.purge(repo_id)

    async def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        return self.sync.rank(terms, scope=scope, unit=unit, k=k, where=where)

    async def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        return self.sync.candidates(plan, scope=scope, where=where)

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        return self.sync.scan(scope=scope, after=after, limit=limit)

    async def stats(self, *, scope: Scope) -> LexStats:
        return self.sync.stats(scope=scope)


def _bm25(count: int, length: float, holding: int, documents: int) -> float:
    """``length`` is relative to the average; the added 1 keeps the inverse document frequency above 0 (Lucene)."""
    rarity = math.log(1 + (documents - holding + 0.5) / (holding + 0.5))
    return rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * length))


def _satisfies(text: str, plan: Plan) -> bool:
    if isinstance(plan, Literal_):
        if not plan.ignore_case:
            return plan.text in text
        folded = plan.text.casefold() in text.casefold()
        return folded or re.search(re.escape(plan.text), text, re.IGNORECASE) is not None
    some = all if isinstance(plan, AllOf) else any
    return some(_satisfies(text, part) for part in plan.parts)
