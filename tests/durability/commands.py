"""Real ``codequay`` processes over a tree: run, killed at a failpoint, paused there, started in the background."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.conftest import ROOT, Done, environment

from .tree import SETS, Tree

CLOCK = Path(__file__).parent / "clock"
"""The folder that gives a process a wrong clock."""
TIMEOUT_S = 60


@dataclass(frozen=True)
class Commands:
    """The command line over one tree and one index folder."""

    tree: Tree
    data: Path
    sets: Sequence[str] = SETS
    prefix: Sequence[str] = ()
    """What the command is started by, such as ``unshare``."""

    def start(self, *words: str, clock: str = "", **env: str) -> subprocess.Popen[str]:
        """Start a command. ``clock`` is that of the folder ``clock``; keywords are variables of the environment."""
        if clock:
            env |= {"CODEQUAY_TEST_CLOCK": clock, "PYTHONPATH": str(CLOCK)}
        options = [word for one in self.sets for word in ("--set", one)]
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "codequay", *words, "--data", str(self.data), *options],
            cwd=self.tree.folder,
            env=environment(self.tree.folder.parent, env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, clock: str = "", **env: str) -> Done:
        """Run a command to its end."""
        return ended(self.start(*words, clock=clock, **env))

    def index(self, clock: str = "", **env: str) -> Any:
        """Index, which must succeed; the answer as JSON."""
        done = self.run("index", "--format", "json", clock=clock, **env)
        assert done.code == 0, done
        return done.json

    def phrase(self, phrase: str, *, refresh: str = "never") -> list[str]:
        """Paths of the files that hold a phrase, by the command line: as published, or indexed first (``always``)."""
        done = self.run("search", f'"{phrase}"', "-n", "1000", "--format", "json", "--refresh", refresh)
        assert done.code in ((0, 1, 4) if refresh == "never" else (0, 1)), done
        return sorted(hit["path"] for hit in done.json["hits"])

    def killed(self, *words: str, at: str, clock: str = "") -> None:
        """Run a command that must die at a failpoint: ``index.flip`` or, the third time, ``index.flip:3``."""
        done = self.run(*words, clock=clock, CODEQUAY_TEST_FAILPOINT=at)
        assert done.code == -signal.SIGKILL, f"not killed at {at}: {done}"

    def paused(self, *words: str, at: str, **env: str) -> subprocess.Popen[str]:
        """Start a command that stops (SIGSTOP) at a failpoint, and wait until it has."""
        name, _, times = at.partition(":")
        process = self.start(*words, CODEQUAY_TEST_FAILPOINT=f"{name}:{times or 1}:stop", **env)
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
            if pid and os.WIFSTOPPED(status):
                return process
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                raise AssertionError(f"ended before {at}: {ended(process)}")
            time.sleep(0.005)
        process.kill()
        raise AssertionError(f"did not reach {at}: {ended(process)}")


def resume(process: subprocess.Popen[str]) -> Done:
    """Let a paused command go on to its end."""
    process.send_signal(signal.SIGCONT)
    return ended(process)


def ended(process: subprocess.Popen[str]) -> Done:
    """The command, when it has ended."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not end within {TIMEOUT_S} s:\n{out}\n{err}") from None
    return Done(process.returncode, out, err)


@contextmanager
def modules(folder: Path, jobs: Mapping[str, Sequence[str]]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Name -> module and arguments: started side by side as ``python -m``, each printing into ``folder/NAME.log``.
    What still runs at the end is killed."""
    folder.mkdir(exist_ok=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, words in jobs.items():
            with (folder / f"{name}.log").open("wb") as log:
                running[name] = subprocess.Popen(
                    [sys.executable, "-m", *words],
                    cwd=ROOT,
                    env=environment(folder, {}),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        yield running
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def all_passed(folder: Path, jobs: Mapping[str, Sequence[str]], timeout: float) -> dict[str, str]:
    """Run them all; what each printed. A failure shows the end of that and how to repeat it."""
    with modules(folder, jobs) as running:
        end = time.monotonic() + timeout
        codes = {name: process.wait(max(0.1, end - time.monotonic())) for name, process in running.items()}
    said = {name: (folder / f"{name}.log").read_text() for name in jobs}
    for name, code in codes.items():
        assert code == 0, f"python -m {' '.join(jobs[name])}\n{said[name][-3000:]}"
    return said
