"""Fusion over evidence made at random: what is cut off early is what would have come later."""

from __future__ import annotations

import random

import pytest

from codequay.ports.chunks import DefinitionHit, FileRef
from codequay.ports.lexical import RankHit, RankPlace
from codequay.retrieval.engine import best_line
from codequay.retrieval.prepare import prepare
from codequay.retrieval.query import parse
from codequay.retrieval.rank import MAX_ALSO, Evidence, Ranked, fuse
from codequay.retrieval.signals import PathTable, Weights

FOLDERS = ("src", "src/session", "tests", "include", "docs", "token/store")
NAMES = ("session.py", "token.c", "token.h", "__init__.py", "open_session.go", "store.ts")
ASKED = prepare(parse("open session token SessionStore"))


def evidence(seed: int) -> Evidence:
    """Three arms that overlap in part, with equal scores among them."""
    draw = random.Random(seed)
    files = [FileRef(f"repo{r}", f"{folder}/{name}") for r in (1, 2) for folder in FOLDERS for name in NAMES]
    chunks = [
        RankHit(RankPlace(file, n * 10 + 1, f"{file.repo_id}-{file.path}-{n}", n * 10 + 9, "c"), draw.randint(1, 9) / 2)
        for file in draw.sample(files, 30)
        for n in range(draw.randint(1, 14))
    ]
    ranked = [RankHit(RankPlace(file, 0, "", 0, "c"), draw.randint(1, 9) / 4) for file in draw.sample(files, 30)]
    defined = [
        DefinitionHit(
            *file, f"{file.repo_id}-{file.path}-{n}", "SessionStore", draw.choice(("class", "method")), n * 10 + 2
        )
        for file in draw.sample(files, 6)
        for n in range(draw.randint(1, 3))
    ]
    order = sorted(chunks, key=lambda hit: (-hit.score, hit.place))
    return Evidence(order, sorted(ranked, key=lambda hit: (-hit.score, hit.place)), defined)


def shown(ranked: Ranked) -> tuple[object, ...]:
    return ranked.repo_id, ranked.path, ranked.score, ranked.span, ranked.signals, ranked.others[:MAX_ALSO]


@pytest.mark.parametrize("by_file", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_the_first_of_all_are_the_first_alone(seed: int, by_file: bool) -> None:
    weights = Weights()
    everything = fuse(evidence(seed), ASKED, weights, PathTable(weights), by_file=by_file, need=None)
    assert [-r.score for r in everything] == sorted(-r.score for r in everything)
    for need in (1, 3, 10, 1000):
        cut = fuse(evidence(seed), ASKED, weights, PathTable(weights), by_file=by_file, need=need)
        assert [shown(r) for r in cut[:need]] == [shown(r) for r in everything[:need]]


def test_a_file_that_only_satisfies_conditions_comes_last() -> None:
    weights = Weights()
    found = evidence(0)
    found.add_files([("repo1", "zoo/nothing.txt")])
    last = fuse(found, ASKED, weights, PathTable(weights), by_file=True, need=None)[-1]
    assert (last.path, last.score, last.span.chunk_id) == ("zoo/nothing.txt", 0.0, "")


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("\n\na = 1\n", ("zzz",), 12),
        ("one\ntwo one\nONE two", ("one", "two"), 11),
        ("x\none one one\none two", ("one", "two"), 12),
        ("x\ny\nlast", ("last",), 12),
        ("", ("a",), 10),
        (" \n ", ("a",), 10),
    ],
)
def test_the_line_with_most_of_the_words_is_shown(text: str, words: tuple[str, ...], line: int) -> None:
    assert best_line(text, 10, words) == line
