"""Lexical indexes that find, rank or keep the wrong things: see ``lexical``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.chunks import FileRef
from codequay.ports.errors import NotIndexed
from codequay.ports.generations import GenerationState, ScopeEntry
from codequay.ports.lexical import LexFile, LexSpan, Placed, Plan, RankHit, Term

from . import Saboteur

MOST = 10_000
"""More hits than any trial has."""
STOP_WORDS = frozenset({"the", "or", "and", "not", "if"})


class StopWords(Saboteur):
    wrong = "words that are frequent in English are left out of a query"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        kept = [term for term in terms if term[0].lower() not in STOP_WORDS]
        return list(await self.inner.rank(kept, scope=scope, unit=unit, k=k, where=where))


class CutsPaths(Saboteur):
    wrong = "the path of a hit ends after 1,024 characters"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where)
        return [hit._replace(place=hit.place._replace(file=FileRef(hit.repo_id, hit.path[:1024]))) for hit in hits]


class NewPathsLater(Saboteur):
    wrong = "a path that a later generation has added does not rank"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=MOST, where=where)
        first = [ScopeEntry(repo, (await self.inner.generations(repo))[0].generation) for repo, _ in scope]
        known = {(f.repo_id, f.path) for f in (await self.inner.scan(scope=first, limit=MOST)).files}
        return [hit for hit in hits if (hit.repo_id, hit.path) in known][:k]


class RanksOldTexts(Saboteur):
    wrong = "a file ranks by the words that it had in an earlier generation too"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = list(await self.inner.rank(terms, scope=scope, unit=unit, k=MOST, where=where))
        left = {(f.repo_id, f.path) for f in (await self.inner.scan(scope=scope, limit=MOST)).files}
        left -= {(hit.repo_id, hit.path) for hit in hits}
        for repo, generation in scope:
            for one in await self.inner.generations(repo):
                if one.sealed and one.generation < generation:
                    entry = [ScopeEntry(repo, one.generation)]
                    old = await self.inner.rank(terms, scope=entry, unit=unit, k=MOST, where=where)
                    hits += [hit for hit in old if (hit.repo_id, hit.path) in left]
        return sorted(hits, key=lambda hit: (-hit.score, hit.place))[:k]


class CandidatesOfTheNewest(Saboteur):
    wrong = "candidates answers from the newest sealed generation"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        await self.inner.candidates(plan, scope=scope, where=where)
        newest = []
        for repo, _ in scope:
            sealed = [one.generation for one in await self.inner.generations(repo) if one.sealed]
            newest.append(ScopeEntry(repo, sealed[-1]))
        return list(await self.inner.candidates(plan, scope=newest, where=where))


class UnsealedHasNoCandidates(Saboteur):
    wrong = "a generation that is being staged has no candidates"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        try:
            return list(await self.inner.candidates(plan, scope=scope, where=where))
        except NotIndexed:
            for repo, generation in scope:
                if GenerationState(generation, False) in await self.inner.generations(repo):
                    return []
            raise


class CutsBeforeSorting(Saboteur):
    wrong = "rank looks at the first five files before it sorts by score"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=MOST, where=where)
        first = sorted(hits, key=lambda hit: hit.place)[: max(k, 5)]
        return sorted(first, key=lambda hit: (-hit.score, hit.place))[:k]


class LastWeightCounts(Saboteur):
    wrong = "of equal words the last weight counts"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        weights = {term[0]: term for term in terms}
        return list(await self.inner.rank([*weights.values()], scope=scope, unit=unit, k=k, where=where))


class SpansInCharacters(Saboteur):
    wrong = "the bytes of a span are taken for characters"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> Any:
        cut = [replace(f, spans=tuple(_as_characters(f.text, span) for span in f.spans)) for f in files]
        return await self.inner.stage(repo_id, generation=generation, files=cut, removed=removed)


class FirstMode(Saboteur):
    wrong = "a file whose mode alone has changed is taken for unchanged"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._modes: dict[Any, int] = {}

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> Any:
        kept = [replace(f, mode=self._modes.setdefault((repo_id, replace(f, mode=0)), f.mode)) for f in files]
        return await self.inner.stage(repo_id, generation=generation, files=kept, removed=removed)


def _as_characters(text: str, span: LexSpan) -> LexSpan:
    start, end = (len(text[:at].encode()) for at in (span.start_byte, span.end_byte))
    return span._replace(start_byte=start, end_byte=end)
