"""What later runs cost beside the first one, by the command in a fresh process each time.

``python -m bench.incremental [--source FOLDER] [--repeat N]`` works on a copy of the folder (default: the standard
library of the running interpreter) as a git repository. Times are medians of wall time; "of cold" is the ratio to the
first run of this very bench. Peaks are of resident memory; "idle" is the run that finds nothing to do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_SKIP = shutil.ignore_patterns(
    ".git", ".codequay", "site-packages", "__pycache__", "*.so", "*.pyc", "build", "dist", "target", "venv"
)
_GIT = {f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
DIFFERING = 10
"""Files that tell the second branch from the first."""


@dataclass(frozen=True)
class Run:
    """One process: seconds of wall and processor time (its children's too), peak of resident bytes."""

    wall_s: float
    cpu_s: float
    peak: int


class Bench:
    """A copy of a folder under git, and its index beside."""

    def __init__(self, source: Path, scratch: Path) -> None:
        self.root = scratch / "tree"
        self.data = scratch / "data"
        shutil.copytree(source, self.root, ignore=_SKIP, symlinks=True)
        self.git("init", "-q", "-b", "main")
        self.commit()
        listed = self.git("ls-files", "-z").split("\0")
        files = [self.root / name for name in listed if name.endswith(".py")]
        self.files = sorted(file for file in files if not file.is_symlink() and file.stat().st_size > 1000)
        self._turn = 0

    def git(self, *args: str) -> str:
        environment = os.environ | _GIT | {"GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(["git", *args], cwd=self.root, env=environment, capture_output=True, check=True)
        return done.stdout.decode(errors="replace")

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change")

    def edit(self, count: int = 1) -> str:
        """Append to so many files a word that no other text holds; the word."""
        self._turn += 1
        word = f"quaymark{self._turn}x{os.getpid()}"
        step = max(len(self.files) // count, 1)
        for n in range(count):
            with self.files[(n * step + self._turn) % len(self.files)].open("a") as out:
                out.write(f"\n\ndef {word}_{n}():\n    return {self._turn}\n")
        return word

    def codequay(self, *args: str, expect: str = "") -> Run:
        """Run the command; it must succeed, and say ``expect``."""
        command = [sys.executable, "-P", "-m", "codequay", *args, "--data", str(self.data)]
        with tempfile.TemporaryFile() as out:
            began = time.perf_counter()
            process = subprocess.Popen(command, cwd=self.root, stdout=out, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            text = out.read().decode(errors="replace")
        if process.returncode or expect not in text:
            raise SystemExit(f"{' '.join(args)} ended with {process.returncode}, without {expect!r}:\n{text}")
        unit = 1 if sys.platform == "darwin" else 1024
        return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)

    def index(self, *args: str) -> Run:
        return self.codequay("index", str(self.root), *args)

    def disk(self) -> int:
        """Bytes that the index takes."""
        return sum(file.stat().st_blocks * 512 for file in self.data.rglob("*") if file.is_file())


def _median(runs: Sequence[Run]) -> Run:
    walls, cpus, peaks = zip(*((run.wall_s, run.cpu_s, run.peak) for run in runs), strict=True)
    return Run(statistics.median(walls), statistics.median(cpus), max(peaks))


def measure(bench: Bench, repeat: int) -> list[tuple[str, Run, str]]:
    """Label, figures and a remark, in the order in which they were made."""
    rows: list[tuple[str, Run, str]] = []
    cold = bench.index()
    whole = bench.disk()
    rows.append(("cold", cold, f"{len(bench.files)} Python files, {whole / 1e6:.1f} MB of index"))
    bench.index()
    rows.append(("nothing changed", _median([bench.index() for _ in range(repeat)]), "goal 300 ms or 3 %"))

    def after_edit(act: Callable[[str], Run]) -> Run:
        return _median([act(bench.edit()) for _ in range(repeat)])

    rows.append(("one file edited", after_edit(lambda _: bench.index()), "goal 400 ms or 1 %"))
    word = bench.edit()
    bench.index()
    rows.append(("search, nothing changed", _median([_search(bench, word) for _ in range(repeat)]), "goal 250 ms"))
    rows.append(("search after one edit", after_edit(lambda word: _search(bench, word)), "goal 400 ms"))

    bench.commit()
    bench.index()
    bench.git("switch", "-q", "-c", "other")
    bench.edit(DIFFERING)
    bench.commit()
    before = bench.disk()
    run = bench.index()
    grown = (bench.disk() - before) / whole
    rows.append((f"second branch, {DIFFERING} files", run, f"disk +{grown:.1%}; goals 2 % of cold, +2 % disk"))
    bench.git("switch", "-q", "main")
    rows.append(("back to the first", bench.index(), ""))
    before = bench.disk()
    run = bench.index("--rev", "other")
    grown = (bench.disk() - before) / whole
    rows.append((f"--rev, {DIFFERING} files", run, f"disk +{grown:.1%}; goals 2 % of cold, +2 % disk"))
    return rows


def _search(bench: Bench, word: str) -> Run:
    return bench.codequay("search", f"{word}_0", str(bench.root), expect=word)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.incremental", description=__doc__)
    parser.add_argument("--source", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--repeat", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Bench(asked.source.resolve(), Path(name)), asked.repeat)
    cold, idle = rows[0][1], rows[1][1]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'':26}{'wall ms':>10}{'of cold':>9}{'CPU ms':>9}{'peak MB':>9}{'of idle':>9}")
    for label, run, remark in rows:
        print(
            f"{label:26}{run.wall_s * 1e3:>10.0f}{run.wall_s / cold.wall_s:>9.1%}{run.cpu_s * 1e3:>9.0f}"
            f"{run.peak / 1e6:>9.0f}{run.peak / idle.peak:>9.2f}  {remark}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
