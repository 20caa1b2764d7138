"""The library keeps its answers fresh: many questions at once, a library that may not write, text that moved."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import codequay
from codequay.app import Quay, ReposRequest, RunsRequest, anchoring
from codequay.app.anchoring import line_of
from codequay.ports.errors import InvalidArgument

from .test_library import ask, git, repo

__all__ = ["repo"]

LONG_AGO = 1_500_000_000


def request(query: str, place: Path, **options: Any) -> codequay.SearchRequest:
    return codequay.SearchRequest(query, path=str(place), **options)


def readonly(work: Callable[[Quay], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        settings = codequay.load_settings(env={}, project=Path("/"), user=Path("/nowhere"))
        async with codequay.App(settings).run(readonly=True) as quay:
            return await work(quay)

    return asyncio.run(run())


def test_questions_at_once_refresh_once(repo: Path) -> None:
    async def story(quay: Quay) -> None:
        await quay.index(str(repo))
        (repo / "src" / "added.py").write_text("def quite_new_name():\n    pass\n")
        answers = await asyncio.gather(*(quay.search(request("quite_new_name", repo)) for _ in range(8)))
        assert {answer.hits[0].path for answer in answers} == {"src/added.py"}
        assert {answer.freshness[0].generation for answer in answers} == {2}
        runs = (await quay.runs(RunsRequest(str(repo)))).runs
        assert {one.state for one in runs} == {"ok"}
        assert sum(one.kind == "refresh" and one.changed_files == 1 for one in runs) == 1

    ask(story)


def test_another_library_sees_what_a_search_has_indexed(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    (repo / "src" / "added.py").write_text("def quite_new_name():\n    pass\n")
    for generation in (2, 2):
        answer = ask(lambda quay: quay.search(request("quite_new_name", repo)))
        assert ([hit.path for hit in answer.hits], answer.freshness[0].generation) == (["src/added.py"], generation)


def test_a_library_opened_readonly_answers_and_marks(repo: Path) -> None:
    ask(lambda quay: quay.index(str(repo)))
    same = readonly(lambda quay: quay.search(request("retry", repo)))
    assert same.coverage["lexical"].state == "complete" and not any(hit.stale for hit in same.hits)
    (repo / "src" / "retry.py").write_text("def other():\n    pass\n")
    answer = readonly(lambda quay: quay.search(request("retry", repo)))
    marks = {hit.path: hit.stale for hit in answer.hits}
    assert marks["src/retry.py"] is True and marks["README.md"] is False
    assert answer.coverage["lexical"].state == "partial" and answer.freshness[0].pending == 1
    assert "readonly" in answer.notes[0]


def test_a_kept_text_is_not_believed_after_a_write(repo: Path) -> None:
    async def story(quay: Quay) -> None:
        await quay.index(str(repo))
        file = repo / "src" / "retry.py"
        os.utime(file, (LONG_AGO, LONG_AGO))

        async def stale() -> bool | None:
            hits = (await quay.search(request("retry", repo, refresh="never"))).hits
            return next(hit.stale for hit in hits if hit.path == "src/retry.py")

        assert [await stale(), await stale()] == [False, False]
        text = file.read_text()
        file.write_text(text.replace("call", "hull"))
        os.utime(file, (LONG_AGO, LONG_AGO))
        assert await stale() is True
        file.write_text(text)
        assert await stale() is False

    ask(story)


def test_a_file_as_it_was_indexed_needs_no_text_until_somebody_asks_for_it(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchoring, "SETTLED_NS", -(10**12))

    async def story(quay: Quay) -> None:
        await quay.index(str(repo))
        file = repo / "src" / "retry.py"
        text = file.read_text()

        async def found() -> tuple[int, bool | None]:
            hits = (await quay.search(request("retry", repo, refresh="never"))).hits
            return next((hit.start_line, hit.stale) for hit in hits if hit.path == "src/retry.py")

        async def shown() -> tuple[str, bool | None]:
            answer = await quay.show(codequay.ShowRequest(str(file), refresh="never"))
            return answer.text, answer.stale

        assert [await found(), await found()] == [(1, False), (1, False)]
        assert [await shown(), await found()] == [(text, False), (1, False)]
        file.write_text("# one line more\n" + text)
        assert [await found(), await shown(), await found()] == [(2, False), (text, True), (2, False)]
        file.write_text(text)
        assert [await found(), await shown()] == [(1, False), (text, False)]
        file.unlink()
        assert await found() == (1, True)

    ask(story)


def test_several_repositories_of_one_index_are_each_refreshed(repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "depot"
    other.mkdir()
    (other / "a.py").write_text("def elsewhere():\n    pass\n")
    git(other, "init", "-q")
    data = tmp_path / "index"

    async def story(quay: Quay) -> None:
        for place in (repo, other):
            await quay.index(str(place))
            (place / "late.py").write_text("def came_later():\n    pass\n")
        answer = await quay.search(request("sym:came_later", tmp_path))
        assert [hit.path for hit in answer.hits] == ["late.py", "late.py"]
        assert {one.pending for one in answer.freshness} == {0}
        (one, _) = (await quay.repos(ReposRequest(str(repo)))).repos
        (other / "later.py").write_text("def came_later():\n    pass\n")
        answer = await quay.search(request(f"repo:{one.repo} came_later", tmp_path))
        assert {hit.repo for hit in answer.hits} == {one.repo}, "what repo: leaves out is not looked at"

    ask(story, data=data)


@pytest.mark.parametrize("mode", ["often", "", None])
def test_an_unknown_mode_is_refused(repo: Path, mode: Any) -> None:
    async def story(quay: Quay) -> None:
        with pytest.raises(InvalidArgument, match="refresh"):
            await quay.search(request("x", repo, refresh=mode))
        with pytest.raises(InvalidArgument, match="refresh"):
            await quay.show(codequay.ShowRequest(str(repo / "README.md"), refresh=mode))

    ask(story)


@pytest.mark.parametrize(
    ("text", "part", "near", "line"),
    [
        ("a\nb\nc\n", "b\n", 1, 2),
        ("a\nb\nc\n", "d\n", 1, None),
        ("a\nb\nc\n", "", 1, None),
        ("x\n" * 10, "x\n", 7, 7),
        ("b\na\na\na\nb\n", "b\n", 4, 5),
        ("xb\nb\n", "b\n", 1, 2),
        ("abc", "bc", 1, 1),
    ],
)
def test_the_line_at_which_a_text_is(text: str, part: str, near: int, line: int | None) -> None:
    assert line_of(text, part, near=near) == line
