"""One server for the tests of this folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncpg import connect_utils

from tests.permissions import open_folder
from tests.servers import unverified

from .server import Server, programs

HOSTILE = {
    "PGHOST": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGPASSWORD": "wrong",
    "PGDATABASE": "none",
    "PGSSLMODE": "verify-full",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
}
VARIABLES = sorted(set(re.findall(r"['\"](PG[A-Z]+)['\"]", Path(connect_utils.__file__).read_text())))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server of our own, because these tests make roles and databases, and stop it."""
    found = programs()
    if found is None:
        unverified("no PostgreSQL here: install postgresql")
    with open_folder() as folder:
        one = Server(folder / "server", found)
        try:
            one.make()
            yield one
        finally:
            one.stop()


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home folder. Every variable that asyncpg reads is set to what would keep it from the server."""
    assert HOSTILE.keys() < set(VARIABLES)
    for name in VARIABLES:
        monkeypatch.setenv(name, HOSTILE.get(name, str(tmp_path / "none")))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".postgresql").mkdir()
    for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
        (tmp_path / ".postgresql" / name).write_text("no certificate")
    return tmp_path
