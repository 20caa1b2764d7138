"""Waivers, counts and documents of a report."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from codequay.contract import Outcome, Report, Verdict, Waiver, check
from codequay.contract.report import waived
from codequay.ports.spec import Level

from .hostile import HARNESS, announced, implementation

TODAY = "2030-05-01"
WAIVER = Waiver("CA-02", "the server sorts", "https://example.org/1", "2030-05-01")


def outcome(clause: str, verdict: Verdict, reason: str = "") -> Outcome:
    return Outcome(clause, Level.CORE, "a sentence", verdict, 0.1, reason, "a hint", "a script")


def report(*outcomes: Outcome) -> Report:
    return Report("cache.x", "1.0", "d", "x 1", "h", "0", "3", "", False, 0, TODAY, outcomes)


def test_a_waived_failure_is_waived_until_its_day() -> None:
    (found,) = waived([outcome("CA-02:order", Verdict.FAIL)], [WAIVER], TODAY)
    assert found.verdict is Verdict.WAIVED
    assert found.reason == "the server sorts (https://example.org/1, until 2030-05-01)"


def test_an_expired_waiver_fails() -> None:
    (found,) = waived([outcome("CA-02:order", Verdict.FAIL, "it sorts")], [WAIVER], "2030-05-02")
    assert found.verdict is Verdict.FAIL
    assert "the waiver has expired" in found.reason
    assert "it sorts" in found.reason


def test_a_waived_clause_that_passes_fails() -> None:
    (found,) = waived([outcome("CA-02:order", Verdict.PASS)], [WAIVER], TODAY)
    assert (found.verdict, found.reason) == (Verdict.FAIL, "it is waived and passes: remove the waiver")


def test_of_a_waived_clause_one_trial_may_pass() -> None:
    outcomes = [outcome("CA-02:order", Verdict.FAIL), outcome("CA-02:empty", Verdict.PASS)]
    assert [one.verdict for one in waived(outcomes, [WAIVER], TODAY)] == [Verdict.WAIVED, Verdict.PASS]


def test_what_could_not_be_tried_is_not_waived() -> None:
    (found,) = waived([outcome("CA-02:order", Verdict.UNVERIFIED)], [WAIVER], TODAY)
    assert found.verdict is Verdict.UNVERIFIED


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((Verdict.PASS, Verdict.FAIL, Verdict.UNVERIFIED), Verdict.FAIL),
        ((Verdict.PASS, Verdict.UNVERIFIED, Verdict.WAIVED), Verdict.UNVERIFIED),
        ((Verdict.PASS, Verdict.WAIVED, Verdict.NA), Verdict.PASS),
        ((Verdict.NA,), Verdict.PASS),
    ],
)
def test_the_verdict_is_the_worst(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    found = report(*(outcome(f"CA-{i}:t", one) for i, one in enumerate(verdicts)))
    assert found.verdict is expected


def test_a_clause_has_the_worst_verdict_of_its_trials() -> None:
    found = report(outcome("CA-01:a", Verdict.PASS), outcome("CA-01:b", Verdict.FAIL), outcome("CA-02:a", Verdict.PASS))
    assert found.clauses() == {"CA-01": Verdict.FAIL, "CA-02": Verdict.PASS}
    assert found.counts() == {"pass": 1, "FAIL": 1}
    assert [one["clause"] for one in found.to_json()["failures"]] == ["CA-01:b"]


def test_a_junit_document_has_every_trial() -> None:
    text = report(
        outcome("CA-01:a", Verdict.PASS),
        outcome("CA-01:b", Verdict.FAIL, "wrong \x00 and \ud800"),
        outcome("CA-02:a", Verdict.UNVERIFIED, "no reopen"),
    ).junit()
    suite = ElementTree.fromstring(text)
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [case.get("name") for case in suite] == ["CA-01:a", "CA-01:b", "CA-02:a"]
    assert "a script" in (suite[1][0].text or "")


def test_an_outcome_comes_back_from_json() -> None:
    one = outcome("CA-01:a", Verdict.FAIL, "why")
    assert Outcome.from_json(one.to_json()) == one


WAIVED = """
    waivers = (
        Waiver("CA-02", "it sorts", "https://example.org/1", "{until}"),
        Waiver("{also}", "nobody knows", "https://example.org/2", "2999-01-01"),
    )"""
SORTS = implementation("    async def get_many(self, keys):\n        return await super().get_many(sorted(keys))")


@pytest.mark.parametrize(
    ("until", "also", "verdicts", "why"),
    [
        ("2999-01-01", "CA-05", {"CA-02": Verdict.WAIVED, "CA-05": Verdict.FAIL}, "it is waived and passes"),
        ("2020-01-01", "CA-05", {"CA-02": Verdict.FAIL, "CA-05": Verdict.FAIL}, "the waiver has expired"),
        (
            "2999-01-01",
            "CA-99",
            {"CA-02": Verdict.WAIVED, "CA-05": Verdict.PASS, "CA-99": Verdict.FAIL},
            "CA-99, which is no clause of the port",
        ),
    ],
)
def test_waivers_of_a_harness(until: str, also: str, verdicts: dict[str, Verdict], why: str, tmp_path: Path) -> None:
    harness = HARNESS.format(body=WAIVED.format(until=until, also=also))
    with announced(tmp_path, SORTS, harness=harness) as component:
        found = check(component, clauses=["CA-02", "CA-05"])
    assert found.clauses() == verdicts
    assert why in "\n".join(one.reason for one in found.outcomes)
