"""What somebody gets who sets it up wrongly: three lines, the exit code, and no password in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from .conftest import RANKED, Call, Database, ask, index

NOWHERE = "127.0.0.1:9"
SECRET = "hunter2-is-wrong"
POSTGRES = "CODEQUAY_ADAPTERS__POSTGRES__"
REDIS = "CODEQUAY_ADAPTERS__REDIS__"
ZOEKT = "CODEQUAY_ADAPTERS__ZOEKT__"
AUTO = {f"{POSTGRES}MIGRATIONS": "auto"}
ON_ZOEKT = {"CODEQUAY_PORTS__LEXICAL": "zoekt"}


@pytest.fixture
def server(servers_env: dict[str, str]) -> dict[str, str]:
    return {**servers_env, "CODEQUAY_PROFILE": "server", **AUTO}


def told(done, code: int, error: str, what: str, fix: str) -> None:
    done.failed(code, what=what, fix=fix, error=error)
    assert SECRET not in done.out + done.err


CASES = {
    "a wrong password": (
        {f"{POSTGRES}PASSWORD": SECRET}, "search", 3, "chunks.postgres/permission_denied", "password", "password",
    ),
    "an unknown database": (
        {f"{POSTGRES}DSN": "{server}/nodb"}, "index", 3, "chunks.postgres/failed_precondition", "nodb",
        "CREATE DATABASE",
    ),
    "a database server that is away": (
        {f"{POSTGRES}DSN": f"postgresql://app@{NOWHERE}/x"}, "search", 6, "chunks.postgres/unavailable",
        "cannot be reached", "adapters.postgres.dsn",
    ),
    "a host that nobody knows": (
        {f"{POSTGRES}DSN": "postgresql://app@nobody.invalid/x"}, "index", 6, "chunks.postgres/unavailable", "", "dsn",
    ),
    "a lock server that is away": (
        {f"{REDIS}URL": f"redis://{NOWHERE}/0"}, "index", 6, "lock.redis/unavailable", "", "adapters.redis.url",
    ),
    "a wrong password of the lock server": (
        {f"{REDIS}PASSWORD": SECRET}, "index", 3, "lock.redis/permission_denied", "", "password",
    ),
    "a Zoekt that is away": (
        {**ON_ZOEKT, f"{ZOEKT}URL": f"http://{NOWHERE}", f"{ZOEKT}INDEX_DIR": "{tmp}"}, "index", 6,
        "lexical.zoekt/unavailable", "not reachable", "adapters.zoekt.url",
    ),
    "a folder that is not there": (
        {**ON_ZOEKT, f"{ZOEKT}URL": "{zoekt}", f"{ZOEKT}INDEX_DIR": "/no/such/folder"}, "index", 3,
        "lexical.zoekt/failed_precondition", "/no/such/folder", "adapters.zoekt.index_dir",
    ),
    "a program that is not there": (
        {**ON_ZOEKT, f"{ZOEKT}URL": "{zoekt}", f"{ZOEKT}INDEX_DIR": "{tmp}", f"{ZOEKT}INDEXER": "zoekt-no-such"},
        "index", 3, "lexical.zoekt/failed_precondition", "zoekt-no-such", "adapters.zoekt.indexer",
    ),
    "Zoekt without a setting": (ON_ZOEKT, "plan", 2, "lexical.zoekt/invalid_config", "index_dir", "adapters.zoekt"),
    "no address": (
        {f"{POSTGRES}DSN": None}, "plan", 2, "chunks.postgres/invalid_config", "dsn", "adapters.postgres.dsn",
    ),
    "an option that there is not": (
        {f"{POSTGRES}MAXPOOL": "9"}, "plan", 2, "chunks.postgres/invalid_config", 'did you mean "max_pool"', "max_pool",
    ),
    "a variable that names nothing": (
        {"CODEQUAY_ADAPTER__POSTGRES__DSN": "x"}, "plan", 2, "invalid_config", 'did you mean "adapters"', "adapters",
    ),
    "an adapter that there is not": (
        {"CODEQUAY_PORTS__LOCK": "rediss"}, "plan", 2, "lock.rediss/unknown_adapter", 'did you mean "redis"', "redis",
    ),
    "a secret that is not there": (
        {f"{POSTGRES}PASSWORD": "env:NOT_SET"}, "plan", 2, "secret_unavailable", "NOT_SET", "export NOT_SET",
    ),
    "a password in an address that takes none": (
        {f"{REDIS}URL": f"redis://:{SECRET}@h/0"}, "plan", 2, "lock.redis/invalid_config", "no password in the url",
        "adapters.redis.url",
    ),
    "an address of something else": (
        {f"{POSTGRES}DSN": f"mysql://a:{SECRET}@h/d"}, "plan", 2, "chunks.postgres/invalid_config", "postgresql://",
        "adapters.postgres.dsn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_is_three_lines(
    case: str, inside: Call, tmp_path: Path, server: Mapping[str, str], database: Database, zoekt_server: str
) -> None:
    wrong, command, code, error, what, fix = CASES[case]
    places = {"server": database.dsn.rpartition("/")[0], "zoekt": zoekt_server, "tmp": str(tmp_path)}
    env = {**server, **{name: value and value.format(**places) for name, value in wrong.items()}}
    words = [command, "anything"] if command == "search" else [command]
    done = inside(*words, "--data", tmp_path / "index", env={k: v for k, v in env.items() if v is not None})
    told(done, code, error, what, fix)
    assert len([line for line in done.err.splitlines() if line.startswith("error[")]) == 1, "once, not for each port"


def test_a_question_needs_no_lock(inside: Call, tmp_path: Path, server: Mapping[str, str]) -> None:
    data = tmp_path / "index"
    index(inside, server, data)
    away = {**server, f"{REDIS}URL": f"redis://{NOWHERE}/0"}
    assert ask(inside, away, data, RANKED[0])


def test_doctor_looks_at_what_is_left(inside: Call, tmp_path: Path, server: Mapping[str, str]) -> None:
    data = tmp_path / "index"
    index(inside, server, data)
    done = inside("doctor", "--data", data, env={**server, f"{REDIS}PASSWORD": SECRET})
    assert done.code == 3
    assert "error    lock.redis" in done.out and "generation 1" in done.out, done
    assert SECRET not in done.out + done.err
