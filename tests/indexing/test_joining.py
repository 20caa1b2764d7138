"""An index of one machine beside chunks and metadata that two share. All is in memory, and is said to be shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from codequay.indexing import filled
from codequay.ports.metadata import MetadataCapabilities, Published
from tests.contexts import run

from .trees import tree
from .world import Options, World, world

FILES = {
    "a.py": "def first():\n    return 1\n" * 50,
    "sub__b.js": "export const second = 'é';\n",
    "empty.txt": "",
    "logo.png": b"\x89PNG\0\0",
}


@asynccontextmanager
async def machines(root: Path, data: Path, **adapters: str) -> AsyncIterator[tuple[World, World]]:
    """Two machines over one tree; the first has indexed it."""
    async with world(root, data / "one", **adapters) as one, world(root, data / "other", **adapters) as other:
        one.metadata.capabilities = MetadataCapabilities(reach="network")
        other.chunks, other.metadata, other.lock = one.chunks, one.metadata, one.lock
        await one.index()
        yield one, other


async def shown(here: World) -> Published:
    (published,) = await here.metadata.published(["r"])
    return published


def test_the_words_are_those_of_the_machine_that_published(tmp_path: Path) -> None:
    async def body() -> None:
        async with machines(tree(tmp_path / "tree", **FILES), tmp_path) as (one, other):
            report = await other.index()
            assert (report.generation, report.changed_blobs, report.changed_files) == (1, 0, 0)
            assert await other.content() == await one.content()
            published = await shown(other)
            assert filled.records(other.data, published) and not filled.records(one.data, published)
            mine, theirs = other.manifest(), one.manifest()
            assert (mine.generation, mine.entries.keys()) == (theirs.generation, theirs.entries.keys())
            for path, entry in mine.entries.items():
                assert entry[4:] == theirs.entries[path][4:], path
            assert not len(await other.compare())
            assert not (await other.index()).notes

    run(body())


def test_what_changes_next_is_built_upon_it(tmp_path: Path) -> None:
    async def body() -> None:
        root = tree(tmp_path / "tree", **FILES)
        async with machines(root, tmp_path) as (one, other):
            await other.index()
            tree(root, c__new__py="x = 1\n")
            report = await other.index(fill_cold=False)
            assert (report.generation, report.blobs) == (2, {"chunks": 1, "lexical": 1}), "one file, in each store"
            assert (await one.index()).generation == 2
            assert await one.content() == await other.content()

    run(body())


@pytest.mark.parametrize("why", ["tree", "chunks", "number", "options", "skipped", "not shared"])
def test_where_it_cannot_be_a_generation_of_its_own_is_published(tmp_path: Path, why: str) -> None:
    async def body() -> None:
        root = tree(tmp_path / "tree", **FILES)
        async with machines(root, tmp_path) as (one, other):
            options = Options()
            if why == "tree":
                tree(root, **{"a.py": "changed = True\n"})
            elif why == "chunks":
                await one.chunks.drop("r", generation=1)
            elif why == "number":
                await other.lexical.begin("r", generation=7, base=None)
                await other.lexical.seal("r", generation=7)
            elif why == "options":
                await other.index()
                await other.lexical.drop("r", generation=1)
                options = Options(chunk_bytes=64)
            elif why == "skipped":
                options = Options(max_file_bytes=30)
            else:
                other.metadata.capabilities = MetadataCapabilities(reach="host")
            report = await other.index(options)
            assert report.generation > 1, report
            assert (await shown(other)).generation == report.generation
            await other.content()
            assert not len(await other.compare(options))

    run(body())


def test_a_run_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    async def body() -> None:
        async with machines(tree(tmp_path / "tree", **FILES), tmp_path, lexical="tantivy") as (one, other):
            task = asyncio.create_task(other.index(Options(batch_bytes=1), progress=lambda _: task.cancel() and None))
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await other.lexical.generations("r") == []
            assert not filled.records(other.data, await shown(other))
            assert (await other.index()).generation == 1
            assert await other.content() == await one.content()

    run(body())


def test_what_was_noted_is_of_one_generation_and_one_store(tmp_path: Path) -> None:
    async def body() -> None:
        async with machines(tree(tmp_path / "tree", **FILES), tmp_path) as (_, other):
            await other.index()
            published = await shown(other)
            assert filled.records(other.data, published)
            for changed in (
                replace(published, generation=2),
                replace(published, published_at=published.published_at + 1),
                replace(published, repo_id="other"),
            ):
                assert not filled.records(other.data, changed)
            (record,) = filled.records(other.data, published)
            later = replace(published, generation=2)
            filled.note(other.data, later, record, kept={1})
            assert filled.records(other.data, published) == filled.records(other.data, later) == (record,)
            filled.note(other.data, replace(published, generation=3), record, kept={2})
            assert not filled.records(other.data, published), "dropped since"
            assert list(filled.strangers(other.data, {"r"})) == []
            assert len(list(filled.strangers(other.data, set()))) == 1

    run(body())
