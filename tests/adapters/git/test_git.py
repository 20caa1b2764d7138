"""The git source against real repositories."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from codequay.adapters.git.errors import GitError, classify
from codequay.adapters.git.origin import normal_origin
from codequay.adapters.git.process import Git, child_environment
from codequay.ports.errors import NotFound, PermissionDenied, Unavailable
from codequay.ports.source import Change
from tests.adapters.git.repos import blobs, commit, git, git_source, init
from tests.contexts import run


def test_describe_finds_the_root_head_branch_and_origin(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "f.py").write_text("x = 1\n")
    head = commit(root)
    git(root, "remote", "add", "origin", "https://me:secret@Example.org/team/thing.git")

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            for path in (root, root / "a" / "b", root / "a" / "b" / "f.py"):
                found = await source.describe(str(path))
                assert (found.root, found.main_root) == (str(root), str(root))
                assert (found.head, found.branch, found.origin) == (head, "main", "example.org/team/thing")
            with pytest.raises(NotFound, match="not in a git repository"):
                await source.describe(str(tmp_path))
            with pytest.raises(NotFound, match="no such file"):
                await source.describe(str(tmp_path / "none"))

    run(check())


def test_a_folder_with_a_line_break_in_its_name_is_described(tmp_path: Path) -> None:
    root = init(tmp_path / "re\npo")
    head = commit(root)

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            found = await source.describe(str(root))
            assert (found.root, found.main_root, found.head) == (str(root), str(root), head)

    run(check())


def test_a_repository_of_sha256_objects_gives_no_ids_that_are_not_ours(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "--object-format=sha256")
    (root / "a").write_text("text")
    head = commit(root)

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            (file,) = await source.files(str(root), revision=head)
            assert (file.path, file.blob_id, file.size) == ("a", "", 4)
            assert (await blobs(source, root, "a", revision=head))[0].data == b"text"
            assert await source.resolve(str(root), "HEAD") == head

    run(check())


def test_an_empty_repository_and_a_linked_worktree_are_described(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            found = await source.describe(str(root))
            assert (found.head, found.branch) == ("", "main")
            assert await source.files(str(root)) == []
            commit(root)
            git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
            linked = await source.describe(str(tmp_path / "linked"))
            assert (linked.root, linked.main_root, linked.branch) == (str(tmp_path / "linked"), str(root), "")

    run(check())


def test_files_are_those_git_would_track(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    inner = init(tmp_path / "inner")
    (inner / "x").write_text("x")
    commit(inner)
    for name in ("tracked", "deleted", "run.sh"):
        (root / name).write_text(name)
    (root / "run.sh").chmod(0o755)
    (root / ".gitignore").write_text("*.log\n")
    (root / "link").symlink_to("/etc/passwd")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    commit(root)
    (root / "deleted").unlink()
    (root / "new").write_text("new")
    (root / "x.log").write_text("")
    (root / ".codequay").mkdir()
    (root / ".codequay" / "codequay.db").write_text("")
    git(root, "add", "-f", ".codequay")

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            files = await source.files(str(root))
            kinds = {file.path: file.kind for file in files}
            assert list(kinds) == sorted(kinds)
            assert kinds == {
                ".gitignore": "file",
                ".gitmodules": "file",
                "link": "symlink",
                "new": "file",
                "run.sh": "file",
                "sub": "submodule",
                "tracked": "file",
            }
            assert {file.path: file.mode for file in files}["run.sh"] == 0o100755
            got = await blobs(source, root, "tracked", "deleted", "link", "sub", "new")
            assert [blob.data for blob in got] == [b"tracked", None, None, None, b"new"]
            assert [blob.reason for blob in got[1:4]] == ["vanished", "symlink", "not_a_file"]

    run(check())


def test_a_folder_replaced_by_a_symlink_is_not_followed(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    (root / "d").mkdir()
    (root / "d" / "f").write_text("mine")
    commit(root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (root / "d" / "f").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to(outside)

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            assert {file.path: file.kind for file in await source.files(str(root))} == {"d": "symlink"}
            assert (await blobs(source, root, "d/f"))[0].data is None

    run(check())


def test_a_revision_is_listed_read_and_compared(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    (root / "keep").write_text("one\n" * 20)
    (root / "gone").write_text("gone")
    old = commit(root)
    git(root, "mv", "keep", "moved")
    (root / "gone").unlink()
    (root / "new\nline").write_text("odd")
    new = commit(root)

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            assert [file.path for file in await source.files(str(root), revision=old)] == ["gone", "keep"]
            got = await blobs(source, root, "keep", "new\nline", "gone", revision="HEAD~1", max_bytes=10)
            assert [(blob.data, blob.reason) for blob in got] == [
                (None, "too_large"),
                (None, "vanished"),
                (b"gone", ""),
            ]
            assert (await blobs(source, root, "new\nline", revision=new))[0].data == b"odd"
            assert await source.diff(str(root), old, new) == [
                Change("deleted", "gone"),
                Change("renamed", "moved", "keep"),
                Change("added", "new\nline"),
            ]
            lines = await source.blame(str(root), "moved")
            assert [(line.line, line.author) for line in lines] == [(n, "Ada") for n in range(1, 21)]
            for call in (source.files(str(root), revision="none"), source.diff(str(root), "none", new)):
                with pytest.raises(NotFound, match="no such revision"):
                    await call

    run(check())


def test_a_name_that_is_not_utf8_is_listed_and_read(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    (root / os.fsdecode(b"caf\xe9")).write_text("latin")
    commit(root)

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            for revision in (None, "HEAD"):
                (file,) = await source.files(str(root), revision=revision)
                assert file.path == "caf\\xe9"
                assert (await blobs(source, root, file.path, revision=revision))[0].data == b"latin"

    run(check())


def test_nothing_of_the_repository_is_executed(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    (root / "f").write_text("one\n")
    (root / ".gitattributes").write_text("* filter=evil diff=evil\n")
    old = commit(root)
    (root / "f").write_text("two\n")
    commit(root)
    mark = tmp_path / "ran"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    evil.chmod(0o755)
    for key in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "filter.evil.clean", "filter.evil.smudge",
        "filter.evil.process", "diff.evil.textconv", "diff.evil.command", "core.editor", "core.askPass", "pager.blame",
    ):  # fmt: skip
        git(root, "config", key, str(evil))
    git(root, "config", "core.hooksPath", str(root / "hooks"))
    (root / "hooks").mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout", "reference-transaction"):
        (root / "hooks" / hook).write_text(evil.read_text())
        (root / "hooks" / hook).chmod(0o755)
    (root / "f").write_text("three\n")

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            await source.describe(str(root))
            await source.files(str(root))
            await source.files(str(root), revision="HEAD")
            await blobs(source, root, "f")
            await blobs(source, root, "f", revision="HEAD")
            await source.diff(str(root), old, "HEAD")
            await source.blame(str(root), "f")

    run(check())
    assert not mark.exists()


def test_a_working_tree_configured_elsewhere_is_refused(tmp_path: Path) -> None:
    root = init(tmp_path / "repo")
    (tmp_path / "private").mkdir()
    git(root, "config", "core.worktree", str(tmp_path / "private"))

    async def check() -> None:
        async with git_source(tmp_path / "data") as source:
            with pytest.raises(PermissionDenied, match="elsewhere"):
                await source.describe(str(root))

    run(check())


def test_the_callers_git_variables_do_not_reach_the_child() -> None:
    env = child_environment(
        {"GIT_DIR": "/x", "GIT_CONFIG_PARAMETERS": "'a'='b'", "GIT_CONFIG_GLOBAL": "/g", "PATH": "/bin"}
    )
    assert "GIT_DIR" not in env
    assert "GIT_CONFIG_PARAMETERS" not in env
    assert (env["GIT_CONFIG_GLOBAL"], env["PATH"], env["GIT_TERMINAL_PROMPT"]) == ("/g", "/bin", "0")


def test_a_refused_owner_comes_with_gits_own_remedy() -> None:
    said = (
        "fatal: detected dubious ownership in repository at '/srv/r'\nTo add an exception for this directory, call:\n\n"
        "\tgit config --global --add safe.directory /srv/r\n"
    )
    verdict = classify(GitError("rev-parse", 128, said))
    assert verdict is not None
    assert verdict.error is PermissionDenied
    assert verdict.remedy == "git config --global --add safe.directory /srv/r"


def test_a_missing_git_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no-such-git") as caught:
        run(Git("no-such-git").run(str(tmp_path), "version"))
    verdict = classify(caught.value)
    assert verdict is not None
    assert verdict.error is Unavailable


def test_cancellation_ends_the_child(tmp_path: Path) -> None:
    async def check() -> None:
        started: list[asyncio.subprocess.Process] = []

        async def wait() -> None:
            async with Git("git").start(str(init(tmp_path / "r")), ("cat-file", "--batch")) as process:
                started.append(process)
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        while not started:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert started[0].returncode is not None

    run(check())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:pw@Host.org/a/b.git", "host.org/a/b"),
        ("git@host.org:a/b.git", "host.org/a/b"),
        ("ssh://git@host.org:22/a/b/", "host.org/a/b"),
        ("ssh://git@host.org:2222/a/b", "host.org:2222/a/b"),
        ("https://host.org/a/b?token=x#y", "host.org/a/b"),
        ("/srv/git/a.git", ""),
        ("file:///srv/a", ""),
        ("../a", ""),
        ("ext::sh -c evil", ""),
        ("C:\\work\\a", ""),
        ("", ""),
    ],
)
def test_an_origin_is_host_and_path_without_credentials(url: str, name: str) -> None:
    assert normal_origin(url) == name
