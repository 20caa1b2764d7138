"""How strong is the kit? Broken adapters of two kinds are given to it, and each must be found.

Saboteurs are written by hand, each wrong in one behaviour. Mutants are made mechanically from the reference adapter.
"""

from __future__ import annotations

import ast
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codequay.kernel.registry import Registry, default_registry
from codequay.ports.spec import Level

from .clauses import Suite, Trial, suite
from .harness import Origin
from .mutants import mutants
from .playing import REFERENCE
from .pool import Worker, in_parallel
from .saboteurs import FAR, Saboteur, saboteurs
from .verdict import Outcome, Verdict

MUTANT_TIMEOUT_S = 1.5
"""Seconds for one trial of a mutant: a correct one takes milliseconds."""
TIMEOUT_S = 10.0
"""Seconds for one trial of what is right, or lies on a disk."""
WAITING = 2
"""Workers per core, beside those for the rest, for what mostly waits: for a connection, a disk or a process."""
DIFF_EXAMPLES = 100
"""Histories that a comparison with a saboteur may take; it ends with the first that differs."""
DIFF_S = 60.0
SEEN_BY_DIFF = (Level.CORE, Level.CAPABILITY)
"""Levels of which a comparison of two adapters must tell. The others need a crash, a race or a cancelled call."""


@dataclass
class Strength:
    """What became of the broken adapters of one port."""

    port: str
    clauses: int
    saboteurs: int = 0
    killed_saboteurs: int = 0
    mutants: int = 0
    equivalent: int = 0
    killed_mutants: int = 0
    seconds: float = 0.0
    reference: list[str] = field(default_factory=list)
    """Trials that the reference itself does not pass: nothing is known then."""
    survivors: list[str] = field(default_factory=list)
    too_broken: list[str] = field(default_factory=list)
    """Saboteurs that pass less than half of the clauses: to find them proves little."""
    missed_by_diff: list[str] = field(default_factory=list)
    out_of_reach: list[str] = field(default_factory=list)
    """Saboteurs of levels that no comparison can tell of."""
    killers: Counter[str] = field(default_factory=Counter)
    """Trial -> broken adapters whose first failure it was."""

    @property
    def strong(self) -> bool:
        """Every saboteur, also by comparison; 95 % of the mutants that are not equivalent, at most 8 % called so."""
        due = self.mutants - self.equivalent
        return (
            not (self.reference or self.too_broken or self.missed_by_diff)
            and self.killed_saboteurs == self.saboteurs
            and self.killed_mutants >= 0.95 * due
            and self.equivalent <= 0.08 * self.mutants
        )

    def to_json(self) -> dict[str, Any]:
        """The numbers, and the names of what must not be."""
        numbers = ("clauses", "saboteurs", "killed_saboteurs", "mutants", "equivalent", "killed_mutants")
        names = ("reference", "survivors", "too_broken", "missed_by_diff", "out_of_reach")
        return {
            **{name: getattr(self, name) for name in numbers},
            "seconds": round(self.seconds, 1),
            "strong": self.strong,
            **{name: list(getattr(self, name)) for name in names},
        }


def measure(port: str, *, workers: int = 0, registry: Registry | None = None) -> Strength:
    """Run the port's trials over every saboteur, and over every mutant until its first failure."""
    from .equivalents import EQUIVALENT

    started = time.perf_counter()
    found = suite(port)
    strength = Strength(port, len(found.port.clauses))
    order = _Order(found)
    strength.reference = order.learn(Origin(f"{port}.{REFERENCE}"))
    if not strength.reference:
        jobs: list[Callable[[Worker], None]] = []
        waiting: list[Callable[[Worker], None]] = [partial(_behind_a_wire, strength, found)]
        for name, wrong in saboteurs(port).items():
            strength.saboteurs += 1
            due = waiting if wrong.level is Level.FAULTS or wrong.over != REFERENCE else jobs
            due.append(partial(_sabotaged, strength, order, found, name, wrong))
        equivalent = EQUIVALENT.get(port, {})
        for name, what in broken(port, registry or default_registry()):
            strength.mutants += 1
            if name in equivalent:
                strength.equivalent += 1
            else:
                jobs.append(partial(_mutated, strength, order, found, name, what))
        workers = workers or min(os.cpu_count() or 1, 8)
        with ThreadPoolExecutor(1, thread_name_prefix="contract-waiting") as beside:
            waited = beside.submit(in_parallel, waiting, WAITING * workers)
            in_parallel(jobs, workers)
            waited.result()
    for names in (strength.survivors, strength.too_broken, strength.missed_by_diff, strength.out_of_reach):
        names.sort()
    strength.seconds = time.perf_counter() - started
    return strength


