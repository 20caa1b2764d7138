"""One pytest item per clause, without any plugin: ``TestContract = contract_tests("vectors.mystore")``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from codequay.kernel.registry import default_registry
from codequay.ports.errors import PortError
from codequay.ports.spec import Level

from .clauses import Trial, suite
from .harness import Harness, Origin, Subject, importable, subject
from .pool import Worker, failed
from .report import LATER, Waiver, settled
from .runner import TIMEOUT_S, run_trial
from .verdict import Outcome, Verdict

Settle = Callable[[Sequence[Outcome], Sequence[Waiver]], Sequence[Outcome]]
"""``settled`` of one port."""


def contract_tests(
    component: str,
    *,
    harness: type[Harness] | None = None,
    levels: Iterable[Level] = (),
    seed: int = 0,
    timeout: float = TIMEOUT_S,
    isolated: bool = True,
    strict: bool = False,
) -> type:
    """A test class for ``PORT.NAME`` with a method per clause, named by its id.

    An undeclared capability is skipped. What could not be tried fails: it is not known to be right. A clause that came
    with the port's latest minor version is advisory: what breaks it is told as a ``FutureWarning`` and ends as xfail;
    ``strict``: as a failure. ``harness`` stands in for the one that is announced. Trials run in a process of their own,
    which an adapter may ruin; without ``isolated``, or with a harness that no other process can import, they run in
    that of pytest, for a debugger.
    """
    port, _, name = component.partition(".")
    by_clause: dict[str, list[Trial]] = {}
    found = suite(port)
    for trial in found.chosen(levels=levels):
        by_clause.setdefault(trial.clause.id, []).append(trial)
    path = importable(harness) if harness is not None else ""
    origin = Origin(component, "", path, seed) if isolated and (path or harness is None) else None

    def target() -> Subject:
        registry = default_registry()
        if harness is None:
            return subject(component, registry, seed=seed)
        return Subject(port, name, registry.spec(port, name), harness, seed)

    worker = Worker()
    settle = partial(settled, port=found.port, strict=strict)
    outcomes = partial(_isolated, worker, origin) if origin else partial(_here, target)
    members: dict[str, Any] = {
        f"test_{clause.replace('-', '_')}": _test(trials, partial(outcomes, trials, timeout, settle))
        for clause, trials in by_clause.items()
    }
    members["__doc__"] = f"The contract of {port}, over {component}."
    members["teardown_class"] = classmethod(lambda cls: worker.close())
    return type(f"Contract_{port}_{name}", (), members)


def _test(trials: list[Trial], outcomes: Callable[[], Sequence[Outcome]]) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        import pytest

        found = outcomes()
        bad = [one for one in found if one.verdict in (Verdict.FAIL, Verdict.UNVERIFIED)]
        if bad:
            pytest.fail("\n\n".join(map(told, bad)), pytrace=False)
        if all(one.verdict is Verdict.NA for one in found):
            pytest.skip(found[0].reason)
        early = [one for one in found if one.verdict is Verdict.ADVISORY]
        if early:
            said = "\n\n".join(map(told, early))
            warnings.warn(f"{LATER}\n{said}", FutureWarning, stacklevel=1)
            pytest.xfail(said)
        if any(one.verdict is Verdict.WAIVED for one in found):
            pytest.xfail("; ".join(one.reason for one in found if one.verdict is Verdict.WAIVED))

    test.__doc__ = trials[0].clause.text
    return test


def _isolated(worker: Worker, origin: Origin, trials: list[Trial], timeout: float, settle: Settle) -> Sequence[Outcome]:
    about = worker.ask(timeout, kind="about", origin=origin)
    if "error" in about:
        return [failed(trial, about["error"], about["remedy"]) for trial in trials]
    return settle(list(worker.each(origin, trials, timeout=timeout)), [Waiver(**one) for one in about["waivers"]])


def _here(target: Callable[[], Subject], trials: list[Trial], timeout: float, settle: Settle) -> Sequence[Outcome]:
    try:
        checked = target()
    except PortError as exc:
        return [failed(trial, exc.message, exc.remedy) for trial in trials]
    return settle([run_trial(checked, trial, timeout=timeout) for trial in trials], checked.harness.waivers)


def told(outcome: Outcome) -> str:
    """A failure for a person: sentence, reason, hint, and the script that repeats it."""
    lines = [f"{outcome.clause} {outcome.verdict}: {outcome.text}", outcome.reason]
    if outcome.hint:
        lines.append(f"hint: {outcome.hint}")
    if outcome.history:
        lines += ["", outcome.history]
    return "\n".join(lines)
