"""``.ci/services`` and the fixture ``servers``: servers are started once, found again, and only ours are ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .servers import SERVICES, Servers

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin") is None,
    reason="unverified: MariaDB is not installed",
)


def services(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CODEQUAY_SERVICES_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, str(SERVICES), *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder():
    """Every parent of it is open to the server's user; pytest's own folders are not."""
    found = Path("/tmp", f"codequay-test-{os.getpid()}-{time.monotonic_ns()}")
    yield found
    services(found, "down")
    shutil.rmtree(found, ignore_errors=True)


def port(said: str) -> int:
    return int(said.rsplit(":", 1)[1].partition("/")[0])


def listens(number: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", number)) == 0


def test_up_is_found_again_and_down_ends_it(folder):
    assert services(folder, "status").returncode == 1
    first = services(folder, "up", "mariadb")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("export CODEQUAY_TEST_MARIADB_URL=mariadb://codequay:")
    assert services(folder, "up").stdout == first.stdout
    assert services(folder, "status").stdout == first.stdout
    settings = services(folder, "up", "--settings").stdout
    assert f"export CODEQUAY_ADAPTERS__MARIADB__PORT={port(first.stdout)}" in settings
    assert listens(port(first.stdout))
    for _ in range(2):
        assert services(folder, "down", "mariadb").returncode == 0
    assert not listens(port(first.stdout))
    assert services(folder, "status").returncode == 1


def test_the_server_is_not_root_and_its_files_are_its_own(folder):
    assert services(folder, "up").returncode == 0
    data = folder / "mariadb" / "data"
    owner = data.stat().st_uid
    assert owner == os.getuid() or os.getuid() == 0
    assert owner != 0
    assert (folder / "mariadb.json").stat().st_mode & 0o077 == 0
    assert not (folder / "mariadb" / "init.sql").exists()


def test_down_leaves_a_process_alone_that_only_has_the_number(folder):
    assert services(folder, "up").returncode == 0
    state = folder / "mariadb.json"
    pid = state.read_text().partition('"pid": ')[2].partition(",")[0]
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state.write_text(state.read_text().replace(pid, str(other.pid)))
        assert services(folder, "status").returncode == 1
        assert services(folder, "down").returncode == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        os.kill(int(pid), signal.SIGKILL)


def test_a_server_that_was_killed_is_started_anew(folder):
    first = services(folder, "up").stdout
    pid = (folder / "mariadb.json").read_text().partition('"pid": ')[2].partition(",")[0]
    os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listens(port(first)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert services(folder, "status").returncode == 1
    again = services(folder, "up")
    assert again.returncode == 0, again.stderr
    assert again.stdout != first


def test_an_unknown_name_is_refused(folder):
    unknown = services(folder, "up", "oracle")
    assert unknown.returncode == 2
    assert "oracle" in unknown.stderr


class NoServers(Servers):
    def _start(self, name: str) -> None:
        self._missing[name] = "not installed"


def test_without_a_server_a_test_is_skipped_and_fails_in_ci(monkeypatch):
    monkeypatch.delenv("CODEQUAY_TEST_MARIADB_URL", raising=False)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="unverified: no mariadb server"):
        NoServers().url("mariadb")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        NoServers().url("mariadb")
    monkeypatch.setenv("CODEQUAY_TEST_MARIADB_URL", "mariadb://u@h/d")
    assert NoServers().url("mariadb") == "mariadb://u@h/d"
