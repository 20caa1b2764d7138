"""Files as the trials of the port ``lexical`` stage them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import AnyOf, LexFile, LexSpan, Literal_, Term

from .staging import A


def blob_id(text: str) -> str:
    return blake2b(text.encode(), digest_size=20).hexdigest()


def file(path: str, text: str, *, language: str = "python", mode: int = 0o100644) -> LexFile:
    """A file with one chunk per line; the ids are the blob's and the line's."""
    spans, start = [], 0
    for number, line in enumerate(text.encode().split(b"\n"), 1):
        end = min(start + len(line) + 1, len(text.encode()))
        if end > start:
            spans.append(LexSpan(f"{blob_id(text)}:{number}", start, end, number, number))
        start = end
    return LexFile(path, blob_id(text), language, mode, text, (), tuple(spans))


def reads(store: Any, scope: Sequence[ScopeEntry]) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    """Every read that has a scope, of what the GE trials stage."""

    async def rank() -> Any:
        hits = await store.rank([Term("one"), Term("two"), Term("new")], scope=scope, unit="file", k=1000)
        return sorted(hit.place for hit in hits)

    return {
        "rank": rank,
        "candidates": lambda: store.candidates(AnyOf((Literal_("one"), Literal_("ne", True))), scope=scope),
        "scan": lambda: store.scan(scope=scope, limit=1000),
        "stats": lambda: _counts(store, scope),
    }


async def _counts(store: Any, scope: Sequence[ScopeEntry]) -> tuple[int, int]:
    found = await store.stats(scope=scope)
    return found.files, found.chunks


async def fill(store: Any, *files: LexFile, repo: str = A) -> list[ScopeEntry]:
    """Generation 1 of the repository; its scope."""
    await store.begin(repo, generation=1, base=None)
    await store.stage(repo, generation=1, files=list(files))
    await store.seal(repo, generation=1)
    return [ScopeEntry(repo, 1)]


async def paths(store: Any, words: str, scope: list[ScopeEntry], **more: Any) -> list[str]:
    """Paths of the ranked files that hold one of the words."""
    more.setdefault("k", 100)
    more.setdefault("unit", "file")
    hits = await store.rank([Term(word) for word in words.split()], scope=scope, **more)
    return [hit.path for hit in hits]


def chunks(capabilities: Any) -> bool:
    """Chunks rank too."""
    return "chunk" in capabilities.units
