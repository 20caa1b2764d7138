"""Chunk scores for an index that ranks whole files only."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from codequay.adapters import memory
from codequay.app import App, SearchRequest
from codequay.kernel.settings import load_settings
from codequay.ports.chunks import Chunk, Definition, FileRef, PlacedChunk
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexicalCapabilities, RankHit, Term
from codequay.retrieval import rescoring
from codequay.retrieval.rescoring import Pool, rescored
from codequay.retrieval.signals import PathTable, Weights
from tests.retrieval.test_engine import search


def placed(path: str, *texts: str, defines: str = "") -> tuple[FileRef, list[PlacedChunk]]:
    """A file of these chunks; the first defines a name."""
    chunks = []
    for n, text in enumerate(texts):
        names = (Definition(defines, "function", n + 1),) if defines and not n else ()
        chunks.append(
            PlacedChunk("r", path, Chunk(f"{path}:{n}", "b", "python", 0, 1, n + 1, n + 1, text, definitions=names))
        )
    return FileRef("r", path), chunks


def rank(question: str, *files: tuple[FileRef, list[PlacedChunk]]) -> tuple[list[RankHit], list[RankHit]]:
    return rescored([Term(word) for word in question.split()], files, PathTable(Weights()))


def chunk_ids(question: str, *files: tuple[FileRef, list[PlacedChunk]]) -> list[str]:
    return [hit.chunk_id for hit in rank(question, *files)[0]]


@pytest.mark.parametrize(
    "text",
    [
        "session",
        "SESSION",
        "Sessions",
        "getSession",
        "get_session",
        "HTTPSession",
        "sessionId",
        "SESSION_ID",
        "x.session()",
    ],
)
def test_a_chunk_holds_a_word_also_as_a_part_of_one(text: str) -> None:
    assert chunk_ids("session", placed("a.py", text)) == ["a.py:0"]


@pytest.mark.parametrize("text", ["obsession", "Obsession", "assessions", "ses sion", ""])
def test_and_not_as_a_mere_substring(text: str) -> None:
    assert chunk_ids("session", placed("a.py", text)) == []


def test_a_word_in_a_script_without_cases_or_spaces() -> None:
    assert chunk_ids("日本", placed("a.py", "これは日本語です"), placed("b.py", "中国")) == ["a.py:0"]


def test_more_words_and_rarer_ones_come_first_and_ties_go_by_place() -> None:
    files = [placed("b.py", "open close", "open"), placed("a.py", "open", "open")]
    assert chunk_ids("open close", *files) == ["b.py:0", "a.py:0", "a.py:1", "b.py:1"]


def test_an_identifier_of_several_parts_counts_whole_as_well() -> None:
    files = [
        placed("a.py", "get the session of it all"),
        placed("b.py", "get_session x of it all"),
        placed("c.py", "a"),
    ]
    assert chunk_ids("getSession", *files) == ["b.py:0", "a.py:0"]


def test_a_files_name_folders_and_definitions_rank_it() -> None:
    files = [
        placed("a.py", "session"),
        placed("session.py", "x"),
        placed("session/b.py", "x"),
        placed("c.py", "x", defines="openSession"),
        placed("d.py", "x"),
    ]
    assert {hit.path for hit in rank("session", *files)[1]} == {"a.py", "session.py", "session/b.py", "c.py"}


def test_every_score_is_above_0_and_a_file_without_chunks_is_no_harm() -> None:
    chunks, files = rank("x", placed("a.py", "x"), placed("b.py"), placed("c.py", "x", "x"))
    assert all(hit.score > 0 for hit in (*chunks, *files))
    assert rank("x") == ([], [])


def test_a_pool_keeps_the_chunks_of_a_generation_and_of_no_other() -> None:
    pool, files = Pool(), dict([placed("a.py", "x"), placed("b.py", "y")])
    pool.keep(files, (ScopeEntry("r", 1), ScopeEntry("s", 1)))
    assert pool.known([*files, FileRef("s", "a.py")], (ScopeEntry("r", 1), ScopeEntry("s", 1))) == files
    assert pool.known(files, (ScopeEntry("r", 2),)) == {}


def test_a_pool_that_is_full_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescoring, "KEPT_CHARACTERS", 10)
    pool, scope = Pool(), (ScopeEntry("r", 1),)
    a, b, c = (dict([placed(name, text)]) for name, text in (("a", "123456"), ("b", "12345"), ("c", "x" * 11)))
    for files, kept in ((a, a), (b, b), (c, {})):
        pool.keep(files, scope)
        assert pool.known([*a, *b, *c], scope) == kept


@pytest.fixture
def files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory index, declaring that it ranks whole files only: it then refuses to rank chunks."""
    capabilities = memory.LEXICAL.capabilities
    assert isinstance(capabilities, LexicalCapabilities)
    monkeypatch.setattr(memory, "LEXICAL", replace(memory.LEXICAL, capabilities=replace(capabilities, units=("file",))))


@pytest.mark.usefixtures("files_only")
@pytest.mark.parametrize(
    ("query", "path", "line"),
    [
        ("token refused", "src/session.py", 3),
        ("connection reset", "src/net/retry.py", 2),
        ('"reset by peer"', "src/net/retry.py", 2),
        ("close_session", "src/session.py", 5),
        ("dial retry lang:go", "src/net/client.go", 3),
    ],
)
def test_a_search_over_an_index_of_whole_files_shows_the_chunk(
    tmp_path: Path, query: str, path: str, line: int
) -> None:
    (answer,) = search(tmp_path, SearchRequest(query, path=str(tmp_path)))
    assert (answer.hits[0].path, answer.hits[0].line) == (path, line)


@pytest.mark.usefixtures("files_only")
def test_a_search_sees_what_has_changed_since_the_last(tmp_path: Path) -> None:
    async def story() -> list[str]:
        settings = load_settings(profile="test", env={}, project=tmp_path, user=tmp_path / "nobody")
        found = []
        async with App(settings, overrides={"source": "folder"}).run() as quay:
            for text in ("first answer here", "an answer, moved", "an answer, moved"):
                (tmp_path / "a.txt").write_text(text)
                await quay.index(str(tmp_path))
                found += [hit.text for hit in (await quay.search(SearchRequest("answer", path=str(tmp_path)))).hits]
        return found

    assert asyncio.run(story()) == ["first answer here", "an answer, moved", "an answer, moved"]
