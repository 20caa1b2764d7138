"""Runs that fail, that another one overtakes, or whose tree changes while it is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from codequay.indexing.blob import blob_id_of
from codequay.ports.errors import Conflict, NotFound
from tests.contexts import run
from tests.indexing.runs import REAL, both, generations, rebuilt
from tests.indexing.trees import tree
from tests.indexing.world import Options, world


def test_changes_that_another_run_has_overtaken_are_looked_up_again(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            tree(root, a="omega")
            old = await w.compare()
            tree(root, b="psi")
            await w.index()
            await w.index(changes=old, fill_cold=False)
            assert await w.content() == await rebuilt(root, tmp_path / "again")

    run(check())


def test_a_tree_that_vanishes_while_it_is_read_publishes_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta", c="gamma")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            tree(root, a="1", b="2", c="3")
            with pytest.raises(NotFound):
                await w.index(Options(batch_bytes=1), progress=lambda _: shutil.rmtree(root, ignore_errors=True))
            assert await w.paths() == ["a", "b", "c"]
            assert [one.generation for one in await w.metadata.published(["r"])] == [1]

    run(check())


@both
def test_a_failed_run_gives_up_what_it_has_staged(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    def fail(_: object) -> None:
        raise RuntimeError("stop")

    async def check() -> None:
        async with world(root, tmp_path / "data", **stores) as w:
            await w.index()
            tree(root, a="omega")
            with pytest.raises(RuntimeError, match="stop"):
                await w.index(progress=fail)
            assert await generations(w) == [[1], [1]]
            before = await w.content()
            assert [file.blob_id for file in before["placements"]] == [blob_id_of(b"alpha"), blob_id_of(b"beta")]
            async with world(root, tmp_path / "data", **stores) as other:
                other.lock = w.lock
                await (w if not stores else other).index()
            assert await w.content() == await rebuilt(root, tmp_path / "again", stores)

    run(check())


def test_a_run_that_another_one_overtakes_changes_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha")

    async def check() -> None:
        async with world(root, tmp_path / "data", **REAL) as w:
            await w.index()
            tree(root, a="omega")
            publish = w.metadata.publish

            async def overtaken(publication: Any) -> Any:
                await w.metadata.open_generation("r", base=1)
                return await publish(publication)

            w.metadata.publish = overtaken
            with pytest.raises(Conflict) as refused:
                await w.index()
            assert "run it again" in refused.value.remedy
            w.metadata.publish = publish
            assert [one.generation for one in await w.metadata.history("r")] == [1]
            await w.index()
            assert await w.content() == await rebuilt(root, tmp_path / "again", REAL)

    run(check())


def test_a_folder_that_vanishes_is_gone_from_the_index(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", d__b="beta", d__c="gamma")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            report = await w.index(
                Options(batch_bytes=1), progress=lambda _: shutil.rmtree(root / "d", ignore_errors=True)
            )
            assert report.skipped["vanished"] >= 1
            await w.index()
            assert await w.content() == await rebuilt(root, tmp_path / "again")

    run(check())


def test_what_could_not_be_read_is_tried_again_and_published_once(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha")
    (root / "d").mkdir()
    (root / "d" / "b").write_text("beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            seen = w.source.read

            async def unreadable(*args: Any, **more: Any) -> Any:
                async for blob in seen(*args, **more):
                    yield blob if blob.path != "d/b" else blob._replace(data=None, reason="unreadable")

            w.source.read = unreadable
            first = await w.index()
            assert first.skipped == {"unreadable": 1}
            assert len(await w.compare()) == 0
            assert (await w.index()).generation == first.generation
            w.source.read = seen
            assert (await w.compare()).changed == ("d/b",)
            await w.index()
            assert await w.paths() == ["a", "d/b"]

    run(check())


def test_a_file_that_changes_after_it_was_listed_is_read_again(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta", c="gamma")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:

            def write(_: object) -> None:
                tree(root, c="delta")

            await w.index(Options(batch_bytes=1), progress=write)
            await w.index()
            assert await w.content() == await rebuilt(root, tmp_path / "again")

    run(check())


def test_edits_right_after_a_run_are_seen(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="0000")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            for turn in range(1, 40):
                (root / "a").write_text(f"{turn:04}")
                assert (await w.compare()).changed == ("a",)
                await w.index(changes=await w.compare(), fill_cold=False)
                assert len(await w.compare()) == 0

    run(check())
