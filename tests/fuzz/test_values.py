"""Values of the ports: what holds for any file name, any argument, any error, any outcome."""

from __future__ import annotations

import datetime
import json
import os
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codequay.contract.verdict import Outcome, Verdict
from codequay.kernel.guard import refusal
from codequay.kernel.translate import Translator, no_classify
from codequay.ports import PORTS
from codequay.ports.errors import Code, InvalidArgument, PortError, Unsupported
from codequay.ports.generations import check_path
from codequay.ports.lexical import Where
from codequay.ports.op import operations
from codequay.ports.paths import os_path, path_from_bytes, path_to_bytes
from codequay.ports.spec import Level

NAMES = st.lists(
    st.binary(max_size=4) | st.sampled_from([b"\\x", b"\\x5c", b"\\xff", b"\\", b"x5c", "é".encode(), b"\xff", b"/"])
).map(b"".join)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4)
    | st.sampled_from(["a/../b", "/a", "a//b", "\0", "\ud800", 10**400, float("nan"), "-x", object()]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)  # fmt: skip


@given(NAMES)
def test_any_file_name_has_one_text_and_comes_back(raw: bytes) -> None:
    text = path_from_bytes(raw)
    text.encode()
    assert path_to_bytes(text) == raw


@given(NAMES, NAMES)
def test_two_file_names_never_share_a_text(one: bytes, other: bytes) -> None:
    assert (path_from_bytes(one) == path_from_bytes(other)) == (one == other)


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX")
@given(NAMES.filter(lambda raw: b"\0" not in raw and not raw.startswith(b"/")))
def test_the_operating_system_is_given_the_bytes_that_it_gave(raw: bytes) -> None:
    assert os.fsencode(os_path("/root", path_from_bytes(raw))) == os.path.join(b"/root", raw)


@given(NAMES)
def test_a_checked_path_stays_inside_its_repository(raw: bytes) -> None:
    try:
        check_path(path_from_bytes(raw))
    except InvalidArgument:
        return
    inside = os.path.normpath(os.path.join("/repo", path_from_bytes(raw)))
    assert inside.startswith("/repo/")
    assert b"\0" not in raw


OPERATIONS = [
    (port, name)
    for port, module in PORTS.items()
    for name in import_module(module).PORT.checks
    if name in operations(import_module(module).PORT.protocol)
]


@pytest.mark.parametrize(("port", "name"), OPERATIONS, ids=[f"{port}.{name}" for port, name in OPERATIONS])
@given(st.data())
def test_any_arguments_pass_or_are_refused(port: str, name: str, data: st.DataObject) -> None:
    spec = import_module(PORTS[port]).PORT
    op = operations(spec.protocol)[name]
    given_, named = [spec.capabilities()], {}
    for one in list(op.signature.parameters.values())[1:]:
        if one.kind is one.KEYWORD_ONLY:
            named[one.name] = data.draw(JUNK, one.name)
        else:
            given_.append(data.draw(JUNK, one.name))
    try:
        spec.checks[name](*given_, **named)
    except Exception as exc:  # what the guard makes of it
        error = refusal(exc, op, Translator(f"{port}.x", "a test", no_classify))
        assert isinstance(error, InvalidArgument | Unsupported)
        json.dumps(error.to_json())


PATHS = st.lists(st.sampled_from(["a", "A", "ab", "é", "É", "_x", "a b"]), min_size=1, max_size=3).map("/".join)
LANGUAGES = st.sampled_from(["python", "go", ""])


@given(PATHS, LANGUAGES, st.lists(PATHS, max_size=2).map(tuple), st.lists(LANGUAGES, max_size=2).map(tuple))
def test_a_filter_and_its_opposite_divide_the_files(
    path: str, language: str, parts: tuple[str, ...], languages: tuple[str, ...]
) -> None:
    assert Where().admits(path, language)
    assert Where(prefix=path).admits(path, language) and Where(prefix=path).admits(path + "/x", language)
    assert not Where(prefix=path).admits(path + "x", language)
    kept = [Where(contains=(part,)).admits(path, language) for part in parts]
    assert Where(contains=parts).admits(path, language) == all(kept)
    assert Where(excludes=parts).admits(path, language) == (not any(kept))
    if languages:
        wanted, unwanted = Where(languages=languages), Where(not_languages=languages)
        assert wanted.admits(path, language) != unwanted.admits(path, language)


ERRORS = [found for found in vars(import_module("codequay.ports.errors")).values()
          if isinstance(found, type) and issubclass(found, PortError)]  # fmt: skip


@given(st.sampled_from(ERRORS), st.text(), st.text(), st.booleans(), st.none() | st.floats(0, 1e6))
def test_every_error_can_be_printed(
    kind: type[PortError], message: str, remedy: str, ambiguous: bool, retry_after: float | None
) -> None:
    error = kind(message, remedy=remedy, ambiguous=ambiguous, retry_after=retry_after)
    said = json.loads(json.dumps(error.to_json()))
    assert Code(said["code"]) is kind.code
    assert (said["message"], said["remedy"], said["ambiguous"]) == (message, remedy, ambiguous)


@given(st.sampled_from(Verdict), st.sampled_from(Level), st.text(), st.text(), st.text())
def test_an_outcome_survives_the_way_between_processes(
    verdict: Verdict, level: Level, reason: str, hint: str, history: str
) -> None:
    outcome = Outcome("XX-01:a", level, "A sentence.", verdict, 0.25, reason, hint, history)
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


DATES = st.dates(datetime.date(2020, 1, 1), datetime.date(2099, 12, 31)).map(str)


@given(DATES, DATES, st.sampled_from([Verdict.PASS, Verdict.FAIL]))
def test_a_waiver_holds_until_its_day_and_never_over_a_pass(until: str, today: str, verdict: Verdict) -> None:
    from codequay.contract.report import Waiver, waived

    one = Outcome("XX-01:a", Level.CORE, "A sentence.", verdict)
    found = waived([one], [Waiver("XX-01", "why", "https://example.org/1", until)], today)[0]
    holds = verdict is Verdict.FAIL and today <= until
    assert found.verdict is (Verdict.WAIVED if holds else Verdict.FAIL)
