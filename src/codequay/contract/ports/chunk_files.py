"""Files as the trials of the port ``chunks`` stage them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from codequay.ports.chunks import Chunk, ChunkRef, Definition, FileChunks, FileRef, Location, PlacedChunk
from codequay.ports.generations import ScopeEntry

from .staging import A


def blob_id(text: str) -> str:
    return blake2b(text.encode(), digest_size=20).hexdigest()


def chunk(text: str, start: int, end: int, lines: tuple[int, int], kind: str = "block", **more: Any) -> Chunk:
    """Bytes ``start`` to ``end`` of ``text``; the id is told by the span unless given.

    Any kind but "block" is that of a definition, which is made unless given.
    """
    raw = text.encode()
    definitions = more.pop("definitions", () if kind == "block" else (Definition("name", kind, lines[0]),))
    more.setdefault("id", f"{blob_id(text)}@{start}-{end}")
    piece = raw[start:end]
    return Chunk(
        blob_id=blob_id(text),
        language=more.pop("language", "python"),
        start_byte=start,
        end_byte=end,
        start_line=lines[0],
        end_line=lines[1],
        text=piece.decode(),
        kind=definitions[0].kind if definitions else kind,
        symbol=definitions[0].name if definitions else "",
        content_hash=blake2b(piece, digest_size=16).hexdigest(),
        definitions=tuple(definitions),
        **more,
    )


def whole(text: str, **more: Any) -> Chunk:
    """The text as one chunk."""
    return chunk(text, 0, len(text.encode()), (1, text.count("\n") + 1), **more)


def file(path: str, text: str, *chunks: Chunk, mode: int = 0o100644, language: str = "python") -> FileChunks:
    """A file with the chunks by start byte, or with its whole text as one."""
    if not chunks and text:
        chunks = (whole(text, language=language),)
    ordered = sorted(chunks, key=lambda one: one.start_byte)
    return FileChunks(path, blob_id(text), language, mode, tuple(ordered))


def named(path: str, text: str) -> FileChunks:
    """A file whose one chunk defines the first word of its text."""
    return file(path, text, whole(text, definitions=[Definition(text.split()[0], "function", 1)]))


def reads(store: Any, scope: Sequence[ScopeEntry]) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    """Every read that has a scope, of what the GE trials stage."""
    files = [FileRef(repo, path) for repo, _ in scope for path in ("k", "l")]
    refs = [ChunkRef(*ref, named(ref.path, text).chunks[0].id) for ref in files for text in ("one", "two")]
    return {
        "get": lambda: store.get(refs, scope=scope),
        "of_file": lambda: store.of_file(files, scope=scope),
        "at": lambda: store.at([Location(*ref, 1) for ref in files], scope=scope),
        "defined": lambda: store.defined(["one", "two", "new"], scope=scope, limit=100),
        "scan": lambda: store.scan(scope=scope, limit=1000),
        "stats": lambda: store.stats(scope=scope),
    }


async def fill(store: Any, *files: FileChunks, repo: str = A) -> list[ScopeEntry]:
    """Generation 1 of the repository; its scope."""
    await store.begin(repo, generation=1, base=None)
    await store.stage(repo, generation=1, files=list(files))
    await store.seal(repo, generation=1)
    return [ScopeEntry(repo, 1)]


def ids(placed: list[PlacedChunk | None]) -> list[str | None]:
    return [None if p is None else p.chunk.id for p in placed]
