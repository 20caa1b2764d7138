"""Searches over the memory stores: what ranks first, what is required, what is filtered, how it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from codequay.app import App, SearchAnswer, SearchRequest
from codequay.kernel.settings import load_settings

FILES = {
    "src/session.py": (
        "class SessionStore:\n    def open_session(self):\n        return 'token refused'\n\n"
        "def close_session():\n    pass\n"
    ),
    "src/net/retry.py": "def retry(call):\n    # connection reset by peer\n    return call()\n",
    "src/net/client.go": "package net\n\nfunc Dial(addr string) error {\n\treturn retry(addr)\n}\n",
    "tests/test_session.py": "from src.session import SessionStore\n\ndef test_session():\n    assert SessionStore\n",
    "docs/notes.md": "# Notes\n\nConnection Reset is explained here.\n",
}


def search(folder: Path, *requests: SearchRequest, files: Mapping[str, str] = FILES) -> list[SearchAnswer]:
    """Index the files with the memory stores and answer."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)

    async def run() -> list[SearchAnswer]:
        settings = load_settings(profile="test", env={}, project=folder, user=folder / "nobody")
        async with App(settings, overrides={"source": "folder"}).run() as quay:
            await quay.index(str(folder))
            return [await quay.search(request) for request in requests]

    return asyncio.run(run())


def paths(folder: Path, query: str, *, path: str = "", literal: bool = False) -> list[str]:
    (answer,) = search(folder, SearchRequest(query, path=str(folder / path), literal=literal))
    return [hit.path for hit in answer.hits]


def test_words_rank_and_tests_come_after_what_they_test(tmp_path: Path) -> None:
    assert paths(tmp_path, "session store")[:2] == ["src/session.py", "tests/test_session.py"]


def test_the_definition_of_a_bare_name_comes_first_and_its_line_is_shown(tmp_path: Path) -> None:
    (answer,) = search(tmp_path, SearchRequest("close_session", path=str(tmp_path)))
    hit = answer.hits[0]
    assert (hit.path, hit.symbol, hit.line) == ("src/session.py", "close_session", 5)
    assert hit.signals["definition"] > 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"connection reset"', {"src/net/retry.py", "docs/notes.md"}),
        ('"connection reset" case:yes', {"src/net/retry.py"}),
        ('"connection reset" -explained', {"src/net/retry.py"}),
        ('"connection reset" -explain', {"src/net/retry.py", "docs/notes.md"}),
        ('"connection reset" -file:docs', {"src/net/retry.py"}),
        ('"connection reset" lang:python', {"src/net/retry.py"}),
        ('"connection reset" or sym:Dial', {"src/net/retry.py", "docs/notes.md", "src/net/client.go"}),
        ('("by peer" or "explained here")', {"src/net/retry.py", "docs/notes.md"}),
        ("sym:Dial", {"src/net/client.go"}),
        ("sym:SessionStore", {"src/session.py"}),
        ("retry file:net -lang:go", {"src/net/retry.py"}),
        ("lang:go", {"src/net/client.go"}),
        ("Retry lang:python", {"src/net/retry.py"}),
        ("retry repo:nowhere", set()),
        ('"no such text anywhere"', set()),
    ],
)
def test_what_is_required_and_excluded(tmp_path: Path, query: str, expected: set[str]) -> None:
    assert set(paths(tmp_path, query)) == expected


def test_a_phrase_is_found_even_where_ranking_sees_no_word(tmp_path: Path) -> None:
    assert paths(tmp_path, '"(self):"') == ["src/session.py"]


def test_a_hit_shows_the_chunk_that_holds_the_phrase(tmp_path: Path) -> None:
    long = "".join(f"def helper_{i}(x):\n    return x + {i}  # padding to fill the chunk\n\n" for i in range(80))
    files = {"a.py": long + "def last():\n    return 'needle in hay'\n"}
    (answer,) = search(tmp_path, SearchRequest('"needle in hay" helper', path=str(tmp_path)), files=files)
    assert "needle in hay" in answer.hits[0].text
    assert answer.hits[0].start_line > 1


def test_a_search_below_a_folder_stays_there(tmp_path: Path) -> None:
    assert set(paths(tmp_path, "retry session", path="src/net")) == {"src/net/retry.py", "src/net/client.go"}


def test_literal_text_has_no_syntax(tmp_path: Path) -> None:
    assert "src/net/client.go" in paths(tmp_path, "retry -addr", literal=True)


def test_a_pasted_traceback_finds_its_file(tmp_path: Path) -> None:
    pasted = 'Traceback (most recent call last):\n  File "session.py", line 2, in open_session\nError: token refused'
    assert paths(tmp_path, pasted)[0] == "src/session.py"


def test_the_same_query_gives_the_same_answer(tmp_path: Path) -> None:
    request = SearchRequest("session retry", path=str(tmp_path))
    first, second = search(tmp_path, request, request)
    assert first.hits == second.hits


def test_units(tmp_path: Path) -> None:
    files = {"a.py": "".join(f"def alpha_{i}():\n    return beta  # {'x' * 80}\n\n" for i in range(60))}
    by_file, by_chunk, by_symbol = search(
        tmp_path, *(SearchRequest("beta", path=str(tmp_path), unit=u) for u in ("file", "chunk", "symbol")), files=files
    )
    assert len(by_file.hits) == 1
    assert by_file.hits[0].also
    assert len(by_chunk.hits) > 1
    assert [h.score for h in by_chunk.hits] == sorted((h.score for h in by_chunk.hits), reverse=True)
    assert all(h.symbol for h in by_symbol.hits)


def test_the_envelope_says_what_it_rests_on(tmp_path: Path) -> None:
    (answer,) = search(tmp_path, SearchRequest("session", path=str(tmp_path), limit=1))
    assert answer.schema == "codequay.search/1"
    assert answer.truncated
    assert answer.coverage["lexical"].files["indexed"] == len(FILES)
    assert answer.freshness[0].generation == 1
    assert answer.timing_ms["total"] > 0
