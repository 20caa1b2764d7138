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
from collections.abc import Sequence
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


def measure(command: Sequence[str], cwd: Path) -> Run:
    """Run a command and sample its tree. Processor time is of the command and all that it waited for."""
    before = os.times()
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, cwd=cwd, stdout=out)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _pss(process.pid))
            time.sleep(SAMPLE_S)
        wall = time.perf_counter() - began
        after = os.times()
        if process.returncode:
            raise SystemExit(f"{command[0]} ended with {process.returncode}")
        out.seek(0)
        text = out.read()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(cpu, wall, peak, text)


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


def codequay(tree: Path, data: Path, workers: int) -> tuple[Run, int]:
    """Index with the command; the run, and bytes of text indexed."""
    command = [sys.executable, "-m", "codequay", "index", str(tree), "--data", str(data), "--format", "json"]
    run = measure([*command, "--set", f"index.workers={workers}"], tree)
    return run, int(json.loads(run.out)["bytes"])


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
            data = scratch / f"data{workers}"
            run, size = codequay(tree, data, workers)
            label = "codequay, 1 process" if not workers else "codequay, 2 processes"
            lines.append(_row(label, run, size, size_of(data)))
        peer = scratch / "peer"
        peer.mkdir()
        zoekt = shutil.which("zoekt-index")
        if zoekt:
            run = measure([zoekt, "-index", str(peer), str(tree)], peer)
            lines.append(_row("zoekt-index (peer)", run, size, size_of(peer)))
        else:
            command = [sys.executable, "-m", "bench.index_speed", "--peer", str(tree), str(peer / "fts.db")]
            run = measure(command, Path.cwd())
            lines.append(_row("sqlite FTS5 (peer)", run, size, size_of(peer)))
    print(f"{size / 1e6:.1f} MB of text, Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    print(f"{'':26}{'CPU ms/MB':>12}{'wall ms/MB':>12}{'peak MB':>12}{'index/text':>12}")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
