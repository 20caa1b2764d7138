"""A process that searches again and again while others write.

``python -m tests.durability.readers PLACE DATA LOG OPENS anew|stays`` prints one JSON line per round: the generation,
the answers, and what the writer had published before and after.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from codequay.app import App, Quay, SearchRequest

from .image import NEVER, settings

QUERIES = (
    ('"the shared phrase"', "chunk"),
    ("marker common", "file"),
    ('"state 0"', "chunk"),
    ('"state 1"', "chunk"),
    ('"state 2"', "chunk"),
    ("sym:alpha_3", "symbol"),
)
ENOUGH = 3
"""Generations that a reader must have seen before it ends."""
TIMEOUT_S = 150


async def answers(quay: Quay, place: Path) -> tuple[set[int], list[Any]]:
    """The generations that the answers rest on, and for each query its hits by place."""
    generations, hits = set(), []
    for query, unit in QUERIES:
        answer = await quay.search(SearchRequest(query, path=str(place), limit=1000, unit=unit, **NEVER))
        generations.update(one.generation for one in answer.freshness)
        hits.append(sorted([h.path, h.id, h.symbol, h.text] for h in answer.hits))
    return generations, hits


async def one_round(quay: Quay, place: Path, log: Path) -> int:
    """Search until all answers rest on one generation, and print them."""
    while True:
        floor = published(log)
        generations, hits = await answers(quay, place)
        if len(generations) == 1:
            (generation,) = generations
            print(json.dumps([floor, generation, published(log), hits]), flush=True)
            return generation


def published(log: Path) -> int:
    """The last generation that the writer is known to have published."""
    return int(log.read_text().split()[-1])


async def read(place: Path, data: Path, log: Path, opens: int, *, stays: bool) -> None:
    """Open, search, close, again and again; or stay open all along."""
    chosen = settings()
    seen: set[int] = set()
    rounds = 0
    end = time.monotonic() + TIMEOUT_S
    async with AsyncExitStack() as stack:
        open_one = await stack.enter_async_context(App(chosen, data=data).run(readonly=True)) if stays else None
        while (rounds < opens or len(seen) < ENOUGH) and time.monotonic() < end:
            rounds += 1
            if open_one is not None:
                seen.add(await one_round(open_one, place, log))
            else:
                async with App(chosen, data=data).run(readonly=True) as quay:
                    seen.add(await one_round(quay, place, log))


if __name__ == "__main__":
    asyncio.run(
        read(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), stays=sys.argv[5] == "stays")
    )
