"""The folder source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codequay.ports.errors import NotFound
from tests.adapters.git.repos import blobs, folder_source
from tests.contexts import run


def test_files_are_listed_by_path_without_what_was_built_or_fetched(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name in ("b/x.py", "a.py", "node_modules/n.js", ".codequay/db", "b/__pycache__/c", os.fsdecode(b"b/\xff")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name.encode("utf-8", "replace").decode())
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")

    async def check() -> None:
        async with folder_source(tmp_path / "data") as source:
            found = await source.describe(str(root / "b" / "x.py"))
            assert (found.root, found.kind) == (str(root), "folder")
            files = await source.files(str(root))
            assert [(file.path, file.kind) for file in files] == [
                ("a.py", "file"),
                ("b/\\xff", "file"),
                ("b/x.py", "file"),
                ("loop", "symlink"),
            ]
            got = await blobs(source, root, "b/x.py", "none", "pipe", "loop/a.py", "a.py", max_bytes=4)
            assert [blob.reason for blob in got] == ["too_large", "vanished", "not_a_file", "vanished", ""]
            with pytest.raises(NotFound):
                await source.describe(str(tmp_path / "none"))

    run(check())


def test_a_large_tree_is_read_in_the_order_asked(tmp_path: Path) -> None:
    names = [f"{n:03}" for n in range(200)]
    for name in names:
        (tmp_path / name).write_text(name)

    async def check() -> None:
        async with folder_source(tmp_path / "data") as source:
            got = await blobs(source, tmp_path, *reversed(names))
            assert [blob.data for blob in got] == [name.encode() for name in reversed(names)]

    run(check())
