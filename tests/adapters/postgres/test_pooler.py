"""Behind pgbouncer in transaction mode, where two statements of one connection may meet two sessions of the server."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.staging import COPY_ROWS
from codequay.contract import contract_tests
from codequay.ports.diagnose import Level
from codequay.ports.errors import FailedPrecondition, PermissionDenied, PortError
from tests.contexts import run

from .pooled import PooledChunks, PooledLock, PooledMetadata
from .stores import REPO, make_file, opened, schema_name, scope, verdict

pytestmark = pytest.mark.usefixtures("postgres_server", "pgbouncer_server")


def pooled(url: str, **options: Any) -> PostgresConfig:
    return PostgresConfig(**{"dsn": url, "schema": schema_name(), "statement_cache_size": 0, "min_pool": 0, **options})


async def removed(url: str, chosen: PostgresConfig) -> None:
    """Remove what a test has put on the shared server."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {chosen.db_schema} CASCADE")
    finally:
        await connection.close()


def test_readers_and_writers_share_few_sessions(postgres_server: str, pgbouncer_server: str) -> None:
    chosen = pooled(pgbouncer_server, max_pool=12)

    async def body() -> None:
        async with opened("chunks", chosen) as chunks, opened("lock", chosen) as lock:
            await chunks.begin(REPO, generation=1, base=None)
            files = [make_file(f"f{n}", f"def f{n}(): pass", symbol=f"f{n}") for n in range(20)]
            await chunks.stage(REPO, generation=1, files=files)
            await chunks.seal(REPO, generation=1)

            async def use(n: int) -> Any:
                hits = await chunks.defined([f"f{n}"], scope=scope(1), limit=9)
                lease = await lock.acquire(f"k{n % 3}", ttl=30, wait=20)
                await chunks.begin(f"r{n}", generation=1, base=None)
                await chunks.stage(f"r{n}", generation=1, files=files[: n + 1])
                await chunks.seal(f"r{n}", generation=1)
                assert await lock.release(lease)
                return hits[0].path, (await chunks.stats(scope=[(f"r{n}", 1)])).files

            assert await asyncio.gather(*map(use, range(12))) == [(f"f{n}", n + 1) for n in range(12)]
            assert all(one.level is not Level.ERROR for one in await chunks.diagnose())
        await removed(postgres_server, chosen)

    run(body())


def test_large_batches_side_by_side_have_their_temporary_tables_each(
    postgres_server: str, pgbouncer_server: str
) -> None:
    chosen = pooled(pgbouncer_server)

    async def body() -> None:
        async with opened("chunks", chosen) as chunks:

            async def fill(repo: str) -> int:
                files = [make_file(f"f{n}", f"{repo} {n}", symbol=f"f{n}") for n in range(COPY_ROWS)]
                await chunks.begin(repo, generation=1, base=None)
                await chunks.stage(repo, generation=1, files=files)
                await chunks.seal(repo, generation=1)
                found: int = (await chunks.stats(scope=[(repo, 1)])).chunks
                return found

            assert await asyncio.gather(*map(fill, ("a", "b", "c", "d", "e", "f"))) == [COPY_ROWS] * 6
        await removed(postgres_server, chosen)

    run(body())


@pytest.mark.parametrize(
    ("database", "options", "error", "remedy"),
    [
        ("", {"statement_cache_size": 100}, FailedPrecondition, "statement_cache_size = 0"),
        ("", {"password": "wrong"}, PermissionDenied, "correct user and password"),
        ("nowhere", {}, FailedPrecondition, "CREATE DATABASE"),
    ],
)
def test_what_a_pooler_refuses_is_told_as_the_server_would(
    pgbouncer_server: str, database: str, options: dict[str, Any], error: type[PortError], remedy: str
) -> None:
    server, _, known = pgbouncer_server.rpartition("/")

    async def body() -> None:
        with pytest.raises(asyncpg.PostgresError) as failed:
            async with opened(
                "chunks", pooled(pgbouncer_server, **{"dsn": f"{server}/{database or known}", **options})
            ):
                pass
        said = verdict(failed.value)
        assert said.error is error
        assert remedy in said.remedy

    run(body())


TestChunks = contract_tests("chunks.postgres", harness=PooledChunks)
TestMetadata = contract_tests("metadata.postgres", harness=PooledMetadata)
TestLock = contract_tests("lock.postgres", harness=PooledLock)
