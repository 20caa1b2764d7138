"""The pool: opened when needed, bounded, whole again after cancelled calls and lost connections."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import asyncpg
import pytest

from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.errors import NoConnection, OtherLoop, WriteLost
from codequay.adapters.postgres.pool import Pool, opened_pool
from codequay.adapters.postgres.staging import COPY_ROWS
from codequay.contract.proxy import proxy
from codequay.ports.errors import FailedPrecondition, Unavailable
from tests.contexts import run

from .server import Server
from .stores import REPO, config, make_file, opened, scope, verdict


async def settled(pool: Pool) -> None:
    """Wait until no connection is in use."""
    async with asyncio.timeout(5):
        while pool.stats.active:
            await asyncio.sleep(0.005)


def backends(server: Server, name: str) -> list[Any]:
    """Connections that are open; the server gets some seconds to notice that one was closed."""
    asked = f"SELECT pid, state, query FROM pg_stat_activity WHERE application_name = '{name}'"
    deadline = time.monotonic() + 10
    while (left := server.administer(asked)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def test_nothing_is_connected_before_the_first_call_and_then_min_pool_is(server: Server) -> None:
    async def body() -> None:
        async with opened_pool(config(server, min_pool=3)) as pool:
            assert pool.stats.size == 0
            assert (await pool.read("SELECT 1"))[0][0] == 1
            async with asyncio.timeout(5):
                while pool.stats.free < 3:
                    await asyncio.sleep(0.005)
            await settled(pool)
            assert pool.stats == (3, 0, 3, 0, 0.0)

    run(body())


def test_a_call_beyond_max_pool_waits_and_then_says_so(server: Server) -> None:
    async def body() -> None:
        async with opened_pool(config(server, max_pool=2, timeout=0.3)) as pool:
            long = [asyncio.create_task(pool.read("SELECT pg_sleep(1)")) for _ in range(2)]
            await asyncio.sleep(0.1)
            third = asyncio.create_task(pool.read("SELECT 1"))
            await asyncio.sleep(0.05)
            assert (pool.stats.active, pool.stats.waiting, pool.stats.utilisation) == (2, 1, 1.0)
            with pytest.raises(NoConnection) as failed:
                await third
            said = verdict(failed.value)
            assert said.error is Unavailable
            assert "all 2 connections were in use for 0.3 s" in said.message
            assert "max_pool" in said.remedy
            await asyncio.gather(*long)
            assert (pool.stats.size, pool.stats.active, pool.stats.free) == (2, 0, 2)

    run(body())


def test_unused_connections_above_min_pool_are_closed(server: Server) -> None:
    async def body() -> None:
        async with opened_pool(config(server, min_pool=1, idle_timeout=0.05)) as pool:
            await asyncio.gather(*(pool.read("SELECT pg_sleep(.05)") for _ in range(4)))
            assert pool.stats.size > 1
            for _ in range(6):
                await asyncio.sleep(0.06)
                await pool.read("SELECT 1")
            assert pool.stats.size == 1

    run(body())


@pytest.mark.parametrize("cached", [100, 0])
def test_cancelled_calls_leave_a_whole_pool_and_no_open_transaction(server: Server, cached: int) -> None:
    chosen = config(server, max_pool=4, statement_cache_size=cached, application_name=f"cancels{cached}")
    rng = random.Random(7)

    async def body() -> None:
        async with opened("chunks", chosen) as store:
            await store.begin("r", generation=1, base=None)
            for n in range(300):
                files = [make_file(f"f{n}", f"text {n}")]
                call = rng.choice(
                    (
                        lambda files=files: store.stage("r", generation=1, files=files),
                        lambda: store.generations("r"),
                        store.identity,
                        lambda: store.store.pool.read("SELECT pg_sleep(5)"),
                    )
                )
                task = asyncio.create_task(call())
                await asyncio.sleep(rng.uniform(0, 0.006))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await settled(store.store.pool)
            stats = store.pool
            assert stats.size == stats.free <= 4
            await store.seal("r", generation=1)
            there = await store.stats(scope=[("r", 1)])
            assert there.files == there.chunks

    run(body())
    assert backends(server, f"cancels{cached}") == []


def test_a_call_from_another_event_loop_is_told_so_and_each_loop_may_have_a_pool(server: Server) -> None:
    chosen = config(server)

    async def elsewhere(theirs: Any) -> None:
        with pytest.raises(OtherLoop) as failed:
            await theirs.identity()
        assert verdict(failed.value).error is FailedPrecondition
        async with opened("chunks", chosen) as own:
            await own.begin("r", generation=1, base=None)

    async def body() -> None:
        async with opened("chunks", chosen) as first, opened("chunks", chosen) as second:
            await asyncio.to_thread(run, elsewhere(first))
            assert [one.generation for one in await first.generations("r")] == [1]
            assert await second.identity() == await first.identity()

    run(body())


def test_a_large_batch_that_is_cancelled_is_whole_or_nothing(server: Server) -> None:
    rng = random.Random(3)
    files = [make_file(f"f{n}", f"text {n}\n" * 20, symbol=f"f{n}") for n in range(COPY_ROWS + 100)]

    async def body() -> None:
        async with opened("chunks", config(server)) as store:
            for generation in range(1, 9):
                await store.begin(REPO, generation=generation, base=None)
                task = asyncio.create_task(store.stage(REPO, generation=generation, files=files))
                await asyncio.sleep(rng.uniform(0.02, 0.5))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await store.seal(REPO, generation=generation)
                there = await store.stats(scope=scope(generation))
                assert (there.files, there.chunks) in ((0, 0), (len(files), len(files)))
                assert task.cancelled() or there.files
                await store.drop(REPO, generation=generation)
            await settled(store.store.pool)

    run(body())


def test_a_connection_that_the_server_has_closed_is_replaced(server: Server) -> None:
    async def body() -> None:
        async with opened("chunks", config(server, application_name="closed")) as store:
            for call in (store.identity, lambda: store.begin("r", generation=1, base=None)):
                await asyncio.to_thread(
                    server.administer,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'closed'",
                )
                await call()
            assert store.pool.size == 1

    run(body())


def test_a_commit_whose_answer_is_lost_is_ambiguous_and_was_applied(server: Server) -> None:
    async def body() -> None:
        async with proxy(("127.0.0.1", server.port)) as between:
            host, port = between.endpoint
            chosen = config(server, dsn=f"postgresql://app@{host}:{port}/codequay", sslmode="disable")
            async with opened_pool(chosen) as pool:
                await pool.read("SELECT 1")

                async def work(tx: Any) -> None:
                    await tx.script(f'CREATE TABLE public."{chosen.db_schema}" ()')
                    between.lose_reply()

                with pytest.raises(WriteLost) as failed:
                    await pool.write(work)
                assert verdict(failed.value).ambiguous
                there = "SELECT to_regclass($1) IS NOT NULL"
                assert (await pool.read(there, f'public."{chosen.db_schema}"'))[0][0]

    run(body())


def test_a_server_that_does_not_answer_keeps_nobody(server: Server) -> None:
    async def body() -> None:
        async with proxy(("127.0.0.1", server.port)) as between:
            host, port = between.endpoint
            chosen = config(server, dsn=f"postgresql://app@{host}:{port}/codequay", sslmode="disable")
            async with opened("chunks", chosen) as store:
                between.black_hole()
                loop = asyncio.get_running_loop()
                for call in (store.identity, lambda: store.begin("r", generation=1, base=None)):
                    began = loop.time()
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await call()
                    assert loop.time() - began < 1.7
                await between.heal()
                await store.begin("r", generation=1, base=None)
                await settled(store.store.pool)
                assert store.pool.size == store.pool.free

    run(body())


def test_the_server_may_be_started_anew(server: Server) -> None:
    async def body() -> None:
        async with opened("chunks", config(server)) as store:
            await store.begin("r", generation=1, base=None)
            await asyncio.to_thread(server.stop)
            for call in (store.identity, lambda: store.seal("r", generation=1)):
                with pytest.raises((OSError, asyncpg.PostgresError)) as failed:
                    await call()
                assert verdict(failed.value).error is Unavailable
            await asyncio.to_thread(server.start)
            await store.seal("r", generation=1)
            assert (await store.stats(scope=[*scope(1)][:0])).files == 0

    run(body())


def test_no_secret_is_shown(server: Server) -> None:
    chosen = PostgresConfig(dsn="postgresql://app:hidden@127.0.0.1:1/codequay", password="also hidden")
    assert "hidden" not in repr(chosen) + str(chosen)

    async def body() -> None:
        async with opened_pool(chosen) as pool:
            with pytest.raises(OSError) as failed:
                await pool.read("SELECT 1")
            assert "hidden" not in str(failed.value) + str(verdict(failed.value))

    run(body())
