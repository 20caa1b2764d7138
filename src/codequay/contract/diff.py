"""Drive two adapters of a port with one history, and report what can be told apart.

First with generated histories, those of the port's state machine: one history drives both, and each answer is compared.
A difference is explained by a declared capability when the two declare different ones and each answer is right for what
its adapter declares. Of tokens, fences and scores only their presence is compared. Then with the trials of the clauses:
what one passes and the other fails can be told apart, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, is_dataclass
from operator import itemgetter
from typing import Any

from hypothesis import given, seed

from codequay.kernel.registry import Registry, default_registry
from codequay.ports.errors import ConfigError, PortError
from codequay.ports.op import operations
from codequay.ports.spec import Level

from .case import Case
from .clauses import Trial, suite
from .clock import ManualClock
from .expect import Failed
from .harness import Subject, subject
from .history import History
from .model import Enough, Search, Step, called, expanded, keep_nothing, quietly
from .model import histories as generated
from .runner import TIMEOUT_S, run_trial
from .verdict import Verdict

EXAMPLES = 100
FIRST_S = 2.0
"""Seconds for one trial where one difference is enough."""
LOOKING_S = 10.0
"""Seconds for generated histories. One that differs is then made shorter:"""
SHRINKING_S = 8.0
ANSWER_S = 5.0
"""Seconds for one answer."""
TRIED = (Level.CORE, Level.CAPABILITY)
"""Levels whose trials are run over both: the others end processes, race or cancel."""
UNEQUAL = {"token", "fence", "store_id", "fingerprint", "score", "published_at", "hidden_at", "after"}
"""Fields that two correct adapters may fill differently."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The shortest history on which two adapters differ, and their answers to its last step."""

    left: str
    right: str
    step: str
    answers: tuple[str, str]
    history: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison did. ``operations`` counts calls by name, over all histories."""

    left: str
    right: str
    seed: int
    histories: int
    operations: dict[str, int]
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "from": self.left,
            "to": self.right,
            "seed": self.seed,
            "histories": self.histories,
            "operations": self.operations,
            "differences": [
                {"step": d.step, "answers": list(d.answers), "history": d.history} for d in self.differences
            ],
        }


def compare(
    left: str, right: str, *, seed_: int = 0, examples: int = EXAMPLES, registry: Registry | None = None
) -> Comparison:
    """Compare two adapters of one port.

    :raises ConfigError: they serve different ports, or the port has no state machine
    """
    keep_nothing()
    registry = registry or default_registry()
    if left.partition(".")[0] != right.partition(".")[0]:
        raise ConfigError(f"{left} and {right} serve different ports", remedy="name two adapters of one port")
    sides = subject(left, registry, seed=seed_), subject(right, registry, seed=seed_)
    return compare_subjects(*sides, seed_=seed_, examples=examples)


def compare_subjects(
    left: Subject,
    right: Subject,
    *,
    seed_: int = 0,
    examples: int = EXAMPLES,
    first: bool = False,
    likely: Collection[str] = (),
) -> Comparison:
    """The same, for subjects that nobody announces.

    ``first``: one difference is enough, and need not be short. ``likely``: trials that probably tell of one.
    """
    trials = [trial for trial in suite(left.port).trials if trial.example and trial.clause.level in TRIED]
    trials.sort(key=lambda trial: trial.id not in likely)
    counts: Counter[str] = Counter()
    if first:
        for trial in (one for one in trials if one.id in likely):
            if known := _by_trial(left, right, trial, first=True):
                return Comparison(left.component, right.component, seed_, 0, {}, tuple(known))
    generated_, histories = _generated(left, right, seed_, examples, counts, shrink=not first)
    differences = [generated_] if generated_ else []
    for trial in trials:
        if first and differences:
            break
        differences += _by_trial(left, right, trial, first=first)
    return Comparison(left.component, right.component, seed_, histories, dict(counts), tuple(differences))


def _by_trial(left: Subject, right: Subject, trial: Trial, *, first: bool) -> list[Difference]:
    """A trial that one of them passes and the other fails, when both declare what it speaks of.

    ``first``: that they differ is enough; nobody waits long for what hangs, or reads a script.
    """
    timeout = FIRST_S if first else TIMEOUT_S
    outcomes = [run_trial(side, trial, timeout=timeout, shrink=not first) for side in (left, right)]
    verdicts = [one.verdict for one in outcomes]
    if sorted(verdicts) != sorted((Verdict.PASS, Verdict.FAIL)):
        return []
    answers = [one.reason or "as the port says" for one in outcomes]
    step = f"{trial.clause.id} {trial.clause.text}"
    history = next(one.history for one in outcomes if one.verdict is Verdict.FAIL)
    return [Difference(left.component, right.component, step, (answers[0], answers[1]), history)]


def _generated(
    left: Subject, right: Subject, seed_: int, examples: int, counts: Counter[str], *, shrink: bool
) -> tuple[Difference | None, int]:
    """The shortest generated history on which they differ, and how many were made."""
    trials = suite(left.port).trials
    machines = [(one.clause.since_version, one.machine) for one in trials if one.machine is not None]
    if not machines:
        raise ConfigError(f"the kit has no state machine for {left.port}", remedy="compare another port")
    make, steps = max(machines, key=itemgetter(0))[1]  # The newest knows every operation.
    search = Search(LOOKING_S, LOOKING_S + SHRINKING_S)
    histories = 0
    shortest: list[Difference] = []

    @seed(seed_)
    @quietly(examples, shrink=shrink)
    @given(generated(steps))
    def run(history: list[Step]) -> None:
        nonlocal histories
        if search.over():
            raise Enough
        histories += 1
        with asyncio.Runner() as runner:
            difference = runner.run(_both(left, right, make, history, counts))
        if difference is not None:
            failed = Failed("they differ")
            if search.failed(failed, history):
                shortest[:] = [difference]
            raise failed

    def again(history: list[Step]) -> bool:
        with asyncio.Runner() as runner:
            difference = runner.run(_both(left, right, make, history, counts))
        if difference is None:
            return False
        search.failed(Failed("they differ"), history)
        shortest[:] = [difference]
        return True

    with contextlib.suppress(Failed, Enough):
        run()
    if shrink and search.found is not None:
        search.shorten(again)
    return (shortest[0] if shortest else None), histories


async def _both(
    left: Subject, right: Subject, make: Callable[[Any], Any], steps: list[Step], counts: Counter[str]
) -> Difference | None:
    port = suite(left.port).port
    known = operations(port.protocol)
    noted = History(port), History(port)
    clocks = ManualClock(), ManualClock()
    models = make(left.capabilities), make(right.capabilities)
    async with left.place(clocks[0]) as one, right.place(clocks[1]) as other:
        cases = (
            Case(left, port, one, noted[0], clocks[0]),
            Case(right, port, other, noted[1], clocks[1]),
        )
        async with cases[0].open() as first, cases[1].open() as second:
            for step in steps:
                ready = models[0].ready(step), models[1].ready(step)
                if ready[0] is None or ready[1] is None or step.op == "reopen":
                    continue
                if step.op == "advance":
                    for case, model, filled in zip(cases, models, ready, strict=True):
                        await case.advance(*filled.args)
                        _accepts(model, filled, None)
                    continue
                for one_, other_ in zip(expanded(models[0], ready[0]), expanded(models[1], ready[1]), strict=True):
                    answers = (
                        await _answer(first, one_, models[0], cases[0]),
                        await _answer(second, other_, models[1], cases[1]),
                    )
                    counts[one_.op] += 1
                    right_each = [
                        _accepts(model, filled, answer)
                        for model, filled, answer in zip(models, (one_, other_), answers, strict=True)
                    ]
                    seen = (
                        normal(_seen(models[0], one_, answers[0])),
                        normal(_seen(models[1], other_, answers[1])),
                    )
                    explained = left.capabilities != right.capabilities and all(right_each)
                    if seen[0] != seen[1] and one_.op in known and not explained:
                        script = noted[0].comparison(left.component, right.component)
                        return Difference(
                            left.component, right.component, one_.op, (str(seen[0]), str(seen[1])), script
                        )
    return None


def _accepts(model: Any, step: Step, answer: Any) -> bool:
    """Whether the answer is right for an adapter of these capabilities; the model moves on in any case."""
    try:
        model.check(step, answer)
    except Failed:
        return False
    return True


def _seen(model: Any, step: Step, answer: Any) -> Any:
    """A model may take out of the answer what two correct adapters of its port may give differently."""
    return model.seen(step, answer) if hasattr(model, "seen") else answer


async def _answer(store: Any, step: Step, model: Any, case: Case) -> Any:
    try:
        return await asyncio.wait_for(called(store, step, model, case), ANSWER_S)
    except PortError as exc:
        return exc
    except Failed as exc:
        return f"a wrong answer: {exc}"
    except TimeoutError:
        return f"no answer within {ANSWER_S:g} s"


def normal(answer: Any) -> Any:
    """The answer without what two correct adapters may fill differently."""
    if isinstance(answer, PortError):
        return f"raised {type(answer).__name__}"
    if isinstance(answer, float):
        return round(answer, 2)
    if is_dataclass(answer) and not isinstance(answer, type):
        return tuple((f.name, _part(f.name, getattr(answer, f.name))) for f in fields(answer))
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return tuple((name, _part(name, getattr(answer, name))) for name in answer._fields)
    if isinstance(answer, (list, tuple)):
        return tuple(normal(one) for one in answer)
    if isinstance(answer, dict):
        return tuple(sorted((key, normal(value)) for key, value in answer.items()))
    return answer


def _part(name: str, value: Any) -> Any:
    """A field; of one that may differ, whether there is something."""
    return value is not None if name in UNEQUAL else normal(value)
