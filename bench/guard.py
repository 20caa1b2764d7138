"""What guard and translate cost, each beside the same adapter called directly in the same run.

    python -m bench.guard

Goals: at most 2 us on a memory ``get``; at most 1.25 times a direct call on a SQLite upsert of 1,000 chunks.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from codequay.kernel.compose import compose
from codequay.kernel.context import Context, Shared, Threads
from codequay.kernel.guard import Gate
from codequay.kernel.options import load_options
from codequay.kernel.registry import default_registry, resolve
from codequay.kernel.translate import Translator
from codequay.ports.chunks import Chunk, FileChunks
from codequay.ports.spec import SystemClock

GETS = 20_000
ROUNDS = 9
FILES, CHUNKS_PER_FILE = 100, 10
REPO = "bench"


async def opened(stack: AsyncExitStack, port: str, name: str, data: Path) -> tuple[Any, Any]:
    """The bare adapter and its guarded face."""
    spec = default_registry().spec(port, name)
    shared, threads = Shared(), Threads()
    stack.push_async_callback(threads.close, 10.0)
    stack.push_async_callback(shared.close, 10)
    context = Context(data=data, readonly=False, instance=name, clock=SystemClock(), shared=shared, threads=threads)
    config = load_options(spec, {}, name, str)
    adapter = await stack.enter_async_context(resolve(spec.factory, f"{port}.{name}")(config, context))
    classify = resolve(spec.classify, f"{port}.{name}") if spec.classify else lambda exc: None
    translator = Translator(f"{port}.{name}", "bench", classify)
    return adapter, compose(default_registry().port(port), adapter, spec.capabilities, translator, Gate())


async def get_us(get: Callable[[str], Awaitable[Any]]) -> float:
    """Microseconds per call."""
    started = time.perf_counter()
    for _ in range(GETS):
        await get("key")
    return (time.perf_counter() - started) / GETS * 1e6


def batch(number: int) -> list[FileChunks]:
    """Files that no earlier batch had, of 1,000 chunks together."""
    files = []
    for index in range(FILES):
        blob = f"{number:08x}{index:032x}"
        chunks = []
        for part in range(CHUNKS_PER_FILE):
            text = f"def function_{number}_{index}_{part}(value):\n    return value + {part}\n" * 10
            start, line = part * 1000, part * 20 + 1
            chunk_id = f"{number:08x}{index:016x}{part:08x}"
            end, last = start + len(text), line + 19
            chunks.append(Chunk(chunk_id, blob, "python", start, end, line, last, text, content_hash=chunk_id))
        files.append(FileChunks(f"src/{number}/{index}.py", blob, "python", 0o100644, tuple(chunks)))
    return files


async def upsert_ms(store: Any, number: int) -> float:
    """Milliseconds for one batch, as the only content of a new generation."""
    files = batch(number)
    await store.begin(REPO, generation=number, base=None)
    started = time.perf_counter()
    await store.stage(REPO, generation=number, files=files)
    taken = (time.perf_counter() - started) * 1000
    await store.drop(REPO, generation=number)
    return taken


async def measure(data: Path) -> list[tuple[str, str, float, float]]:
    """Rows of (what, unit, direct, guarded), medians of alternating rounds."""
    async with AsyncExitStack() as stack:
        cache, guarded_cache = await opened(stack, "cache", "memory", data)
        store, guarded_store = await opened(stack, "chunks", "sqlite", data)
        await cache.set("key", b"value")
        gets: tuple[list[float], list[float]] = ([], [])
        upserts: tuple[list[float], list[float]] = ([], [])
        number = 0
        for _ in range(ROUNDS):
            for index, (one_cache, one_store) in enumerate(((cache, store), (guarded_cache, guarded_store))):
                number += 1
                gets[index].append(await get_us(one_cache.get))
                upserts[index].append(await upsert_ms(one_store, number))
    return [
        ("memory cache get", "us", statistics.median(gets[0]), statistics.median(gets[1])),
        ("sqlite upsert of 1000 chunks", "ms", statistics.median(upserts[0]), statistics.median(upserts[1])),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder)))
    print(f"{'':30} {'direct':>12} {'guarded':>12} {'added':>12} {'ratio':>7}  goal")
    for (what, unit, direct, guarded), goal in zip(rows, ("added <= 2 us", "ratio <= 1.25"), strict=True):
        added = guarded - direct
        times = "".join(f" {value:9.3f} {unit}" for value in (direct, guarded, added))
        print(f"{what:30}{times} {guarded / direct:7.2f}  {goal}")


if __name__ == "__main__":
    main()
