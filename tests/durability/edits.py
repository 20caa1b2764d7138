"""Random edits, each followed by an incremental run that must equal a rebuild.

``python -m tests.durability.edits SEED EDITS FOLDER`` repeats one series; it prints what it did and ends with 1 at the
first difference.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from codequay.app import App, IndexRequest, Quay, SearchRequest
from codequay.ports.metadata import WORKTREE

from .image import Image, image, settings
from .tree import SETS, Tree

STAY_OPEN = 5
"""Runs that one opening of the library makes before the next is opened, in every second series."""


class Mismatch(AssertionError):
    """An incremental run and a rebuild do not agree."""


def rebuild(tree: Tree, data: Path, *, rev: str | None = None) -> Image:
    """A clean index of the tree or of a revision, made anew in ``data``, and what it answers."""
    shutil.rmtree(data, ignore_errors=True)

    async def run() -> None:
        async with App(settings(*SETS), data=data).run() as quay:
            await quay.index(IndexRequest(str(tree.folder), rev=rev))

    asyncio.run(run())
    return image(data, tree.folder, sets=SETS, snapshot=f"rev:{rev}" if rev else WORKTREE)


def check(tree: Tree, kept: Path, fresh: Path) -> Image:
    """What ``kept`` publishes equals a rebuild, and both are what lies on the disk.

    :raises Mismatch: with the first difference
    """
    mine, theirs = image(kept, tree.folder, sets=SETS), rebuild(tree, fresh)
    if said := mine.differs(theirs):
        raise Mismatch(f"incremental and rebuild differ in {said}")
    on_disk, placed = tree.blobs(), {one[1]: one[2] for one in mine.placements}
    if wrong := sorted(path for path, blob in placed.items() if on_disk.get(path) != blob):
        raise Mismatch(f"not what lies on the disk: {wrong}")
    ignored = ".codequayignore"
    left_out = {*on_disk} - {*placed} - {one[0] for one in mine.skipped}
    if left_out and not (tree.folder / ignored).exists():
        raise Mismatch(f"on the disk and nowhere in the index: {sorted(left_out)}")
    return mine


async def _run(tree: Tree, kept: Path, fresh: Path, edits: int, stay_open: int, *, searches: bool) -> None:
    """The series: index, then edit and index again and again, with the same or another opening of the library."""
    for first in range(0, edits, stay_open):
        async with AsyncExitStack() as stack:
            quay = await stack.enter_async_context(App(settings(*SETS), data=kept).run())
            for number in range(first, min(first + stay_open, edits)):
                print(number, tree.edit(), flush=True)
                if searches and number:
                    await _search(quay, tree)
                else:
                    await quay.index(str(tree.folder))
                await asyncio.to_thread(check, tree, kept, fresh)
                if number % 10 == 9:
                    await _again(quay, tree)
                if number % 10 == 4:
                    await _beside(quay, tree, kept, fresh)


async def _search(quay: Quay, tree: Tree) -> None:
    """A search that indexes what changed before it answers."""
    answer = await quay.search(SearchRequest("session token", path=str(tree.folder), refresh="always"))
    if any(hit.stale is not False for hit in answer.hits) or any(one.pending for one in answer.freshness):
        raise Mismatch(f"the answer is not fresh: {answer.freshness}")


async def _again(quay: Quay, tree: Tree) -> None:
    """A run after which nothing changes, and another one: it finds nothing to do."""
    before = await quay.index(str(tree.folder))
    again = await quay.index(str(tree.folder))
    if (again.generation, again.changed_blobs, again.files) != (before.generation, 0, before.files):
        raise Mismatch(f"nothing changed, and yet {again} after {before}")


async def _beside(quay: Quay, tree: Tree, kept: Path, fresh: Path) -> None:
    """A branch as a snapshot of its own, and a collection of garbage: neither changes what the working tree shows."""
    await quay.index(IndexRequest(str(tree.folder), rev="other"))
    await quay.gc(str(tree.folder))
    mine = await asyncio.to_thread(image, kept, tree.folder, sets=SETS, snapshot="rev:other")
    theirs = await asyncio.to_thread(lambda: rebuild(tree, fresh, rev="other"))
    if said := mine.differs(theirs):
        raise Mismatch(f"the snapshot of a branch and a rebuild differ in {said}")
    await asyncio.to_thread(check, tree, kept, fresh)


def series(seed: int, edits: int, folder: Path) -> None:
    """One series in ``folder``, which is made.

    :raises Mismatch: an incremental run and a rebuild do not agree
    """
    tree = Tree(folder / "repo", seed)
    stay_open = STAY_OPEN if seed % 2 else 1
    asyncio.run(_run(tree, folder / "kept", folder / "fresh", edits, stay_open, searches=seed % 4 > 1))


if __name__ == "__main__":
    series(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
