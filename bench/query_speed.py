"""``python -m bench.query_speed [--chunks 1000 10000 70000]``

Milliseconds of a search in this process, everything included but the comparison with the tree (``refresh="never"``),
at several index sizes: of questions asked for the first time, of the same questions asked again, and of the second
kind with the comparison (``auto``). Then ``codequay search`` as a cold process. Beside it, in the same run, its peer:
the same words given to tantivy directly, over the chunks alone, without path signals, definitions, texts or another
thread. The corpus is the standard library, copied as often as the size needs; the questions, all different, are names
that it defines and beginnings of its docstrings.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
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
from codequay.app.messages import Refresh
from codequay.kernel.settings import load_settings

COLD_RUNS = 7
CHUNK_BYTES = 1100
"""Bytes of source that become about one chunk; only to size the corpus."""
QUESTIONS = 300
WARM_UP = 100
"""Further questions, asked before the clock runs."""
_NAME = re.compile(r"^\s*(?:def|class) (\w{4,})", re.MULTILINE)
_PHRASE = re.compile(r'"""([A-Z][a-z]+(?: [a-z]+){3,6})')


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


def questions(texts: list[str]) -> list[str]:
    """As many names as phrases, each once, in an order that has nothing to do with the files'."""
    count = (QUESTIONS + WARM_UP) // 2
    drawn = random.Random(1)
    found = []
    for pattern in (_NAME, _PHRASE):
        known = sorted({match[1] for text in texts for match in pattern.finditer(text)})
        found += drawn.sample(known, min(count, len(known)))
    drawn.shuffle(found)
    return found


def timed(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):>9.2f}{ordered[int(len(ordered) * 0.95)]:>9.2f}"


async def searches(quay: Quay, path: str, asked: list[str], refresh: Refresh) -> list[float]:
    """Milliseconds of every question."""
    times = []
    for question in asked:
        started = perf_counter()
        await quay.search(SearchRequest(question, path=path, refresh=refresh))
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

    def searches(self, asked: list[str]) -> list[float]:
        searcher = self._index.searcher()
        times = []
        for question in asked:
            started = perf_counter()
            query = self._index.parse_query(question.replace("_", " "), ["body"])
            hits = searcher.search(query, 200, count=False).hits
            searcher.fast_field_values("chunk", [address for _, address in hits])
            times.append((perf_counter() - started) * 1000)
        return times


def cold(place: Path, question: str) -> list[float]:
    """Milliseconds of ``codequay search`` as a process."""
    times = []
    for _ in range(COLD_RUNS):
        started = perf_counter()
        subprocess.run(
            [sys.executable, "-m", "codequay", "search", question, str(place)],
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
        texts = [file.read_text("utf-8", "replace") for file in sorted(place.rglob("*.py"))]
        asked = questions(texts)
        warm_up, asked = asked[:WARM_UP], asked[WARM_UP:]
        async with App(load_settings()).run() as quay:
            report = await quay.index(str(place))
        async with App(load_settings()).run() as quay:
            await searches(quay, str(place), warm_up, "never")
            first = await searches(quay, str(place), asked, "never")
            again = await searches(quay, str(place), asked, "never")
            compared = await searches(quay, str(place), asked[:WARM_UP], "auto")
        direct = Peer([block for text in texts for block in _blocks(text)])
        direct.searches(warm_up)
        peer = direct.searches(asked)
        ratio = statistics.median(first) / statistics.median(peer)
        process = statistics.median(cold(place, asked[0]))
        print(
            f"{report.chunks:>8}{timed(first)}{timed(again)}{statistics.median(compared):>9.2f}{timed(peer)}"
            f"{ratio:>8.1f}{process:>12.0f}",
            flush=True,
        )


def _blocks(text: str) -> list[str]:
    return re.findall(r"(?s).{1,1100}", text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.query_speed", description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="*", default=[1000, 10_000, 70_000])
    args = parser.parse_args()
    print(
        f"{'chunks':>8}{'first p50':>10}{'p95':>8}{'again p50':>10}{'p95':>8}{'auto':>9}{'peer p50':>9}{'p95':>9}"
        f"{'ratio':>8}{'process ms':>12}"
    )
    for chunks in args.chunks:
        asyncio.run(measure(chunks))


if __name__ == "__main__":
    main()
