"""One server for the tests of this folder, and a maker of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.permissions import open_folder
from tests.servers import unverified

from .server import Server, program


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server of our own, because these tests pause it, stop it and look into it."""
    if program() is None:
        unverified("no redis-server on PATH")
    with open_folder() as folder:
        one = Server(folder / "server")
        try:
            one.start()
            yield one
        finally:
            one.stop()


@pytest.fixture
def make() -> Iterator[Callable[..., Server]]:
    """Makes servers with options of their own; they are ended with the test."""
    if program() is None:
        unverified("no redis-server on PATH")
    with ExitStack() as ending:

        def one(*, sentinel: bool = False, **words: str) -> Server:
            server = Server(ending.enter_context(open_folder()), sentinel=sentinel, **words)
            ending.callback(server.stop)
            return server

        yield one
