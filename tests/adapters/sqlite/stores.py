"""Small stores and files for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b, sha1
from pathlib import Path

from codequay.adapters.sqlite.chunks import SqliteChunks, open_chunks
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.ports.chunks import Chunk, Definition, FileChunks
from codequay.ports.generations import ScopeEntry
from tests.contexts import build_context

REPO = "example/repo"


def scope(generation: int) -> list[ScopeEntry]:
    return [ScopeEntry(REPO, generation)]


def make_file(path: str, text: str, *, lines: int = 3) -> FileChunks:
    """A file cut every few lines; a line ``def NAME`` defines a function."""
    blob = sha1(text.encode()).hexdigest()
    chunks, start, at = [], 0, 1
    cut = text.splitlines(keepends=True)
    for i in range(0, len(cut), lines):
        part = "".join(cut[i : i + lines])
        size = len(part.encode())
        count = len(cut[i : i + lines])
        names = tuple(
            Definition(line.split()[1].strip(), "function", at + n)
            for n, line in enumerate(cut[i : i + lines])
            if line.startswith("def ")
        )
        chunks.append(
            Chunk(
                id=blake2b(f"{blob}{start}".encode(), digest_size=16).hexdigest(),
                blob_id=blob,
                language="python",
                start_byte=start,
                end_byte=start + size,
                start_line=at,
                end_line=at + count - 1,
                text=part,
                kind=names[0].kind if names else "block",
                symbol=names[0].name if names else "",
                content_hash=blake2b(part.encode(), digest_size=16).hexdigest(),
                definitions=names,
            )
        )
        start, at = start + size, at + count
    return FileChunks(path, blob, "python", 0o100644, tuple(chunks))


def make_files(count: int, *, salt: str = "") -> list[FileChunks]:
    return [make_file(f"src/f{i}.py", f"def f{i}\n    x = '{salt}'\n\n" * 4) for i in range(count)]


@asynccontextmanager
async def chunk_store(data: Path, *, readonly: bool = False) -> AsyncIterator[SqliteChunks]:
    async with build_context(data, readonly=readonly) as ctx, open_chunks(SqliteDefaults(), ctx) as store:
        yield store


async def publish(store: SqliteChunks, generation: int, files: list[FileChunks], base: int | None = None) -> None:
    await store.begin(REPO, generation=generation, base=base)
    await store.stage(REPO, generation=generation, files=files)
    await store.seal(REPO, generation=generation)
