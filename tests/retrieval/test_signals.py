"""Ranking signals, one by one."""

from __future__ import annotations

import pytest

from codequay.ports.errors import ConfigError
from codequay.retrieval.signals import (
    PathTable,
    Weights,
    definition_share,
    folder_coverage,
    path_signals,
    stem_coverage,
    weights_from,
)
from codequay.retrieval.words import is_identifier, parts, stem

WEIGHTS = Weights()


@pytest.mark.parametrize(
    ("path", "penalty"),
    [
        ("src/net/http.py", 1.0),
        ("tests/net/http.py", WEIGHTS.test),
        ("src/http_test.go", WEIGHTS.test),
        ("examples/a.py", WEIGHTS.auxiliary),
        ("src/compat/a.py", WEIGHTS.compat),
        ("pkg/__init__.py", WEIGHTS.barrel),
        ("types/index.d.ts", WEIGHTS.declarations),
        ("docs/tests/a.py", WEIGHTS.test * WEIGHTS.auxiliary),
        ("src/latest.py", 1.0),
        ("src/contest/a.py", 1.0),
    ],
)
def test_kinds_of_files_that_are_rarely_meant_count_less(path: str, penalty: float) -> None:
    assert path_signals(path, WEIGHTS).penalty == pytest.approx(penalty)


def test_a_generic_file_name_stands_for_its_folder() -> None:
    assert path_signals("axum/src/routing/mod.rs", WEIGHTS).name == "routing"
    assert path_signals("src/lib.rs", WEIGHTS).name == "lib"


def test_stem_coverage_is_the_share_of_the_file_name() -> None:
    signals = path_signals("src/session_store.py", WEIGHTS)
    assert stem_coverage(signals, {stem("sessions")}) == 0.5
    assert stem_coverage(signals, {stem("session"), stem("storing")}) == 1.0


def test_folder_coverage_is_the_share_of_the_question() -> None:
    signals = path_signals("src/middleware/x.go", WEIGHTS)
    assert folder_coverage(signals, ("middlewares", "timeout")) == 0.5
    assert folder_coverage(signals, ()) == 0.0


def test_types_count_more_than_functions() -> None:
    assert definition_share("class") > definition_share("function")


def test_an_unknown_weight_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'stemm'"):
        weights_from({"stemm": 1.0})
    assert weights_from({"stem": 0.1}).stem == 0.1


def test_the_path_table_gives_the_same_twice() -> None:
    table = PathTable(WEIGHTS)
    assert table["a/b.py"] is table["a/b.py"]


@pytest.mark.parametrize(
    "words", [("routing", "router", "routes"), ("parser", "parse", "parsing"), ("cache", "caching")]
)
def test_forms_of_a_word_share_a_stem(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1


def test_an_identifier_falls_into_its_parts() -> None:
    assert parts("getHTTPSession_id2") == ["get", "http", "session", "id", "2"]
    assert is_identifier("getSession")
    assert is_identifier("get_session")
    assert not is_identifier("Session")
