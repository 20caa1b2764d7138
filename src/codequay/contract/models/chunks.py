"""The chunk store as dictionaries of files."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

from hypothesis import strategies as st

from codequay.ports.chunks import (
    CLASS_KINDS,
    FUNCTION_KINDS,
    Chunk,
    ChunkRef,
    ChunkStats,
    Definition,
    DefinitionHit,
    FileChunks,
    FileRef,
    Location,
    PlacedChunk,
    PlacedFile,
)
from codequay.ports.errors import Unsupported

from ..model import Step, same
from .generations import LIFE, TEXTS, GenerationModel, paths, places, repos, scopes, texts, weighted

NAMES = ("two", "Two", "größe", "one")


@lru_cache
def file(path: str, text: str) -> FileChunks:
    """Chunks that overlap: the whole text as a class, each non-empty line as a function or a block."""
    blob = blake2b(text.encode(), digest_size=20).hexdigest()
    chunks = []
    if text:
        chunks.append(_chunk(blob, text, 0, len(text.encode()), 1, text.count("\n"), "class"))
    start = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        end = start + len(line.encode())
        kind = "function" if line.startswith("def") else "block"
        if (start, end) != (0, len(text.encode())):
            chunks.append(_chunk(blob, text, start, end, number, number, kind))
        start = end
    chunks.sort(key=lambda c: (c.start_byte, c.end_byte, c.id))
    return FileChunks(path, blob, "python", 0o100644, tuple(chunks))


def _chunk(blob: str, text: str, start: int, end: int, first: int, last: int, kind: str) -> Chunk:
    raw = text.encode()[start:end]
    name = blake2b(f"{blob} {start} {end}".encode(), digest_size=16).hexdigest()
    symbols = tuple(Definition(one, kind, first) for one in NAMES if one in raw.decode().split("(")[0].split())
    if not symbols and kind != "block":
        symbols = (Definition("unnamed", kind, first),)
    symbol = symbols[0].name if symbols else ""
    content = blake2b(raw, digest_size=16).hexdigest()
    return Chunk(name, blob, "python", start, end, first, last, raw.decode(), kind, symbol, content, symbols)


_refs = st.lists(st.tuples(repos, paths, texts, st.integers(0, 3)), min_size=1, max_size=4)
"""A text only counts where nothing is shown at the path."""

_READS: tuple[st.SearchStrategy[Step], ...] = (
    st.builds(lambda s, r: Step("get", (r,), {"scope": s}), scopes(), _refs),
    st.builds(
        lambda s, r: Step("of_file", ([FileRef(*one) for one in r],), {"scope": s}),
        scopes(),
        st.lists(st.tuples(repos, paths), min_size=1, max_size=3),
    ),
    st.builds(
        lambda s, r: Step("at", ([Location(*one) for one in r],), {"scope": s}),
        scopes(),
        st.lists(st.tuples(repos, paths, st.integers(1, 5)), min_size=1, max_size=3),
    ),
    st.builds(
        lambda s, n, k: Step("defined", (n,), {"scope": s, "limit": k}),
        scopes(),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
        st.sampled_from((1, 1, 2, 4)),
    ),
    st.builds(lambda t: Step("text", (t,)), st.lists(texts, max_size=3)),
    st.builds(
        lambda s, a, n: Step("scan", (), {"scope": s, "after": a, "limit": n}),
        scopes(),
        places(),
        st.integers(1, 4),
    ),
    st.builds(lambda s: Step("stats", (), {"scope": s}), scopes()),
    st.just(Step("reclaim")),
)
STEPS: st.SearchStrategy[Step] = weighted((1, LIFE), (1, st.one_of(_READS)))


class ChunkModel(GenerationModel):
    """Files by place; everything else is looked up in them."""

    def __init__(self, capabilities: Any) -> None:
        super().__init__(file)
        self._reclaims = capabilities.reclaim

    def ready(self, step: Step) -> Step | None:
        filled = super().ready(step)
        if filled is None:
            return None
        step = filled
        if step.op == "get":
            refs = []
            shown = self.shown(step.options["scope"]) or {}
            for repo, path, text, number in step.args[0]:
                chunks = (shown.get((repo, path)) or file(path, text)).chunks
                refs.append(ChunkRef(repo, path, chunks[number % len(chunks)].id if chunks else "none"))
            return step._replace(args=(refs,))
        if step.op == "text":
            return step._replace(args=([file("k", text).blob_id for text in step.args[0]],))
        return step

    def _get(self, step: Step, answer: Any, refs: Any, *, scope: Any) -> None:
        if self.refused(step, answer, scope):
            return
        same(step, answer, [self._find(ref, scope) for ref in refs])

    def _find(self, ref: ChunkRef, scope: Any) -> PlacedChunk | None:
        held = (self.shown(scope) or {}).get((ref.repo_id, ref.path))
        found = [c for c in held.chunks if c.id == ref.chunk_id] if held else []
        return PlacedChunk(ref.repo_id, ref.path, found[0]) if found else None

    def _of_file(self, step: Step, answer: Any, files: Any, *, scope: Any) -> None:
        if self.refused(step, answer, scope):
            return
        shown = self.shown(scope) or {}
        expected = [
            [PlacedChunk(repo, path, c) for c in shown[repo, path].chunks] if (repo, path) in shown else None
            for repo, path in files
        ]
        same(step, answer, expected)

    def _at(self, step: Step, answer: Any, locations: Any, *, scope: Any) -> None:
        if self.refused(step, answer, scope):
            return
        expected = []
        for repo, path, line in locations:
            held = (self.shown(scope) or {}).get((repo, path))
            covering = [c for c in held.chunks if c.start_line <= line <= c.end_line] if held else []
            best = min(covering, key=_preference, default=None)
            expected.append(best and PlacedChunk(repo, path, best))
        same(step, answer, expected)

    def _defined(self, step: Step, answer: Any, names: Any, *, scope: Any, limit: int) -> None:
        if self.refused(step, answer, scope):
            return
        hits = [
            DefinitionHit(repo, path, c.id, d.name, d.kind, d.line)
            for (repo, path), held in (self.shown(scope) or {}).items()
            for c in held.chunks
            for d in c.definitions
            if d.name in names
        ]
        hits.sort(key=lambda h: (h.repo_id, h.path, h.line, h.name))
        order = [(h.repo_id, h.path, h.line, h.name) for h in hits][:limit]
        got = [] if isinstance(answer, Exception) else [(h.repo_id, h.path, h.line, h.name) for h in answer]
        same(step, answer if isinstance(answer, Exception) else got, order)
        if set(answer) - set(hits):
            same(step, answer, hits[:limit])

    def _text(self, step: Step, answer: Any, blobs: Any) -> None:
        held = {file("k", text).blob_id: text for text in TEXTS}
        shown = {
            one.blob_id
            for generations in self._repos.values()
            for files, sealed in generations.values()
            if sealed
            for one in files.values()
        }
        expected: list[str | None] = [held[blob] for blob in blobs]
        if isinstance(answer, list) and len(answer) == len(expected):
            # what no sealed generation shows may be there or not
            expected = [
                want if got is not None or blob in shown else None
                for want, got, blob in zip(expected, answer, blobs, strict=True)
            ]
        same(step, answer, expected)

    def _scan(self, step: Step, answer: Any, *, scope: Any, after: Any, limit: int) -> None:
        def row(repo: str, path: str, held: FileChunks) -> PlacedFile:
            return PlacedFile(repo, path, held.blob_id, held.language, held.mode, len(held.chunks))

        self.paged(step, answer, scope, after, limit, row)

    def _reclaim(self, step: Step, answer: Any) -> None:
        if not self._reclaims or not isinstance(answer, int):
            same(step, answer, Unsupported)

    def _stats(self, step: Step, answer: Any, *, scope: Any) -> None:
        if self.refused(step, answer, scope):
            return
        held = list((self.shown(scope) or {}).values())
        size = sum(max((c.end_byte for c in one.chunks), default=0) for one in held)
        same(step, answer, ChunkStats(len(held), sum(len(one.chunks) for one in held), size))


def _preference(c: Chunk) -> tuple[int, int, int, str]:
    rank = 0 if c.kind in FUNCTION_KINDS else 1 if c.kind in CLASS_KINDS else 2
    return rank, c.end_byte - c.start_byte, -c.start_byte, c.id
