"""MariaDB is killed under writers: nothing that was acknowledged is lost, and everybody goes on."""

import asyncio

import pytest

from tests.kill.storm import opened, running, storm
from tests.kill.writers import Indexers


@pytest.fixture
def killed():
    """A server of this test alone, with its data on a disk."""
    with running("mariadb", durable=True) as server:
        yield server


def test_generations_survive(killed, tmp_path):
    async def story():
        async with opened(tmp_path, killed.settings(), chunks="mariadb") as ports:
            indexers = Indexers(ports.chunks)
            await indexers.check(await storm(indexers.write, killed.kill))

    asyncio.run(story())