def broken(port: str, registry: Registry) -> list[tuple[str, tuple[str, int, list[str]]]]:
    """The mutants of a reference: name, and what a worker is told of it."""
    modules = reference_modules(f"{port}.{REFERENCE}", registry)
    return [
        (mutant.id, (module, mutant.number, [other for other in modules if other != module]))
        for module in modules
        for mutant in mutants(module)
    ]


def _behind_a_wire(strength: Strength, found: Suite, worker: Worker) -> None:
    """The trials of level faults that the reference behind a wire does not pass."""
    trials = [trial for trial in found.trials if trial.clause.level is Level.FAULTS]
    outcomes = worker.run(Origin(f"{strength.port}.{REFERENCE}", FAR), trials, timeout=TIMEOUT_S) if trials else []
    failed = [one for one in outcomes if one.verdict not in GREEN]
    strength.reference += [f"{one.clause}: behind a wire: {one.verdict}: {one.reason}" for one in failed]


class _Order:
    """Trials in the order of what they have caught so far, for the time that they take: to catch, too.

    One that catches by hanging takes all the time that it is given, where another may have seen a wrong answer at once.
    """

    def __init__(self, found: Suite) -> None:
        self._trials = list(found.trials)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._runs: Counter[str] = Counter()
        self.killers: Counter[str] = Counter()

    def learn(self, reference: Origin) -> list[str]:
        """Run all over the reference; the trials that it does not pass."""
        worker = Worker()
        try:
            outcomes = worker.run(reference, self._trials, timeout=TIMEOUT_S)
        finally:
            worker.close()
        self.took(outcomes)
        speaking = {one.clause for one in outcomes if one.verdict is not Verdict.NA}
        self._trials = [trial for trial in self._trials if trial.id in speaking]
        return [f"{one.clause}: {one.verdict}: {one.reason}" for one in outcomes if one.verdict not in GREEN]

    def took(self, outcomes: Iterable[Outcome]) -> None:
        """Note how long trials took."""
        for one in outcomes:
            self._seconds[one.clause] += one.seconds
            self._runs[one.clause] += 1

    def trials(self) -> list[Trial]:
        """What speaks of the reference, and so of its mutants: the best first."""
        return sorted(
            self._trials,
            key=lambda trial: -(self.killers[trial.id] + trial.example) / (self._mean(trial) + 0.005),
        )

    def _mean(self, trial: Trial) -> float:
        return self._seconds[trial.id] / max(1, self._runs[trial.id])


GREEN = (Verdict.PASS, Verdict.NA)


def _sabotaged(
    strength: Strength, order: _Order, found: Suite, name: str, wrong: type[Saboteur], worker: Worker
) -> None:
    origin = Origin(f"{strength.port}.{wrong.over}", name)
    far = wrong.level is Level.FAULTS
    timeout = MUTANT_TIMEOUT_S if wrong.over == REFERENCE and not far else TIMEOUT_S
    levels = (wrong.level, *SEEN_BY_DIFF) if wrong.over == REFERENCE and not far else (wrong.level,)
    due = [trial for trial in found.trials if trial.clause.level in levels and trial.example]
    outcomes = worker.run(origin, due, timeout=timeout, stop=far)
    if not _failed(outcomes):
        rest = [trial for trial in ordered(found.trials) if trial not in due]
        outcomes += worker.run(origin, rest, timeout=timeout, stop=True)
    failed = _failed(outcomes)
    if failed:
        strength.killed_saboteurs += 1
        order.killers[failed[0]] += 1
        strength.killers[failed[0]] += 1
    else:
        strength.survivors.append(f"saboteur {name}")
    if 2 * len(_clauses(failed)) > strength.clauses:
        strength.too_broken.append(name)
    if wrong.level not in SEEN_BY_DIFF:
        strength.out_of_reach.append(name)
    elif not worker.ask(DIFF_S, kind="diff", origin=origin, examples=DIFF_EXAMPLES, likely=failed).get("differs"):
        strength.missed_by_diff.append(name)


