"""Leases on the server: cancelled acquisitions leave none, waiters are woken, the fence does not fall."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import asyncpg
import pytest

from codequay.ports.errors import Conflict
from tests.contexts import run

from .server import Server
from .stores import config, opened


def test_none_of_600_cancelled_acquisitions_leaves_a_lease(server: Server) -> None:
    rng = random.Random(11)

    async def body() -> None:
        async with opened("lock", config(server, max_pool=6)) as lock:

            async def use() -> None:
                lease = await lock.acquire("k", ttl=60, wait=5)
                assert lease is not None
                try:
                    await asyncio.sleep(rng.uniform(0, 0.002))
                finally:
                    await lock.release(lease)

            for _ in range(100):
                tasks = [asyncio.create_task(use()) for _ in range(6)]
                await asyncio.sleep(rng.uniform(0, 0.02))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert await lock.holder("k") is None
            assert await lock.acquire("k", ttl=60) is not None

    run(body())


def test_a_waiter_of_the_same_process_is_woken_at_once_and_in_order(server: Server) -> None:
    async def body() -> None:
        async with opened("lock", config(server)) as lock:
            held = await lock.acquire("k", ttl=60)
            order: list[int] = []

            async def use(number: int) -> float:
                lease = await lock.acquire("k", ttl=60, wait=10)
                order.append(number)
                taken = time.monotonic()
                await lock.release(lease)
                return taken

            waiters = []
            for number in range(4):
                waiters.append(asyncio.create_task(use(number)))
                await asyncio.sleep(0.1)
            released = time.monotonic()
            await lock.release(held)
            first, *_ = await asyncio.gather(*waiters)
            assert order == [0, 1, 2, 3]
            assert first - released < 0.2

    run(body())


def test_the_fence_rises_although_the_clock_or_the_row_was_set_back(server: Server) -> None:
    chosen = config(server)

    async def body() -> None:
        async with opened("lock", chosen) as lock:
            seen = []
            for change in (
                f"UPDATE {chosen.db_schema}.lease SET fence = fence + 1000000000",
                f"DELETE FROM {chosen.db_schema}.lease",
                "SELECT 1",
            ):
                lease = await lock.acquire("k", ttl=60)
                seen.append(lease.fence)
                assert await lock.release(lease)
                if len(seen) < 3:
                    await asyncio.to_thread(server.administer, change, database="codequay")
            assert seen[1] == seen[0] + 1_000_000_001
            assert seen[2] > seen[0]

    run(body())


def test_what_an_opening_still_holds_at_its_end_is_given_back(server: Server) -> None:
    chosen = config(server)

    async def body() -> None:
        async with opened("lock", chosen) as lock:
            lease = await lock.acquire("k", ttl=60)
        async with opened("lock", chosen) as lock:
            assert await lock.holder("k") is None
            with pytest.raises(Conflict):
                await lock.extend(lease, ttl=60)

    run(body())


def test_a_lease_survives_the_server_and_can_still_be_extended(server: Server) -> None:
    async def body() -> None:
        async with opened("lock", config(server)) as lock:
            lease = await lock.acquire("k", ttl=60)
            await asyncio.to_thread(server.stop)
            with pytest.raises((OSError, asyncpg.PostgresError)):
                await lock.holder("k")
            await asyncio.to_thread(server.start)
            assert (await lock.extend(lease, ttl=60)).fence == lease.fence
            assert await lock.release(lease)
            after: Any = await lock.acquire("k", ttl=60)
            assert after.fence > lease.fence

    run(body())
