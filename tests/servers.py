"""Real servers for tests, as a pytest plugin: a fixture for each server, and what a test needs of one.

A server is used where its URL is in the environment (``CODEQUAY_TEST_POSTGRES_URL``) and something listens there, or
where ``.ci/services`` has it running. Otherwise ``.ci/services`` starts it from the system's packages for this run
alone, and ends it. Where none of these is possible the test is skipped as unverified, with the reason; under
``CI=true`` it fails: there a server that is missing is a fault. The double of a server counts as had, and the summary
says ``double``.

Each worker of pytest-xdist has servers of its own, because tests kill them.

What the user has set for his own servers, his own codequay and his git is taken out of the environment, and a proxy
that he has named is not asked for servers of this machine.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

SERVICES = Path(__file__).parents[1] / ".ci" / "services"
START_S = 120
ANSWER_S = 3.0
FOLDERS = ("adapters/postgres", "adapters/redis", "adapters/zoekt", "kill", "swaps")
"""Whose tests are of the session servers, but for"""
SERVERLESS = ("adapters/zoekt/double/test_recorded.py",)
NEEDS = {"pgbouncer": "postgres"}
LOCAL = ("127.0.0.1", "localhost")
DOUBLES: pytest.StashKey[set[str]] = pytest.StashKey()


def unverified(reason: str) -> NoReturn:
    """Skip the test for want of a server; fail it under ``CI=true``."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"unverified: {reason}", pytrace=False)
    pytest.skip(f"unverified: {reason}")


class Servers:
    """Servers by name, started when first asked for."""

    def __init__(self) -> None:
        self.doubles: set[str] = set()
        self._apart = f"--apart={os.getpid()}"
        self._started: list[str] = []
        self._missing: dict[str, str] = {}

    def url(self, name: str) -> str:
        """The URL of a running server. It is in the environment from then on, for harnesses and child processes.

        Skips the test when there is none; fails it under ``CI=true``.
        """
        variable = f"CODEQUAY_TEST_{name.upper()}_URL"
        if not answers(os.environ.get(variable, "")) and name not in self._missing:
            if name in NEEDS:
                self.url(NEEDS[name])
            self._start(name)
        if os.environ.get(f"CODEQUAY_TEST_{name.upper()}_DOUBLE"):
            self.doubles.add(name)
        if name in self._missing:
            said = "names none that answers" if os.environ.get(variable) else "is not set"
            unverified(f"no {name} server, and {variable} {said}: {self._missing[name]}")
        return os.environ[variable]

    def end(self) -> None:
        """End what was started here."""
        if self._started:
            self._run("down", *self._started, self._apart).check_returncode()

    def _start(self, name: str) -> None:
        worker = "PYTEST_XDIST_WORKER" in os.environ
        done = None if worker else self._run("status", name)
        if done is None or done.returncode:
            done = self._run("up", name, self._apart)
            if done.returncode:
                self._missing[name] = done.stderr.strip()
                return
            self._started.append(name)
        os.environ.update(assignments(done.stdout))

    @staticmethod
    def _run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SERVICES), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_S)


def answers(url: str) -> bool:
    """Whether something listens there."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        return False
    try:
        socket.create_connection((parts.hostname, parts.port), ANSWER_S).close()
    except OSError:
        return False
    return True


def assignments(said: str) -> dict[str, str]:
    """What ``.ci/services`` has printed."""
    lines = (line.removeprefix("export ").partition("=") for line in said.splitlines())
    return {key: shlex.split(value)[0] for key, _, value in lines}


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    found = Servers()
    found.doubles = request.config.stash[DOUBLES]
    try:
        yield found
    finally:
        found.end()


@pytest.fixture(scope="session")
def postgres_server(servers: Servers) -> str:
    return servers.url("postgres")


@pytest.fixture(scope="session")
def pgbouncer_server(servers: Servers) -> str:
    return servers.url("pgbouncer")


@pytest.fixture(scope="session")
def redis_server(servers: Servers) -> str:
    return servers.url("redis")


@pytest.fixture(scope="session")
def zoekt_server(servers: Servers) -> str:
    return servers.url("zoekt")


@pytest.fixture(scope="session")
def mariadb_server(servers: Servers) -> str:
    return servers.url("mariadb")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DOUBLES] = set()
    for name in [name for name in os.environ if _is_the_users(name)]:
        del os.environ[name]
    spared = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    here = ",".join(dict.fromkeys([*filter(None, spared.split(",")), *LOCAL]))
    os.environ.update(no_proxy=here, NO_PROXY=here, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")


def _is_the_users(name: str) -> bool:
    return name.startswith(("PG", "GIT_", "CODEQUAY_")) and not name.startswith("CODEQUAY_TEST_")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    folders, serverless = [here / one for one in FOLDERS], [here / one for one in SERVERLESS]
    for item in items:
        if item.path not in serverless and any(item.path.is_relative_to(folder) for folder in folders):
            item.add_marker("servers")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells what it has met."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["doubles"] = sorted(session.config.stash[DOUBLES])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[DOUBLES].update(getattr(node, "workeroutput", {}).get("doubles", ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for name in sorted(config.stash[DOUBLES]):
        terminalreporter.write_line(f"double: {name} was played by our own stand-in, not by the real server")
