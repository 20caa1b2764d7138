"""Lexical indexes that are wrong in one behaviour each."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.errors import NotIndexed, ResourceExhausted
from codequay.ports.lexical import (
    AllOf,
    AnyOf,
    LexFile,
    Literal_,
    Placed,
    Plan,
    RankHit,
    ReadFiles,
    Term,
)
from codequay.ports.spec import Level

from . import Saboteur
from .generations import *  # noqa: F403 - the saboteurs that every store of generations has
from .generations import SeesEverything
from .generations_writers import *  # noqa: F403 - as above
from .generations_writers import KnowsItsOwn, LosesTheNewest, NewIdentity
from .lexical_found import *  # noqa: F403 - as above


class AcknowledgesTooEarly(LosesTheNewest):
    wrong = "what was sealed last is gone after a crash"
    level = Level.DURABILITY
    over = "tantivy"


class KnowsItsOwnOnly(KnowsItsOwn):
    wrong = "scan does not see what another process has sealed"
    over = "tantivy"


class AnotherStoreAtReopen(NewIdentity):
    wrong = "the index has another id when it is opened again"
    level = Level.DURABILITY
    over = "tantivy"


class RankIgnoresK(Saboteur):
    wrong = "rank gives every hit"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        return list(await self.inner.rank(terms, scope=scope, unit=unit, k=10_000, where=where))


class RankOneTooFew(Saboteur):
    wrong = "rank gives one hit less than k"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = list(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where))
        return hits[:-1] if len(hits) == k > 1 else hits


class WorstFirst(Saboteur):
    wrong = "the k best hits come worst first"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        return list(reversed(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where)))


class TiesBackwards(Saboteur):
    wrong = "hits of equal score come in reverse order of place"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=10_000, where=where)
        hits.sort(key=lambda h: (h.repo_id, h.path, h.start_line, h.chunk_id), reverse=True)
        hits.sort(key=lambda h: -h.score)
        return list(hits[:k])


class NegativeScores(Saboteur):
    wrong = "scores may be 0"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where)
        return [hit._replace(score=hit.score - hits[-1].score) for hit in hits]


class RankPostFiltersScope(SeesEverything):
    wrong = "the scope is applied after top k"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        wanted = dict(scope)
        hits = await self.inner.rank(terms, scope=await self.everything(scope), unit=unit, k=k, where=where)
        return [hit for hit in hits if hit.repo_id in wanted]


class RankPostFiltersWhere(Saboteur):
    wrong = "where is applied after top k"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=k)
        return [hit for hit in hits if where is None or where.admits(hit.path, hit.language)]


class PrefixOfNames(Saboteur):
    wrong = "the prefix src/a lets src/ab pass"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        if where is None or not where.prefix:
            return list(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where))
        rest = replace(where, prefix="")
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=10_000, where=rest)
        return [hit for hit in hits if hit.path.startswith(where.prefix)][:k]


class IgnoresExcludes(Saboteur):
    wrong = "excluded paths are found"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        where = where and replace(where, excludes=())
        return list(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where))


class IgnoresWeights(Saboteur):
    wrong = "every term weighs the same"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        plain = [Term(term[0]) for term in terms]
        return list(await self.inner.rank(plain, scope=scope, unit=unit, k=k, where=where))


class FirstTermOnly(Saboteur):
    wrong = "rank looks for its first term only"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        return list(await self.inner.rank(terms[:1], scope=scope, unit=unit, k=k, where=where))


class AllTermsRequired(Saboteur):
    wrong = "a hit must hold every term"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=10_000, where=where)
        for term in terms:
            one = await self.inner.rank([term], scope=scope, unit=unit, k=10_000, where=where)
            places = {(hit.repo_id, hit.path, hit.chunk_id) for hit in one}
            hits = [hit for hit in hits if (hit.repo_id, hit.path, hit.chunk_id) in places]
        return list(hits[:k])


class CaseMatters(Saboteur):
    wrong = "a word is found only as it is written"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where)
        kept = set()
        for term in terms:
            for found in await self.inner.candidates(Literal_(term[0]), scope=scope):
                kept.add((found.repo_id, found.path))
        return [hit for hit in hits if (hit.repo_id, hit.path) in kept]


class CandidatesExactCase(Saboteur):
    wrong = "candidates never ignores case"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        return list(await self.inner.candidates(_exact(plan), scope=scope, where=where))


class CandidatesByWord(Saboteur):
    wrong = "a literal inside a word has no candidates"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        found = await self.inner.candidates(plan, scope=scope, where=where)
        if isinstance(plan, Literal_) and plan.text.isalnum() and found:
            whole = [Literal_(f"{a}{plan.text}{b}", plan.ignore_case) for a in " \n(." for b in " \n(.:)"]
            return list(await self.inner.candidates(AnyOf(tuple(whole)), scope=scope, where=where))
        return list(found)


class CandidatesFirstOnly(Saboteur):
    wrong = "of several alternatives only the first is looked for"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        if isinstance(plan, AnyOf) and plan.parts:
            plan = plan.parts[0]
        return list(await self.inner.candidates(plan, scope=scope, where=where))


class NoPartsIsNothing(Saboteur):
    wrong = "a plan that requires nothing has no candidates"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        if isinstance(plan, AllOf) and not plan.parts:
            return []
        return list(await self.inner.candidates(plan, scope=scope, where=where))


class CandidatesIgnoreWhere(Saboteur):
    wrong = "candidates outside the filter are given"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        return list(await self.inner.candidates(plan, scope=scope))


class CandidatesUnordered(Saboteur):
    wrong = "candidates come in no order"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        return list(reversed(await self.inner.candidates(plan, scope=scope, where=where)))


class OnePlaceOfABlob(Saboteur):
    wrong = "a blob at two paths is found at the first"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        page = await self.inner.scan(scope=scope, limit=10_000)
        blobs: dict[str, tuple[str, str]] = {}
        for file in page.files:
            blobs.setdefault(file.blob_id, (file.repo_id, file.path))
        first = set(blobs.values())
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where)
        return [hit for hit in hits if (hit.repo_id, hit.path) in first]


class DropsNonAscii(Saboteur):
    wrong = "words beyond ASCII are dropped"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> Any:
        plain = [replace(f, text=_ascii(f.text)) for f in files]
        return await self.inner.stage(repo_id, generation=generation, files=plain, removed=removed)


class NormalisesPaths(Saboteur):
    wrong = "paths come back decomposed"

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        page = await self.inner.scan(scope=scope, after=after, limit=limit)
        return replace(page, files=tuple(f._replace(path=unicodedata.normalize("NFD", f.path)) for f in page.files))


class StatsCountsChunksAsFiles(Saboteur):
    wrong = "stats counts a file once for each chunk"

    async def stats(self, *, scope: Any) -> Any:
        found = await self.inner.stats(scope=scope)
        return replace(found, files=found.chunks)


class ChunkLinesFromZero(Saboteur):
    wrong = "lines of ranked chunks count from 0"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where)
        return [hit._replace(start_line=hit.start_line - 1) if hit.chunk_id else hit for hit in hits]


def _exact(plan: Plan) -> Plan:
    if isinstance(plan, Literal_):
        return Literal_(plan.text)
    return type(plan)(tuple(_exact(part) for part in plan.parts))


def _ascii(text: str) -> str:
    """Each other character becomes as many question marks as it has bytes, so that spans stay valid."""
    return "".join(c if c.isascii() else "?" * len(c.encode(errors="replace")) for c in text)


class FoldsByLowering(Saboteur):
    wrong = "candidates without regard to case are those of the lower-cased text"

    async def candidates(self, plan: Plan, *, scope: Any, where: Any = None) -> list[Placed]:
        found = await self.inner.candidates(plan, scope=scope, where=where)
        texts = {file.blob_id: file.text for file in self.inner.sync._held()}
        return [one for one in found if _lowered(texts[one.blob_id], plan)]


class AnySubstring(Saboteur):
    wrong = "rank finds a word in the middle of another"

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = list(await self.inner.rank(terms, scope=scope, unit=unit, k=10_000, where=where))
        if unit == "file":
            known = {hit.place for hit in hits}
            for term in terms:
                wide = await self.inner.candidates(Literal_(term[0], True), scope=scope, where=where)
                everything = await self.inner.rank([Term("x"), *terms], scope=scope, unit=unit, k=10_000, where=where)
                places = {(one.repo_id, one.path) for one in wide}
                hits += [hit for hit in everything if (hit.repo_id, hit.path) in places and hit.place not in known]
        return hits[:k]


class AnyLanguage(Saboteur):
    wrong = "rank does not look at languages"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        where = where and replace(where, languages=(), not_languages=())
        return list(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where))


class FirstLanguage(Saboteur):
    wrong = "a file whose language alone has changed is taken for unchanged"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._languages: dict[tuple[str, str, str], str] = {}

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> Any:
        kept = [
            replace(f, language=self._languages.setdefault((repo_id, f.path, f.blob_id), f.language)) for f in files
        ]
        return await self.inner.stage(repo_id, generation=generation, files=kept, removed=removed)


class LongestChunkOnly(Saboteur):
    wrong = "a word in overlapping chunks is found in one of them"

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = await self.inner.rank(terms, scope=scope, unit=unit, k=10_000, where=where)
        ends: dict[Any, RankHit] = {}
        for hit in hits:
            ends.setdefault((hit.repo_id, hit.path, hit.end_line), hit)
        return list(ends.values())[:k]


class DeadFromTheStart(Saboteur):
    wrong = "an index from which nothing was removed says that some of it is dead"

    async def stats(self, *, scope: Any) -> Any:
        return replace(await self.inner.stats(scope=scope), dead=0.5)


class LimitTooLow(Saboteur):
    wrong = "a k above 1000 is refused, though more is declared"
    level = Level.CAPABILITY

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        if k > 1000:
            raise ResourceExhausted("too many hits")
        return list(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where))


class FewTerms(Saboteur):
    wrong = "rank looks for its first 64 terms only"
    level = Level.CAPABILITY

    async def rank(self, terms: Sequence[Term], *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        return list(await self.inner.rank(terms[:64], scope=scope, unit=unit, k=k, where=where))


class AsksOneByOne(Saboteur):
    wrong = "rank asks the server once more for each hit"
    level = Level.BUDGET

    async def rank(self, terms: Any, *, scope: Any, unit: Any, k: int, where: Any = None) -> list[RankHit]:
        hits = list(await self.inner.rank(terms, scope=scope, unit=unit, k=k, where=where))
        for _ in hits:
            self.turn()
        return hits


class PreparesLess(Saboteur):
    wrong = "a prepared file is indexed without its non-ASCII words"
    level = Level.CAPABILITY
    over = "tantivy"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> Any:
        done = [f if f.prepared is None else replace(f, text=_ascii(f.text), prepared=None) for f in files]
        return await self.inner.stage(repo_id, generation=generation, files=done, removed=removed)


class CompactsSuperseded(SeesEverything):
    wrong = "compact keeps the newest generation of each repository only"
    level = Level.CAPABILITY
    over = "tantivy"

    async def compact(self, read: ReadFiles) -> int:
        written = int(await self.inner.compact(read))
        for repo_id in self._seen:
            for one in (await self.inner.generations(repo_id))[:-1]:
                await self.inner.drop(repo_id, generation=one.generation)
        return written


class CompactsWithoutTexts(Saboteur):
    wrong = "compact is silent when a text cannot be read"
    level = Level.CAPABILITY
    over = "tantivy"

    async def compact(self, read: ReadFiles) -> int:
        try:
            return int(await self.inner.compact(read))
        except NotIndexed:
            return 0


class CompactsBesideWriters(SeesEverything):
    wrong = "compact drops what is being staged"
    level = Level.CAPABILITY
    over = "tantivy"

    async def compact(self, read: ReadFiles) -> int:
        for repo_id in self._seen:
            for one in await self.inner.generations(repo_id):
                if not one.sealed:
                    await self.inner.drop(repo_id, generation=one.generation)
        return int(await self.inner.compact(read))


def _lowered(text: str, plan: Plan) -> bool:
    if isinstance(plan, Literal_):
        return not plan.ignore_case or plan.text.lower() in text.lower()
    return (all if isinstance(plan, AllOf) else any)(_lowered(text, part) for part in plan.parts)
