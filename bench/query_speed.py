"""``python -m bench.query_speed [--chunks 1000 10000 70000]``

Milliseconds of a search in this process, everything included, at several index sizes, and of ``codequay search`` as a
cold process. Beside it, in the same run, its peer: the same words given to tantivy directly, over the chunks alone,
without path signals, definitions, texts or another thread. The corpus is the standard library, copied as often as
the size needs; the questions are names it defines and phrases of its docstrings.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from time import perf_counter

import tantivy

from codequay.app import App, Quay, SearchRequest
from codequay.kernel.settings import load_settings

ROUNDS = 5
COLD_RUNS = 7
CHUNK_BYTES = 1100
"""Bytes of source that become about one chunk; only to size the corpus."""
QUESTIONS = (
    "parse command line arguments", "OrderedDict", "read zip archive member", "asyncio event loop run forever",
    "HTTPConnection", "decode base64 string", "thread pool executor shutdown", "getaddrinfo",
    "temporary directory cleanup", "json encoder default", "named tuple fields", "TarFile", "socket timeout error",
    "regular expression compile flags", "walk directory tree", "format traceback exception", "csv dialect sniffer",
    "mime type guess extension", "SequenceMatcher ratio", "signal handler wakeup",
)  # fmt: skip


def corpus(folder: Path, chunks: int) -> None:
    """Files of the standard library, in numbered copies, until there is text for so many chunks."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(p for p in library.rglob("*.py") if not {"site-packages", "test", "tests"} & set(p.parts))
    need, copy = chunks * CHUNK_BYTES, 0
    while need > 0:
        for file in files:
            target = folder / f"copy{copy}" / file.relative_to(library)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            need -= file.stat().st_size
            if need <= 0:
                return
        copy += 1


def timed(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):>9.2f}{ordered[int(len(ordered) * 0.95)]:>9.2f}"


async def searches(quay: Quay, path: str) -> list[float]:
    """Milliseconds of every question, ``ROUNDS`` times, after one round to warm up."""
    times = []
    for turn in range(ROUNDS + 1):
        for question in QUESTIONS:
            started = perf_counter()
            await quay.search(SearchRequest(question, path=path))
            if turn:
                times.append((perf_counter() - started) * 1000)
    return times


class Peer:
    """The texts of the chunks in a tantivy index of their own, asked directly."""

    def __init__(self, texts: list[str]) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("body", index_option="freq")
        builder.add_unsigned_field("chunk", fast=True)
        self._index = tantivy.Index(builder.build())
        writer = self._index.writer(50_000_000, 1)
        for number, text in enumerate(texts):
            document = tantivy.Document()
            document.add_text("body", text)
            document.add_unsigned("chunk", number)
            writer.add_document(document)
        writer.commit()
        self._index.reload()

    def searches(self) -> list[float]:
        searcher = self._index.searcher()
        times = []
        for turn in range(ROUNDS + 1):
            for question in QUESTIONS:
                started = perf_counter()
                query = self._index.parse_query(question, ["body"])
                hits = searcher.search(query, 200, count=False).hits
                searcher.fast_field_values("chunk", [address for _, address in hits])
                if turn:
                    times.append((perf_counter() - started) * 1000)
        return times


def cold(place: Path) -> list[float]:
    """Milliseconds of ``codequay search`` as a process, and of the interpreter alone."""
    times = []
    for _ in range(COLD_RUNS):
        started = perf_counter()
        subprocess.run(
            [sys.executable, "-m", "codequay", "search", QUESTIONS[0], str(place)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        times.append((perf_counter() - started) * 1000)
    return times


async def measure(chunks: int) -> None:
    with tempfile.TemporaryDirectory() as top:
        place = Path(top) / "corpus"
        corpus(place, chunks)
        async with App(load_settings()).run() as quay:
            report = await quay.index(str(place))
            ours = await searches(quay, str(place))
        texts = [block for file in sorted(place.rglob("*.py")) for block in _blocks(file.read_text("utf-8", "replace"))]
        peer = Peer(texts).searches()
        ratio = statistics.median(ours) / statistics.median(peer)
        process = statistics.median(cold(place))
        print(f"{report.chunks:>8}{timed(ours)}{timed(peer)}{ratio:>8.1f}{process:>12.0f}", flush=True)


def _blocks(text: str) -> list[str]:
    return re.findall(r"(?s).{1,1100}", text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.query_speed", description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="*", default=[1000, 10_000, 70_000])
    args = parser.parse_args()
    print(f"{'chunks':>8}{'p50 ms':>9}{'p95 ms':>9}{'peer p50':>9}{'p95':>9}{'ratio':>8}{'process ms':>12}")
    for chunks in args.chunks:
        asyncio.run(measure(chunks))


if __name__ == "__main__":
    main()
