"""Encrypted connections: whom ``sslmode`` and ``sslrootcert`` trust."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.pool import opened_pool
from codequay.ports.errors import FailedPrecondition, PermissionDenied
from tests.contexts import run

from .server import Server
from .stores import config, verdict


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The certificate of a server called localhost, that it has signed itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "server.key", folder / "server.crt"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    for one in (key, certificate):
        server.give_file(server.folder / "data" / one.name, one.read_bytes())
    server.administer(
        "ALTER SYSTEM SET ssl = on", "ALTER SYSTEM SET ssl_ca_file = 'server.crt'", "SELECT pg_reload_conf()"
    )
    yield certificate
    server.administer("ALTER SYSTEM RESET ssl", "ALTER SYSTEM RESET ssl_ca_file", "SELECT pg_reload_conf()")


@pytest.fixture
def rule(server: Server) -> Iterator[Callable[[str], None]]:
    """Puts a rule before those of ``pg_hba.conf``."""
    file = server.folder / "data" / "pg_hba.conf"
    was = file.read_bytes()

    def put(line: str) -> None:
        file.write_bytes(line.encode() + b"\n" + was)
        server.administer("SELECT pg_reload_conf()")

    yield put
    file.write_bytes(was)
    server.administer("SELECT pg_reload_conf()")


async def encrypted(chosen: PostgresConfig) -> bool:
    before = sockets()
    try:
        async with opened_pool(chosen) as pool:
            rows = await pool.read("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(rows[0][0])
    except (OSError, asyncpg.PostgresError):
        # asyncpg does not wait for the end of a connection that was refused, and the loop ends with this test
        async with asyncio.timeout(10):
            while sockets() > before:
                await asyncio.sleep(0.005)
        raise


def sockets() -> int:
    return sum(one.is_socket() for one in Path("/dev/fd").iterdir())


def test_a_server_is_trusted_as_far_as_configured(server: Server, authority: Path, hostile: Path) -> None:
    named = f"postgresql://app@localhost:{server.port}/codequay"
    trusted = str(authority)
    assert run(encrypted(config(server)))
    assert run(encrypted(config(server, sslmode="require")))
    assert run(encrypted(config(server, sslmode="verify-ca", sslrootcert=trusted)))
    assert run(encrypted(config(server, dsn=named, sslmode="verify-full", sslrootcert=trusted)))
    assert run(encrypted(config(server, dsn=f"{named}?sslmode=verify-full&sslrootcert={trusted}")))
    assert run(encrypted(config(server, sslmode="require", sslrootcert=trusted)))
    assert not run(encrypted(config(server, sslmode="disable")))
    for refused in (
        config(server, sslmode="verify-full", sslrootcert=trusted),
        config(server, dsn=named, sslmode="verify-full"),
        config(server, dsn=f"{named}?sslmode=verify-full&sslrootcert=system"),
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


def test_what_the_servers_rules_refuse_is_tried_the_other_way(
    server: Server, authority: Path, rule: Callable[[str], None]
) -> None:
    modes = ("disable", "allow", "prefer", "require")
    assert [run(encrypted(config(server, sslmode=mode))) for mode in modes] == [False, False, True, True]
    rule("hostssl codequay app all reject")
    assert [run(encrypted(config(server, sslmode=mode))) for mode in modes[:3]] == [False, False, False]
    with pytest.raises(asyncpg.PostgresError) as failed:
        run(encrypted(config(server, sslmode="require")))
    assert verdict(failed.value).error is PermissionDenied
    rule("hostnossl codequay app all reject")
    assert [run(encrypted(config(server, sslmode=mode))) for mode in modes[1:]] == [True, True, True]


def test_a_refused_password_is_not_sent_again_without_encryption(
    server: Server, authority: Path, rule: Callable[[str], None]
) -> None:
    rule("hostnossl codequay app all trust")
    with pytest.raises(asyncpg.InvalidPasswordError):
        run(encrypted(config(server, password="wrong")))


def test_a_certificate_of_ones_own_is_named_in_the_dsn(
    server: Server, authority: Path, rule: Callable[[str], None], tmp_path: Path
) -> None:
    key, request, own = tmp_path / "own.key", tmp_path / "own.csr", tmp_path / "own.crt"
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=app", "-keyout", str(key), "-out", str(request))
    openssl(
        "x509", "-req", "-in", str(request), "-days", "2", "-CA", str(authority),
        "-CAkey", str(authority.with_suffix(".key")), "-CAcreateserial", "-out", str(own),
    )  # fmt: skip
    rule("hostssl codequay app all cert")
    dsn = f"postgresql://app@localhost:{server.port}/codequay?sslmode=verify-full&sslrootcert={authority}"
    assert run(encrypted(config(server, dsn=f"{dsn}&sslcert={own}&sslkey={key}", password=None)))
    with pytest.raises(asyncpg.PostgresError, match="certificate"):
        run(encrypted(config(server, dsn=dsn)))
    with pytest.raises(FailedPrecondition, match=r"none\.crt cannot be read"):
        run(encrypted(config(server, dsn=f"{dsn}&sslcert={tmp_path / 'none.crt'}")))
