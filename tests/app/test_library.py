"""The library story over a real git repository: index, search, show, status; swap a store; refuse what is not ours."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import codequay
from codequay.app import Quay
from codequay.ports.errors import InvalidArgument, NotFound, NotIndexed, PermissionDenied

SESSION = "class SessionStore:\n    def open_session(self):\n        return 'token refused'\n"
RETRY = "def retry(call):\n    # connection reset by peer\n    return call()\n"


def git(folder: Path, *args: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    top = tmp_path / "shop"
    (top / "src").mkdir(parents=True)
    (top / "src" / "session.py").write_text(SESSION)
    (top / "src" / "retry.py").write_text(RETRY)
    (top / "README.md").write_text("# Shop\n\nSessions and retries.\n")
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    return top


def ask(work: Callable[[Quay], Awaitable[Any]], *, sets: tuple[str, ...] = (), **options: Any) -> Any:
    """Run one piece of work over the embedded stores."""

    async def run() -> Any:
        settings = codequay.load_settings(env={}, sets=sets, project=Path("/"), user=Path("/nowhere"))
        async with codequay.App(settings, **options).run() as quay:
            return await work(quay)

    return asyncio.run(run())


def test_the_library_story(repo: Path) -> None:
    async def story(quay: Quay) -> None:
        report = await quay.index(str(repo))
        assert (report.files, report.skipped, report.data) == (3, {}, str(repo / ".codequay"))
        answer = await quay.search(codequay.SearchRequest("session store", path=str(repo)))
        assert answer.hits[0].path == "src/session.py"
        assert answer.freshness[0].repo == report.repo

    ask(story)


def test_another_process_finds_what_was_indexed(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    answer = ask(lambda quay: quay.search(codequay.SearchRequest('"connection reset"', path=str(repo / "src"))))
    assert [hit.path for hit in answer.hits] == ["src/retry.py"]


def test_a_search_sees_a_new_generation_at_once(repo: Path) -> None:
    async def story(quay: Quay) -> None:
        await quay.index(str(repo))
        (repo / "src" / "added.py").write_text("def quite_new_name():\n    pass\n")
        assert (await quay.index(str(repo))).generation == 2
        answer = await quay.search(codequay.SearchRequest("quite_new_name", path=str(repo)))
        assert [hit.path for hit in answer.hits] == ["src/added.py"]
        (repo / "src" / "added.py").unlink()
        await quay.index(str(repo))
        answer = await quay.search(codequay.SearchRequest("quite_new_name", path=str(repo)))
        assert answer.hits == ()

    ask(story)


def test_searches_run_side_by_side(repo: Path) -> None:
    async def story(quay: Quay) -> None:
        await quay.index(str(repo))
        requests = [codequay.SearchRequest(q, path=str(repo)) for q in ("session", "retry", "SessionStore")] * 5
        answers = await asyncio.gather(*(quay.search(request) for request in requests))
        assert [a.hits for a in answers[:3]] == [a.hits for a in answers[3:6]]

    ask(story)


def test_show_gives_a_file_or_the_chunk_of_a_line(repo: Path) -> None:
    async def story(quay: Quay) -> None:
        await quay.index(str(repo))
        whole = await quay.show(str(repo / "src" / "retry.py"))
        assert (whole.text, whole.path, whole.start_line) == (RETRY, "src/retry.py", 1)
        at = await quay.show(codequay.ShowRequest(str(repo / "src" / "session.py"), line=2))
        assert "open_session" in at.text
        with pytest.raises(NotFound, match="no line 999"):
            await quay.show(codequay.ShowRequest(str(repo / "src" / "session.py"), line=999))
        (repo / "late.py").write_text("x = 1\n")
        with pytest.raises(NotFound, match="no file"):
            await quay.show(codequay.ShowRequest(str(repo / "late.py"), refresh="never"))
        assert (await quay.show(str(repo / "late.py"))).text == "x = 1\n"

    ask(story)


def test_status_names_generation_and_stores(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    status = ask(lambda quay: quay.status(str(repo)))
    (one,) = status.repos
    assert (one.files, one.generation, one.cold) == (3, 1, ())
    assert one.stores == {"chunks": "sqlite", "lexical": "tantivy"}
    assert status.data == str(repo / ".codequay")


def test_head_is_asked_when_wanted(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    answer = ask(lambda quay: quay.search(codequay.SearchRequest("retry", path=str(repo), check_head=True)))
    assert answer.freshness[0].head not in (None, answer.freshness[0].indexed_revision)


def test_a_place_without_an_index_names_the_remedy_and_stays_as_it_is(repo: Path) -> None:
    with pytest.raises(NotIndexed, match="has no index") as failed:
        ask(lambda quay: quay.search(codequay.SearchRequest("x", path=str(repo))))
    assert failed.value.remedy == f"codequay index {repo}"
    assert not (repo / ".codequay").exists()


@pytest.mark.parametrize("swap", ["ports.lexical=memory", "ports.chunks=memory"])
def test_a_swapped_store_is_cold_and_never_empty(repo: Path, swap: str) -> None:
    ask(lambda quay: quay.index(str(repo)))
    with pytest.raises(NotIndexed) as failed:
        ask(lambda quay: quay.search(codequay.SearchRequest("retry", path=str(repo))), sets=(swap,))
    assert "codequay index" in failed.value.remedy
    answer = ask(lambda quay: quay.search(codequay.SearchRequest("retry", path=str(repo))))
    assert answer.hits, "flipping back needs nothing"


@pytest.mark.parametrize("overrides", [{}, {"lexical": "memory"}, {"chunks": "memory", "lexical": "memory"}])
def test_every_store_gives_the_same_files(repo: Path, overrides: dict[str, str]) -> None:
    async def story(quay: Quay) -> list[str]:
        await quay.index(str(repo))
        return [hit.path for hit in (await quay.search(codequay.SearchRequest("retry", path=str(repo)))).hits]

    assert ask(story, overrides=overrides)[0] == "src/retry.py"


def test_a_folder_without_git_is_indexed_where_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(RETRY)

    async def story(quay: Quay) -> None:
        report = await quay.index(str(tmp_path))
        assert report.data == str(tmp_path / ".codequay")
        answer = await quay.search(codequay.SearchRequest("retry", path=str(tmp_path)))
        assert [hit.path for hit in answer.hits] == ["a.py"]
        assert (await quay.index(str(tmp_path))).repo == report.repo

    ask(story)


def test_a_linked_worktree_shares_the_index_of_the_main_one(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    git(repo, "worktree", "add", "-q", str(repo.parent / "linked"))
    place = repo.parent / "linked" / "src"
    answer = ask(lambda quay: quay.search(codequay.SearchRequest("retry session", path=str(place))))
    assert {hit.path for hit in answer.hits} == {"src/retry.py", "src/session.py"}


def test_an_index_moves_with_its_checkout(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    moved = repo.rename(repo.parent / "moved")
    answer = ask(lambda quay: quay.search(codequay.SearchRequest("retry", path=str(moved / "src"))))
    assert [hit.path for hit in answer.hits] == ["src/retry.py"]


def test_data_may_lie_elsewhere(repo: Path, tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    ask(lambda quay: quay.index(str(repo)), data=data)
    assert not (repo / ".codequay").exists()
    answer = ask(lambda quay: quay.search(codequay.SearchRequest("retry", path=str(repo / "src"))), data=data)
    assert [hit.path for hit in answer.hits] == ["src/retry.py"]


def test_an_index_that_is_a_symlink_is_refused(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (repo / ".codequay").symlink_to(tmp_path / "other")
    with pytest.raises(PermissionDenied, match="symbolic link"):
        ask(lambda quay: quay.search(codequay.SearchRequest("x", path=str(repo))))


def test_an_index_that_git_tracks_is_refused(repo: Path) -> None:
    (repo / ".codequay").mkdir()
    (repo / ".codequay" / "codequay.db").write_text("planted")
    git(repo, "add", "-f", ".codequay")
    with pytest.raises(PermissionDenied, match="tracked by git"):
        ask(lambda quay: quay.search(codequay.SearchRequest("x", path=str(repo))))


@pytest.mark.parametrize("request_", [{"limit": 0}, {"limit": 10**6}, {"unit": "page"}])
def test_a_request_out_of_range_is_refused(repo: Path, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        ask(lambda quay: quay.search(codequay.SearchRequest("x", path=str(repo), **request_)))
