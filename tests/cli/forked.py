"""Commands without the start of an interpreter, nine tenths of which are imports.

A process that has imported what commands import, and has done nothing else, forks a process for each command. There it
is ``python -m codequay`` as ever, with folder, environment and output of its own. Its threads are waited for and its
exit functions run at the end; only the objects are not taken apart, which would be half of what is left.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = ("app", "indexing", "interfaces.cli", "kernel", "layers", "ports", "retrieval")
ADAPTERS = ("folder", "git", "memory", "noop", "sqlite", "tantivy")


class Commands:
    """``python -m codequay`` as often as one likes."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": path},
                pass_fds=[theirs.fileno()],
            )

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> tuple[int, bytes, bytes]:
        """Status as ``subprocess`` gives it, output and errors.

        :raises TimeoutError: it has not ended within ``timeout`` seconds, and was ended
        """
        with ExitStack() as stack:
            asked, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            ours, theirs = (stack.enter_context(one) for one in socket.socketpair())
            asked.write(json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)}).encode())
            asked.seek(0)
            socket.send_fds(self._door, [b"."], [one.fileno() for one in (asked, out, err, theirs)])
            theirs.close()
            ours.settimeout(timeout)
            with ours.makefile("r") as told:
                number = int(told.readline())
                try:
                    code = os.waitstatus_to_exitcode(int(told.readline()))
                except TimeoutError:
                    os.kill(number, signal.SIGKILL)
                    raise
            return code, _whole(out), _whole(err)

    def close(self) -> None:
        """No more commands."""
        self._door.close()
        self._process.wait()


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


# -- the process that forks ---------------------------------------------------------------------------------------


def _imports() -> None:
    for name in (*IMPORTED, *(f"adapters.{one}" for one in ADAPTERS)):
        package = import_module(f"codequay.{name}")
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(".harness"):
                import_module(found.name)


def _forked(door: socket.socket) -> dict[str, Any]:
    """Returns in each process that is forked for a command, with what was asked; ends where nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for those who watch over a command.
    while True:
        _, fds, _, _ = socket.recv_fds(door, 1, 4)
        if not fds:
            raise SystemExit
        if os.fork() == 0:
            break
        for fd in fds:
            os.close(fd)
    door.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, out, err, told = fds
    command = os.fork()
    if command:
        with socket.socket(fileno=told) as status:
            status.sendall(f"{command}\n".encode())
            status.sendall(f"{os.waitpid(command, 0)[1]}\n".encode())
        os._exit(0)
    os.close(told)
    with open(asked, "rb") as file:
        request: dict[str, Any] = json.load(file)
    for fd, place in ((out, 1), (err, 2)):
        os.dup2(fd, place)
        os.close(fd)
    return request


def main() -> None:
    _imports()
    gc.freeze()
    request = _forked(socket.socket(fileno=int(sys.argv[1])))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = request["cwd"]
    sys.argv[1:] = request["words"]
    try:
        runpy.run_module("codequay", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(end.code)


if __name__ == "__main__":
    main()
