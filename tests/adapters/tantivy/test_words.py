"""How words become terms."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from codequay.adapters._words import WORD, fold, parts, words_of
from codequay.adapters.tantivy import words
from codequay.adapters.tantivy.words import MAX_WORD, Terms


def test_identifiers_are_cut_where_a_reader_would_cut_them() -> None:
    assert parts("getHTTPResponse2") == ["get", "HTTP", "Response", "2"]
    assert parts("snake_case__name") == ["snake", "case", "name"]
    assert parts("größeÄndern") == ["größe", "Ändern"]
    assert parts("日本語") == ["日", "本", "語", "日本", "本語"]


def test_terms_are_the_joined_word_and_the_stems() -> None:
    terms = Terms()
    assert terms["getSessions"] == "=getsessions get session"
    assert terms["sessions"] == "session"
    assert terms["x"] == "x"
    assert terms["__"] == ""
    assert terms["A" * 5000] == "=" + "a" * MAX_WORD


def test_the_cache_stays_bounded() -> None:
    terms = Terms()
    old, words.CACHE_WORDS = words.CACHE_WORDS, 10
    try:
        for n in range(100):
            assert terms[f"word{n}"].startswith(f"=word{n} ")
            assert len(terms) <= 10
    finally:
        words.CACHE_WORDS = old


@given(st.text(alphabet="abKkSsiIıİſßéÉ_1日", min_size=1, max_size=12).filter(lambda w: bool(re.fullmatch(r"\w+", w))))
def test_every_casing_of_a_word_shares_a_term_with_the_query(word: str) -> None:
    terms = Terms()
    wanted = set(terms.query([word]))
    for variant in (word.upper(), word.lower(), word.casefold(), word.swapcase()):
        if re.fullmatch(r"\w+", variant) and fold(variant) == fold(word) and terms[variant]:
            assert wanted & set(terms[variant].split()), variant


@given(st.text(st.sampled_from("aZ_09 .-\n\t\x0b\x1c\u00e9\u0301\u4e2d\u00b2"), max_size=40))
def test_the_fast_split_gives_the_words_of_the_pattern(text: str) -> None:
    assert list(words_of(text)) == WORD.findall(text)
