"""Encrypted connections: whom ``sslmode`` and ``sslrootcert`` trust."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.pool import opened_pool
from codequay.ports.errors import FailedPrecondition
from tests.contexts import run

from .server import Server
from .stores import config, verdict


@pytest.fixture(scope="module")
def authority(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The certificate of a server called localhost, that it has signed itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "server.key", folder / "server.crt"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    for one in (key, certificate):
        server.give_file(server.folder / "data" / one.name, one.read_bytes())
    server.administer("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    yield certificate
    server.administer("ALTER SYSTEM RESET ssl", "SELECT pg_reload_conf()")


async def encrypted(chosen: PostgresConfig) -> bool:
    async with opened_pool(chosen) as pool:
        rows = await pool.read("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return bool(rows[0][0])


def test_a_server_is_trusted_as_far_as_configured(server: Server, authority: Path) -> None:
    named = f"postgresql://app@localhost:{server.port}/codequay"
    trusted = str(authority)
    assert run(encrypted(config(server)))
    assert run(encrypted(config(server, sslmode="require")))
    assert run(encrypted(config(server, sslmode="verify-ca", sslrootcert=trusted)))
    assert run(encrypted(config(server, dsn=named, sslmode="verify-full", sslrootcert=trusted)))
    assert not run(encrypted(config(server, sslmode="disable")))
    for refused in (
        config(server, sslmode="verify-full", sslrootcert=trusted),
        config(server, dsn=named, sslmode="verify-full"),
        config(server, sslmode="verify-ca"),
    ):
        with pytest.raises((OSError, asyncpg.PostgresError)) as failed:
            run(encrypted(refused))
        said = verdict(failed.value)
        assert said.error is FailedPrecondition
        assert "sslrootcert" in said.remedy


def test_a_file_of_certificates_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    chosen = config(server, sslmode="verify-ca", sslrootcert=str(tmp_path / "none.pem"))
    with pytest.raises(FailedPrecondition, match=r"none\.pem cannot be read"):
        run(encrypted(chosen))
