"""The clauses of the port ``source``, as trials."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from codequay.ports.errors import InvalidArgument, NotFound, Unsupported
from codequay.ports.source import PORT, Change, SourceBlob

from ..budget import level, within
from ..cancel import cuts
from ..case import Case
from ..clauses import Suite
from ..expect import Failed, raises
from ..many import Many
from ..models.source import STEPS, SourceModel
from . import source_revisions
from .source_revisions import collected, committed, contents, listed, revisions

SUITE = Suite(PORT)

NAMES = ("a\\xff.py", "b\\x5cxff.py", "ü.py", "new\nline.py", 'q"uote.py', "tab\t.py", " lead", "-x", "*.py")
"""Names that have to be quoted somewhere: the first has a byte that is not UTF-8, the second a backslash."""
PROBED_BATCH = 5_000
"""A declared max_batch above this is not filled: it would take seconds."""
SETTLE_S = 2.0
"""Seconds that a program which was killed, or a file that was left, gets to be gone."""


@SUITE.trial("SC-01", needs=revisions)
async def the_repository_is_found_from_inside_and_not_from_outside(store: Any) -> None:
    assert (await store.describe(store.root)).head == ""
    await store.write("a/b/c.py", b"")
    head = await committed(store)
    found = await store.describe(store.root)
    assert (found.root, found.main_root, found.origin) == (store.root, store.root, "")
    assert (found.head, found.branch) == (head, store.branch)
    for inside in ("a", "a/b", "a/b/c.py", "a/"):
        assert await store.describe(store.at(inside)) == found
    for nowhere in (store.outside, store.root + "x", store.at("a/b/c"), store.at("b")):
        with raises(NotFound):
            await store.describe(nowhere)


@SUITE.trial("SC-01", needs=revisions)
async def the_innermost_repository_is_found(store: Any) -> None:
    await store.write("a/b.py", b"")
    await store.nest("a/inner")
    inner = await store.describe(store.at("a/inner"))
    assert (inner.root, inner.main_root, inner.head) == (store.at("a/inner"), store.at("a/inner"), "")
    assert await store.describe(store.at("a/inner/inside")) == inner
    assert (await store.describe(store.at("a/b.py"))).root == store.root


@SUITE.trial("SC-01")
async def what_does_not_exist_lies_in_no_repository(store: Any) -> None:
    await store.write("a.py", b"")
    found = await store.describe(store.root)
    assert found.root == found.main_root and store.root.startswith(found.root)
    assert await store.describe(store.root + "/") == found
    with raises(NotFound):
        await store.describe(store.at("nowhere"))


@SUITE.trial("SC-02")
async def files_are_listed_by_path_without_deleted_ones(store: Any) -> None:
    assert await store.files(store.root) == []
    for path in ("b.py", "a/x.py", "a.py", "gone.py", "größe/鍵 k.py", "Z.py", ".config/.k"):
        await store.write(path, path.encode())
    await store.commit()
    await store.delete("gone.py")
    await store.write("new.py", b"untracked")
    found = await store.files(store.root)
    assert [f.path for f in found] == [".config/.k", "Z.py", "a.py", "a/x.py", "b.py", "größe/鍵 k.py", "new.py"]
    assert [(f.kind, f.size) for f in found] == [("file", len(f.path.encode())) for f in found[:-1]] + [("file", 9)]
    assert {f.blob_id for f in found} == {""}
    with raises(NotFound):
        await store.files(store.at("nowhere"))


@SUITE.trial("SC-02", hint="a listing or a batch has no length of its own")
async def many_files_are_listed_and_read(case: Case, store: Any) -> None:
    n = min(1100, case.capabilities.max_batch - 1)
    paths = [f"d{i % 7}/f{i:04}" for i in range(n)]
    await store.write_all({path: path.encode() for path in paths})
    revision = await store.commit() or None
    for at in {None, revision}:
        assert list(await listed(store, revision=at)) == sorted(paths)
        assert await contents(store, *paths, revision=at) == [(path, path.encode()) for path in paths]


@SUITE.trial("SC-02", needs=revisions, hint="what is ignored is listed only while version control has it")
async def ignored_files_are_left_out_unless_tracked(store: Any) -> None:
    await store.write("kept.log", b"")
    await committed(store)
    for path in ("kept.log", "lost.log", "build/out.py"):
        await store.ignore(path)
    await store.write("lost.log", b"")
    await store.write("build/out.py", b"")
    await store.write("kept.py", b"")
    assert list(await listed(store)) == ["kept.log", "kept.py"]
    revision = await committed(store)
    assert list(await listed(store, revision=revision)) == ["kept.log", "kept.py"]


@SUITE.trial("SC-03", hint="look with lstat, and open without following, also the folders on the way")
async def symlinks_are_named_and_not_followed(store: Any) -> None:
    await store.write("d/a.py", b"a")
    await store.link("to_file", "d/a.py")
    await store.link("to_folder", "d")
    await store.link("to_outside", "..")
    await store.link("loop", "loop")
    await store.commit()
    links = ("loop", "to_file", "to_folder", "to_outside")
    assert await listed(store) == {"d/a.py": "file", **dict.fromkeys(links, "symlink")}
    found = await collected(store.read(store.root, [*links, "to_folder/a.py", "d/a.py"]))
    assert [(b.path, b.data, b.reason) for b in found] == [
        *[(link, None, "symlink") for link in links],
        ("to_folder/a.py", None, "vanished"),
        ("d/a.py", b"a", ""),
    ]


@SUITE.trial("SC-03", needs=revisions)
async def submodules_are_named_and_not_entered(store: Any) -> None:
    await store.write("a.py", b"")
    await store.submodule("sub")
    revision = await committed(store)
    for at in (None, revision):
        found = await store.files(store.root, revision=at)
        assert [(f.path, f.kind, f.mode) for f in found] == [("a.py", "file", 0o100644), ("sub", "submodule", 0o160000)]
        assert found[1].size == 0
        blobs = await collected(store.read(store.root, ["sub", "a.py"], revision=at))
        assert [(b.path, b.data) for b in blobs] == [("sub", None), ("a.py", b"")]
        assert blobs[0].reason in ("submodule", "not_a_file")


@SUITE.trial("SC-04")
async def read_gives_exactly_the_bytes_in_the_order_asked(store: Any) -> None:
    texts = {"a": b"", "b": bytes(range(256)) * 9, "c/d": b"\r\n\0\xff\r", "e": b"x" * 300_000}
    for path, data in texts.items():
        await store.write(path, data)
    order = ["e", "a", "c/d", "b", "a"]
    assert await contents(store, *order) == [(path, texts[path]) for path in order]
    assert await contents(store) == []


@SUITE.trial("SC-05")
async def what_cannot_be_given_comes_with_a_reason_and_stops_nothing(store: Any) -> None:
    await store.write("a", b"12345")
    await store.write("big", b"123456")
    await store.write("d/x", b"1")
    revision = await store.commit()
    expected = [
        SourceBlob("gone", None, "vanished"),
        SourceBlob("big", None, "too_large"),
        SourceBlob("d", None, "not_a_file"),
        SourceBlob("d/y", None, "vanished"),
        SourceBlob("a/b", None, "vanished"),
        SourceBlob("a", b"12345", ""),
    ]
    for at in {None, revision or None}:
        found = await collected(store.read(store.root, [b.path for b in expected], revision=at, max_bytes=5))
        assert found == expected
    assert await contents(store, "a", max_bytes=0) == [("a", None)]


@SUITE.trial("SC-12")
async def modes_are_as_git_writes_them(store: Any) -> None:
    await store.write("plain", b"")
    await store.write("program", b"", executable=True)
    revision = await store.commit()
    for at in {None, revision or None}:
        found = await store.files(store.root, revision=at)
        assert [(f.path, f.mode) for f in found] == [("plain", 0o100644), ("program", 0o100755)]


@SUITE.trial("SC-07", needs=lambda caps: not caps.revisions)
async def revisions_that_are_not_declared_are_refused(store: Any) -> None:
    await store.write("a", b"")
    for call in (
        store.resolve(store.root, "HEAD"),
        store.files(store.root, revision="HEAD"),
        contents(store, "a", revision="HEAD"),
        store.diff(store.root, "HEAD", "HEAD"),
    ):
        with raises(Unsupported):
            await call


@SUITE.trial("SC-07", needs=lambda caps: not caps.blame)
async def blame_that_is_not_declared_is_refused(store: Any) -> None:
    await store.write("a", b"one\n")
    await store.commit()
    with raises(Unsupported):
        await store.blame(store.root, "a")


@SUITE.trial("SC-07")
async def max_batch_paths_are_taken_and_no_more(case: Case, store: Any) -> None:
    await store.write("a", b"one\n")
    most = case.capabilities.max_batch
    with raises(InvalidArgument):
        await collected(store.read(store.root, Many("a", most + 1)))
    if most <= PROBED_BATCH:
        blobs = await collected(store.read(store.root, Many("a", most)))
        assert [blob.data for blob in blobs] == [b"one\n"] * most


@SUITE.trial("SC-11", hint="give mtime, ctime and inode as the file system has them")
async def a_file_that_was_written_anew_is_listed_with_other_numbers(store: Any) -> None:
    await store.write("a", b"old")
    await store.write("b", b"same")
    before = {file.path: file for file in await store.files(store.root)}
    assert await store.files(store.root) == [before["a"], before["b"]]
    await asyncio.sleep(0.02)
    await store.write("a", b"new")
    after = {file.path: file for file in await store.files(store.root)}
    assert after["b"] == before["b"]
    assert after["a"] != before["a"]
    assert after["a"].mtime_ns or after["a"].ctime_ns or after["a"].inode


@SUITE.trial("SC-08", hint="switch off hooks, filters, monitors and every program that the repository names")
async def nothing_of_the_repository_is_executed(case: Case, store: Any) -> None:
    program = f"#!/bin/sh\necho ran >> '{store.mark!s}'\n".encode()
    for path in ("configure", ".hooks/post-read", "conftest.py"):
        await store.write(path, program, executable=True)
    await store.write("a.txt", b"one\r\n")
    old = await store.commit()
    await store.write("a.txt", b"two\r\n")
    new = await store.commit()
    await store.trap()
    await store.write("a.txt", b"three\r\n")
    await store.describe(store.root)
    await store.files(store.root)
    assert await contents(store, "a.txt") == [("a.txt", b"three\r\n")]
    if case.capabilities.revisions:
        assert await contents(store, "a.txt", revision=old) == [("a.txt", b"one\r\n")]
        await store.files(store.root, revision=old)
        await store.resolve(store.root, "HEAD")
        assert await store.diff(store.root, old, new) == [Change("modified", "a.txt")]
    if case.capabilities.blame:
        await store.blame(store.root, "a.txt")
        await store.blame(store.root, "a.txt", revision=old)
    if await asyncio.to_thread(os.path.exists, store.mark):
        raise Failed("a program of the repository was run")


@SUITE.trial("SC-09", hint="write names as codequay.ports.paths does")
async def a_name_that_is_not_utf8_is_listed_and_read_back(store: Any) -> None:
    for name in NAMES:
        await store.write(name, name.encode())
    revision = await store.commit()
    for at in {None, revision or None}:
        assert list(await listed(store, revision=at)) == sorted(NAMES)
        assert await contents(store, *NAMES, revision=at) == [(name, name.encode()) for name in NAMES]
    for no_name in ("\\x2e\\x2e/a", "a\\x2fb", "a\\x00", "\\x61", "../a", "/a", "a//b"):
        with raises(InvalidArgument):
            await contents(store, no_name)


@SUITE.trial("SC-15", hint="keep nothing of a call on the adapter itself")
async def calls_side_by_side_answer_as_each_alone(case: Case, store: Any) -> None:
    for i in range(20):
        await store.write(f"d{i % 3}/f{i}", b"%d" % i * (i + 1))
    revision = await store.commit()
    await store.delete("d0/f0")
    paths = [f"d{i % 3}/f{i}" for i in range(20)]
    at = revision or None
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.files(store.root),
        lambda: collected(store.read(store.root, paths, max_bytes=20)),
        lambda: collected(store.read(store.root, paths[::-1])),
        lambda: collected(store.read(store.root, paths[:3], revision=at)),
        lambda: store.files(store.root, revision=at),
        lambda: store.describe(store.root),
    ]
    alone = [await call() for call in calls]
    assert await asyncio.gather(*(call() for call in calls * 2)) == alone * 2


@SUITE.trial("SC-16", hint="close files and end programs in a finally, also when the caller goes away")
async def what_is_cut_off_leaves_nothing_behind(store: Any) -> None:
    for i in range(5):
        await store.write(f"f{i}", b"x" * 1000)
    revision = await store.commit() or None
    paths = [f"f{i}" for i in range(5)] * 40
    expected = [SourceBlob(path, b"x" * 1000) for path in paths]
    files = await store.files(store.root)
    open_before = _open_files()
    async for _ in cuts(lambda: store.files(store.root)):
        assert await store.files(store.root) == files
    for at in {None, revision}:

        async def read(at: str | None = at) -> list[SourceBlob]:
            return await collected(store.read(store.root, paths[:10], revision=at))

        async for _ in cuts(read):
            assert await read() == expected[:10]
        for most in (1, 70):
            blobs = store.read(store.root, paths, revision=at)
            given = [await anext(blobs) for _ in range(most)]
            await blobs.aclose()
            assert given == expected[:most]
        assert await collected(store.read(store.root, paths, revision=at)) == expected
    deadline = time.monotonic() + SETTLE_S
    while (now_open := _open_files()) > open_before:
        if time.monotonic() > deadline:
            raise Failed(f"{now_open - open_before} files or pipes are still open")
        await asyncio.sleep(0.01)


def _open_files() -> int:
    """How many this process has; 0 where the system does not tell."""
    return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0


@SUITE.trial("SC-17", hint="read several files a turn")
async def turns_do_not_grow_with_the_files(case: Case, store: Any) -> None:
    async def written(n: int) -> list[str]:
        await store.write_all({f"f{i}": b"x" for i in range(n)})
        return [f"f{i}" for i in range(n)]

    async def read(n: int) -> None:
        assert len(await contents(store, *(await written(n)))) == n

    async def files(n: int) -> None:
        await written(n)
        assert len(await store.files(store.root)) >= n

    await within(case, "describe", 4, lambda: store.describe(store.root))
    await level(case, "files", files)
    await level(case, "read", read, slack=30)


SUITE.trials += source_revisions.SUITE.trials
SUITE.machine("SC-04", SourceModel, STEPS)
