"""The query language: a table of what is typed and what it means, and that every string means something."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codequay.retrieval.query import MAX_LENGTH, All, Atom, Node, Not, OneOf, Phrase, Query, Word, parse, words_of


def w(*words: str) -> tuple[Node, ...]:
    return tuple(Word(word) for word in words)


MEANINGS: list[tuple[str, Node]] = [
    ("", All(())),
    ("session token", All(w("session", "token"))),
    ('"connection reset" retry', All((Phrase("connection reset"), Word("retry")))),
    (r'"say \"hi\""', All((Phrase('say "hi"'),))),
    ("retry -test", All((Word("retry"), Not(Word("test"))))),
    ('retry -"a b"', All((Word("retry"), Not(Phrase("a b"))))),
    ("foo -file:vendor", All((Word("foo"), Not(Atom("file", "vendor"))))),
    ("foo lang:py", All((Word("foo"), Atom("lang", "python")))),
    ("foo lang:C++", All((Word("foo"), Atom("lang", "cpp")))),
    ("repo:chi sym:Mux", All((Atom("repo", "chi"), Atom("sym", "Mux")))),
    ('file:"my dir" x', All((Atom("file", "my dir"), Word("x")))),
    ("foo or bar", OneOf(w("foo", "bar"))),
    ("a b or c", OneOf((All(w("a", "b")), Word("c")))),
    ("(a or b) c", All((OneOf(w("a", "b")), Word("c")))),
    ("(file:a or file:b) x", All((OneOf((Atom("file", "a"), Atom("file", "b"))), Word("x")))),
    ("x -(a or b)", All((Word("x"), Not(OneOf(w("a", "b")))))),
    ("or", All(())),
    ("foo or", All(w("foo"))),
    # text that only looks like syntax
    ("std::file::open", All(w("std::file::open"))),
    ("file::open", All(w("file::open"))),
    ("file://tmp/x", All(w("file://tmp/x"))),
    ("ValueError: too many", All(w("ValueError:", "too", "many"))),
    ("error: file: not found", All(w("error:", "file:", "not", "found"))),
    ("foo(bar)", All(w("foo(bar)"))),
    ("(foo(bar))", All(w("foo(bar)"))),
    ("a -> b --flag -1", All(w("a", "->", "b", "--flag", "-1"))),
    ("f( x", All(w("f(", "x"))),
    ("x )", All(w("x", ")"))),
]


@pytest.mark.parametrize(("text", "root"), MEANINGS, ids=[text or "empty" for text, _ in MEANINGS])
def test_a_query_means(text: str, root: Node) -> None:
    assert parse(text).root == root


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('File "/usr/lib/x.py", line 3, in run', ["File", '"/usr/lib/x.py",', "line", "3,", "in", "run"]),
        ('an "open quote', ["an", '"open', "quote"]),
        ("(never closed", ["never", "closed"]),
        ("foo case:maybe", ["foo", "case:maybe"]),
        ("-test", ["-test"]),
    ],
)
def test_what_does_not_parse_becomes_words_with_a_note(text: str, words: list[str]) -> None:
    query = parse(text)
    assert words_of(query.root) == words
    assert query.notes


def test_a_pasted_traceback_is_words() -> None:
    pasted = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nKeyError: -x "y"'
    query = parse(pasted)
    assert query.root == All(w(*pasted.split()))
    assert query.notes == ("text of several lines was taken as words",)


def test_literal_switches_the_syntax_off() -> None:
    assert parse('-x "a b" file:c or (d', literal=True) == Query(
        All(w("-x", '"a', 'b"', "file:c", "or", "(d")), '-x "a b" file:c or (d'
    )


def test_case_yes_is_kept_on_the_query() -> None:
    assert parse("Foo case:yes").match_case
    assert not parse("Foo case:no").match_case


@given(st.text(alphabet=st.sampled_from('ab ()"\\-:\n\t or file:sym:case:yes') | st.characters(), max_size=200))
@settings(max_examples=300, deadline=None)
def test_every_string_has_a_meaning(text: str) -> None:
    query = parse(text)
    assert isinstance(query.root, (All, OneOf))
    assert parse(text) == query


@pytest.mark.parametrize("unit", ["(", '"', '"a ', "-(", ")", "sym:", 'file:"', "\\", "a or ", "x)"])
def test_parsing_is_linear_and_bounded(unit: str) -> None:
    text = unit * (2 * MAX_LENGTH)
    started = time.process_time()
    query = parse(text)
    assert time.process_time() - started < 2
    assert len(query.text) <= MAX_LENGTH
    assert any("longer than" in note for note in query.notes)
