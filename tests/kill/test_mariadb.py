"""MariaDB, with its data on a disk, is killed under writers: nothing that was acknowledged is lost, and everybody goes
on. Its adapter is the one of ``contrib/codequay-mariadb``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from codequay.kernel import default_registry
from tests.servers import unverified

from .storm import Server, opened, running, storm
from .writers import Indexers


@pytest.fixture
def server() -> Iterator[Server]:
    if "mariadb" not in default_registry().names("chunks"):
        unverified("codequay-mariadb is not installed: pip install -e contrib/codequay-mariadb")
    with running("mariadb", durable=True) as one:
        yield one


def test_generations_survive(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, server.settings(), chunks="mariadb") as ports:
            indexers = Indexers(ports.chunks)
            await indexers.check(await storm(indexers.write, server.kill))

    asyncio.run(story())
