"""Index runs: what is published, what is skipped and why, and what a failure leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from codequay.ports.chunks import FileRef
from codequay.ports.errors import LockBusy
from codequay.ports.lexical import Term
from tests.adapters.git.repos import commit, init
from tests.contexts import run
from tests.indexing.trees import tree
from tests.indexing.world import Options, World, world

STORES = [{}, {"chunks": "sqlite", "metadata": "sqlite", "lock": "noop"}]


@pytest.mark.parametrize("adapters", STORES, ids=["memory", "sqlite"])
def test_an_edit_is_published_and_a_removed_file_is_gone(tmp_path: Path, adapters: dict[str, str]) -> None:
    root = tree(tmp_path / "t", a="def alpha(): pass\n", b="def beta(): pass\n", d__c="gamma\n")

    async def check() -> None:
        async with world(root, tmp_path / "data", **adapters) as w:
            first = await w.index()
            assert (first.generation, first.files, first.changed_blobs) == (1, 3, 3)
            assert await w.paths() == ["a", "b", "d/c"]
            (root / "b").unlink()
            tree(root, a="def omega(): pass\n")
            second = await w.index()
            assert (second.files, second.changed_blobs) == (2, 1)
            assert await w.paths() == ["a", "d/c"]
            scope = await w.scope()
            hits = await w.lexical.rank([Term("omega")], scope=scope, unit="file", k=5)
            assert [hit.path for hit in hits] == ["a"]
            assert not await w.lexical.rank([Term("alpha")], scope=scope, unit="file", k=5)
            third = await w.index()
            assert (third.generation, third.changed_blobs, third.changed_files) == (2, 0, 0)
            tree(root, a="def psi(): pass\n")
            assert (await w.index()).generation == 3
            assert [state.generation for state in await w.chunks.generations("r")] == [2, 3]
            assert [one.generation for one in await w.metadata.history("r")] == [2, 3]
            tree(root, a="def chi(): pass\n")
            await w.index(readable_s=600)
            assert [one.generation for one in await w.metadata.history("r")] == [2, 3, 4]

    run(check())


def test_what_is_not_indexed_has_a_reason(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "t",
        ok="text\n",
        binary=b"a\0b",
        large="x" * 600_000,
        latin=b"caf\xe9\n",
        utf16="wide\n".encode("utf-16"),
        empty="",
        drop__x="x",
        **{".codequayignore": "drop/\n"},
    )
    (root / "link").symlink_to("ok")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            report = await w.index(Options(max_file_bytes=500_000))
            assert await w.paths() == [".codequayignore", "empty", "latin", "ok", "utf16"]
            assert await w.skipped() == {"binary": "binary", "large": "too_large", "link": "symlink"}
            assert report.skipped == {"binary": 1, "too_large": 1, "symlink": 1}
            files = await w.chunks.of_file([FileRef("r", "latin"), FileRef("r", "utf16")], scope=await w.scope())
            assert [[one.chunk.text for one in file] for file in files] == [["café\n"], ["wide\n"]]

    run(check())


def test_a_file_beyond_its_budget_is_chunked_by_lines(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", **{"a.py": "def f(): pass\n" * 20_000})

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            report = await w.index(Options(scan_budget_ms=0.001))
            assert (report.files, report.skipped) == (1, {"budget": 1})
            assert report.chunks > 100

    run(check())


def test_workers_give_what_the_process_itself_gives(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", **{f"m{n}.py": f"def f{n}():\n    return 'é'\n" * 50 for n in range(40)})

    async def chunks(workers: int) -> list[Any]:
        async with world(root, tmp_path / f"data{workers}") as w:
            steps: list[int] = []
            await w.index(Options(workers=workers), progress=lambda p: steps.append(p.files))
            assert steps[-1] == 40
            assert steps == sorted(steps)
            refs = [FileRef("r", path) for path in await w.paths()]
            found: list[Any] = await w.chunks.of_file(refs, scope=await w.scope())
            return found

    inline, pooled = run(chunks(0)), run(chunks(1))
    assert inline == pooled
    assert len(inline) == 40


def test_a_revision_is_indexed_as_it_was(tmp_path: Path) -> None:
    root = tree(init(tmp_path / "t"), a="old\n")
    old = commit(root)
    tree(root, a="new\n", b="new\n")
    commit(root)

    async def check() -> None:
        async with world(root, tmp_path / "data", source="git") as w:
            await w.index(revision=old)
            assert await w.paths() == ["a"]
            await w.index()
            assert await w.paths() == ["a", "b"]

    run(check())


def test_a_busy_repository_names_its_holder(tmp_path: Path) -> None:
    async def check() -> None:
        async with world(tree(tmp_path / "t", a="a"), tmp_path / "data") as w:
            await w.lock.acquire("repo:r", ttl=60, owner="somebody:42")
            with pytest.raises(LockBusy, match="somebody:42"):
                await w.index()

    run(check())


async def _published_and_free(w: World) -> None:
    assert await w.paths() == ["a", "b"]
    assert await w.lock.holder("repo:r") is None
    assert (await w.index()).files == 3
    assert await w.paths() == ["a", "b", "c"]


def test_a_failure_leaves_the_published_generation_and_the_lock_free(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            tree(root, c="gamma")

            def fail(_: object) -> None:
                raise RuntimeError("stop")

            with pytest.raises(RuntimeError, match="stop"):
                await w.index(progress=fail)
            await _published_and_free(w)

    run(check())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cancelled_run_leaves_the_published_generation_and_the_lock_free(tmp_path: Path, workers: int) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            tree(root, c="gamma")
            options = Options(workers=workers, batch_bytes=1)

            def cancel(_: object) -> None:
                task.cancel()

            task = asyncio.create_task(w.index(options, progress=cancel))
            with pytest.raises(asyncio.CancelledError):
                await task
            await _published_and_free(w)

    run(check())


def test_a_store_that_was_swapped_in_starts_from_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        data = tmp_path / "data"
        async with world(root, data) as w, world(root, data) as other:
            await w.index()
            w.chunks = other.chunks
            report = await w.index()
            assert (report.files, report.changed_blobs) == (2, 2)
            assert await w.paths() == ["a", "b"]

    run(check())
