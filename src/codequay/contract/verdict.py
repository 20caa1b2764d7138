"""What became of a clause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from codequay.ports.spec import Level


class Verdict(StrEnum):
    """``UNVERIFIED`` could not be run and is never green; ``NA`` asks for what the adapter does not declare.

    ``ADVISORY`` fails a clause that is so new that this does not count yet.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    UNVERIFIED = "unverified"
    NA = "n-a"
    WAIVED = "waived"
    ADVISORY = "advisory"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One clause of one adapter.

    ``reason`` says what went wrong or was missing, ``hint`` what to do, ``history`` repeats a failure as a script.
    ``poisoned``: the process that ran it cannot be trusted any more (a thread hangs in it).
    """

    clause: str
    level: Level
    text: str
    verdict: Verdict
    seconds: float = 0.0
    reason: str = ""
    hint: str = ""
    history: str = ""
    poisoned: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "clause": self.clause,
            "level": str(self.level),
            "text": self.text,
            "verdict": str(self.verdict),
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "hint": self.hint,
            "history": self.history,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Outcome:
        known = {**data, "level": Level(data["level"]), "verdict": Verdict(data["verdict"])}
        return Outcome(**known)


def worst(outcomes: Sequence[Outcome]) -> Verdict:
    """The verdict over several: FAIL before unverified, advisory, waived and pass; n-a only when all are."""
    verdicts = {one.verdict for one in outcomes}
    for verdict in (Verdict.FAIL, Verdict.UNVERIFIED, Verdict.ADVISORY, Verdict.WAIVED, Verdict.PASS):
        if verdict in verdicts:
            return verdict
    return Verdict.NA
