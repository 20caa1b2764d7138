"""The command before and after the first index: migrations, doctor, index, search on a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, check, commands, fresh, git, home, run  # noqa: F401 - fixtures

from .server import PASSWORD, Server
from .stores import schema_name


@pytest.fixture
def settings(server: Server) -> dict[str, str]:
    ports = {f"CODEQUAY_PORTS__{port}": "postgres" for port in ("CHUNKS", "METADATA", "LOCK")}
    options = {"DSN": server.url(), "PASSWORD": "env:SECRET", "SCHEMA": schema_name(), "MIGRATIONS": "check"}
    return {**ports, **{f"CODEQUAY_ADAPTERS__POSTGRES__{k}": v for k, v in options.items()}, "SECRET": PASSWORD}


def statements(said: str) -> list[str]:
    return [line for line in said.splitlines(keepends=True) if not line.startswith("--")]


def test_a_store_is_made_on_command_before_the_first_index(
    server: Server,
    settings: dict[str, str],
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q")
    (repo / "a.py").write_text("def backoff_delay():\n    return 1\n")
    done = run("doctor", repo, **settings)
    assert "chunks.postgres: the store in schema" in done.out, done
    assert "codequay migrations --apply" in done.out
    run("index", repo, **settings).failed(4, error="fingerprint_mismatch", what="is missing", fix="--apply")
    done = run("migrations", repo, "--format", "json", **settings)
    check("migrations", done.json)
    assert [store["version"] for store in done.json["stores"] if store["reach"] == "network"] == [0]
    printed = run("migrations", "--sql", repo, **settings)
    assert printed.code == 0, printed
    assert "CREATE SCHEMA IF NOT EXISTS" in printed.out
    assert "pending" in printed.out
    done = run("migrations", "--apply", repo, "--format", "json", **settings)
    check("migrations", done.json)
    assert [store["version"] for store in done.json["stores"] if store["adapter"] == "postgres"] == [1]
    assert "CREATE" not in "".join(statements(run("migrations", "--sql", repo, **settings).out))
    server.administer("CREATE DATABASE beside")
    try:
        server.psql(printed.out, database="beside")
        settings["CODEQUAY_ADAPTERS__POSTGRES__DSN"] = server.url("beside")
        done = run("migrations", repo, "--format", "json", **settings)
        assert [store["version"] for store in done.json["stores"] if store["adapter"] == "postgres"] == [1]
    finally:
        server.administer("DROP DATABASE beside")
        settings["CODEQUAY_ADAPTERS__POSTGRES__DSN"] = server.url()
    assert run("index", repo, **settings).code == 0
    done = run("search", "backoff_delay", repo, **settings)
    assert (done.code, done.paths) == (0, ["a.py"]), done
    done = run("doctor", repo, **settings)
    assert "fsync is off" in done.out
    assert "error" not in done.out
    settings["SECRET"] = "wrong"
    done = run("search", "backoff_delay", repo, **settings)
    done.failed(3, error="permission_denied", what="refuses the user or the password", fix="correct user and password")
    assert PASSWORD not in done.err + done.out
