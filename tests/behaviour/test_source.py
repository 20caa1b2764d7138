"""Behaviour of every source: real trees on disk for git and folder, a registered one for memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from codequay.adapters.memory.source import MemoryRepository, MemorySource
from codequay.ports.errors import NotFound, Unsupported
from codequay.ports.paths import os_path
from codequay.ports.source import Change
from tests.behaviour.adapters import Case, behaviour, uncovered

IDENTITY = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Tree:
    """A repository of the adapter's kind, as the tests fill it."""

    def __init__(self, case: Case, store: Any) -> None:
        self.kind = case.adapter.name
        self.root = str((case.folder / "repo").resolve())
        self._memory: MemoryRepository | None = None
        if isinstance(store, MemorySource):
            self._memory = store.add(self.root)
            return
        Path(self.root).mkdir()
        if self.kind == "git":
            self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str, data: bytes) -> None:
        if self._memory is not None:
            self._memory.write(path, data)
            return
        place = os_path(self.root, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        Path(place).write_bytes(data)

    def link(self, path: str, target: str) -> None:
        if self._memory is not None:
            self._memory.link(path, target)
        else:
            os.symlink(target, os_path(self.root, path))

    def delete(self, path: str) -> None:
        if self._memory is not None:
            self._memory.delete(path)
        else:
            os.unlink(os_path(self.root, path))

    def commit(self) -> str:
        """Track everything; the revision, "" where there are none."""
        if self._memory is not None:
            return self._memory.commit()
        if self.kind != "git":
            return ""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")


def revisions(capabilities: Any) -> bool:
    return bool(capabilities.revisions)


async def listed(store: Any, tree: Tree, **more: Any) -> dict[str, str]:
    """Path -> kind, in the order given."""
    return {f.path: f.kind for f in await store.files(tree.root, **more)}


async def contents(store: Any, tree: Tree, *paths: str, **more: Any) -> list[tuple[str, bytes | None]]:
    return [(b.path, b.data) async for b in store.read(tree.root, list(paths), **more)]


@behaviour("source", "SC-01")
async def test_describe_finds_the_repository_from_inside_and_not_from_outside(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a/b/c.py", b"")
    head = tree.commit()
    found = await store.describe(tree.root)
    assert (found.root, found.main_root, found.origin, found.head) == (tree.root, tree.root, "", head)
    if case.adapter.name != "folder":
        assert found.branch == "main"
        for inside in ("a", "a/b", "a/b/c.py"):
            assert await store.describe(f"{tree.root}/{inside}") == found
        with pytest.raises(NotFound):
            await store.describe(str(case.folder))
    with pytest.raises(NotFound):
        await store.describe(f"{tree.root}/nowhere")


@behaviour("source", "SC-02")
async def test_files_are_listed_by_path_without_deleted_ones(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    for path in ("b.py", "a/x.py", "a.py", "gone.py", "größe/鍵 k.py"):
        tree.write(path, path.encode())
    tree.commit()
    tree.delete("gone.py")
    tree.write("new.py", b"untracked")
    found = await store.files(tree.root)
    assert [f.path for f in found] == ["a.py", "a/x.py", "b.py", "größe/鍵 k.py", "new.py"]
    assert [(f.kind, f.size) for f in found][-1] == ("file", 9)


@behaviour("source", "SC-02", needs=lambda caps: caps.blame)
async def test_ignored_files_are_left_out_unless_tracked(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("kept.log", b"")
    tree.commit()
    tree.write(".gitignore", b"*.log\nbuild/\n")
    tree.write("lost.log", b"")
    tree.write("build/out.py", b"")
    assert list(await listed(store, tree)) == [".gitignore", "kept.log"]


@behaviour("source", "SC-03")
async def test_symlinks_are_named_and_not_followed(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("d/a.py", b"a")
    tree.link("to_file", "d/a.py")
    tree.link("to_folder", "d")
    tree.link("loop", "loop")
    tree.commit()
    expected = {"d/a.py": "file", "loop": "symlink", "to_file": "symlink", "to_folder": "symlink"}
    assert await listed(store, tree) == expected
    read = await contents(store, tree, "to_file", "loop", "d/a.py")
    assert read == [("to_file", None), ("loop", None), ("d/a.py", b"a")]


@behaviour("source", "SC-03", needs=lambda caps: caps.blame)
async def test_submodules_are_named_and_not_entered(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a.py", b"")
    head = tree.commit()
    tree.git("update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    Path(tree.root, "sub").mkdir()
    tree.git("commit", "-q", "-m", "sub")
    assert await listed(store, tree, revision="HEAD") == {"a.py": "file", "sub": "submodule"}
    assert await listed(store, tree) == {"a.py": "file", "sub": "submodule"}


@behaviour("source", "SC-04")
async def test_read_gives_exactly_the_bytes_in_the_order_asked(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    texts = {"a": b"", "b": bytes(range(256)) * 9, "c/d": b"\r\n\0\xff\r", "e": b"x" * 300_000}
    for path, data in texts.items():
        tree.write(path, data)
    order = ["e", "a", "c/d", "b", "a"]
    assert await contents(store, tree, *order) == [(path, texts[path]) for path in order]
    assert await contents(store, tree) == []


@behaviour("source", "SC-05")
async def test_what_cannot_be_given_comes_with_a_reason_and_stops_nothing(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a", b"12345")
    tree.write("big", b"123456")
    tree.write("d/x", b"1")
    blobs = [b async for b in store.read(tree.root, ["gone", "big", "d", "a"], max_bytes=5)]
    assert [(b.path, b.data) for b in blobs] == [("gone", None), ("big", None), ("d", None), ("a", b"12345")]
    assert all(b.reason for b in blobs[:3])
    assert blobs[3].reason == ""


@behaviour("source", "SC-04", "SC-07", needs=revisions)
async def test_a_revision_is_read_as_it_was(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a", b"old")
    tree.write("b", b"same")
    first = tree.commit()
    tree.write("a", b"new!")
    tree.delete("b")
    second = tree.commit()
    tree.write("a", b"dirty")
    assert await listed(store, tree, revision=first) == {"a": "file", "b": "file"}
    assert await listed(store, tree, revision="HEAD") == {"a": "file"}
    assert await contents(store, tree, "b", "a", revision=first) == [("b", b"same"), ("a", b"old")]
    assert await contents(store, tree, "a", "b", revision=second) == [("a", b"new!"), ("b", None)]
    found = await store.files(tree.root, revision=first)
    assert [(f.size, f.mtime_ns) for f in found] == [(3, 0), (4, 0)]
    assert found[0].blob_id == hashlib.sha1(b"blob 3\0old", usedforsecurity=False).hexdigest()
    with pytest.raises(NotFound):
        await store.files(tree.root, revision="0" * 40)


@behaviour("source", "SC-06", needs=revisions)
async def test_diff_names_every_change_by_path(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    for path in ("gone", "kept", "changed"):
        tree.write(path, path.encode() * 50)
    tree.write("d/old ü", b"moved content\n" * 20)
    first = tree.commit()
    tree.delete("gone")
    tree.delete("d/old ü")
    tree.write("changed", b"entirely different")
    tree.write("a/new 鍵", b"moved content\n" * 20)
    tree.write("added", b"unlike any other file")
    second = tree.commit()
    assert await store.diff(tree.root, first, second) == [
        Change("renamed", "a/new 鍵", "d/old ü"),
        Change("added", "added"),
        Change("modified", "changed"),
        Change("deleted", "gone"),
    ]
    assert await store.diff(tree.root, second, second) == []


@behaviour("source", "SC-10", needs=revisions)
async def test_a_name_resolves_to_the_commit_that_it_means_now(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a", b"old")
    first = tree.commit()
    assert await store.resolve(tree.root, "HEAD") == first
    tree.write("a", b"new")
    second = tree.commit()
    assert await store.resolve(tree.root, "HEAD") == second != first
    assert await store.resolve(tree.root, first) == first
    for unknown in ("0" * 40, "nowhere"):
        with pytest.raises(NotFound):
            await store.resolve(tree.root, unknown)


@behaviour("source", "SC-07", needs=lambda caps: not caps.revisions)
async def test_revisions_that_are_not_declared_are_refused(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    with pytest.raises(Unsupported):
        await store.resolve(tree.root, "HEAD")


@behaviour("source", "SC-11")
async def test_a_file_that_was_written_anew_is_listed_with_other_numbers(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a", b"old")
    tree.write("b", b"same")
    before = {file.path: file for file in await store.files(tree.root)}
    assert await store.files(tree.root) == [before["a"], before["b"]]
    time.sleep(0.02)
    tree.write("a", b"new")
    after = {file.path: file for file in await store.files(tree.root)}
    assert after["b"] == before["b"]
    assert after["a"] != before["a"]
    assert after["a"].mtime_ns or after["a"].ctime_ns or after["a"].inode


@behaviour("source", "SC-07", needs=lambda caps: caps.blame)
async def test_blame_names_the_commit_of_each_line(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a", b"one\ntwo\n")
    first = tree.commit()
    tree.write("a", b"one\n2\n")
    second = tree.commit()
    lines = await store.blame(tree.root, "a", revision="HEAD")
    assert [(line.line, line.commit) for line in lines] == [(1, first), (2, second)]
    assert all(line.author == "t@example.org" and line.time > 0 for line in lines)


@behaviour("source", "SC-07", needs=lambda caps: not caps.blame)
async def test_blame_that_is_not_declared_is_refused(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a", b"one\n")
    with pytest.raises(Unsupported):
        await store.blame(tree.root, "a")


@behaviour("source", "SC-08")
async def test_nothing_of_the_repository_is_executed(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    tree.write("a.txt", b"one\r\n")
    old = tree.commit()
    tree.write("a.txt", b"two\r\n")
    new = tree.commit()
    mark = case.folder / "executed"
    script = case.folder / "evil.sh"
    script.write_text(f"#!/bin/sh\necho ran >> '{mark}'\ncat\n")
    script.chmod(0o755)
    if tree.kind == "git":
        for setting in (
            "core.fsmonitor",
            "core.pager",
            "core.sshCommand",
            "diff.external",
            "diff.evil.command",
            "diff.evil.textconv",
            "filter.evil.clean",
            "filter.evil.smudge",
            "filter.evil.process",
        ):
            tree.git("config", setting, str(script))
        hooks = Path(tree.root, ".git/hooks")
        for hook in ("post-index-change", "post-checkout", "fsmonitor-watchman", "pre-commit"):
            (hooks / hook).write_text(script.read_text())
            (hooks / hook).chmod(0o755)
        Path(tree.root, ".git/info/attributes").write_text("* filter=evil diff=evil\n")
        Path(tree.root, "a.txt").write_bytes(b"changed\r\n")
    await store.describe(tree.root)
    await store.files(tree.root)
    assert len(await contents(store, tree, "a.txt")) == 1
    if case.capabilities.revisions:
        assert await contents(store, tree, "a.txt", revision=old) == [("a.txt", b"one\r\n")]
        await store.files(tree.root, revision=old)
        assert await store.diff(tree.root, old, new) == [Change("modified", "a.txt")]
    if case.capabilities.blame:
        await store.blame(tree.root, "a.txt")
        await store.blame(tree.root, "a.txt", revision=old)
    assert not mark.exists()


@behaviour("source", "SC-09")
async def test_a_name_that_is_not_utf8_is_listed_and_read_back(case: Case, store: Any) -> None:
    tree = Tree(case, store)
    names = ["a\\xff.py", "b\\x5cxff.py", "ü.py", "new\nline.py", 'q"uote.py', "tab\t.py"]
    for name in names:
        tree.write(name, name.encode())
    head = tree.commit()
    assert list(await listed(store, tree)) == sorted(names)
    assert await contents(store, tree, *names) == [(name, name.encode()) for name in names]
    if head:
        assert list(await listed(store, tree, revision=head)) == sorted(names)
        assert await contents(store, tree, *names, revision=head) == [(name, name.encode()) for name in names]


def test_every_clause_has_a_test() -> None:
    assert uncovered("source", sys.modules[__name__]) == []
