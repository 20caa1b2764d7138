"""Files to stage and indexes to stage them in."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from codequay.adapters.tantivy.config import TantivyConfig
from codequay.adapters.tantivy.lexical import TantivyLexical, open_lexical
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, LexSpan
from tests.contexts import build_context

SCOPE = (ScopeEntry("r", 1),)


def lex_file(path: str, text: str, language: str = "python") -> LexFile:
    """A file whose one span is all of it."""
    raw = text.encode()
    blob = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    span = LexSpan(hashlib.blake2b(raw, digest_size=16).hexdigest(), 0, len(raw), 1, text.count("\n") + 1)
    return LexFile(path, blob, language, 0o100644, text, (), (span,) if raw else ())


@asynccontextmanager
async def index(data: Path, *, readonly: bool = False) -> AsyncIterator[TantivyLexical]:
    async with (
        build_context(data, readonly=readonly) as ctx,
        open_lexical(TantivyConfig(busy_timeout=0.2, chunk_heap_mb=15), ctx) as store,
    ):
        yield store


async def publish(store: TantivyLexical, files: Sequence[LexFile], repo: str = "r", generation: int = 1) -> None:
    base = generation - 1 or None
    await store.begin(repo, generation=generation, base=base)
    await store.stage(repo, generation=generation, files=files)
    await store.seal(repo, generation=generation)
