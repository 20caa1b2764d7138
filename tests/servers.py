"""Real servers for tests, as a pytest plugin: the fixture ``servers``, and what a test needs of one.

A server is used where its URL is in the environment (``CODEQUAY_TEST_MARIADB_URL``). Otherwise ``.ci/services`` starts
it from the system's packages, once for the run, and ends what it has started. Where neither is possible the test is
skipped as unverified, with the reason; under ``CI=true`` it fails: there a server that is missing is a fault.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[1] / ".ci" / "services"
START_S = 120


class Servers:
    """Servers by name, started when first asked for."""

    def __init__(self) -> None:
        self._started: list[str] = []
        self._missing: dict[str, str] = {}

    def url(self, name: str) -> str:
        """The URL of a running server. It is in the environment from then on, for harnesses and child processes.

        Skips the test when there is none; fails it under ``CI=true``.
        """
        variable = f"CODEQUAY_TEST_{name.upper()}_URL"
        if not os.environ.get(variable) and name not in self._missing:
            self._start(name)
        url = os.environ.get(variable)
        if url:
            return url
        reason = f"unverified: no {name} server, and {variable} is not set: {self._missing[name]}"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    def end(self) -> None:
        """End what was started here."""
        if self._started:
            subprocess.run([sys.executable, str(SERVICES), "down", *self._started], check=True, timeout=START_S)

    def _start(self, name: str) -> None:
        run = [sys.executable, str(SERVICES)]
        running = subprocess.run([*run, "status", name], capture_output=True, text=True, check=False, timeout=START_S)
        done = running
        if running.returncode:
            done = subprocess.run([*run, "up", name], capture_output=True, text=True, check=False, timeout=START_S)
            if done.returncode:
                self._missing[name] = done.stderr.strip()
                return
            self._started.append(name)
        for line in done.stdout.splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            os.environ[key] = shlex.split(value)[0]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    found = Servers()
    try:
        yield found
    finally:
        found.end()