def _failed(outcomes: Iterable[Outcome]) -> list[str]:
    return [one.clause for one in outcomes if one.verdict is Verdict.FAIL]


def _clauses(trials: Iterable[str]) -> set[str]:
    return {trial.partition(":")[0] for trial in trials}


def _mutated(
    strength: Strength, order: _Order, found: Suite, name: str, what: tuple[str, int, list[str]], worker: Worker
) -> None:
    origin = Origin(f"{strength.port}.{REFERENCE}")
    outcomes = worker.run(origin, order.trials(), timeout=MUTANT_TIMEOUT_S, stop=True, mutant=what)
    order.took(outcomes)
    killer = next((one.clause for one in outcomes if one.verdict is Verdict.FAIL), "")
    if not killer:
        strength.survivors.append(name)
        return
    strength.killed_mutants += 1
    order.killers[killer] += 1
    strength.killers[killer] += 1


@dataclass(frozen=True, slots=True)
class Row:
    """One clause over all broken adapters: how many it caught, and those that no other example clause caught."""

    clause: str
    caught: int
    alone: tuple[str, ...]


def matrix(port: str, *, workers: int = 0, registry: Registry | None = None) -> list[Row]:
    """Every example trial over every saboteur and mutant: what is each clause there for?

    A clause that catches nothing alone may be weak, or needs a saboteur that it alone catches. It takes minutes.
    """
    found = suite(port)
    trials = [trial for trial in found.trials if trial.example]
    jobs: list[Callable[[Worker], tuple[str, set[str]]]] = [
        partial(_caught, trials, Origin(f"{port}.{wrong.over}", name), f"saboteur {name}", {}, wrong.level)
        for name, wrong in saboteurs(port).items()
    ]
    jobs += [
        partial(_caught, trials, Origin(f"{port}.{REFERENCE}"), name, {"mutant": what}, Level.CORE)
        for name, what in broken(port, registry or default_registry())
    ]
    caught = in_parallel(jobs, workers or min(os.cpu_count() or 1, 8))
    tried = _clauses(trial.id for trial in trials)
    return [
        Row(
            clause.id,
            sum(clause.id in by for _, by in caught),
            tuple(name for name, by in caught if by == {clause.id}),
        )
        for clause in found.port.clauses
        if clause.id in tried
    ]


def _caught(
    trials: Sequence[Trial], origin: Origin, name: str, what: dict[str, Any], level: Level, worker: Worker
) -> tuple[str, set[str]]:
    timeout = MUTANT_TIMEOUT_S if origin.component.endswith(f".{REFERENCE}") else TIMEOUT_S
    if level is Level.FAULTS:  # Behind a wire other clauses hold or not by the wire.
        trials, timeout = [trial for trial in trials if trial.clause.level is level], TIMEOUT_S
    outcomes = worker.run(origin, trials, timeout=timeout, **what)
    return name, _clauses(_failed(outcomes))


def ordered(trials: Sequence[Trial]) -> list[Trial]:
    """State machines last: an example that fails says more, and sooner."""
    return sorted(trials, key=lambda trial: not trial.example)


def reference_modules(component: str, registry: Registry) -> list[str]:
    """The modules that make up a reference adapter: the factory's, and those of its folder that it imports."""
    port, _, adapter = component.partition(".")
    first = registry.spec(port, adapter).factory.partition(":")[0]
    package = first.rpartition(".")[0]
    found, pending = [first], [first]
    while pending:
        module = pending.pop()
        spec = find_spec(module)
        tree = ast.parse(Path(str(spec.origin if spec else "")).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                for name in (f"{package}.{one}" for one in names):
                    if name not in found and find_spec(name) is not None:
                        import_module(name)
                        found.append(name)
                        pending.append(name)
    return list(reversed(found))


__all__ = ["Row", "Strength", "matrix", "measure", "reference_modules"]
