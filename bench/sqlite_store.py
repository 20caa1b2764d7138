"""The SQLite chunk store through its port, beside the same statements on a bare ``sqlite3`` connection.

``python -m bench.sqlite_store [--rounds N]``. Both sides run interleaved in one process on the same tables, indexes and
compression; ratios are of medians over rounds. The raw side does what a script would: it packs rows and runs
``executemany``, or runs one ``SELECT`` and inflates the piece, and never checks generation, scope or what is there.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, sha1
from pathlib import Path
from typing import Any

from codequay.adapters.sqlite import reading, rows
from codequay.adapters.sqlite.chunks import SqliteChunks, open_chunks
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.generations import VISIBLE
from codequay.adapters.sqlite.schema import INDEX, PIECE_BYTES, ZLIB_LEVEL
from codequay.ports.chunks import Chunk, ChunkRef, Definition, FileChunks, Location
from codequay.ports.generations import ScopeEntry
from tests.contexts import build_context

REPO = "bench"
FILES, CHUNKS, LINES = 100, 10, 30
"""1,000 chunks of about 1,100 bytes per batch."""


def make_files(salt: int) -> list[FileChunks]:
    """One batch; another ``salt`` gives other texts."""
    files = []
    for f in range(FILES):
        blob = sha1(f"{salt}/{f}".encode()).hexdigest()
        chunks, start = [], 0
        for n in range(CHUNKS):
            name = f"handle_{blob[n : n + 6]}_{n}"
            body = "".join(f"    value_{blob[i % 37 : i % 37 + 4]} = compute({i}, {salt})\n" for i in range(LINES - 1))
            text = f"def {name}(self, request):\n{body}"
            size, line = len(text.encode()), n * LINES + 1
            chunks.append(
                Chunk(
                    id=blake2b(f"{blob}{start}".encode(), digest_size=16).hexdigest(),
                    blob_id=blob,
                    language="python",
                    start_byte=start,
                    end_byte=start + size,
                    start_line=line,
                    end_line=line + LINES - 1,
                    text=text,
                    kind="function",
                    symbol=name,
                    content_hash=blake2b(text.encode(), digest_size=16).hexdigest(),
                    definitions=(Definition(name, "function", line),),
                )
            )
            start += size
        files.append(FileChunks(f"src/package_{f % 10}/module_{f}.py", blob, "python", 0o100644, tuple(chunks)))
    return files


GET = (
    f"SELECT {rows.CHUNK} FROM placement p CROSS JOIN content c ON c.id = p.content"
    " CROSS JOIN chunk k ON k.id >= c.chunk AND k.id < c.chunk + c.chunks AND k.key = :key"
    f" CROSS JOIN piece t ON t.id = k.piece WHERE p.repo = :repo AND p.path = :path AND {VISIBLE}"
)
"""What the peer asks: it knows the repository's row, and does not ask whether the generation is sealed."""


