"""One server for the tests of this folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import unverified

from .server import Server, programs


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server of our own, because these tests make roles and databases, and stop it."""
    found = programs()
    if found is None:
        unverified("no PostgreSQL here: install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="codequay-postgres-"))
    folder.chmod(0o755)
    one = Server(folder / "server", found)
    try:
        one.make()
        yield one
    finally:
        one.stop()
        shutil.rmtree(folder)
