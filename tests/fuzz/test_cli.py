"""Whatever is typed is understood or refused with a remedy, and what is written out in full is understood as meant."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codequay.interfaces.cli import parse
from codequay.interfaces.cli.command import GLOBAL_OPTIONS, Command, Option
from codequay.interfaces.cli.main import COMMANDS, command, main
from codequay.ports.errors import InvalidArgument

ALL = [command(name) for name in COMMANDS]
FLAGS = sorted({flag for one in ALL for option in (*GLOBAL_OPTIONS, *one.options) for flag in option.flags})
WORDS = (
    st.sampled_from([*FLAGS, *COMMANDS, "--", "-", "", "-vq", "--format=json", "--format=", "-v=1", "--limit", "json"])
    | st.tuples(st.sampled_from(FLAGS), st.text(max_size=4)).map("=".join)
    | st.text("-=avq 1é\0", max_size=5)
)


@given(st.sampled_from(ALL), st.lists(WORDS, max_size=8))
def test_any_words_are_understood_or_refused_with_a_remedy(found: Command, words: list[str]) -> None:
    assert parse.wanted_format(words) in ("text", "json", "jsonl")
    assert parse.command_name(words) in [*words, ""]
    refused = None
    try:
        values, options = parse.parse([found.name, *words], found)
    except InvalidArgument as error:
        refused = error
    if refused is not None:
        assert refused.remedy and refused.message and refused.at
        return
    assert options.format in ("text", "json", "jsonl")
    for option in found.options:
        if option.number and option.name in values and not option.repeat:
            assert values[option.name] >= option.least


@given(st.lists(WORDS, max_size=5))
def test_help_is_printed_whatever_else_was_typed(words: list[str]) -> None:
    before = words[: words.index("--")] if "--" in words else words
    if "--version" in before:
        return
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["--help", *words]) == 0
    assert "codequay" in out.getvalue()
    assert err.getvalue() == ""


def value_of(option: Option) -> st.SearchStrategy[Any]:
    """A value that the option takes."""
    if option.choices:
        return st.sampled_from(option.choices)
    if option.number:
        return st.integers(option.least, 10**9)
    return st.text(max_size=5)


OPTIONS = [(one, option) for one in ALL for option in one.options if option.metavar or option.choices]


@pytest.mark.parametrize(("found", "option"), OPTIONS, ids=[f"{c.name} {o.flags[-1]}" for c, o in OPTIONS])
@given(st.data())
def test_an_options_value_is_what_was_typed(found: Command, option: Option, data: st.DataObject) -> None:
    value, glued = data.draw(value_of(option)), data.draw(st.booleans())
    flag = option.flags[-1]
    typed = [f"{flag}={value}"] if glued else [flag, str(value)]
    positional = [argument.name for argument in found.arguments if argument.required]
    values, _ = parse.parse([found.name, *typed, "--", *positional], found)
    assert values[option.name] == ((value,) if option.repeat else value)


@given(st.lists(st.text(max_size=6), max_size=4))
def test_after_two_dashes_every_word_is_what_it_is(words: list[str]) -> None:
    many = next(one for one in ALL if any(argument.many for argument in one.arguments))
    try:
        values, _ = parse.parse([many.name, "--", *words], many)
    except InvalidArgument:
        assert len(words) < sum(argument.required for argument in many.arguments)
        return
    taken: list[str] = []
    for argument in many.arguments:
        found = values[argument.name]
        taken += found if isinstance(found, tuple) else [found]
    assert taken[: len(words)] == words
