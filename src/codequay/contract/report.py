"""What a check found, for people and for machines."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree

from codequay.ports.spec import Level, PortSpec

from .verdict import Outcome, Verdict, worst

SCHEMA = "codequay.certificate/1"
LATER = "new in this version of the port's contract: it counts from the next minor version on"
"""What is said of an advisory clause."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """A clause that an adapter is known to break, why, where that is tracked, and until when (YYYY-MM-DD)."""

    clause: str
    reason: str
    issue: str
    until: str

    def expired(self, today: str) -> bool:
        return self.until < today


@dataclass(frozen=True, slots=True)
class Report:
    """The verdicts on one adapter. ``server`` is the version of the server behind it, "" when there is none."""

    component: str
    contract: str
    """Version of the port's contract."""
    digest: str
    """Digest of the port's page: its operations and clauses."""
    adapter_version: str
    adapter_hash: str
    kit: str
    """Version of codequay whose kit checked."""
    python: str
    server: str
    double: bool
    seed: int
    date: str
    outcomes: tuple[Outcome, ...]
    levels: tuple[str, ...] = field(default=())
    """Levels that were asked for; empty: all."""
    until: str = ""
    """Last day (YYYY-MM-DD) on which every waiver holds; "" without waivers."""

    def clauses(self) -> dict[str, Verdict]:
        """Clause -> the worst verdict of its trials, in the order of the page."""
        by_clause: dict[str, list[Outcome]] = {}
        for one in self.outcomes:
            by_clause.setdefault(one.clause.partition(":")[0], []).append(one)
        return {clause: worst(many) for clause, many in by_clause.items()}

    @property
    def verdict(self) -> Verdict:
        """FAIL, else unverified, else pass."""
        found = worst(self.outcomes)
        return Verdict.PASS if found in (Verdict.ADVISORY, Verdict.WAIVED, Verdict.NA) else found

    @property
    def advisory(self) -> tuple[Outcome, ...]:
        """The trials that fail clauses which do not count yet."""
        return tuple(one for one in self.outcomes if one.verdict is Verdict.ADVISORY)

    def counts(self) -> dict[str, int]:
        """Verdict -> clauses."""
        found = Counter(str(verdict) for verdict in self.clauses().values())
        return {str(verdict): found[str(verdict)] for verdict in Verdict if found[str(verdict)]}

    def to_json(self) -> dict[str, Any]:
        names = ("component", "contract", "digest", "adapter_version", "adapter_hash", "kit", "python", "server")
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in names},
            "double": self.double,
            "seed": self.seed,
            "date": self.date,
            "until": self.until,
            "levels": list(self.levels),
            "verdict": str(self.verdict),
            "clauses": {clause: str(verdict) for clause, verdict in self.clauses().items()},
            "failures": [
                one.to_json()
                for one in self.outcomes
                if one.verdict in (Verdict.FAIL, Verdict.UNVERIFIED, Verdict.ADVISORY, Verdict.WAIVED)
            ],
        }

    def junit(self) -> str:
        """The trials as a JUnit document."""
        seconds = sum(one.seconds for one in self.outcomes)
        suite = ElementTree.Element(
            "testsuite", name=self.component, tests=str(len(self.outcomes)), time=f"{seconds:.3f}"
        )
        failed = skipped = 0
        for one in self.outcomes:
            case = ElementTree.SubElement(
                suite, "testcase", classname=self.component, name=one.clause, time=f"{one.seconds:.3f}"
            )
            if one.verdict is Verdict.FAIL:
                failed += 1
                failure = ElementTree.SubElement(case, "failure", message=_xml(one.reason.partition("\n")[0]))
                failure.text = _xml(f"{one.reason}\n{one.hint}\n{one.history}")
            elif one.verdict is not Verdict.PASS:
                skipped += 1
                ElementTree.SubElement(case, "skipped", message=_xml(f"{one.verdict}: {one.reason}"))
        suite.set("failures", str(failed))
        suite.set("skipped", str(skipped))
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def settled(
    outcomes: Sequence[Outcome], waivers: Sequence[Waiver], port: PortSpec, *, strict: bool = False
) -> tuple[Outcome, ...]:
    """What counts of the outcomes today: under the waivers, and unless ``strict`` without what new clauses fail.

    A clause that is waived is not advisory as well: the waiver's reason and its day say more.
    """
    named = {one.clause for one in waivers}
    new = set() if strict else {one.id for one in port.clauses if port.advisory(one)} - named
    found = [
        replace(one, verdict=Verdict.ADVISORY)
        if one.verdict is Verdict.FAIL and one.clause.partition(":")[0] in new
        else one
        for one in outcomes
    ]
    return waived(found, waivers, today())


def waived(outcomes: Sequence[Outcome], waivers: Sequence[Waiver], today: str) -> tuple[Outcome, ...]:
    """The outcomes under the waivers. An expired waiver fails, and so does a waived clause that passes."""
    by_clause = {one.clause: one for one in waivers}
    found: list[Outcome] = []
    passing = dict.fromkeys(by_clause, True)
    for one in outcomes:
        waiver = by_clause.get(one.clause.partition(":")[0])
        if waiver is not None and one.verdict is Verdict.FAIL:
            passing[waiver.clause] = False
            reason = f"{waiver.reason} ({waiver.issue}, until {waiver.until})"
            if waiver.expired(today):
                found.append(_as(one, Verdict.FAIL, f"the waiver has expired: {reason}\n{one.reason}"))
            else:
                found.append(_as(one, Verdict.WAIVED, reason))
        else:
            found.append(one)
    return tuple(
        _as(one, Verdict.FAIL, "it is waived and passes: remove the waiver")
        if one.verdict is Verdict.PASS and passing.get(one.clause.partition(":")[0], False)
        else one
        for one in found
    )


def unknown_waiver(waiver: Waiver) -> Outcome:
    """A waiver of a clause that the port does not have is a mistake."""
    reason = f"a waiver names {waiver.clause}, which is no clause of the port"
    return Outcome(waiver.clause, Level.CORE, "", Verdict.FAIL, 0.0, reason, "correct or remove the waiver")


def today() -> str:
    """The date in UTC, YYYY-MM-DD."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _as(one: Outcome, verdict: Verdict, reason: str) -> Outcome:
    return Outcome(one.clause, one.level, one.text, verdict, one.seconds, reason, one.hint, one.history)


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or ord(c) >= 32 else "?" for c in text if not 0xD800 <= ord(c) <= 0xDFFF)
