"""``.ci/services`` and the fixture ``servers``: servers are started once, found again, and only ours are ended."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .servers import SERVICES, Servers, assignments, unverified

pytestmark = pytest.mark.servers
PROGRAMS = {"mariadb": "mariadbd", "postgres": "postgres", "pgbouncer": "pgbouncer", "redis": "redis-server"}
SETTINGS = {
    "mariadb": {"HOST", "PORT", "USER", "PASSWORD", "DATABASE"},
    "postgres": {"DSN", "PASSWORD"},
    "redis": {"URL", "PASSWORD"},
    "zoekt": {"URL", "INDEX_DIR", "MODE"},
}


def need(name: str) -> None:
    """Skip the test where the server's program is not installed; fail it under ``CI=true``."""
    program = PROGRAMS.get(name)
    places = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    if program and shutil.which(program, path=":".join(places)) is None:
        unverified(f"{program} is not installed")


class Place:
    """A folder of servers. Every parent of it is open to a server's user; pytest's own folders are not."""

    def __init__(self) -> None:
        self.path = Path("/tmp", f"codequay-test-{os.getpid()}-{time.monotonic_ns()}")

    def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CODEQUAY_TEST_SERVICES_DIR": str(self.path), **extra}
        command = [sys.executable, str(SERVICES), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def up(self, *words: str) -> dict[str, str]:
        done = self.run("up", *words)
        assert done.returncode == 0, done.stderr
        return assignments(done.stdout)

    def state(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.path / f"{name}.json").read_text())
        return found

    def pid(self, name: str) -> int:
        return int(str(self.state(name)["pid"]))


@pytest.fixture
def place():
    found = Place()
    yield found
    found.run("down")
    assert not found.path.exists()


def port(url: str) -> int:
    found = urlsplit(url).port
    assert found is not None
    return found


def listens(number: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", number)) == 0


@pytest.mark.parametrize("name", ["mariadb", "postgres", "redis", "zoekt"])
def test_up_is_found_again_and_down_ends_it(place, name):
    need(name)
    assert place.run("status", name).returncode == 1
    first = place.up(name)
    url = f"CODEQUAY_TEST_{name.upper()}_URL"
    assert listens(port(first[url]))
    assert place.up(name) == first
    assert assignments(place.run("status", name).stdout) == first
    for _ in range(2):
        assert place.run("down", name).returncode == 0
    assert not listens(port(first[url]))
    assert place.run("status", name).returncode == 1


@pytest.mark.parametrize("name", ["mariadb", "pgbouncer", "redis", "zoekt"])
def test_the_callers_environment_does_not_reach_a_server(place, name, tmp_path):
    need(name)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    there = {"TMPDIR": str(closed), "HOME": str(closed), "MARIADB_HOME": str(closed), "PGOPTIONS": "--nothing"}
    done = place.run("up", name, **there, **proxy)
    assert done.returncode == 0, done.stderr
    environment = Path(f"/proc/{place.pid(name)}/environ")
    if environment.exists():
        assert str(closed) not in environment.read_text()


@pytest.mark.parametrize("name", ["mariadb", "postgres", "redis", "zoekt"])
def test_what_a_user_sets_has_no_secret_in_it(place, name):
    need(name)
    place.up(name)
    settings = place.up(name, "--settings")
    prefix = f"CODEQUAY_ADAPTERS__{name.upper()}__"
    assert {key.removeprefix(prefix) for key in settings} - {"PATH"} == SETTINGS[name]
    secret = str(place.state(name).get("password", "none"))
    assert not any(secret in value for value in settings.values())
    if "PASSWORD" in SETTINGS[name]:
        file = Path(settings[f"{prefix}PASSWORD"].removeprefix("file:"))
        assert file.read_text() == secret
        assert file.stat().st_mode & 0o077 == 0
    assert place.run("down", name).returncode == 0
    assert not place.path.exists()


def test_nobody_else_can_read_what_is_secret_and_no_server_is_root(place):
    need("postgres")
    need("redis")
    place.up("postgres", "redis")
    for name in ("postgres", "redis"):
        assert (place.path / f"{name}.json").stat().st_mode & 0o077 == 0
        assert (place.path / name).stat().st_mode & 0o077 == 0
        owner = Path(f"/proc/{place.pid(name)}").stat().st_uid if sys.platform == "linux" else os.getuid()
        assert owner == os.getuid() or os.getuid() == 0
        assert owner != 0
        command = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(place.pid(name))], capture_output=True, text=True
        )
        assert str(place.state(name)["password"]) not in command.stdout
    assert not (place.path / "postgres" / "first").exists()


