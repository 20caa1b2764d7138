"""``codequay watch`` as a process beside others."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run, check, environment, git, still_answers

pytestmark = pytest.mark.durability


PATIENCE_S = 30


class Watch:
    """A watch that runs; its events come one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE_S))
        check("watch", found)
        return found

    def is_silent(self, seconds: float) -> bool:
        try:
            self._lines.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


@pytest.fixture
def watch(home: Path) -> Callable[..., Any]:
    """``with watch(folder, "--poll") as watching``."""

    @contextmanager
    def start(folder: Path, *words: str, **env: str) -> Iterator[Watch]:
        process = subprocess.Popen(
            [sys.executable, "-m", "codequay", "watch", str(folder), "--format", "jsonl", *words],
            env=environment(home, env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        watching = Watch(process)
        try:
            yield watching
        finally:
            watching.close()

    return start


@pytest.mark.parametrize("words", [(), ("--poll",)])
def test_a_watch_indexes_at_once_and_after_each_change(
    sample: Path, run: Run, watch: Callable[..., Any], words: tuple[str, ...]
) -> None:
    with watch(sample, *words) as watching:
        assert watching.event()["generation"] == 1
        (sample / "fresh.py").write_text("def brand_new_name():\n    pass\n")
        event = watching.event()
        assert (event["generation"], event["changed_files"], event["removed_files"], event["error"]) == (2, 1, 0, "")
        found = run("search", '"brand_new_name"', sample, "--refresh", "never")
        assert found.paths == ["fresh.py"], found
        (sample / "fresh.py").unlink()
        event = watching.event()
        assert (event["changed_files"], event["removed_files"]) == (0, 1)
        assert watching.stop(signal.SIGTERM) == 143
    still_answers(run, sample)


def test_what_is_ignored_and_what_git_and_the_index_write_wakes_nobody(
    sample: Path, run: Run, watch: Callable[..., Any]
) -> None:
    (sample / ".gitignore").write_text("*.log\n")
    with watch(sample) as watching:
        watching.event()
        (sample / "x.log").write_text("x")
        git(sample, "add", ".gitignore")
        git(sample, "commit", "-qm", "second")
        assert run("search", "retries", sample).code == 0
        assert watching.is_silent(1.5)
        git(sample, "checkout", "-q", "HEAD~1")
        assert watching.event()["removed_files"] == 1, "a checkout changes files"
        assert watching.stop(signal.SIGINT) == 130


def test_others_index_and_collect_while_a_watch_runs(sample: Path, run: Run, watch: Callable[..., Any]) -> None:
    with watch(sample) as watching:
        watching.event()
        for number in range(3):
            (sample / "fresh.py").write_text(f"def name_{number}():\n    pass\n")
            done = run("index", sample)
            assert done.code in (0, 7), done
            assert run("search", f'"name_{number}"', sample).paths == ["fresh.py"]
        assert run("gc", sample).code in (0, 7)
        assert watching.stop(signal.SIGTERM) == 143
    assert run("doctor", sample).code == 0


def test_a_tree_that_is_gone_ends_the_watch(sample: Path, watch: Callable[..., Any]) -> None:
    with watch(sample) as watching:
        watching.event()
        shutil.move(sample, sample.with_name("moved"))
        assert watching.process.wait(PATIENCE_S) == 3


@pytest.mark.skipif(os.name != "posix", reason="stops a process")
def test_a_watch_waits_for_another_writer(indexed: Path, watch: Callable[..., Any], home: Path) -> None:
    (indexed / "fresh.py").write_text("def brand_new_name():\n    pass\n")
    writer = subprocess.Popen(
        [sys.executable, "-m", "codequay", "index", indexed],
        env=environment(home, {"CODEQUAY_TEST_FAILPOINT": "index.sealed:1:stop"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert os.WIFSTOPPED(os.waitpid(writer.pid, os.WUNTRACED)[1])
        with watch(indexed) as watching:
            assert watching.is_silent(2)
            writer.send_signal(signal.SIGCONT)
            assert writer.wait(PATIENCE_S) == 0
            event = watching.event()
            assert (event["generation"], event["changed_files"], event["error"]) == (2, 0, "")
    finally:
        if writer.poll() is None:
            writer.kill()
            writer.wait()


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_watch_that_is_killed_loses_nothing(sample: Path, run: Run, watch: Callable[..., Any]) -> None:
    with watch(sample, CODEQUAY_TEST_FAILPOINT="index.flip:2") as watching:
        watching.event()
        (sample / "fresh.py").write_text("def brand_new_name():\n    pass\n")
        assert watching.process.wait(PATIENCE_S) == -signal.SIGKILL
    still_answers(run, sample)
    assert run("search", '"brand_new_name"', sample).paths == ["fresh.py"]


def test_without_watchfiles_the_extra_is_named(sample: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "watchfiles.py").write_text("raise ImportError('not here')\n")
    run("watch", sample, PYTHONPATH=str(tmp_path / "shadow")).failed(
        2, what="watchfiles", fix="pip install 'codequay[watch]'", error="missing_extra"
    )
