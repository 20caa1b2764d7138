"""Signals: the command ends with the code that says so, and what was indexed before still answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Run, environment, still_answers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_index_leaves_the_previous_index(
    indexed: Path, home: Path, run: Run, number: signal.Signals
) -> None:
    for i in range(160):
        body = "".join(f"def made_{i}_{j}(a, b):\n    return a * {j} + b\n\n\n" for j in range(200))
        (indexed / f"made_{i}.py").write_text(body)
    with subprocess.Popen(
        [sys.executable, "-m", "codequay", "index", "--progress", "json", "--set", "index.batch_bytes=100000"],
        cwd=indexed,
        env=environment(home, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "progress" in process.stderr.readline(), "the run says that it has begun"
        begun = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, (out, err)
    assert out == "" and "Traceback" not in err
    assert time.monotonic() - begun < 10
    still_answers(run, indexed)
    assert run("search", "made_1_1", indexed).code == 1


def test_a_killed_run_leaves_the_previous_index(indexed: Path, home: Path, run: Run) -> None:
    for i in range(60):
        (indexed / f"made_{i}.py").write_text("".join(f"def made_{i}_{j}():\n    return {j}\n" for j in range(200)))
    process = subprocess.Popen(
        [sys.executable, "-m", "codequay", "index", "--progress", "json"],
        cwd=indexed,
        env=environment(home, {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.kill()
    process.wait()
    process.stderr.close()
    still_answers(run, indexed)
    assert run("index", indexed).code == 0
    still_answers(run, indexed)
