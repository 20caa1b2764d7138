"""A process that asks an index many things, each for itself, and prints what it was told: an answer or an error.

``python -m tests.durability.probe PLACE DATA``; in a process of its own because a damaged file can end one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from codequay.app import App, Quay, SearchRequest, ShowRequest
from codequay.ports.errors import PortError

from .image import NEVER, settings
from .tree import SETS

SEARCHES = (
    ("def open_", "file"),
    ('"session.open"', "chunk"),
    ("retry token cursor", "chunk"),
    ("ledger.merge() + 1", "file"),
    ("lang:python parser", "file"),
    ("sym:drain", "symbol"),
    ("settle -widget", "file"),
)


async def asked(data: Path, work: Callable[[Quay], Awaitable[Any]]) -> Any:
    """What the library says in an opening of its own: an answer, or the code and the remedy of its error."""
    try:
        async with App(settings(*SETS), data=data).run(readonly=True) as quay:
            return await work(quay)
    except PortError as exc:
        return {"error": exc.code.value, "message": exc.message, "remedy": exc.remedy}


async def probe(place: Path, data: Path) -> dict[str, Any]:
    """Question -> what was said: searches, every second file that lies there as it was indexed, and the status."""
    said: dict[str, Any] = {}
    for query, unit in SEARCHES:

        async def search(quay: Quay, query: str = query, unit: Any = unit) -> Any:
            answer = await quay.search(SearchRequest(query, path=str(place), limit=1000, unit=unit, **NEVER))
            return sorted([h.path, h.id, h.text] for h in answer.hits)

        said[f"{query} by {unit}"] = await asked(data, search)
    for path in sorted(place.rglob("*"))[::2]:
        if path.is_file() and ".git" not in path.parts:

            async def show(quay: Quay, path: Path = path) -> Any:
                shown = await quay.show(ShowRequest(str(path), **NEVER))
                return [shown.path, shown.text, shown.language]

            said[f"show {path.relative_to(place)}"] = await asked(data, show)

    async def status(quay: Quay) -> Any:
        repos = (await quay.status(str(place))).repos
        return [[one.files, one.chunks, one.bytes, dict(one.skipped)] for one in repos]

    said["status"] = await asked(data, status)
    return said


if __name__ == "__main__":
    print(json.dumps(asyncio.run(probe(Path(sys.argv[1]), Path(sys.argv[2])))))
