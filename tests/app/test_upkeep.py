"""Upkeep through the library, over adapters that keep everything in the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from codequay.app import App, GcRequest, RemoveRequest, SearchRequest, StatusRequest
from codequay.kernel.settings import load_settings
from codequay.ports.errors import InvalidArgument, NotIndexed
from tests.contexts import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "notes"
    place.mkdir()
    (place / "todo.md").write_text("# Remember\n\nwater the ficus tree\n")
    return place


def test_an_index_in_memory_is_kept_like_any_other(folder: Path, tmp_path: Path) -> None:
    settings = load_settings(profile="test", env={}, project=folder, user=tmp_path)

    async def main() -> None:
        async with App(settings).run() as quay:
            place = str(folder)
            await quay.index(place)
            (repo,) = (await quay.repos(place)).repos
            assert [one.snapshot for one in repo.snapshots] == ["worktree"] and repo.root == place
            doctor = await quay.doctor(place)
            assert doctor.verdict == "ok", doctor
            (folder / "more.md").write_text("buy milk\n")
            status = await quay.status(StatusRequest(place, pending=True))
            assert [(file.path, file.state) for file in status.files] == [("more.md", "changed")]
            await quay.index(place)
            assert (await quay.gc(place)).repos == ()
            assert [one.state for one in (await quay.runs(place)).runs] == ["ok", "ok"]
            await quay.remove(RemoveRequest(repo.repo, place))
            assert (await quay.gc(GcRequest(place, dry_run=True))).repos[0].purged
            assert (await quay.gc(place)).repos[0].generations == (1, 2)
            assert (await quay.repos(place)).repos == ()
            await quay.index(place)
            assert [hit.path for hit in (await quay.search(SearchRequest("milk", place))).hits] == ["more.md"]

    run(main())


def test_a_readonly_library_changes_nothing(folder: Path) -> None:
    async def main() -> None:
        async with App(load_settings(env={}, project=folder)).run() as quay:
            await quay.index(str(folder))
        async with App(load_settings(env={}, project=folder)).run(readonly=True) as quay:
            assert (await quay.gc(GcRequest(str(folder), dry_run=True))).repos == ()
            with pytest.raises(InvalidArgument, match="readonly"):
                await quay.gc(str(folder))
            with pytest.raises(InvalidArgument, match="readonly"):
                await quay.remove(RemoveRequest(str(folder), str(folder)))

    run(main())


def test_upkeep_of_nothing_says_so(folder: Path) -> None:
    async def main() -> None:
        async with App(load_settings(env={}, project=folder)).run() as quay:
            for ask in (quay.repos, quay.gc, quay.runs, quay.status):
                with pytest.raises(NotIndexed, match="no index"):
                    await ask(str(folder))  # type: ignore[operator]
            assert (await quay.doctor(str(folder))).verdict == "incomplete"

    run(main())
    assert [file.name for file in folder.iterdir()] == ["todo.md"]
