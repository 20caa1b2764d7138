"""Later runs whose manifest is missing, damaged or of another generation: slower, and right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codequay.indexing import manifest
from codequay.ports.errors import NotIndexed
from tests.contexts import run
from tests.indexing.runs import REAL, both, rebuilt
from tests.indexing.trees import tree
from tests.indexing.world import world


def _damaged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        _damaged,
        lambda file: file.write_bytes(file.read_bytes()[:200]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"nonsense"),
    ],
    ids=["missing", "damaged", "half", "empty", "nonsense"],
)
def test_without_its_manifest_a_run_is_slower_and_right(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta", c=b"\0", d="delta")

    async def check() -> None:
        async with world(root, tmp_path / "data", **REAL) as w:
            await w.index()
            (file,) = manifest.files(w.data)
            spoil(file)
            tree(root, a="omega")
            (root / "d").unlink()
            changes = await w.compare()
            assert (changes.exact, changes.changed) == (False, ("a", "b", "c"))
            with pytest.raises(NotIndexed, match="made from"):
                await w.index(changes=changes, fill_cold=False)
            report = await w.index()
            assert report.blobs == {"chunks": 1, "lexical": 1}
            assert await w.content() == await rebuilt(root, tmp_path / "again", REAL)
            assert (await w.compare()).exact

    run(check())


def test_a_manifest_of_another_generation_only_saves_reading(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            (file,) = manifest.files(w.data)
            kept = file.read_bytes()
            tree(root, a="omega")
            await w.index()
            file.write_bytes(kept)
            assert not (await w.compare()).exact
            tree(root, b="psi")
            await w.index()
            assert await w.content() == await rebuilt(root, tmp_path / "again")

    run(check())


@both
def test_a_new_metadata_store_counts_anew_and_believes_no_manifest(tmp_path: Path, stores: dict[str, str]) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "one", **stores) as w, world(root, tmp_path / "two", **stores) as other:
            await other.index()
            tree(root, a="omega")
            await w.index()
            w.metadata = other.metadata
            assert not (await w.compare()).exact
            await w.index()
            assert await w.content() == await rebuilt(root, tmp_path / "again", stores)

    run(check())


def test_a_crash_between_flip_and_manifest_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "t", a="alpha", b="beta")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            await w.index()
            tree(root, a="omega")
            with monkeypatch.context() as patch:
                patch.setattr(manifest, "install", lambda *_: None)
                await w.index()
            changes = await w.compare()
            assert (changes.exact, len(changes)) == (True, 0)

    run(check())


def test_a_manifest_that_cannot_be_written_is_noted(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", a="alpha")

    async def check() -> None:
        async with world(root, tmp_path / "data") as w:
            tree(w.data, manifests="in the way")
            report = await w.index()
            assert "the manifest could not be written" in report.notes[0]
            assert await w.paths() == ["a"]

    run(check())
