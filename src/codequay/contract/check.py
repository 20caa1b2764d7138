"""Check one adapter: every chosen trial, in a process that the adapter may ruin."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata

from codequay.kernel.registry import Registry, default_registry
from codequay.ports.errors import ConfigError
from codequay.ports.spec import Level

from .clauses import Trial, suite
from .harness import Origin
from .pool import Worker, failed
from .report import Report, Waiver, settled, today, unknown_waiver
from .runner import TIMEOUT_S
from .verdict import Outcome, Verdict

__all__ = ["check"]


def check(
    component: str,
    *,
    clauses: Iterable[str] = (),
    levels: Iterable[Level] = (),
    seed: int = 0,
    timeout: float = TIMEOUT_S,
    strict: bool = False,
    registry: Registry | None = None,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """The verdicts on ``PORT.NAME``; ``told`` is called with each outcome as it comes.

    ``strict``: a clause that came with the port's latest minor version counts like any other.

    :raises ConfigError: no adapter of that name is announced, or no clause of that id exists
    """
    registry = registry or default_registry()
    port, _, name = component.partition(".")
    found = suite(port)
    wanted, levels = list(clauses), tuple(levels)
    trials = found.chosen(clauses=wanted, levels=levels)
    known = {one.id for one in found.port.clauses} | {one.id for one in found.trials}
    unknown = [one for one in wanted if one not in known]
    if unknown:
        raise ConfigError(f"{port} has no clause {', '.join(unknown)}", remedy=f"codequay contract list {port}")
    announcement = registry.announcement(port, name)
    worker = Worker()
    try:
        about = worker.ask(timeout, kind="about", origin=Origin(component, seed=seed))
        waivers = [Waiver(**one) for one in about.get("waivers", ())]
        known_ids = {one.id for one in found.port.clauses}
        if "error" in about:
            outcomes = tuple(failed(trial, about["error"], about["remedy"]) for trial in trials)
            for outcome in outcomes:
                told(outcome)
        else:
            settle = partial(settled, waivers=waivers, port=found.port, strict=strict)
            outcomes = settle(_outcomes(worker, Origin(component, seed=seed), trials, timeout, settle, told))
    finally:
        worker.close()
    misnamed = [unknown_waiver(one) for one in waivers if one.clause not in known_ids]
    return Report(
        component=component,
        contract=found.port.contract,
        digest=found.port.digest(),
        adapter_version=f"{announcement.distribution} {announcement.version}".strip(),
        adapter_hash=about.get("hash", ""),
        kit=metadata.version("codequay"),
        python=platform.python_version(),
        server=about.get("server", ""),
        double=about.get("double", False),
        seed=seed,
        date=today(),
        outcomes=(*outcomes, *misnamed),
        levels=tuple(map(str, levels)),
        until=min((one.until for one in waivers), default=""),
    )


def _outcomes(
    worker: Worker,
    origin: Origin,
    trials: Sequence[Trial],
    timeout: float,
    settle: Callable[[Sequence[Outcome]], tuple[Outcome, ...]],
    told: Callable[[Outcome], None],
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    first: dict[str, str] = {}
    for found in worker.each(origin, trials, timeout=timeout):
        outcome = _once(found, first)
        told(settle([outcome])[0] if outcome.verdict is Verdict.FAIL else outcome)
        outcomes.append(outcome)
    return outcomes


def _once(outcome: Outcome, first: dict[str, str]) -> Outcome:
    """A reason that was given before, as by an adapter that does not fit its port, is not told in full again."""
    before = first.setdefault(outcome.reason, outcome.clause)
    if outcome.verdict is not Verdict.FAIL or before == outcome.clause:
        return outcome
    headline = outcome.reason.partition("\n")[0]
    return replace(outcome, reason=f"as {before}: {headline}", hint="", history="")
