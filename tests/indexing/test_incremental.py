"""Later runs: only what changed is written, each store takes what it lacks, and the outcome is that of a rebuild."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from codequay.indexing.changes import MANY_RENEWED
from codequay.indexing.manifest import FINE_TICK_NS
from codequay.ports.errors import InvalidArgument, NotIndexed
from tests.adapters.git.repos import commit, git, init
from tests.contexts import run
from tests.indexing.runs import both, generations, rebuilt
from tests.indexing.trees import tree
from tests.indexing.world import Options, world


@both
def test_nothing_changed_writes_nothing(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(tmp_path / "t", a="alpha", b=b"\0", d__c="gamma")

    async def check() -> None:
        async with world(root, tmp_path / "data", **stores) as w:
            first = await w.index()
            before = await generations(w)
            second = await w.index()
            assert (second.generation, second.changed_files, second.removed_files) == (first.generation, 0, 0)
            assert (second.files, second.chunks, second.bytes, second.skipped) == (2, 2, 10, {"binary": 1})
            assert await generations(w) == before
            assert await w.metadata.open_generation("r", base=first.generation) == first.generation + 1

    run(check())


@both
def test_every_kind_of_change_gives_what_a_rebuild_gives(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(
        tmp_path / "t",
        same="same",
        edited="before",
        gone="gone",
        old_name="moved",
        mode="#!/bin/sh\n",
        to_binary="text",
        to_text=b"\0",
        grows="small",
        shrinks="x" * 900,
        case="Case",
        ignored__x="x",
        becomes_link="file",
    )
    options = Options(max_file_bytes=800)

    async def check() -> None:
        async with world(root, tmp_path / "data", **stores) as w:
            await w.index(options)
            tree(
                root,
                edited="after!",
                to_binary=b"\0t",
                to_text="words",
                grows="y" * 801,
                shrinks="z",
                new="n",
                crlf="a\r\n",
            )
            (root / "gone").unlink()
            (root / "old_name").rename(root / "new_name")
            (root / "case").rename(root / "CASE")
            (root / "mode").chmod(0o755)
            (root / "becomes_link").unlink()
            (root / "becomes_link").symlink_to("same")
            tree(root, **{".codequayignore": "ignored/\n"})
            changes = await w.compare(options)
            assert set(changes.changed) == {
                ".codequayignore", "CASE", "becomes_link", "crlf", "edited", "grows", "mode", "new", "new_name",
                "shrinks", "to_binary", "to_text",
            }  # fmt: skip
            assert changes.removed == ("case", "gone", "ignored/x", "old_name")
            assert len(changes) == 16
            report = await w.index(options)
            assert (report.changed_files, report.removed_files) == (12, 4)
            assert await w.content() == await rebuilt(root, tmp_path / "again", stores, options)
            assert len(await w.compare(options)) == 0

    run(check())


@both
def test_random_edits_give_what_a_rebuild_gives(tmp_path: Path, stores: dict[str, str]) -> None:
    dice = random.Random(4)
    root = tree(tmp_path / "t", **{f"d{n % 3}__m{n}.py": f"def f{n}(): pass\n" * 40 for n in range(12)})

    def edit() -> None:
        files = sorted(path for path in root.rglob("*") if path.is_file())
        one = dice.choice(files)
        match dice.randrange(6):
            case 0 if len(files) > 3:
                one.unlink()
            case 1:
                one.rename(one.with_name(f"r{dice.randrange(100)}.py"))
            case 2:
                one.chmod(one.stat().st_mode ^ 0o100)
            case 3:
                one.write_bytes(dice.choice(files).read_bytes())
            case 4:
                (root / f"n{dice.randrange(9)}.txt").write_text("new\r\n" * dice.randrange(50))
            case _:
                one.write_bytes(one.read_bytes() + b"x = 1\n" * dice.randrange(3))

    async def check() -> None:
        async with world(root, tmp_path / "data", **stores) as w:
            await w.index()
            for turn in range(10):
                for _ in range(dice.randrange(4)):
                    edit()
                await w.index()
                assert await w.content() == await rebuilt(root, tmp_path / f"again{turn}", stores)

    run(check())


def test_many_touched_files_are_worth_an_index_run_that_publishes_nothing(tmp_path: Path) -> None:
    names = [f"f{n}" for n in range(MANY_RENEWED)]
    root = tree(tmp_path / "t", **{name: name for name in names})

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await asyncio.sleep(FINE_TICK_NS / 1e9)
            first = await w.index()
            assert not (await w.compare()).worth_keeping
            for name in names:
                os.utime(root / name, (1, 1))
            await asyncio.sleep(FINE_TICK_NS / 1e9)
            changes = await w.compare()
            assert (len(changes), changes.worth_keeping) == (0, True)
            assert (await w.index(changes=changes, fill_cold=False, compact=False)).generation == first.generation
            assert (await w.compare()).survey.renewed == 0

    run(check())


def test_a_touched_file_is_read_once_more_and_not_published(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            first = await w.index()
            (root / "a").write_text("alpha")
            changes = await w.compare()
            assert (len(changes), changes.survey.renewed > 0) == (0, True)
            assert (await w.index()).generation == first.generation
            entry = w.manifest().get("a")
            assert entry is not None
            assert entry.inode == (root / "a").stat().st_ino

    run(check())


@both
def test_a_store_that_was_swapped_in_is_filled_and_the_other_left_alone(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta", c=b"\0")

    async def check() -> None:
        async with world(root, tmp_path / "one", **stores) as w, world(root, tmp_path / "two", **stores) as other:
            await w.index()
            first = w.lexical
            w.lexical = other.lexical
            report = await w.index()
            assert report.blobs == {"chunks": 0, "lexical": 2}
            assert (report.changed_files, report.changed_blobs) == (0, 0)
            assert await w.content() == await rebuilt(root, tmp_path / "again", stores)
            tree(root, a="omega")
            assert (await w.index()).blobs == {"chunks": 1, "lexical": 1}
            w.lexical = first
            assert (await w.index()).blobs == {"chunks": 0, "lexical": 1}
            assert await w.content() == await rebuilt(root, tmp_path / "more", stores)

    run(check())


def test_only_brings_one_store_up_to_date(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha")

    async def check() -> None:
        async with world(root, tmp_path / "one") as w, world(root, tmp_path / "two") as other:
            await w.index()
            w.lexical = other.lexical
            assert (await w.index(only=("lexical",))).blobs == {"chunks": 0, "lexical": 1}
            tree(root, a="omega")
            report = await w.index(only=("chunks",))
            assert report.blobs == {"chunks": 1}
            assert "lexical store was left out" in report.notes[0]
            (published,) = await w.metadata.published(["r"])
            assert [one.port for one in published.stores] == ["chunks"]
            assert (await w.index()).blobs == {"chunks": 0, "lexical": 1}
            assert await w.content() == await rebuilt(root, tmp_path / "again")
            with pytest.raises(InvalidArgument, match="vectors"):
                await w.index(only=("vectors",))

    run(check())


@both
def test_revisions_and_the_work_tree_share_what_they_have_in_common(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(init(tmp_path / "t"), **{f"m{n}": f"text {n}" for n in range(30)})
    old = commit(root)
    tree(root, m0="changed", m1="changed too")
    (root / "m2").unlink()
    new = commit(root)

    async def check() -> None:
        async with world(root, tmp_path / "data", source="git", **stores) as w:
            await w.index()
            report = await w.index(snapshot="rev:old", revision=old)
            assert (report.snapshot, report.blobs) == ("rev:old", {"chunks": 3, "lexical": 3})
            (published,) = await w.metadata.published(["r"], snapshot="rev:old")
            assert published.revision == old
            assert await w.content() == await rebuilt(root, tmp_path / "again", stores | {"source": "git"})
            shown = await w.chunks.scan(scope=await w.scope("rev:old"))
            assert [file.path for file in shown.files] == sorted(f"m{n}" for n in range(30))
            assert (await w.index(snapshot="rev:old", revision=old)).generation == report.generation
            assert (await w.index()).generation == 1
            tree(root, m3="edited")
            assert (await w.index()).changed_files == 1
            assert await w.content() == await rebuilt(root, tmp_path / "more", stores | {"source": "git"})
            assert [one.path for one in (await w.chunks.scan(scope=await w.scope("rev:old"))).files] == [
                one.path for one in shown.files
            ]
            moved = await w.index(snapshot="rev:old", revision="HEAD")
            assert moved.changed_files == 2
            (published,) = await w.metadata.published(["r"], snapshot="rev:old")
            assert published.revision == new

    run(check())


def test_a_commit_without_other_changes_is_published_by_an_index_run_only(tmp_path: Path) -> None:
    root = tree(init(tmp_path / "t"), a="alpha")
    old = commit(root)

    async def check() -> None:
        async with world(root, tmp_path / "data", source="git") as w:
            await w.index()
            tree(root, b="beta")
            await w.index()
            new = commit(root)
            changes = await w.compare()
            assert len(changes) == 0
            assert (await w.index(changes=changes, fill_cold=False)).generation == 2
            report = await w.index()
            assert (report.generation, report.changed_files, report.changed_blobs) == (3, 0, 0)
            history = await w.metadata.history("r")
            assert [one.revision for one in history][-2:] == [old, new]

    run(check())


@both
def test_a_linked_work_tree_reads_its_files_and_stages_what_differs(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(init(tmp_path / "t"), a="alpha", b="beta")
    commit(root)
    linked = tmp_path / "linked"
    git(root, "worktree", "add", "-q", str(linked))
    tree(linked, b="other beta")

    async def check() -> None:
        async with world(root, tmp_path / "data", source="git", **stores) as w:
            await w.index()
            w.root = linked
            report = await w.index(snapshot=f"worktree:{linked}")
            assert report.blobs == {"chunks": 1, "lexical": 1}
            assert await w.content(f"worktree:{linked}") == await rebuilt(linked, tmp_path / "again", {"source": "git"})
            w.root = root
            assert (await w.index()).generation == 1

    run(check())


@both
def test_other_options_index_every_file_again(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(tmp_path / "t", **{"a.py": "def f():\n    pass\n\n\n" * 90, "b.py": "x = 1\n" * 300})
    small = Options(chunk_bytes=400)

    async def check() -> None:
        async with world(root, tmp_path / "data", **stores) as w:
            await w.index()
            assert len(await w.compare(small)) == 0
            await w.index(small)
            assert await w.content() == await rebuilt(root, tmp_path / "again", stores, small)
            assert (await w.index(small)).changed_files == 0
            tree(root, **{"b.py": "y = 1\n" * 300})
            await w.index(changes=await w.compare(), fill_cold=False)
            await w.index()
            assert await w.content() == await rebuilt(root, tmp_path / "more", stores)

    run(check())


def test_a_refresh_makes_no_first_index_and_fills_no_cold_store(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha")

    async def check() -> None:
        async with world(root, tmp_path / "one") as w, world(root, tmp_path / "two") as other:
            changes = await w.compare()
            assert (changes.exact, changes.changed) == (False, ("a",))
            with pytest.raises(NotIndexed, match="no index"):
                await w.index(changes=changes, fill_cold=False)
            await w.index()
            tree(root, a="omega")
            w.lexical = other.lexical
            with pytest.raises(NotIndexed, match="lexical store must be filled"):
                await w.index(changes=await w.compare(), fill_cold=False)
            assert await generations(w) == [[1], []]

    run(check())


def test_named_generations_are_kept_and_others_go(tmp_path: Path) -> None:
    root = tree(init(tmp_path / "t"), a="0")
    old = commit(root)

    async def check() -> None:
        async with world(root, tmp_path / "data", source="git") as w:
            await w.index(snapshot="rev:old", revision=old)
            for turn in range(1, 6):
                tree(root, a=str(turn))
                await w.index(Options(keep_generations=3))
            assert await generations(w) == [[1, 4, 5, 6], [1, 4, 5, 6]]
            assert [one.generation for one in await w.metadata.history("r")] == [1, 4, 5, 6]
            assert await w.paths("rev:old") == ["a"]

    run(check())


def test_a_repository_in_memory_is_compared_by_what_was_written(tmp_path: Path) -> None:
    async def check() -> None:
        async with world(Path("/demo"), tmp_path / "data", source="memory") as w:
            demo = w.source.add("/demo")
            demo.write("a.py", b"alpha")
            demo.write("b.py", b"beta")
            await w.index()
            assert len(await w.compare()) == 0
            demo.write("a.py", b"omega")
            assert (await w.compare()).changed == ("a.py",)
            assert (await w.index()).changed_blobs == 1
            head = demo.commit()
            assert (await w.index(snapshot="rev:x", revision=head)).changed_blobs == 0

    run(check())
