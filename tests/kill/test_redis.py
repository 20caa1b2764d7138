"""Redis is killed under writers. With a log on disk it forgets nothing; without, all, and nobody is misled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from .storm import WRITERS, Server, opened, running, storm
from .writers import LEASE_S, Holders

LOST_S = 5.0
"""In which a holder learns that its lease is gone."""


@pytest.fixture(scope="module", params=[True, False], ids=["durable", "in memory"])
def durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def server(durable: bool) -> Iterator[Server]:
    with running("redis", durable=durable) as one:
        yield one


def test_values_are_there_or_gone_and_never_wrong(server: Server, durable: bool, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, server.settings(), cache="redis") as ports:
            told = await storm(
                lambda writer, n: ports.cache.set(f"{writer} {n}", f"value {writer} {n}".encode()), server.kill
            )
            for writer, n in told.acknowledged:
                found = await ports.cache.get(f"{writer} {n}")
                assert found == f"value {writer} {n}".encode() or (found is None and not durable)

    asyncio.run(story())


def test_no_fence_falls_and_leases_survive_with_the_log(server: Server, durable: bool, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, server.settings(), lock="redis") as ports:
            holders = Holders(ports.lock)
            await storm(holders.write, server.kill)
            holders.check_fences()
            there = await holders.check(kept=durable)
            assert there <= len(holders.held)

    asyncio.run(story())


def test_a_holder_learns_that_a_server_without_a_log_has_forgotten_its_lease(
    server: Server, durable: bool, tmp_path: Path
) -> None:
    async def story() -> None:
        async with opened(tmp_path, server.settings(), lock="redis") as ports:
            leases = [await ports.lock.acquire(f"lost {n}", ttl=LEASE_S) for n in range(WRITERS)]
            waiting = [asyncio.create_task(ports.lock.wait_lost(lease)) for lease in leases if lease is not None]
            assert len(waiting) == WRITERS
            await asyncio.sleep(0.1)
            await server.kill()
            await asyncio.wait(waiting, timeout=1.0 if durable else LOST_S)
            assert [one.done() for one in waiting] == [not durable] * WRITERS
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(story())