class Raw:
    """A bare connection with the adapter's tables and settings."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        for pragma in (
            "page_size=8192",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "cache_size=-32768",
            "wal_autocheckpoint=8000",
            "mmap_size=268435456",
            "secure_delete=OFF",
        ):
            self.connection.execute(f"PRAGMA {pragma}")
        self.connection.executescript(INDEX.script)
        self.generation = 0
        self.next = {"content": 1, "chunk": 1, "piece": 1, "definition": 1}

    def insert(self, files: list[FileChunks]) -> None:
        self.generation += 1
        contents, pieces, chunks, definitions, placements = [], [], [], [], []
        content, chunk, piece, definition = self.next.values()
        for file in files:
            first = (chunk, piece, definition)
            blob, held, total = bytes.fromhex(file.blob_id), bytearray(), 0
            for c in file.chunks:
                raw = c.text.encode()
                if len(held) >= PIECE_BYTES:
                    pieces.append((piece, zlib.compress(held, ZLIB_LEVEL)))
                    piece, held = piece + 1, bytearray()
                chunks.append((
                    chunk, content, bytes.fromhex(c.id), c.start_byte, c.end_byte, c.start_line, c.end_line, piece,
                    len(held), len(raw), 1, None, bytes.fromhex(c.content_hash), None, definition, len(c.definitions),
                ))  # fmt: skip
                for d in c.definitions:
                    definitions.append((definition, d.name, content, chunk, 1, d.line))
                    definition += 1
                held += raw
                total += len(raw)
                chunk += 1
            pieces.append((piece, zlib.compress(held, ZLIB_LEVEL)))
            piece += 1
            contents.append((
                content, blob, b"12345678", file.language, total, 1, first[0], chunk - first[0], first[1],
                piece - first[1], first[2], definition - first[2],
            ))  # fmt: skip
            placements.append((1, file.path, self.generation, content, file.mode))
            content += 1
        run = self.connection.executemany
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("UPDATE placement SET died = ? WHERE repo = 1 AND died IS NULL", (self.generation,))
        run("INSERT INTO content VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", contents)
        run("INSERT INTO piece VALUES (?,?)", pieces)
        run("INSERT INTO chunk VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", chunks)
        run("INSERT INTO definition VALUES (?,?,?,?,?,?)", definitions)
        run("INSERT INTO placement (repo, path, born, content, mode) VALUES (?,?,?,?,?)", placements)
        self.connection.execute("COMMIT")
        self.next = {"content": content, "chunk": chunk, "piece": piece, "definition": definition}

    def get(self, ref: ChunkRef) -> tuple[Any, ...]:
        where = {"repo": 1, "path": ref.path, "g": self.generation, "key": bytes.fromhex(ref.chunk_id)}
        return self._answer(GET, where)

    def at(self, location: Location) -> tuple[Any, ...]:
        where = {"repo": 1, "path": location.path, "g": self.generation, "line": location.line}
        return self._answer(reading.COVERING, where)

    def _answer(self, sql: str, where: dict[str, Any]) -> tuple[Any, ...]:
        row = self.connection.execute(sql, where).fetchone()
        names = self.connection.execute(
            "SELECT name, kind, line FROM definition WHERE id >= ? AND id < ?", (row[10], row[10] + row[11])
        ).fetchall()
        return *row, names, zlib.decompress(row[15])[row[13] : row[13] + row[14]].decode()


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await call()
    return time.perf_counter() - start


class Table:
    """Medians per measure and side."""

    def __init__(self) -> None:
        self._seconds: dict[str, tuple[list[float], list[float]]] = {}

    async def both(
        self, name: str, port: Callable[[], Awaitable[object]], raw: Callable[[], Awaitable[object]], flip: bool
    ) -> float:
        theirs = await _timed(raw) if flip else 0.0
        ours = await _timed(port)
        self.add(name, ours, theirs or await _timed(raw))
        return ours

    def add(self, name: str, ours: float, theirs: float) -> None:
        seconds = self._seconds.setdefault(name, ([], []))
        seconds[0].append(ours)
        seconds[1].append(theirs)

    def show(self, goals: dict[str, float], per: dict[str, int]) -> None:
        print(f"{'measure':<34}{'port us':>10}{'peer us':>10}{'ratio':>8}{'goal':>7}")
        for name, (ours, theirs) in self._seconds.items():
            port, raw = statistics.median(ours), statistics.median(theirs)
            scale = 1e6 / per[name]
            print(f"{name:<34}{port * scale:>10.1f}{raw * scale:>10.1f}{port / raw:>8.2f}{goals[name]:>7.2f}")


async def _bench(folder: Path, rounds: int) -> None:
    table = Table()
    with ThreadPoolExecutor(1) as pool:
        async with build_context(folder / "port") as ctx, open_chunks(SqliteDefaults(), ctx) as store:
            raw = Raw(folder / "raw.db")
            loop = asyncio.get_running_loop()
            for r in range(1, rounds + 1):
                await _round(r, table, store, raw, lambda fn, *args: loop.run_in_executor(pool, fn, *args))
            raw.connection.close()
    table.show(
        {
            "upsert of 1,000 new / raw": 1.25,
            "1,000 unchanged / first insert": 0.3,
            "get, one / raw + one hop": 1.3,
            "at, one / raw + one hop": 1.3,
            "get, 1,000 / raw, per item": 1.3,
            "at, 1,000 / raw, per item": 1.3,
        },
        {
            "upsert of 1,000 new / raw": 1000,
            "1,000 unchanged / first insert": 1000,
            "get, one / raw + one hop": 200,
            "at, one / raw + one hop": 200,
            "get, 1,000 / raw, per item": 1000,
            "at, 1,000 / raw, per item": 1000,
        },
    )


async def _round(r: int, table: Table, store: SqliteChunks, raw: Raw, hop: Callable[..., Awaitable[Any]]) -> None:
    files = make_files(r)
    new, again = 2 * r - 1, 2 * r
    flip = r % 2 == 0
    await store.begin(REPO, generation=new, base=new - 1 or None)
    first = await table.both(
        "upsert of 1,000 new / raw",
        lambda: store.stage(REPO, generation=new, files=files),
        lambda: hop(raw.insert, files),
        flip,
    )
    await store.seal(REPO, generation=new)
    await store.begin(REPO, generation=again, base=new)
    unchanged = await _timed(lambda: store.stage(REPO, generation=again, files=files))
    table.add("1,000 unchanged / first insert", unchanged, first)
    await store.seal(REPO, generation=again)

    scope = [ScopeEntry(REPO, again)]
    refs = [ChunkRef(REPO, f.path, c.id) for f in files for c in f.chunks]
    refs = [refs[i * 389 % len(refs)] for i in range(len(refs))]
    lines = [Location(REPO, f.path, c.start_line + 3) for f in files for c in f.chunks]
    lines = [lines[i * 389 % len(lines)] for i in range(len(lines))]

    async def one_by_one(call: Callable[[Any], Awaitable[object]], items: list[Any]) -> None:
        for item in items[:200]:
            await call(item)

    await table.both(
        "get, one / raw + one hop",
        lambda: one_by_one(lambda ref: store.get([ref], scope=scope), refs),
        lambda: one_by_one(lambda ref: hop(raw.get, ref), refs),
        flip,
    )
    await table.both(
        "at, one / raw + one hop",
        lambda: one_by_one(lambda where: store.at([where], scope=scope), lines),
        lambda: one_by_one(lambda where: hop(raw.at, where), lines),
        flip,
    )
    await table.both(
        "get, 1,000 / raw, per item",
        lambda: store.get(refs, scope=scope),
        lambda: hop(lambda: [raw.get(ref) for ref in refs]),
        flip,
    )
    await table.both(
        "at, 1,000 / raw, per item",
        lambda: store.at(lines, scope=scope),
        lambda: hop(lambda: [raw.at(where) for where in lines]),
        flip,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_bench(Path(folder), parser.parse_args().rounds))


if __name__ == "__main__":
    main()
