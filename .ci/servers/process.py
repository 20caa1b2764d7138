"""Processes that outlive the command: started, known again by when they were born, and ended by their id."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START_S = 60.0
"""Seconds that a server gets to answer."""
STOP_S = 20.0
"""Seconds that a server gets to end before it is killed."""
SHOWN = 15
"""Lines of each end of a log that an error shows."""


class Failed(Exception):
    """Why a server cannot be had, for a person."""


def program(name: str, package: str, *folders: Path) -> str:
    """Where a program lies: on PATH, where distributions put servers, or in one of the folders.

    :raises Failed: nowhere; the message names the package
    """
    places = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *map(str, folders)]
    found = shutil.which(name, path=":".join(places))
    if found is None:
        raise Failed(f"{name} is not installed: apt-get install --no-install-recommends {package}")
    return found


def user_of(name: str) -> pwd.struct_passwd | None:
    """Whom a server runs as: the package's user when we are root, else ourselves (None).

    :raises Failed: we are root, and there is no such user
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Failed(f"there is no user {name} to run it as, and it does not run as root") from None


def make(folder: Path, owner: pwd.struct_passwd | None) -> Path:
    """A folder that its owner alone may enter."""
    folder.mkdir(mode=0o700)
    return give(folder, owner)


def give(path: Path, owner: pwd.struct_passwd | None) -> Path:
    if owner:
        os.chown(path, owner.pw_uid, owner.pw_gid)
    return path


def secret_file(path: Path, content: str, owner: pwd.struct_passwd | None = None) -> Path:
    """A file that its owner alone can read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
    return give(path, owner)


def spawn(owner: pwd.struct_passwd | None, command: list[str], log: Path) -> int:
    """Start a process that outlives this one; its id."""
    with log.open("ab") as out:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **_as(owner, log.parent)
        )
    started.returncode = 0  # nobody waits for it, and that is no leak
    return started.pid


def run_as(owner: pwd.struct_passwd | None, command: list[str], log: Path, said: str = "") -> None:
    """Run a command to its end, with ``said`` on its standard input.

    :raises Failed: its exit status is not 0
    """
    with log.open("ab") as out:
        done = subprocess.run(
            command, input=said.encode(), stdout=out, stderr=out, check=False, **_as(owner, log.parent)
        )
    if done.returncode:
        raise Failed(f"{command[0]} ended with status {done.returncode}:\n{excerpt(log)}")


def _as(owner: pwd.struct_passwd | None, home: Path) -> dict[str, Any]:
    """As whom, where, and with which environment a process runs.

    Nothing of the environment is passed on but where programs are: the caller's TMPDIR may be closed to the server's
    user, and PGOPTIONS or MYSQL_HOME would change the server.
    """
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    environment = kept | {"LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home)}
    who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    return {"cwd": "/", "env": environment, **who}


def born(pid: int) -> str | None:
    """When a process was started: with its id, what it is known by. None when it has ended."""
    if Path("/proc/self/stat").exists():
        found = _stat(pid)
        return None if found is None or found[0] == "Z" else found[19]
    said = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    status, _, started = said.stdout.strip().partition(" ")
    return None if not started or status.startswith("Z") else started.strip()


def children(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = [child for child, parent in _parents() if parent == pid]
    return found + [below for child in found for below in children(child)]


def _parents() -> Iterator[tuple[int, int]]:
    if Path("/proc/self/stat").exists():
        for name in os.listdir("/proc"):
            if name.isdigit() and (found := _stat(int(name))):
                yield int(name), int(found[1])
        return
    said = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    for line in said.stdout.splitlines():
        child, parent = line.split()
        yield int(child), int(parent)


def _stat(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its status on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def end(pid: int, started: str, ask: signal.Signals = signal.SIGTERM) -> None:
    """End a process in order; kill it when it does not."""
    for number in (ask, signal.SIGKILL):
        if born(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _gone([(pid, started)], STOP_S):
            return


def kill(pid: int, started: str) -> None:
    """SIGKILL, without warning, to a process and all that it has started.

    It is stopped first: one that was started in between would go on with the data of the dead.
    """
    if born(pid) != started:
        return
    os.kill(pid, signal.SIGSTOP)
    every = [(one, when) for one in (pid, *children(pid)) if (when := born(one))]
    for one, _ in every:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    if not _gone(every, STOP_S):
        raise Failed(f"process {pid} does not end")


def _gone(every: list[tuple[int, str]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(born(pid) == started for pid, started in every):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def says(port: int, sent: bytes, expected: bytes) -> bool:
    """Whether the server on the port begins its answer as expected. Nothing sent: it has to speak first."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as one:
            one.sendall(sent)
            answer = b""
            while len(answer) < max(len(expected), 1) and (more := one.recv(4096)):
                answer += more
            return bool(answer) and answer.startswith(expected)
    except OSError:
        return False


def wait_for(ready: Callable[[], bool], pid: int, log: Path) -> None:
    """Wait until a server answers.

    :raises Failed: it has ended, or it does not answer in time and was ended; with an excerpt of its log
    """
    deadline = time.monotonic() + START_S
    started = born(pid)
    while not ready():
        if born(pid) is None:
            raise Failed(f"the server has ended:\n{excerpt(log)}")
        if time.monotonic() > deadline:
            end(pid, started or "")
            raise Failed(f"the server did not answer within {START_S:g} s:\n{excerpt(log)}")
        time.sleep(0.02)


def excerpt(log: Path) -> str:
    """The beginning and the end of a log: some servers say first why they end, others last."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines if len(lines) <= 2 * SHOWN else [*lines[:SHOWN], "...", *lines[-SHOWN:]])
