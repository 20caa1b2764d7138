"""PostgreSQL, with fsync, is killed under writers: nothing that was acknowledged is lost, and everybody goes on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from .storm import Server, opened, running, storm
from .writers import Holders, Indexers, Publishers

SMALL = {"CODEQUAY_ADAPTERS__POSTGRES__MIN_POOL": "1", "CODEQUAY_ADAPTERS__POSTGRES__MAX_POOL": "6"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("pgbouncer", durable=True) as one:
        yield one


@pytest.fixture(params=["postgres", "pgbouncer"])
def settings(request: pytest.FixtureRequest, server: Server) -> dict[str, str]:
    """Straight to the server, and through a pooler whose server it is."""
    schema = f"kill_{secrets.token_hex(4)}"
    return server.settings(request.param) | SMALL | {"CODEQUAY_ADAPTERS__POSTGRES__SCHEMA": schema}


def test_generations_survive(settings: dict[str, str], server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, settings, chunks="postgres") as ports:
            indexers = Indexers(ports.chunks)
            await indexers.check(await storm(indexers.write, lambda: server.kill("postgres")))

    asyncio.run(story())


def test_publications_survive(settings: dict[str, str], server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, settings, metadata="postgres") as ports:
            publishers = Publishers(ports.metadata)
            await publishers.check(await storm(publishers.write, lambda: server.kill("postgres")))

    asyncio.run(story())


def test_leases_survive_and_no_fence_falls(settings: dict[str, str], server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, settings, lock="postgres") as ports:
            holders = Holders(ports.lock)
            await storm(holders.write, lambda: server.kill("postgres"))
            holders.check_fences()
            await holders.check(kept=True)

    asyncio.run(story())
