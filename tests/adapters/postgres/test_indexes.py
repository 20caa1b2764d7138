"""The indexes that the docs name: they are there, and the server uses them, with and without statistics."""

from __future__ import annotations

import re
import time
from pathlib import Path

from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.staging import COPY_ROWS
from codequay.ports.chunks import ChunkRef, Definition, FileRef, Location
from tests.contexts import run

from .server import Server
from .stores import REPO, config, make_file, opened, scope

DOCS = Path(__file__).parents[3] / "src/codequay/adapters/postgres/docs.md"
NAMED = set(re.findall(r"idx_\w+", DOCS.read_text()))
FILES = [
    make_file(
        f"f{n}",
        f"def f{n}(): pass",
        symbol=f"f{n}",
        content_hash=f"h{n}",
        definitions=tuple(Definition(f"f{n}" if i == 0 else f"f{n}_{i}", "function", 1) for i in range(8)),
    )
    for n in range(COPY_ROWS + 500)
]
SEEN_S = 10.0
"""Seconds that the server gets to count what a session that has ended has read."""


def used(server: Server, chosen: PostgresConfig) -> dict[str, tuple[int, int]]:
    """Scans and rows of each index of the store."""
    rows = server.administer(
        "SELECT indexrelname, idx_scan, idx_tup_read FROM pg_stat_user_indexes"
        f" WHERE schemaname = '{chosen.db_schema}'",
        database="codequay",
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def fill(chosen: PostgresConfig) -> None:
    """A sealed generation, and another upon it."""
    async with opened("chunks", chosen) as store:
        await store.begin(REPO, generation=1, base=None)
        for n in range(0, len(FILES), 500):
            await store.stage(REPO, generation=1, files=FILES[n : n + 500])
        await store.seal(REPO, generation=1)


async def read(chosen: PostgresConfig) -> None:
    """Each call of the port that names something."""
    file = FILES[7]
    (chunk,) = file.chunks
    async with opened("chunks", chosen) as store:
        assert await store.get([ChunkRef(REPO, file.path, chunk.id)], scope=scope(1)) != [None]
        assert await store.of_file([FileRef(REPO, file.path)], scope=scope(1)) != [None]
        assert await store.at([Location(REPO, file.path, 1)], scope=scope(1)) != [None]
        assert len(await store.defined([chunk.symbol], scope=scope(1), limit=9)) == 1
        assert await store.text([file.blob_id]) == [chunk.text]
        assert len((await store.scan(scope=scope(1), limit=3)).files) == 3
        await store.begin(REPO, generation=2, base=1)
        await store.stage(REPO, generation=2, files=[], removed=[file.path])
        await store.seal(REPO, generation=2)
        await store.drop(REPO, generation=1)


def test_every_index_of_the_docs_is_there_and_serves_a_query(server: Server) -> None:
    chosen = config(server)
    run(fill(chosen))
    assert {name for name in used(server, chosen) if name.startswith("idx_")} == NAMED
    before = used(server, chosen)
    server.administer("ANALYZE", database="codequay")
    run(read(chosen))
    by_hand = f"SELECT id FROM {chosen.db_schema}.chunk WHERE content_hash = 'h8'"
    assert len(server.administer(by_hand, database="codequay")) == 1
    calls = {name for name in NAMED if name.startswith(("idx_chunks", "idx_placement_path"))}
    deadline = time.monotonic() + SEEN_S
    while idle := {name for name in calls if used(server, chosen)[name][0] <= before[name][0]}:
        assert time.monotonic() < deadline, f"not used: {idle}"
        time.sleep(0.1)


def test_staging_into_tables_without_statistics_reads_each_path_by_itself(server: Server) -> None:
    """Until the server has analysed a table any index may look as good; one of them holds every file that is alive."""
    chosen = config(server)
    run(fill(chosen))
    deadline = time.monotonic() + SEEN_S
    while not used(server, chosen)["idx_placement_path"][0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert used(server, chosen)["idx_chunks_repo_snapshot"][1] < 2 * len(FILES)
