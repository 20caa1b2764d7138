"""The search itself, as steps: rank and look up, fuse, verify what the query requires, fetch what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from time import perf_counter
from typing import Literal, NamedTuple

from ..ports.chunks import Chunk, ChunkRef, DefinitionHit, FileRef, PlacedChunk
from ..ports.generations import Scope
from ..ports.lexical import AllOf, Placed, RankHit
from .prepare import Prepared, literal_plan
from .query import Atom, Node, Not, OneOf
from .rank import MAX_ALSO, Evidence, Key, Ranked, Span, fuse
from .rescoring import Pool, rescored
from .signals import PathTable, Weights
from .steps import Call, Steps, Work
from .verify import FileFacts, Verifier

CHUNK_K = 200
FILE_K = 100
"""Depth of the two ranked lists (the study's recipe; deeper ones changed nothing)."""
POOL_K = 200
"""Files whose chunks are scored here when the index ranks no chunks (development set: 100 files .855, 200 .864)."""
DEFINITION_LIMIT = 500
SYMBOL_RESERVE = 4
"""Chunks fetched per symbol asked for, since some define nothing."""
VERIFY_BATCH = 32
"""Files whose text is read at a time when a query has conditions."""

Granularity = Literal["file", "chunk", "symbol"]


class Found(NamedTuple):
    """One hit: the chunk, its place, why it is there, and the line that shows it best."""

    placed: PlacedChunk
    score: float
    signals: Mapping[str, float]
    line: int
    symbol: str
    also: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Result:
    """Hits, best first; ``more`` tells that further files matched."""

    hits: list[Found] = field(default_factory=list)
    more: bool = False
    timing: dict[str, float] = field(default_factory=dict)
    """Milliseconds per stage."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one search does, and how."""

    asked: Prepared
    scope: Scope
    unit: Granularity
    limit: int
    weights: Weights
    paths: PathTable
    rank_chunks: bool = True
    """False when the lexical adapter ranks whole files only: chunks are then scored from their stored text."""
    pool: Pool = field(default_factory=Pool)


def search(plan: Plan) -> Steps[Result]:
    """The steps of one search."""
    asked, scope = plan.asked, plan.scope
    result = Result()
    if not scope:
        return result
    started = perf_counter()
    loaded: dict[Key, list[PlacedChunk]] = {}
    evidence, conditions = yield from _gather(plan, loaded)
    ranked_at = perf_counter()
    result.timing["rank"] = (ranked_at - started) * 1000
    by_file = plan.unit == "file"
    # a symbol search drops chunks that define nothing, and only the fetched chunk tells
    need = None if conditions or plan.unit == "symbol" else plan.limit
    ranked = fuse(evidence, asked, plan.weights, plan.paths, by_file=by_file, need=need)
    fused_at = perf_counter()
    result.timing["fuse"] = (fused_at - ranked_at) * 1000
    if conditions:
        ranked = yield from _verified(plan, ranked, conditions, evidence, loaded)
        result.more = len(ranked) > plan.limit
    else:
        result.more = len(evidence.totals if by_file else ranked) > plan.limit
    shown = plan.limit * SYMBOL_RESERVE if plan.unit == "symbol" else plan.limit
    result.hits = yield from _fetch(plan, ranked[:shown], loaded)
    result.hits = result.hits[: plan.limit]
    result.timing["fetch"] = (perf_counter() - fused_at) * 1000
    return result


def _gather(plan: Plan, loaded: dict[Key, list[PlacedChunk]]) -> Steps[tuple[Evidence, tuple[Node, ...]]]:
    """Ask the arms. The conditions come back with those that only definitions make necessary.

    ``loaded`` takes the chunks of every file that had to be read.
    """
    asked, scope = plan.asked, plan.scope
    where = asked.where or None
    calls: list[Call] = []
    slots: list[str] = []

    def ask(slot: str, call: Call) -> None:
        slots.append(slot)
        calls.append(call)

    if asked.terms:
        if plan.rank_chunks:
            k = max(CHUNK_K, 4 * plan.limit)
            ask(
                "chunk",
                Call("lexical", "rank", (asked.terms,), {"scope": scope, "unit": "chunk", "k": k, "where": where}),
            )
        k = max(FILE_K if plan.rank_chunks else POOL_K, 2 * plan.limit)
        ask("file", Call("lexical", "rank", (asked.terms,), {"scope": scope, "unit": "file", "k": k, "where": where}))
    if asked.names:
        ask("defined", Call("chunks", "defined", (asked.names,), {"scope": scope, "limit": DEFINITION_LIMIT}))
    literals = literal_plan(asked.conditions, ignore_case=not asked.match_case)
    if literals != AllOf(()) or not asked.terms:
        ask("candidates", Call("lexical", "candidates", (literals,), {"scope": scope, "where": where}))
    answers = yield tuple(calls)
    got = dict(zip(slots, answers, strict=True))
    chunk_hits: list[RankHit] = got.get("chunk", [])
    file_hits: list[RankHit] = got.get("file", [])
    defined: list[DefinitionHit] = got.get("defined", [])
    conditions = asked.conditions
    if where and defined:
        defined, conditions = _filter_definitions(asked, defined, conditions)
    candidates: list[Placed] | None = got.get("candidates")
    allowed: set[Key] = set()
    if candidates is not None:
        allowed.update((c.repo_id, c.path) for c in candidates)
        chunk_hits = [h for h in chunk_hits if h.place.file in allowed]
        file_hits = [h for h in file_hits if h.place.file in allowed]
        defined = [h for h in defined if (h[0], h[1]) in allowed]
    if file_hits and not plan.rank_chunks:
        chunk_hits, file_hits = yield from _rescored(plan, file_hits, loaded)
    evidence = Evidence(chunk_hits, file_hits, defined)
    evidence.add_files(allowed)
    return evidence, conditions


def _rescored(
    plan: Plan, file_hits: list[RankHit], loaded: dict[Key, list[PlacedChunk]]
) -> Steps[tuple[list[RankHit], list[RankHit]]]:
    """The chunks of ranked files, ranked, and the files again by the same measure.

    Files without chunks are left out: an index that somebody else fills may have files that are not stored.
    """
    files = [hit.place.file for hit in file_hits]
    known = plan.pool.known(files, plan.scope)
    unread = [file for file in files if file not in known]
    if unread:
        (answers,) = yield (Call("chunks", "of_file", (unread,), {"scope": plan.scope}),)
        read = {file: chunks for file, chunks in zip(unread, answers, strict=True) if chunks}
        plan.pool.keep(read, plan.scope)
        known.update(read)
    held = [(file, known[file]) for file in files if file in known]
    loaded.update(held)
    (ranked,) = yield (Work(rescored, (plan.asked.terms, held, plan.paths)),)
    found: tuple[list[RankHit], list[RankHit]] = ranked
    return found


def _filter_definitions(
    asked: Prepared, defined: list[DefinitionHit], conditions: tuple[Node, ...]
) -> tuple[list[DefinitionHit], tuple[Node, ...]]:
    """The definition table knows no filters: apply those of the path now; a language is seen on the fetched chunk."""
    where = asked.where
    language = where.languages[0] if where.languages else ""
    defined = [hit for hit in defined if where.admits(hit.path, language)]
    if where.languages:
        conditions = (*conditions, OneOf(tuple(Atom("lang", name) for name in where.languages)))
    if where.not_languages:
        conditions = (*conditions, *(Not(Atom("lang", name)) for name in where.not_languages))
    return defined, conditions


def _verified(
    plan: Plan,
    ranked: list[Ranked],
    conditions: tuple[Node, ...],
    evidence: Evidence,
    loaded: dict[Key, list[PlacedChunk]],
) -> Steps[list[Ranked]]:
    """Those that hold the conditions, in order, until one more than the limit is found."""
    asked, scope = plan.asked, plan.scope
    verifier = Verifier(conditions, match_case=asked.match_case)
    defines: dict[Key, set[str]] = {}
    if asked.symbols:
        (hits,) = yield (Call("chunks", "defined", (asked.symbols,), {"scope": scope, "limit": 10_000}),)
        for hit in hits:
            defines.setdefault((hit.repo_id, hit.path), set()).add(hit.name)
    kept: list[Ranked] = []
    verdicts: dict[Key, bool] = {}
    wanted = plan.limit * SYMBOL_RESERVE if plan.unit == "symbol" else plan.limit + 1
    queue = iter(ranked)
    while len(kept) < wanted:
        batch = list(islice(queue, VERIFY_BATCH))
        if not batch:
            break
        keys = [key for key in dict.fromkeys((r.repo_id, r.path) for r in batch) if key not in verdicts]
        unread = [FileRef(*key) for key in keys if key not in loaded]
        if unread:
            (files,) = yield (Call("chunks", "of_file", (unread,), {"scope": scope}),)
            loaded.update((file, chunks or []) for file, chunks in zip(unread, files, strict=True))
        for key in keys:
            chunks = loaded[key]
            language = chunks[0].chunk.language if chunks else ""
            facts = FileFacts(*key, language, assemble([c.chunk for c in chunks]), defines.get(key, ()))
            verdicts[key] = bool(chunks) and verifier.holds(facts)
        for item in batch:
            key = (item.repo_id, item.path)
            if verdicts[key] and _settle(item, loaded[key], verifier, plan):
                kept.append(item)
    return kept


def _settle(item: Ranked, chunks: list[PlacedChunk], verifier: Verifier, plan: Plan) -> bool:
    """Let the hit show a chunk with a required phrase. False: another chunk of the file stands for it."""
    phrases = plan.asked.phrases
    if not phrases:
        return True
    holding = [c.chunk for c in chunks if verifier.holds_phrase(c.chunk.text, phrases)]
    if not holding or any(c.id == item.span.chunk_id for c in holding):
        return True
    if plan.unit != "file" and item.span.chunk_id:
        return False
    known = {span.chunk_id: span for span in item.others}
    ranked = [c for c in holding if c.id in known]
    chosen = max(ranked, key=lambda c: known[c.id].score) if ranked else holding[0]
    item.span = known.get(chosen.id) or Span(chosen.id, chosen.start_line, chosen.end_line, 0.0, 0.0, 0, "")
    item.others = [span for span in item.others if span.chunk_id != chosen.id]
    return True


def assemble(chunks: Sequence[Chunk]) -> str:
    """The text of a file from its chunks in order of start byte, each giving only what is not covered yet."""
    if all(a.end_byte <= b.start_byte for a, b in pairwise(chunks)):
        return "".join(c.text for c in chunks)
    out, covered = bytearray(), 0
    for c in chunks:
        if c.end_byte > covered:
            out += c.text.encode()[max(0, covered - c.start_byte) :]
            covered = c.end_byte
    return out.decode("utf-8", "replace")


def _fetch(plan: Plan, ranked: list[Ranked], loaded: dict[Key, list[PlacedChunk]]) -> Steps[list[Found]]:
    """Read the chunks that the hits show."""
    refs: list[ChunkRef] = []
    files: list[FileRef] = []
    places: list[int] = []
    """Of each ref, in ``ranked``."""
    for place, item in enumerate(ranked):
        if (item.repo_id, item.path) in loaded:
            continue
        if item.span.chunk_id:
            refs.append(ChunkRef(item.repo_id, item.path, item.span.chunk_id))
            places.append(place)
        else:
            files.append(FileRef(item.repo_id, item.path))
    calls = []
    if refs:
        calls.append(Call("chunks", "get", (refs,), {"scope": plan.scope}))
    if files:
        calls.append(Call("chunks", "of_file", (files,), {"scope": plan.scope}))
    fetched: dict[int, PlacedChunk | None] = {}
    if calls:
        answers = yield tuple(calls)
        if refs:
            fetched = dict(zip(places, answers[0], strict=True))
        if files:
            loaded.update((key, chunks or []) for key, chunks in zip(files, answers[-1], strict=True))
    found = []
    for place, item in enumerate(ranked):
        placed = fetched[place] if place in fetched else _pick(item, loaded[item.repo_id, item.path], plan.asked.words)
        if placed is None or (plan.unit == "symbol" and not placed.chunk.definitions):
            continue
        found.append(_found(item, placed, plan.asked.words))
    return found


def _pick(item: Ranked, chunks: list[PlacedChunk], words: Sequence[str]) -> PlacedChunk | None:
    """The chunk that the hit names, or else the one with most of the question's words."""
    if item.span.chunk_id:
        return next((c for c in chunks if c.chunk.id == item.span.chunk_id), None)
    best, most = None, -1
    for c in chunks:
        low = c.chunk.text.lower()
        count = sum(1 for word in words if word in low)
        if count > most:
            best, most = c, count
    return best


def _found(item: Ranked, placed: PlacedChunk, words: Sequence[str]) -> Found:
    chunk = placed.chunk
    span = item.span
    inside = chunk.start_line <= span.line <= chunk.end_line
    also = sorted({s[1:3] for s in item.others[:MAX_ALSO] if s[0] and s[0] != chunk.id})
    return Found(
        placed=placed,
        score=item.score,
        signals={
            name: round(value, 4)
            for name, value in item.signals.items()
            if value and (name != "penalty" or value != 1.0)
        },
        line=span.line if inside and span.line else best_line(chunk.text, chunk.start_line, words),
        symbol=span.name or chunk.symbol,
        also=tuple(also),
    )


def best_line(text: str, start_line: int, words: Sequence[str]) -> int:
    """The line with most of the words; the earliest of equals; the first that is not blank when none has any."""
    low = text.lower() + "\n"
    counts: dict[int, int] = {}
    for word in words:
        at = low.find(word)
        while at >= 0:
            end = low.find("\n", at)  # where a line ends tells it from others; its number is counted once, below
            counts[end] = counts.get(end, 0) + 1
            at = low.find(word, end)
    if counts:
        most = max(counts.values())
        end = min(end for end, count in counts.items() if count == most)
        return start_line + low.count("\n", 0, end)
    return start_line + (low[: len(low) - len(low.lstrip())].count("\n") if low.strip() else 0)
