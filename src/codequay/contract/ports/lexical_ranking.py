"""The clauses of the port ``lexical`` about what ranks, and in what order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import PORT, LexSpan, Term

from ..case import Case
from ..clauses import Suite
from .lexical_files import chunks, file, fill, paths
from .staging import A, B

RANKING = Suite(PORT)


@RANKING.trial("LX-02")
async def rank_gives_what_holds_a_term_best_first_and_at_most_k(store: Any) -> None:
    filler = " ".join(f"filler{c}" for c in "abcdefgh")
    scope = await fill(
        store,
        file("both", f"needle {filler} thread", language="go"),
        file("one", f"needle {filler} other"),
        file("two", f"thread {filler} other other other other"),
        file("none", f"other {filler}"),
    )
    terms = [Term("needle"), Term("thread")]
    hits = await store.rank(terms, scope=scope, unit="file", k=10)
    assert sorted(hit.path for hit in hits) == ["both", "one", "two"]
    assert hits[0].path == "both"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 < hit.score < float("inf") for hit in hits)
    places = {(h.repo_id, h.path, h.language, h.chunk_id, h.start_line, h.end_line) for h in hits}
    assert places == {(A, "both", "go", "", 0, 0), (A, "one", "python", "", 0, 0), (A, "two", "python", "", 0, 0)}
    for k in (1, 2, 3):
        assert await store.rank(terms, scope=scope, unit="file", k=k) == hits[:k]
    assert await paths(store, "nothing", scope) == []
    assert await store.rank([], scope=scope, unit="file", k=5) == []


@RANKING.trial("LX-02")
async def equal_scores_are_ordered_by_place_at_every_k(case: Case, store: Any) -> None:
    names = ["k", "k/x", "K", "kx", "a", "ä", "\U0001f511", "\uffff"]
    spans = (LexSpan("z", 0, 7, 1, 1), LexSpan("b", 7, 14, 2, 2), LexSpan("c", 7, 14, 2, 2))
    placed = [replace(file(name, "needle\nneedle\n"), spans=spans) for name in names]
    await fill(store, *placed, repo=B)
    scope = [ScopeEntry(B, 1), *await fill(store, *placed)]
    files = {(repo, name, 0, "") for repo in (A, B) for name in names}
    cut = {(repo, name, one.start_line, one.chunk_id) for repo, name, _, _ in files for one in spans}
    due = {"file": files, "chunk": cut}
    for unit in case.capabilities.units:
        hits = await store.rank([Term("needle")], scope=scope, unit=unit, k=100)
        found = [(h.repo_id, h.path, h.start_line, h.chunk_id) for h in hits]
        assert set(found) == due[unit] and len(found) == len(due[unit])
        assert all(hit.end_line == hit.start_line for hit in hits)
        order = [(-hit.score, *place) for hit, place in zip(hits, found, strict=True)]
        assert order == sorted(order)
        for k in (1, 2, 3, 7, len(hits) - 1, len(hits)):
            assert await store.rank([Term("needle")], scope=scope, unit=unit, k=k) == hits[:k]


@RANKING.trial("LX-02", hint="sort by score, then cut at k")
async def the_best_of_many_is_found_wherever_it_lies(case: Case, store: Any) -> None:
    scope = await fill(store, *(file(f"f{n:02}", f"needle {'cotton' if n != 41 else 'thread'}") for n in range(60)))
    for unit in case.capabilities.units:
        hits = await store.rank([Term("needle"), Term("thread")], scope=scope, unit=unit, k=60)
        assert hits[0].path == "f41"
        for k in (1, 2, 10, 59):
            assert await store.rank([Term("needle"), Term("thread")], scope=scope, unit=unit, k=k) == hits[:k]


@RANKING.trial("LX-02", needs=chunks)
async def a_chunk_is_found_by_its_own_words_only(store: Any) -> None:
    scope = await fill(store, file("k", "alpha äöü€🔑\nbeta\n\ngamma alpha\n"))
    hits = await store.rank([Term("alpha")], scope=scope, unit="chunk", k=10)
    assert sorted((h.start_line, h.end_line) for h in hits) == [(1, 1), (4, 4)]
    hits = await store.rank([Term("beta"), Term("gamma")], scope=scope, unit="chunk", k=10)
    assert sorted(h.start_line for h in hits) == [2, 4]


@RANKING.trial("LX-02", needs=chunks)
async def overlapping_chunks_and_files_without_chunks_rank_by_what_they_hold(store: Any) -> None:
    text = "class Alpha:\n    beta = größe\n"
    size = len(text.encode())
    spans = (LexSpan("whole", 0, size, 1, 2), LexSpan("inner", 13, size, 2, 2))
    scope = await fill(store, replace(file("k", text), spans=spans), replace(file("l", "alpha beta"), spans=()))
    found = {}
    for word in ("alpha", "beta", "größe"):
        hits = await store.rank([Term(word)], scope=scope, unit="chunk", k=10)
        found[word] = sorted((h.path, h.chunk_id, h.start_line, h.end_line) for h in hits)
    both = [("k", "inner", 2, 2), ("k", "whole", 1, 2)]
    assert found == {"alpha": [("k", "whole", 1, 2)], "beta": both, "größe": both}
    assert sorted(await paths(store, "alpha", scope)) == ["k", "l"]


@RANKING.trial("LX-14")
async def another_term_found_or_a_heavier_one_ranks_above(case: Case, store: Any) -> None:
    texts = {
        "a": "needle with other words beside it",
        "b": "thread with other words beside it",
        "c": "needle with other thread beside it",
        "d": "cotton with other words beside it",
        "e": "max_size with other words beside it",
        "f": "max with other words beside it",
    }
    scope = await fill(store, *(file(path, text) for path, text in texts.items()))
    for unit in case.capabilities.units:
        asked: list[tuple[str, list[Term]]] = [
            ("c", [Term("needle", 0.2), Term("thread", 0.2)]),
            ("b", [Term("needle", 0.1), Term("thread", 10.0)]),
            ("a", [Term("thread", 0.1), Term("needle", 10.0)]),
            ("b", [Term("thread", 199.0), Term("needle"), Term("thread")]),
            ("b", [Term("thread"), Term("needle"), Term("thread", 199.0)]),
            ("d", [Term("needle"), *[Term("cotton", 50.0)] * 2, Term("thread")]),
            ("e", [Term("max_size")]),
        ]
        for path, terms in asked:
            hits = await store.rank(terms, scope=scope, unit=unit, k=10)
            due = {at for at, text in texts.items() for term in terms if set(term.text.split("_")) & set(_words(text))}
            may = {"f"} if path == "e" else set()
            assert due - may <= {hit.path for hit in hits} <= due, (unit, terms)
            assert all(hit.score > 0 for hit in hits)
            alike = [hit for hit in hits if hit.path != "c" or path == "c"]
            assert alike[0].path == path, (unit, terms)
            assert len(alike) == 1 or alike[0].score > alike[1].score, (unit, terms)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)
