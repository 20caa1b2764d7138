"""The clauses of ``source`` about revisions: their files, names, differences and lines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from codequay.ports.errors import InvalidArgument, NotFound
from codequay.ports.source import PORT, BlameLine, Change, SourceBlob, SourceFile

from ..clauses import Suite
from ..expect import Unverified, raises
from ..models.source import blob_id

SUITE = Suite(PORT)
"""Its trials are added to those of ``codequay.contract.ports.source``."""


def revisions(capabilities: Any) -> bool:
    return bool(capabilities.revisions)


def blame(capabilities: Any) -> bool:
    return bool(capabilities.blame)


async def listed(store: Any, **more: Any) -> dict[str, str]:
    """Path -> kind, in the order given."""
    return {f.path: f.kind for f in await store.files(store.root, **more)}


async def committed(store: Any) -> str:
    """A revision of the working tree."""
    revision: str = await store.commit()
    if not revision:
        raise Unverified("its tree makes no revisions: the harness needs a Tree with commit()")
    return revision


async def collected(blobs: AsyncIterator[SourceBlob]) -> list[SourceBlob]:
    return [blob async for blob in blobs]


async def contents(store: Any, *paths: str, **more: Any) -> list[tuple[str, bytes | None]]:
    return [(b.path, b.data) for b in await collected(store.read(store.root, list(paths), **more))]


@SUITE.trial("SC-14", needs=revisions)
async def a_revision_is_listed_and_read_as_it_was(store: Any) -> None:
    old = "größe".encode()
    await store.write("a", old)
    await store.write("b", b"same")
    await store.link("l", "a")
    first = await committed(store)
    await store.write("a", b"new!")
    await store.delete("b")
    second = await committed(store)
    await store.write("a", b"dirty")
    await store.write("c", b"untracked")
    assert await store.files(store.root, revision=first) == [
        SourceFile("a", "file", 0o100644, 7, 0, blob_id(old)),
        SourceFile("b", "file", 0o100644, 4, 0, blob_id(b"same")),
        SourceFile("l", "symlink", 0o120000, 1, 0, blob_id(b"a")),
    ]
    assert await listed(store, revision="HEAD") == await listed(store, revision=second) == {"a": "file", "l": "symlink"}
    at_first = [("l", None), ("b", b"same"), ("a", old)]
    assert await contents(store, "l", "b", "a", revision=first) == at_first
    assert await contents(store, "a", "b", "c", revision=second) == [("a", b"new!"), ("b", None), ("c", None)]
    assert await contents(store, "a", "b") == [("a", b"dirty"), ("b", None)]
    with raises(NotFound):
        await store.files(store.root, revision="0" * 40)
    with raises(NotFound):
        await contents(store, "a", revision="nowhere")


@SUITE.trial("SC-06", needs=revisions)
async def diff_names_every_change_by_path(store: Any) -> None:
    for path in ("gone", "kept", "changed", "program", "turned"):
        await store.write(path, path.encode() * 50)
    for i in (1, 2):
        await store.write(f"d/old {i} ü", b"moved content %d\n" % i * 20)
    first = await committed(store)
    for path in ("gone", "d/old 1 ü", "d/old 2 ü"):
        await store.delete(path)
    await store.write("changed", b"entirely different")
    await store.write("program", b"program" * 50, executable=True)
    await store.link("turned", "kept")
    await store.write("a/new 鍵", b"moved content 1\n" * 20)
    await store.write("z", b"moved content 2\n" * 20, executable=True)
    await store.write("added", b"unlike any other file")
    second = await committed(store)
    assert await store.diff(store.root, first, second) == [
        Change("renamed", "a/new 鍵", "d/old 1 ü"),
        Change("added", "added"),
        Change("modified", "changed"),
        Change("deleted", "gone"),
        Change("modified", "program"),
        Change("modified", "turned"),
        Change("renamed", "z", "d/old 2 ü"),
    ]
    assert await store.diff(store.root, second, first) == [
        Change("deleted", "added"),
        Change("modified", "changed"),
        Change("renamed", "d/old 1 ü", "a/new 鍵"),
        Change("renamed", "d/old 2 ü", "z"),
        Change("added", "gone"),
        Change("modified", "program"),
        Change("modified", "turned"),
    ]
    assert await store.diff(store.root, second, second) == []
    with raises(NotFound):
        await store.diff(store.root, first, "0" * 40)


@SUITE.trial("SC-06", needs=revisions, hint="one file that went is the origin of one that came, not of two")
async def a_file_that_went_is_renamed_once(store: Any) -> None:
    await store.write("old", b"content\n" * 20)
    first = await committed(store)
    await store.delete("old")
    for path in ("new1", "new2"):
        await store.write(path, b"content\n" * 20)
    changes = await store.diff(store.root, first, await committed(store))
    assert sorted(change.status for change in changes) == ["added", "renamed"]
    assert [change.path for change in changes] == ["new1", "new2"]


@SUITE.trial("SC-10", needs=revisions)
async def a_name_resolves_to_the_commit_that_it_means_now(store: Any) -> None:
    with raises(NotFound):
        await store.resolve(store.root, "HEAD")
    await store.write("a", b"old")
    first = await committed(store)
    assert await store.resolve(store.root, "HEAD") == first
    await store.write("a", b"new")
    second = await committed(store)
    assert await store.resolve(store.root, "HEAD") == second != first
    assert await store.resolve(store.root, first) == first
    for unknown in ("0" * 40, "nowhere"):
        with raises(NotFound):
            await store.resolve(store.root, unknown)
    for no_name in ("", "-h", "--all", "a\0b", "a\nb"):
        with raises(InvalidArgument):
            await store.resolve(store.root, no_name)


@SUITE.trial("SC-13", needs=blame)
async def blame_names_the_commit_of_each_line(store: Any) -> None:
    await store.write("a", b"one\ntwo\nthree\nfour\rfour\n")
    await store.write("empty", b"")
    first = await committed(store)
    await store.write("b", b"new")
    await committed(store)
    await store.write("a", b"zero\none\n2\nfour\rfour\nfive")
    third = await committed(store)
    await store.write("a", b"not yet\n")
    begun = await store.blame(store.root, "a", revision=first)
    assert [(line.line, line.commit) for line in begun] == [(n, first) for n in (1, 2, 3, 4)]
    lines = await store.blame(store.root, "a", revision="HEAD")
    assert [(line.line, line.commit) for line in lines] == [
        (1, third),
        (2, first),
        (3, third),
        (4, first),
        (5, third),
    ]
    assert all(line.author == store.author for line in lines)
    assert [line.time - begun[0].time for line in lines] == [2, 0, 2, 0, 2]
    assert isinstance(lines[0], BlameLine) and 0 < begun[0].time <= time.time()
    assert await store.blame(store.root, "a") == lines
    assert await store.blame(store.root, "empty") == []
    for path, revision in (("b", first), ("nowhere", None), ("a", "0" * 40)):
        with raises(NotFound):
            await store.blame(store.root, path, revision=revision)


@SUITE.trial("SC-13", needs=blame)
async def blame_knows_equal_lines_apart(store: Any) -> None:
    await store.write("a", b"same\n" * 250)
    first = await committed(store)
    await store.write("a", b"begin\n" + b"same\n" * 250)
    second = await committed(store)
    lines = await store.blame(store.root, "a")
    assert [(line.line, line.commit) for line in lines] == [(1, second), *((n, first) for n in range(2, 252))]
