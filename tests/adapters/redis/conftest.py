"""One server for the tests of this folder, and a maker of others."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import unverified

from .server import Server, program


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server of our own, because these tests pause it, stop it and look into it."""
    if program() is None:
        unverified("no redis-server on PATH")
    folder = Path(tempfile.mkdtemp(prefix="codequay-redis-"))
    one = Server(folder / "server")
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(folder)


@pytest.fixture
def make() -> Iterator[Callable[..., Server]]:
    """Makes servers with options of their own; they are ended with the test."""
    if program() is None:
        unverified("no redis-server on PATH")
    made: list[Server] = []

    def one(*, sentinel: bool = False, **words: str) -> Server:
        # a socket's path must be short
        folder = Path(tempfile.mkdtemp(prefix="cq-redis-"))
        made.append(Server(folder, sentinel=sentinel, **words))
        return made[-1]

    try:
        yield one
    finally:
        for server in made:
            server.stop()
            shutil.rmtree(server.folder)
