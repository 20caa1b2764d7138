"""What the environment of libpq says does not count: variables, and files in the home folder."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr, ValidationError

from codequay.adapters.postgres.address import Unreadable, parse
from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.pool import opened_pool
from codequay.ports.errors import FailedPrecondition, PermissionDenied, Unavailable
from tests.contexts import run

from .server import PASSWORD, Server
from .stores import config, verdict


async def session(chosen: PostgresConfig) -> tuple[str, str]:
    async with opened_pool(chosen) as pool:
        rows = await pool.read("SELECT current_user::text, current_database()::text")
        return tuple(rows[0])


@pytest.mark.parametrize("mode", [None, "disable", "allow", "prefer"])
def test_no_variable_and_no_file_of_libpq_counts(server: Server, hostile: Path, mode: Any) -> None:
    assert run(session(config(server, sslmode=mode))) == ("app", "codequay")


def test_what_the_dsn_does_not_say_is_not_taken_from_variables(server: Server, hostile: Path) -> None:
    socket = f"postgresql:///?host={server.folder}&port={server.port}"
    assert run(session(config(server, dsn=f"{socket}&user=app&dbname=codequay"))) == ("app", "codequay")
    me = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.raises(asyncpg.PostgresError, match=f'user "{me}"'):
        run(session(config(server, dsn=socket)))
    with pytest.raises(asyncpg.PostgresError, match='database "app" does not exist'):
        run(session(config(server, dsn=server.url(""))))


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_password_is_configured_or_there_is_none(
    server: Server, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if place == "variable":
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    else:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".pgpass").touch(mode=0o600)
        (tmp_path / ".pgpass").write_text(f"*:*:*:*:{PASSWORD}\n")
    with pytest.raises(asyncpg.PostgresError) as failed:
        run(session(config(server, password=None)))
    said = verdict(failed.value)
    assert said.error is PermissionDenied
    assert "PGPASSWORD and ~/.pgpass are not read" in said.remedy


def test_the_dsn_alone_is_enough(server: Server, hostile: Path) -> None:
    quoted = "it%27s%20%22secret%22"
    named = f"127.0.0.1:{server.port}/codequay"
    for dsn in (
        f"postgres://app:{quoted}@{named}",
        f"postgresql://{named}?user=app&password={quoted}&sslmode=disable&work_mem=1MB",
        f"postgresql://app@/codequay?password={quoted}&host=127.0.0.1&port={server.port}",
        f"postgresql://app:{quoted}@127.0.0.1,127.0.0.1/codequay?port={server.port},{server.port}",
        f"postgresql://app:{quoted}@{named}?connect_timeout=3&keepalives=1&channel_binding=prefer&gssencmode=disable",
    ):
        assert run(session(config(server, dsn=dsn, password=None))) == ("app", "codequay")


def test_of_several_hosts_the_first_that_can_be_reached_is_used(server: Server) -> None:
    both = f"postgresql://app@127.0.0.1:1,127.0.0.1:{server.port}/codequay"
    assert run(session(config(server, dsn=both))) == ("app", "codequay")
    assert run(session(config(server, dsn=f"{both}?target_session_attrs=primary"))) == ("app", "codequay")
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as failed:
        run(session(config(server, dsn=f"{server.url()}?target_session_attrs=standby")))
    said = verdict(failed.value)
    assert (said.error, "target_session_attrs" in said.remedy) == (Unavailable, True)
    with pytest.raises(OSError) as refused:
        run(session(config(server, dsn="postgresql://app@127.0.0.1:1,127.0.0.1:2/codequay")))
    assert verdict(refused.value).error is Unavailable


def test_a_server_without_encryption_is_refused_where_that_is_required(server: Server) -> None:
    for chosen in (config(server, sslmode="require"), config(server, dsn=f"{server.url()}?sslmode=require")):
        with pytest.raises(OSError) as failed:
            run(session(chosen))
        said = verdict(failed.value)
        assert (said.error, "its dsn" in said.remedy) == (FailedPrecondition, True)


def test_a_parameter_that_the_server_does_not_know_is_named(server: Server) -> None:
    with pytest.raises(asyncpg.PostgresError) as failed:
        run(session(config(server, dsn=f"{server.url()}?bogus=1")))
    said = verdict(failed.value)
    assert said.error is FailedPrecondition
    assert "bogus" in said.message
    assert "adapters.postgres.dsn" in said.remedy


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("sslmode=s3cret", "sslmode is none of disable, allow"),
        ("target_session_attrs=s3cret", "target_session_attrs is none of any, primary"),
        ("ssl_min_protocol_version=TLSv1", "ssl_min_protocol_version is none of TLSv1.2"),
        ("sslnegotiation=direct", "sslnegotiation=direct in the dsn needs sslmode"),
        ("passfile=s3cret", "leave out its parameter passfile"),
        ("service=s3cret", "leave out its parameter service"),
        ("channel_binding=require", "leave out its parameter channel_binding"),
    ],
)
def test_a_parameter_that_would_not_work_is_refused_by_name(words: str, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PostgresConfig(dsn=SecretStr(f"postgresql://app@db/x?{words}"))
    assert told in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_hosts_and_ports_are_read() -> None:
    assert parse("postgresql://u@[::1]:5433,db2/x").hosts == (("::1", 5433), ("db2", 5432))
    assert parse("postgresql://u@db/x?port=6000").hosts == (("db", 6000),)
    assert parse("postgresql://u@a,b:7/x?port=6000,6001").hosts == (("a", 6000), ("b", 7))
    assert parse("postgresql://%2Frun%2Fpg/x").hosts == (("/run/pg", 5432),)
    assert parse("postgresql:///x").hosts[-1] == ("localhost", 5432)
    for wrong in ("postgresql://u@a,,b/x", "postgresql://u@a,b/x?port=1,2,3", "postgresql://u@a/x?port=y"):
        with pytest.raises(Unreadable):
            parse(wrong)


def test_whom_the_system_does_not_know_names_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number."""

    def unknown(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert parse("postgresql://app@db").login() == ("app", "app")
    with pytest.raises(FailedPrecondition, match="names no user"):
        parse("postgresql://db/x").login()
