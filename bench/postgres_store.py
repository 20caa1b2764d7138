"""The PostgreSQL chunk store through its port, beside asyncpg alone on the same server.

``CODEQUAY_TEST_POSTGRES_URL=postgresql://... python -m bench.postgres_store [--rounds N]``. Both sides run interleaved;
ratios are of medians over rounds. The peers do what a script would:

- *plain COPY* puts the same chunks into one flat table with a primary key and the four indexes that the store has too:
  no upsert, no generation, no content shared between paths, no table of definitions.
- *pool.fetchrow* asks the store's own tables for one chunk by asyncpg's pool, with the reset that the pool makes; it
  knows the repository's row, and does not ask whether the generation is sealed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from bench.sqlite_store import make_files
from codequay.adapters.postgres.chunks import PostgresChunks, open_chunks
from codequay.adapters.postgres.config import PostgresConfig
from codequay.ports.chunks import ChunkRef, FileChunks, Location
from codequay.ports.generations import ScopeEntry
from tests.contexts import build_context

URL = "CODEQUAY_TEST_POSTGRES_URL"
REPO = "bench"
MANY = 10
"""Batches of 1,000 chunks in the larger upsert."""

GOALS = {
    "upsert of 10,000 / plain COPY": 1.5,
    "upsert of 1,000 / plain COPY": 1.9,
    "10,000 unchanged / all changed": 0.5,
    "get, one / pool.fetchrow": 1.3,
    "at, one / pool.fetchrow": 1.3,
    "get, 1,000 / 1,000 gathered": 0.2,
    "at, 1,000 / 1,000 gathered": 0.2,
}
PER = (10_000, 1_000, 10_000, 200, 200, 1_000, 1_000)

FLAT = """
CREATE SCHEMA {s};
CREATE TABLE {s}.flat (
    id text PRIMARY KEY, repo_id text NOT NULL, path text NOT NULL, generation bigint NOT NULL, blob_id text NOT NULL,
    language text NOT NULL, start_byte bigint NOT NULL, end_byte bigint NOT NULL, start_line bigint NOT NULL,
    end_line bigint NOT NULL, kind text NOT NULL, symbol text NOT NULL, content_hash text NOT NULL,
    definitions text NOT NULL, text text NOT NULL
);
CREATE INDEX idx_chunks_file_span ON {s}.flat (repo_id, path, start_line, end_line);
CREATE INDEX idx_chunks_repo_snapshot ON {s}.flat (repo_id, generation);
CREATE INDEX idx_chunks_symbol ON {s}.flat (symbol);
CREATE INDEX idx_chunks_content_hash ON {s}.flat (content_hash);
"""
PLACED = """
SELECT k.*, c.blob_id, c.language FROM {s}.placement p JOIN {s}.content c ON c.id = p.content
JOIN {s}.chunk k ON k.content = p.content
WHERE p.repo = $1 AND left(p.path, 500) = left($2::text, 500) AND p.path = $2 AND p.born <= $3 AND p.died > $3
"""
GET = PLACED + " AND k.id = $4"
AT = PLACED + " AND k.start_line <= $4 AND k.end_line >= $4 ORDER BY k.end_byte - k.start_byte LIMIT 1"


class Peer:
    """asyncpg's pool, a flat table, and the store's tables."""

    def __init__(self, pool: Any, schema: str) -> None:
        self.pool = pool
        self.schema = schema
        self.repo = 0
        self.generation = 0
        self.get = GET.format(s=schema)
        self.at = AT.format(s=schema)

    async def copy(self, files: Sequence[FileChunks]) -> None:
        records = [
            (
                c.id, REPO, file.path, 1, c.blob_id, c.language, c.start_byte, c.end_byte, c.start_line, c.end_line,
                c.kind, c.symbol, c.content_hash, str(c.definitions[0]), c.text,
            )
            for file in files
            for c in file.chunks
        ]  # fmt: skip
        async with self.pool.acquire() as connection:
            await connection.copy_records_to_table("flat", records=records, schema_name=f"{self.schema}_flat")

    async def one(self, sql: str, path: str, last: object) -> Any:
        row = await self.pool.fetchrow(sql, self.repo, path, self.generation, last)
        return row["text"].decode()


class Table:
    """Seconds per measure and side."""

    def __init__(self) -> None:
        self._seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in GOALS}

    async def both(
        self, name: str, ours: Callable[[], Awaitable[object]], theirs: Callable[[], Awaitable[object]], flip: bool
    ) -> None:
        first = await timed(theirs) if flip else 0.0
        port = await timed(ours)
        self.add(name, port, first or await timed(theirs))

    def add(self, name: str, ours: float, theirs: float) -> None:
        self._seconds[name][0].append(ours)
        self._seconds[name][1].append(theirs)

    def show(self) -> None:
        print(f"{'measure':<34}{'port us':>10}{'peer us':>10}{'ratio':>8}{'goal':>7}")
        for (name, (ours, theirs)), per in zip(self._seconds.items(), PER, strict=True):
            port, peer = statistics.median(ours), statistics.median(theirs)
            scale = 1e6 / per
            print(f"{name:<34}{port * scale:>10.1f}{peer * scale:>10.1f}{port / peer:>8.2f}{GOALS[name]:>7.2f}")


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await call()
    return time.perf_counter() - start


def renamed(files: Sequence[FileChunks], number: int) -> list[FileChunks]:
    return [FileChunks(f"d{number}/{f.path}", f.blob_id, f.language, f.mode, f.chunks) for f in files]


async def run_round(r: int, table: Table, store: PostgresChunks, peer: Peer) -> None:
    flip = r % 2 == 0
    batches = [renamed(make_files(r * 1000 + n), n) for n in range(MANY + 1)]
    large = [file for batch in batches[:MANY] for file in batch]
    small = batches[MANY]
    generation = 4 * r - 3

    async def stage(files: Sequence[FileChunks]) -> None:
        await store.stage(REPO, generation=generation, files=files)

    await store.begin(REPO, generation=generation, base=generation - 1 or None)
    await table.both("upsert of 10,000 / plain COPY", lambda: stage(large), lambda: peer.copy(large), flip)
    await table.both("upsert of 1,000 / plain COPY", lambda: stage(small), lambda: peer.copy(small), flip)
    await store.seal(REPO, generation=generation)
    generation += 1
    await store.begin(REPO, generation=generation, base=generation - 1)
    unchanged = await timed(lambda: stage(large))
    changed = [file for n in range(MANY) for file in renamed(make_files(r * 1000 + 500 + n), n)]
    table.add("10,000 unchanged / all changed", unchanged, await timed(lambda: stage(changed)))
    await store.seal(REPO, generation=generation)
    generation += 2

    scope = [ScopeEntry(REPO, generation - 2)]
    peer.generation = generation - 2
    peer.repo = await peer.pool.fetchval(f"SELECT id FROM {peer.schema}.repo WHERE name = $1", REPO)
    refs = [ChunkRef(REPO, f.path, c.id) for f in small for c in f.chunks]
    refs = [refs[i * 389 % len(refs)] for i in range(len(refs))]
    lines = [Location(REPO, f.path, c.start_line + 3) for f in small for c in f.chunks]
    lines = [lines[i * 389 % len(lines)] for i in range(len(lines))]

    async def each(call: Callable[[Any], Awaitable[object]], items: Sequence[Any]) -> None:
        for item in items[:200]:
            await call(item)

    await table.both(
        "get, one / pool.fetchrow",
        lambda: each(lambda ref: store.get([ref], scope=scope), refs),
        lambda: each(lambda ref: peer.one(peer.get, ref.path, ref.chunk_id), refs),
        flip,
    )
    await table.both(
        "at, one / pool.fetchrow",
        lambda: each(lambda where: store.at([where], scope=scope), lines),
        lambda: each(lambda where: peer.one(peer.at, where.path, where.line), lines),
        flip,
    )
    await table.both(
        "get, 1,000 / 1,000 gathered",
        lambda: store.get(refs, scope=scope),
        lambda: asyncio.gather(*(peer.one(peer.get, ref.path, ref.chunk_id) for ref in refs)),
        flip,
    )
    await table.both(
        "at, 1,000 / 1,000 gathered",
        lambda: store.at(lines, scope=scope),
        lambda: asyncio.gather(*(peer.one(peer.at, where.path, where.line) for where in lines)),
        flip,
    )
    await store.begin(REPO, generation=generation, base=generation - 2)
    await store.seal(REPO, generation=generation)
    await store.drop(REPO, generation=generation - 2)
    await store.begin(REPO, generation=generation + 1, base=generation)
    await store.seal(REPO, generation=generation + 1)


async def bench(url: str, rounds: int) -> None:
    schema = f"bench_{secrets.token_hex(4)}"
    table = Table()
    async with asyncpg.create_pool(url, min_size=5, max_size=20) as pool:
        print(f"PostgreSQL {await pool.fetchval('SHOW server_version')}, fsync {await pool.fetchval('SHOW fsync')}")
        await pool.execute(FLAT.format(s=f"{schema}_flat"))
        try:
            with tempfile.TemporaryDirectory() as folder:
                config = PostgresConfig(dsn=url, schema=schema)
                async with build_context(Path(folder)) as ctx, open_chunks(config, ctx) as store:
                    peer = Peer(pool, schema)
                    for r in range(1, rounds + 1):
                        await run_round(r, table, store, peer)
                        await pool.execute("VACUUM ANALYZE")
        finally:
            await pool.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            await pool.execute(f"DROP SCHEMA IF EXISTS {schema}_flat CASCADE")
    table.show()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    url = os.environ.get(URL)
    if not url:
        parser.error(f"set {URL}=postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    asyncio.run(bench(url, rounds))


if __name__ == "__main__":
    main()
