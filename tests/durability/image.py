"""Everything that an index answers, as values that compare: the published generation read through its ports."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from codequay.app import App, SearchRequest
from codequay.kernel.lifecycle import Ports, open_ports
from codequay.kernel.plan import make_plan
from codequay.kernel.registry import default_registry
from codequay.kernel.settings import Settings, load_settings
from codequay.ports.chunks import FileRef
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import Literal_, Term, Unit, Where
from codequay.ports.metadata import WORKTREE

WORDS = 40
"""Distinct words of the text that are asked for, spread over the vocabulary."""
PHRASES = 12
"""Required phrases that are searched for, spread over the lines of the text."""
UNITS: tuple[Unit, ...] = ("file", "chunk")
NEVER: dict[str, Any] = {"refresh": "never"}
"""Of a request: answer what is published, and compare no tree with it."""


@dataclass(frozen=True)
class Image:
    """What one published generation answers. Scores and order by score are left out: they may differ until
    compaction; the number of the generation is left out too."""

    counts: tuple[int, int, int]
    skipped: tuple[Any, ...]
    placements: tuple[Any, ...]
    chunks: dict[str, Any]
    texts: dict[str, str | None]
    symbols: tuple[Any, ...]
    lexical: tuple[Any, ...]
    stats: tuple[Any, ...]
    ranked: dict[str, Any]
    candidates: dict[str, Any]
    phrases: dict[str, str]

    def differs(self, other: Image) -> str:
        """The first difference in words, "" when there is none."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine == theirs:
                continue
            if isinstance(mine, dict):
                keys = [key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
                said = _unlike(mine.get(keys[0]), theirs.get(keys[0]))
                return f"{one.name}[{keys[0]!r}] (and {len(keys) - 1} more): {said}"
            return f"{one.name}: {_unlike(mine, theirs)}"
        return ""


def _unlike(mine: Any, theirs: Any) -> str:
    if isinstance(mine, tuple) and isinstance(theirs, tuple):
        ours = [item for item in mine if item not in theirs]
        other = [item for item in theirs if item not in mine]
        return f"only here {ours[:3]!r}, only there {other[:3]!r}, {len(mine)} against {len(theirs)}"
    return f"{mine!r:.600} against {theirs!r:.600}"


def settings(*sets: str) -> Settings:
    """Nothing of this machine's configuration."""
    return load_settings(env={}, sets=sets, project=Path("/"), user=Path("/nowhere"))


def image(data: Path, place: Path, *, sets: Sequence[str] = (), snapshot: str = WORKTREE) -> Image:
    """Read the published generation of the one repository in ``data``; ``place`` is its folder."""
    return asyncio.run(_image(data, place, settings(*sets), snapshot))


async def _image(data: Path, place: Path, chosen: Settings, snapshot: str) -> Image:
    plan = make_plan(chosen, default_registry(), ports=("chunks", "lexical", "metadata"))
    async with open_ports(plan, data=data, readonly=True) as ports:
        return await _read(ports, data, place, chosen, snapshot)


async def _read(ports: Ports, data: Path, place: Path, chosen: Settings, snapshot: str) -> Image:
    (shown,) = await ports.metadata.published(snapshot=snapshot)
    scope = (ScopeEntry(shown.repo_id, shown.generation),)
    placements = [one async for one in _pages(ports.chunks, scope)]
    lexical = [one async for one in _pages(ports.lexical, scope)]
    refs = [FileRef(shown.repo_id, one.path) for one in placements]
    files = await ports.chunks.of_file(refs, scope=scope)
    blobs = sorted({one.blob_id for one in placements})
    texts = dict(zip(blobs, await ports.chunks.text(blobs), strict=True))
    names = sorted({d.name for file in files for placed in file or () for d in placed.chunk.definitions})
    symbols = await ports.chunks.defined(names, scope=scope, limit=10_000) if names else []
    chunk_stats = await ports.chunks.stats(scope=scope)
    lex_stats = await ports.lexical.stats(scope=scope)
    skipped = await ports.metadata.skipped(shown.repo_id, generation=shown.generation)
    whole = "\n".join(text or "" for text in texts.values())
    words = _spread(sorted(set(re.findall(r"[A-Za-z]\w{2,30}", whole))), WORDS)
    lines = _spread(sorted({line.strip() for line in whole.splitlines() if len(line.strip()) > 8}), PHRASES)
    ranked: dict[str, Any] = {}
    for word in words:
        for unit in UNITS:
            hits = await ports.lexical.rank([Term(word)], scope=scope, unit=unit, k=10_000)
            ranked[f"{word} by {unit}"] = tuple(sorted(hit.place for hit in hits))
    both = await ports.lexical.rank([Term(word) for word in words], scope=scope, unit="chunk", k=10_000)
    ranked["all words"] = tuple(sorted(hit.place for hit in both))
    if words:
        where = Where(contains=("a",), not_languages=("python",))
        filtered = await ports.lexical.rank([Term(words[0])], scope=scope, unit="file", k=10_000, where=where)
        ranked["filtered"] = tuple(sorted(hit.place for hit in filtered))
    return Image(
        counts=(shown.files, shown.chunks, shown.bytes),
        skipped=tuple(sorted(tuple(one) for one in skipped.files)),
        placements=tuple(tuple(one) for one in placements),
        chunks={
            ref.path: None if file is None else tuple(placed.chunk for placed in file)
            for ref, file in zip(refs, files, strict=True)
        },
        texts=texts,
        symbols=tuple(symbols),
        lexical=tuple(tuple(one) for one in lexical),
        stats=(chunk_stats, lex_stats.files, lex_stats.chunks),
        ranked=ranked,
        candidates={line: tuple(await ports.lexical.candidates(Literal_(line), scope=scope)) for line in lines},
        phrases=await _phrases(data, place, chosen, lines) if snapshot == WORKTREE else {},
    )


async def _pages(store: Any, scope: Sequence[ScopeEntry]) -> Any:
    after = None
    while True:
        page = await store.scan(scope=scope, after=after, limit=1000)
        for one in page.files:
            yield one
        after = page.after
        if after is None:
            return


async def _phrases(data: Path, place: Path, chosen: Settings, lines: Sequence[str]) -> dict[str, str]:
    """Answers to required phrases, as bytes of JSON; hits by place instead of by score. Lines are left out: they follow
    the file on the disk where it has changed since, and ``chunks`` has them as they were indexed."""
    answers = {}
    async with App(chosen, data=data).run(readonly=True) as quay:
        for line in lines:
            phrase = '"' + line.replace("\\", "").replace('"', "") + '"'
            answer = await quay.search(SearchRequest(phrase, path=str(place), limit=1000, unit="chunk", **NEVER))
            hits = sorted((h.path, h.id, h.symbol, h.kind, h.text) for h in answer.hits)
            answers[phrase] = json.dumps([hits, answer.truncated])
    return answers


def _spread(items: Sequence[str], count: int) -> Sequence[str]:
    """At most ``count`` items, evenly spread over all."""
    return items[:: max(1, len(items) // count)][:count]
