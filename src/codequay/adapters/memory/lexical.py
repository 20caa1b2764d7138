"""The reference lexical index: looks at every visible text.

A score is the weight of the words that a document holds: all that the port promises of scores, and no more.
"""

from __future__ import annotations

import re
from collections import defaultdict
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


@asynccontextmanager
async def open_lexical(config: object, ctx: BuildContext) -> AsyncIterator[MemoryLexical]:
    """An empty index; what it holds is gone when it closes."""
    yield MemoryLexical()


class _Lexical(Generations[LexFile]):
    """The index without await: also the sync face."""

    def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        weights: defaultdict[str, float] = defaultdict(float)
        for text, weight in terms:
            for word in words(text):
                weights[word] += weight
        hits = []
        for place, held in self._documents(scope, unit):
            score = sum(weight for word, weight in weights.items() if word in held)
            if score and (where is None or where.admits(place.file.path, place.language)):
                hits.append(RankHit(place, score))
        return sorted(hits, key=lambda hit: (-hit.score, hit.place))[:k]

    def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        return [
            Placed(repo_id, file.path, file.blob_id, file.language)
            for repo_id, file in self._placed(scope)
            if (where is None or where.admits(file.path, file.language)) and _satisfies(file.text, plan)
        ]

    def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        rows = [Placed(repo_id, file.path, file.blob_id, file.language) for repo_id, file in self._placed(scope)]
        return LexPage(*page(rows, after, limit))

    def stats(self, *, scope: Scope) -> LexStats:
        files = [file for _, file in self._placed(scope)]
        return LexStats(len(files), sum(len(file.spans) for file in files), 0.0)

    def _documents(self, scope: Scope, unit: Unit) -> Iterator[tuple[RankPlace, set[str]]]:
        """What can be ranked, with its words."""
        for repo_id, file in self._placed(scope):
            ref = FileRef(repo_id, file.path)
            if unit == "file":
                yield RankPlace(ref, 0, "", 0, file.language), words(file.text)
                continue
            raw = file.text.encode()
            for span in file.spans:
                text = raw[span.start_byte : span.end_byte].decode()
                yield (
                    RankPlace(ref, span.start_line, span.chunk_id, span.end_line, file.language),
                    words(text),
                )


class MemoryLexical:
    """``LexicalIndex`` over dictionaries."""

    def __init__(self) -> None:
        self.sync = _Lexical(FORMAT)

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


def _satisfies(text: str, plan: Plan) -> bool:
    if isinstance(plan, Literal_):
        if not plan.ignore_case:
            return plan.text in text
        folded = plan.text.casefold() in text.casefold()
        return folded or re.search(re.escape(plan.text), text, re.IGNORECASE) is not None
    some = all if isinstance(plan, AllOf) else any
    return some(_satisfies(text, part) for part in plan.parts)