def test_the_pooler_brings_its_server_along(place):
    need("pgbouncer")
    found = place.up("pgbouncer")
    assert port(found["CODEQUAY_TEST_PGBOUNCER_URL"]) != port(found["CODEQUAY_TEST_POSTGRES_URL"])
    settings = place.up("pgbouncer", "--settings")
    assert settings["CODEQUAY_ADAPTERS__POSTGRES__STATEMENT_CACHE_SIZE"] == "0"
    assert str(port(found["CODEQUAY_TEST_PGBOUNCER_URL"])) in settings["CODEQUAY_ADAPTERS__POSTGRES__DSN"]
    assert place.run("down", "postgres").returncode == 0
    assert not listens(port(found["CODEQUAY_TEST_PGBOUNCER_URL"]))


def test_the_pooler_is_made_anew_with_the_server_behind_it(place):
    need("pgbouncer")
    place.up("pgbouncer")
    was = place.pid("pgbouncer")
    os.kill(place.pid("postgres"), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while place.run("status", "postgres").returncode == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    place.up("pgbouncer")
    assert place.pid("pgbouncer") != was
    assert place.state("pgbouncer")["password"] == place.state("postgres")["password"]


@pytest.mark.parametrize("name", ["mariadb", "postgres", "redis", "zoekt"])
def test_restart_kills_it_and_comes_back_on_the_same_port(place, name):
    need(name)
    first = place.up(name)
    pid = place.pid(name)
    line = first[f"CODEQUAY_TEST_{name.upper()}_RESTART"]
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert place.pid(name) != pid
    assert listens(port(first[f"CODEQUAY_TEST_{name.upper()}_URL"]))
    assert place.up(name) == first


def redis(found: dict[str, str], *commands: str) -> list[str]:
    """What Redis answers, a line each."""
    lines = [f"AUTH {found['CODEQUAY_TEST_REDIS_PASSWORD']}", *commands, "QUIT"]
    with socket.create_connection(("127.0.0.1", port(found["CODEQUAY_TEST_REDIS_URL"])), timeout=5) as one:
        one.sendall("".join(f"{line}\r\n" for line in lines).encode())
        said = b""
        while more := one.recv(4096):
            said += more
    return said.decode().splitlines()[1:-1]


@pytest.mark.parametrize("durable", [True, False])
def test_redis_keeps_its_data_over_a_kill_when_it_is_durable(place, durable):
    need("redis")
    found = place.up("redis", *["--durable"] * durable)
    assert redis(found, "SET k v") == ["+OK"]
    assert place.run("restart", "redis").returncode == 0
    assert redis(found, "GET k") == (["$1", "v"] if durable else ["$-1"])
    refused = place.run("up", "redis", "--durable")
    assert refused.returncode == (0 if durable else 1)
    assert durable or "down redis" in refused.stderr


def test_what_was_never_started_is_not_restarted(place):
    assert place.run("restart", "redis").returncode == 1
    assert place.run("restart").returncode == 2


def test_down_leaves_a_process_alone_that_only_has_the_number(place):
    need("redis")
    place.up("redis")
    state = place.path / "redis.json"
    pid = place.pid("redis")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state.write_text(json.dumps({**place.state("redis"), "pid": other.pid}))
        assert place.run("status", "redis").returncode == 1
        assert place.run("down").returncode == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        os.kill(pid, signal.SIGKILL)


def test_a_server_that_was_killed_is_started_anew(place):
    need("redis")
    first = place.up("redis")
    place.up("redis", "--settings")
    os.kill(place.pid("redis"), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listens(port(first["CODEQUAY_TEST_REDIS_URL"])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert place.run("status", "redis").returncode == 1
    assert place.up("redis") != first
    file = place.up("redis", "--settings")["CODEQUAY_ADAPTERS__REDIS__PASSWORD"].removeprefix("file:")
    assert Path(file).read_text() == place.state("redis")["password"]


def test_two_who_ask_at_once_get_one_server(place):
    need("redis")
    command = [sys.executable, str(SERVICES), "up", "redis"]
    environment = {**os.environ, "CODEQUAY_TEST_SERVICES_DIR": str(place.path)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert said[0] == said[1]


def test_servers_apart_are_other_servers(place):
    need("redis")
    shared, own = place.up("redis"), place.up("redis", "--apart=own")
    try:
        assert shared["CODEQUAY_TEST_REDIS_URL"] != own["CODEQUAY_TEST_REDIS_URL"]
        assert place.run("down", "--apart=own").returncode == 0
        assert listens(port(shared["CODEQUAY_TEST_REDIS_URL"]))
    finally:
        place.run("down", "--apart=own")


def test_without_its_programs_zoekt_is_played_by_the_double(place):
    bare = "/usr/bin:/bin"
    if shutil.which("zoekt-webserver", path=bare):
        pytest.skip("zoekt is installed by the system")
    done = place.run("up", "zoekt", PATH=bare)
    assert done.returncode == 0, done.stderr
    assert "zoekt: double" in done.stderr
    found = assignments(done.stdout)
    assert found["CODEQUAY_TEST_ZOEKT_DOUBLE"] == "1"
    assert shutil.which("zoekt-archive-index", path=found["PATH"])


def test_a_folder_of_somebody_else_is_refused(place):
    place.path.write_text("")
    try:
        refused = place.run("up", "redis")
        assert refused.returncode == 1
        assert "not our own folder" in refused.stderr
    finally:
        place.path.unlink()


def test_an_unknown_name_is_refused(place):
    unknown = place.run("up", "oracle")
    assert unknown.returncode == 2
    assert "oracle" in unknown.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root runs servers as somebody else")
def test_a_folder_that_a_servers_user_cannot_enter_is_refused(place, tmp_path):
    tmp_path.chmod(0o700)
    refused = place.run("up", "redis", CODEQUAY_TEST_SERVICES_DIR=str(tmp_path / "here"))
    assert refused.returncode == 1
    assert f"cannot enter {tmp_path}" in refused.stderr


def test_long_paths_blanks_and_a_strict_umask_are_no_hindrance(place):
    for name in ("mariadb", "redis", "zoekt"):
        need(name)
    place.path = place.path / "a folder" / ("x" * 90)
    try:
        place.path.parent.mkdir(parents=True)
        was = os.umask(0o077)
        try:
            found = place.up("mariadb", "redis", "zoekt")
        finally:
            os.umask(was)
        assert Path(found["CODEQUAY_TEST_ZOEKT_INDEX_DIR"]).stat().st_mode & 0o777 == 0o755
        assert place.run("down").returncode == 0
    finally:
        place.path.parent.rmdir()
        place.path.parent.parent.rmdir()


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


def test_a_url_is_used_where_it_reaches_a_server(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as one:
        url = f"mariadb://u@127.0.0.1:{one.getsockname()[1]}/d"
        monkeypatch.setenv("CODEQUAY_TEST_MARIADB_URL", url)
        assert NoServers().url("mariadb") == url
    monkeypatch.setenv("CODEQUAY_TEST_MARIADB_URL", url)
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception), match="names none that answers"):
        NoServers().url("mariadb")
