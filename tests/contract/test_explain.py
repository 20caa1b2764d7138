"""What a failure says: the line, the values in it, what the calls gave, and where found and wanted part."""

from __future__ import annotations

from typing import Any

import pytest

from codequay.contract import Subject, suite
from codequay.contract.explain import difference
from codequay.contract.harness import Origin
from codequay.contract.runner import run_trial
from codequay.kernel.registry import default_registry
from codequay.ports.cache import KeyPage


@pytest.mark.parametrize(
    ("found", "wanted", "text"),
    [
        ([1, 2, 3], [1, 5, 3], "first difference at [1]: 2, not 5"),
        ([1, 2], [1, 2, 3], "first difference: 3 is missing"),
        ([1, 2, 3], [1, 2], "first difference: 3 is too much"),
        ({"a": [1]}, {"a": [2]}, "first difference at ['a'][0]: 1, not 2"),
        ({}, {"a": 1}, "first difference: 'a' is missing"),
        ([KeyPage(("a", "b"), None)], [KeyPage(("a", "c"), None)], "first difference at [0].keys[1]: 'b', not 'c'"),
        (1, 2, ""),
        ([1], [1], ""),
    ],
)
def test_where_two_values_part(found: Any, wanted: Any, text: str) -> None:
    assert difference(found, wanted) == text


def failing(saboteur: str, clause: str) -> str:
    subject: Subject = Origin("cache.memory", saboteur).subject(default_registry())
    (outcome,) = [
        run_trial(subject, trial) for trial in suite("cache").trials if trial.clause.id == clause and trial.example
    ]
    return outcome.reason


def test_a_failed_line_shows_what_the_call_gave_and_the_first_difference() -> None:
    said = failing("GetManySorted", "CA-02").splitlines()
    assert said[0].startswith("assert await store.get_many(")
    assert any(line.strip().startswith("get_many gave [") for line in said)
    assert said[-1].strip() == "first difference at [0]: b'1', not b''"
