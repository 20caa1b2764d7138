"""One repository, one set of questions, and every mix of back ends, chosen by environment variables alone."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from codequay.interfaces.cli.main import main
from tests.cli.conftest import Done, environment, git

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("kernel", "layers", "ports", "retrieval")
"""Folders of our own sources: real code, some 50 files."""
TIMEOUT_S = 60


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real repository, committed, that nobody changes. Its name is its origin's, wherever its index lies."""
    top = tmp_path_factory.mktemp("swaps") / "project"
    top.mkdir()
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "codequay" / name, top / "src" / name, ignore=ignored)
    shutil.copytree(ROOT / "examples" / "parcel", top / "parcel")
    git(top, "init", "-q")
    git(top, "remote", "add", "origin", "https://example.org/team/project.git")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    return top


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server, and who may do what there."""

    dsn: str
    password: str

    def do(self, *statements: str) -> None:
        """Statements of the owner."""

        async def run() -> None:
            connection = await asyncpg.connect(self.dsn, password=self.password)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def of(self, user: str) -> str:
        """The dsn of another role."""
        parts = urlsplit(self.dsn)
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture(scope="session")
def database(postgres_server: str) -> Database:
    parts = urlsplit(postgres_server)
    password = parts.password or os.environ.get("CODEQUAY_TEST_POSTGRES_PASSWORD", "")
    address = parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}")
    return Database(urlunsplit(address), password)


@pytest.fixture
def schema(database: Database) -> Iterator[str]:
    """The name of a schema of the test's own, gone afterwards."""
    name = f"swap_{secrets.token_hex(4)}"
    yield name
    database.do(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def servers_env(database: Database, redis_server: str, zoekt_server: str, schema: str) -> dict[str, str]:
    """Where the servers are, as a deployment says it; apart from other tests on them."""
    found = {
        "CODEQUAY_ADAPTERS__POSTGRES__DSN": database.dsn,
        "CODEQUAY_ADAPTERS__POSTGRES__PASSWORD": "env:DATABASE_PASSWORD",
        "CODEQUAY_ADAPTERS__POSTGRES__SCHEMA": schema,
        "CODEQUAY_ADAPTERS__POSTGRES__MIN_POOL": "1",
        "DATABASE_PASSWORD": database.password,
        "CODEQUAY_ADAPTERS__REDIS__URL": redis_server,
        "CODEQUAY_ADAPTERS__REDIS__PREFIX": f"{schema}:",
    }
    if os.environ.get("CODEQUAY_TEST_REDIS_PASSWORD"):
        found["CODEQUAY_ADAPTERS__REDIS__PASSWORD"] = "env:CACHE_PASSWORD"
        found["CACHE_PASSWORD"] = os.environ["CODEQUAY_TEST_REDIS_PASSWORD"]
    return found


@pytest.fixture
def zoekt_env(zoekt_server: str, schema: str) -> dict[str, str]:
    """Where Zoekt is; it is not chosen by this alone unless the port is ``auto``."""
    return {
        "CODEQUAY_ADAPTERS__ZOEKT__URL": zoekt_server,
        "CODEQUAY_ADAPTERS__ZOEKT__INDEX_DIR": os.environ["CODEQUAY_TEST_ZOEKT_INDEX_DIR"],
        "CODEQUAY_ADAPTERS__ZOEKT__NAMESPACE": schema,
    }


Call = Callable[..., Done]


@pytest.fixture
def process(tmp_path: Path, project: Path) -> Call:
    """``process("search", "x", env)``: the command in a process of its own."""
    home = tmp_path / "home"
    home.mkdir()

    def call(*words: str | Path, env: Mapping[str, str]) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "codequay", *map(str, words)],
            cwd=project,
            env=environment(home, {**env, "PATH": os.environ["PATH"]}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def inside(project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The same in this process, which is ten times as fast."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def call(*words: str | Path, env: Mapping[str, str]) -> Done:
        with pytest.MonkeyPatch.context() as patched:
            for name in [name for name in os.environ if name.startswith("CODEQUAY_")]:
                patched.delenv(name)
            for name, value in env.items():
                patched.setenv(name, value)
            capfd.readouterr()
            code = main([str(word) for word in words])
        said = capfd.readouterr()
        return Done(code, said.out, said.err)

    return call


EXACT = (
    '"at least one finding"',
    '"raise PlanError" or sym:PlanError',
    "sym:RetryBudget",
    '"async def" file:layers',
    '"_REACH" case:yes',
    '"capabilities" -"reach" lang:python',
    '"did you mean" file:kernel',
)
"""Questions with something required: which files fit does not depend on a ranking."""
RANKED = (
    "which adapter stands behind each port",
    "wait longer after each refusal",
    "read a secret from a file",
    "parse query language phrase",
    "how are scores fused",
)


def hits(answer: Any) -> list[dict[str, Any]]:
    """What an answer promises, whatever the back end: no score, no generation, no time."""
    kept = ("repo", "path", "start_line", "end_line", "id", "symbol", "kind", "language", "text", "line", "stale")
    return [{key: hit[key] for key in kept} for hit in answer["hits"]]


def ask(call: Call, env: Mapping[str, str], data: Path, query: str, limit: int = 10) -> list[dict[str, Any]]:
    """The hits of one question, in order."""
    done = call("search", query, "--data", data, "--limit", str(limit), "--format", "json", env=env)
    assert done.code in (0, 1), (query, done)
    answer = json.loads(done.out)
    assert {coverage["state"] for coverage in answer["coverage"].values()} == {"complete"}
    return hits(answer)


def answers(call: Call, env: Mapping[str, str], data: Path) -> dict[str, list[dict[str, Any]]]:
    """The hits of every question."""
    return {query: ask(call, env, data, query) for query in (*EXACT, *RANKED)}


def index(call: Call, env: Mapping[str, str], data: Path) -> Any:
    done = call("index", "--data", data, "--format", "json", env=env)
    assert done.code == 0, done
    return json.loads(done.out)
