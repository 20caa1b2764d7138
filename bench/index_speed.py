"""How fast a tree is indexed, by the command in a fresh process, beside a peer on the same files in the same run.

``python -m bench.index_speed [PATH]``. Without PATH: the standard library of the running interpreter and, when it is
importable, Django. Sizes are of the files that were indexed; 1 MB is 1,000,000 bytes. The peer is Zoekt's indexer
(``zoekt-index``) when it is on PATH, else plain SQLite FTS5: one row per file, one commit.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 0.02
_SKIP = shutil.ignore_patterns("site-packages", "__pycache__", "*.so", "*.pyc", "build", "dist", "target", "venv")


@dataclass(frozen=True)
class Run:
    """One measured process tree. ``pss`` is the peak of its sum over the tree, 0 where it cannot be read."""

    cpu_s: float
    wall_s: float
    pss: int
    out: str


def measure(command: Callable[[Path], Sequence[str]], scratch: Path, cwd: Path) -> tuple[Run, Path]:
    """Run a command twice, each time into an empty folder: once for the time, then once for the memory, since looking
    at the memory of a process stops it. The run, and the first folder.

    Processor time is of the command and all that it waited for.
    """
    timed, sampled = Path(tempfile.mkdtemp(dir=scratch)), Path(tempfile.mkdtemp(dir=scratch))
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(command(timed), cwd=cwd, stdout=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - began
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    process = subprocess.Popen(command(sampled), cwd=cwd, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _pss(process.pid))
        time.sleep(SAMPLE_S)
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}")
    shutil.rmtree(sampled)
    return Run(cpu, wall, peak, done.stdout), timed


def _pss(pid: int) -> int:
    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for one in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error, AttributeError):
                total += one.memory_full_info().pss
    return total


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def default_tree(into: Path) -> Path:
    """A copy of the packages to index."""
    shutil.copytree(sysconfig.get_path("stdlib"), into / "stdlib", ignore=_SKIP, symlinks=True)
    django = importlib.util.find_spec("django")
    if django is not None and django.origin:
        shutil.copytree(Path(django.origin).parent, into / "django", ignore=_SKIP, symlinks=True)
    return into


def codequay(tree: Path, scratch: Path, workers: int) -> tuple[Run, int, Path]:
    """Index with the command; the run, the bytes of text indexed, and the index.

    ``-P``: the tree may hold modules of the names that the interpreter imports.
    """
    command = [sys.executable, "-P", "-m", "codequay", "index", str(tree), "--format", "json"]
    options = ["--set", f"index.workers={workers}"]
    run, data = measure(lambda into: [*command, "--data", str(into / "index"), *options], scratch, scratch)
    return run, int(json.loads(run.out)["bytes"]), data


def fts5(tree: Path, database: Path) -> None:
    """The peer in its own process: the same files as rows of an FTS5 table."""
    connection = sqlite3.connect(database)
    connection.execute("create virtual table files using fts5(path, text)")
    for file in sorted(tree.rglob("*")):
        if file.is_file() and not file.is_symlink() and ".codequay" not in file.parts:
            raw = file.read_bytes()
            if b"\0" not in raw and len(raw) <= 5_000_000:
                row = (str(file), raw.decode("utf-8", "replace"))
                connection.execute("insert into files values (?, ?)", row)
    connection.commit()
    connection.close()


def _row(name: str, run: Run, size: int, index: int) -> str:
    mb = size / 1e6
    return (
        f"{name:26}{run.cpu_s * 1e3 / mb:>12.0f}{run.wall_s * 1e3 / mb:>12.0f}"
        f"{run.pss / 1e6:>12.0f}{index / size:>12.2f}"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.index_speed", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--peer", nargs=2, type=Path, metavar=("TREE", "DATABASE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peer:
        fts5(*asked.peer)
        return 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tree = asked.path.resolve() if asked.path else default_tree(scratch / "tree")
        lines = []
        size = 0
        for workers in (0, 1):
            run, size, data = codequay(tree, scratch, workers)
            label = "codequay, 1 process" if not workers else "codequay, 2 processes"
            lines.append(_row(label, run, size, size_of(data)))
        zoekt = shutil.which("zoekt-index")
        if zoekt:
            run, peer = measure(lambda into: [str(zoekt), "-index", str(into), str(tree)], scratch, scratch)
            lines.append(_row("zoekt-index (peer)", run, size, size_of(peer)))
        else:
            command = [sys.executable, "-m", "bench.index_speed", "--peer", str(tree)]
            run, peer = measure(lambda into: [*command, str(into / "fts.db")], scratch, Path.cwd())
            lines.append(_row("sqlite FTS5 (peer)", run, size, size_of(peer)))
    print(f"{size / 1e6:.1f} MB of text, Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    print(f"{'':26}{'CPU ms/MB':>12}{'wall ms/MB':>12}{'peak MB':>12}{'index/text':>12}")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
