"""The contract kit: the clauses of every port as something that runs, for anybody's adapter.

A third party writes a ``Harness`` (or nothing, when the adapter's defaults do), announces it under the entry-point
group ``codequay.contracts``, and runs ``codequay contract check PORT.NAME``, or has one pytest item per clause with
``TestContract = contract_tests("PORT.NAME")``. Importable without pytest; beside codequay's own requirements it needs
hypothesis. See ``docs/write-an-adapter.md``.
"""

from .check import check
from .clauses import Suite, Trial, suite
from .clock import ManualClock
from .expect import Failed, Unverified, near, raises
from .harness import Harness, Subject
from .pytest import contract_tests
from .replay import repeat, replay
from .report import Report, Waiver
from .verdict import Outcome, Verdict

__all__ = [
    "Failed",
    "Harness",
    "ManualClock",
    "Outcome",
    "Report",
    "Subject",
    "Suite",
    "Trial",
    "Unverified",
    "Verdict",
    "Waiver",
    "check",
    "contract_tests",
    "near",
    "raises",
    "repeat",
    "replay",
    "suite",
]
