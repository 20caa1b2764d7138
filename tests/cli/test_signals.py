"""Signals: in every phase the command ends soon, with the code that says so, and leaves the index whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from codequay.interfaces.cli.runtime import STOP_S

from .conftest import Run, environment, git

pytestmark = [pytest.mark.durability, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

WORKERS = ("--set", "index.workers=2", "--set", "index.inline_below_bytes=0", "--set", "index.batch_bytes=100000")
"""Children at work, and many batches."""


def grow(place: Path, files: int = 30) -> None:
    """Files that are not indexed yet, some .4 MB."""
    for i in range(files):
        body = "".join(f"def made_{i}_{j}(a, b):\n    return a * {j} + b\n\n\n" for j in range(300))
        (place / f"made_{i}.py").write_text(body)


@contextmanager
def started(*words: str, at: Path, home: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A command at work, in a process group of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "codequay", *words],
        cwd=at,
        env=environment(home, env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def indexing(place: Path, home: Path, *words: str, **env: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """``codequay index`` at work."""
    return started("index", *WORKERS, *words, at=place, home=home, **env)


def ended(process: subprocess.Popen[str], number: int, within: float = STOP_S) -> str:
    """Wait for the end, which must be by the signal's exit code and in time; what was said on stderr."""
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, (out, err)
    assert time.monotonic() - begun < within
    assert out == "" and "Traceback" not in err
    return err


def holds(run: Run, place: Path, *, new: bool) -> bool:
    """Whether the index as published holds what was there before, and has the new files or not."""
    before = run("search", "backoff_delay", place, "--refresh", "never")
    after = run("search", "made_1_1", place, "--refresh", "never")
    return before.paths[:1] == ["src/net/retry.py"] and ("made_1.py" in after.paths) is new


@pytest.mark.parametrize(
    ("point", "published", "number"),
    [
        ("index.walk:2", False, signal.SIGINT),
        ("index.walk:4", False, signal.SIGTERM),
        ("sqlite.commit:2", False, signal.SIGINT),
        ("sqlite.commit:9", False, signal.SIGTERM),
        ("tantivy.commit:2", False, signal.SIGINT),
        ("index.sealed:1", False, signal.SIGTERM),
        ("index.sealed:2", False, signal.SIGINT),
        ("index.flip:1", None, signal.SIGTERM),
        ("index.published:1", True, signal.SIGINT),
    ],
)
def test_a_signal_in_any_phase_leaves_a_whole_index(
    indexed: Path, home: Path, run: Run, point: str, published: bool | None, number: signal.Signals
) -> None:
    """The run is paused at the very point, so that the signal comes there. A flip that has begun is ended (None)."""
    grow(indexed)
    with indexing(indexed, home, CODEQUAY_TEST_FAILPOINT=f"{point}:stop") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "the point was never reached"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        assert ended(process, number) == ""
        assert psutil.wait_procs(children, timeout=5)[1] == [], "its children live on"
    assert holds(run, indexed, new=bool(published)) or (published is None and holds(run, indexed, new=True))
    done = run("index", indexed)
    assert done.code == 0, "the lease was not given back"
    assert holds(run, indexed, new=True)


def test_an_interrupt_from_the_terminal_reaches_children_too_and_says_nothing(
    indexed: Path, home: Path, run: Run
) -> None:
    grow(indexed)
    with indexing(indexed, home, "--progress", "json") as process:
        assert process.stderr is not None
        assert "progress" in process.stderr.readline(), "the run says that it has begun"
        os.killpg(process.pid, signal.SIGINT)
        err = ended(process, signal.SIGINT)
        assert all('"progress"' in line for line in err.splitlines()), err
    assert holds(run, indexed, new=False)


def test_git_is_ended_too(indexed: Path, home: Path, tmp_path: Path, run: Run) -> None:
    """Here a git that does not answer: it only waits when it is asked for a blob."""
    grow(indexed, 5)
    git(indexed, "add", "-A")
    git(indexed, "commit", "-q", "-m", "grown")
    slow = tmp_path / "git"
    slow.write_text('#!/bin/sh\ncase " $* " in *" cat-file "*) exec sleep 600;; esac\nexec git "$@"\n')
    slow.chmod(0o755)
    with indexing(indexed, home, "--rev", "HEAD", "--set", f"adapters.git.binary={slow}") as process:
        waiting: list[psutil.Process] = []
        wait_until(lambda: waiting.extend(_sleeping(process.pid)) or waiting)
        process.send_signal(signal.SIGTERM)
        assert ended(process, signal.SIGTERM) == ""
        assert psutil.wait_procs(waiting, timeout=5)[1] == []
    assert holds(run, indexed, new=False)


def _sleeping(pid: int) -> list[psutil.Process]:
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if one.name() == "sleep":
                found.append(one)
    return found


def test_a_search_that_is_interrupted_while_it_refreshes_leaves_a_whole_index(
    indexed: Path, home: Path, run: Run
) -> None:
    grow(indexed, 5)
    with started("search", "made_1_1", at=indexed, home=home, CODEQUAY_TEST_FAILPOINT="index.sealed:1:stop") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it did not refresh"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert ended(process, signal.SIGINT) == ""
    assert holds(run, indexed, new=False)
    assert "made_1.py" in run("search", "made_1_1", indexed).paths


def test_a_killed_run_leaves_the_previous_index_and_no_children(indexed: Path, home: Path, run: Run) -> None:
    grow(indexed)
    with indexing(indexed, home, CODEQUAY_TEST_FAILPOINT="index.walk:4:stop") as process:
        os.waitpid(process.pid, os.WUNTRACED)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
        _, err = process.communicate(timeout=30)
        assert err == "", "a worker complained"
        assert psutil.wait_procs(children, timeout=10)[1] == []
    assert holds(run, indexed, new=False)
    assert run("index", indexed).code == 0
    assert holds(run, indexed, new=True)


@pytest.fixture
def stuck(indexed: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """An index run of which a thread waits for a transaction that does not end."""
    data = indexed / ".codequay"
    with closing(sqlite3.connect(data / "codequay.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with indexing(indexed, home, "--set", "adapters.sqlite.busy_timeout=600") as process:
            wait_until(lambda: _has_lease(data) and _is_idle(process.pid))
            yield process


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _has_lease(data: Path) -> bool:
    with closing(sqlite3.connect(data / "lock.sqlite")) as connection:
        return bool(connection.execute("SELECT count(*) FROM lease").fetchone()[0])


def _is_idle(pid: int) -> bool:
    """Whether the process has done nothing for a while."""
    process = psutil.Process(pid)
    before = process.cpu_times().user
    time.sleep(0.4)
    return process.cpu_times().user - before < 0.02


def test_what_does_not_close_in_time_is_left(stuck: subprocess.Popen[str]) -> None:
    stuck.send_signal(signal.SIGTERM)
    err = ended(stuck, signal.SIGTERM, within=STOP_S + 3)
    assert err == "note: not closed within 8 s of the signal; ended all the same\n"


def test_a_second_signal_ends_the_process_at_once(stuck: subprocess.Popen[str]) -> None:
    stuck.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert stuck.poll() is None
    stuck.send_signal(signal.SIGINT)
    assert ended(stuck, signal.SIGINT, within=3) == ""
