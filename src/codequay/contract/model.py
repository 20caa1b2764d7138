"""State machines: generated histories, each answer compared with a model that is too simple to be wrong.

Keys come from small alphabets with prefix pairs, case pairs and non-ASCII: with large ones a history hardly ever meets
the same key twice, and bugs of re-creation stay hidden. The shortest failing history is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from codequay.ports.errors import PortError

from .case import Case
from .clock import ManualClock
from .expect import Failed, shown
from .explain import difference
from .harness import Subject
from .history import History

KEYS = ("k", "kk", "K", "k/x", "ä", "1", "10", "🔑")
"""Prefix pairs, a case pair, a separator, non-ASCII of two and four bytes."""
EXAMPLES = 60
STEPS = 30
SHORTENED_S = 7.0
"""Seconds after which the shortest failing history so far is taken."""
BUDGET_S = 1.5
"""Seconds for new histories: a store on a disk gets fewer than one in memory. A failure is still made shorter."""


class Step(NamedTuple):
    """One operation with its arguments. ``op`` may be "advance" (seconds), or "reopen"."""

    op: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = MappingProxyType({})


class Planted(NamedTuple):
    """An argument that the harness knows: what it planted has it under this name."""

    name: str


def histories(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    """Short and long histories: lists as hypothesis makes them have six steps, of which hardly one finds anything.

    The shortest least length comes first, so that shrinking may take steps away.
    """
    least = st.sampled_from((1, STEPS // 4, STEPS // 2))
    return least.flatmap(lambda length: st.lists(steps, min_size=length, max_size=STEPS))


class Model(Protocol):
    """The port in a few lines. One object lives as long as one history."""

    def ready(self, step: Step) -> Step | None:
        """The step with references to earlier answers filled in; None when it makes no sense now."""
        ...

    def check(self, step: Step, answer: Any) -> None:
        """Move on, and compare. ``answer`` is the result, or the ``PortError`` that was raised.

        :raises Failed: the answer is not what the model gives
        """
        ...


def machine(
    subject: Subject,
    port: Any,
    make: Callable[[Any], Model],
    steps: st.SearchStrategy[Step],
    keep: Callable[[History], None],
    *,
    seconds: float,
    shrink: bool = True,
) -> None:
    """Drive adapter and model with the same histories. ``make`` takes the capabilities.

    It ends within ``seconds``, unless the adapter blocks. ``keep`` gets each history as it begins, the one that counts
    last.

    :raises Failed: with the first difference of the shortest failing history; what else the adapter raises goes on
    """
    patience = 2 * seconds / 3
    search = Search(min(BUDGET_S, seconds / 3), min(SHORTENED_S, patience))
    shortest: list[History] = []

    @seed(subject.seed)
    @quietly(EXAMPLES, shrink=shrink)
    @given(histories(steps))
    def run(history_steps: list[Step]) -> None:
        if search.over():
            raise Enough
        driven(history_steps)

    def driven(history_steps: list[Step]) -> None:
        history = History(port)
        keep(history)
        try:
            with asyncio.Runner() as runner:
                runner.run(_drive(subject, port, make(subject.capabilities), history_steps, history, patience))
        except Exception as exc:
            if search.failed(exc, history_steps):
                shortest[:] = [history]
            raise

    def again(history_steps: list[Step]) -> bool:
        try:
            driven(history_steps)
        except Exception:  # noqa: BLE001 - kept by the search
            return True
        return False

    with contextlib.suppress(Exception, Enough):  # What was found is kept.
        run()
    if search.found is not None:
        if shrink:
            search.shorten(again)
        keep(shortest[0])
        raise search.found[1]


class Enough(BaseException):
    """Time is up. Hypothesis lets it pass, as it does a ``KeyboardInterrupt``, and makes no more histories."""


def quietly(examples: int, *, shrink: bool) -> settings:
    """How the kit uses hypothesis: it keeps nothing, prints nothing, and its seed decides everything."""
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )


def keep_nothing() -> None:
    """Hypothesis writes no cache of its own into the folder where somebody stands. For processes of the kit's."""
    set_hypothesis_home_dir(Path(os.devnull) / "hypothesis")


class Search:
    """How long histories are made, and the shortest that failed."""

    def __init__(self, until_failure: float, until_shortest: float) -> None:
        self.found: tuple[list[Step], Exception] | None = None
        self._started = time.monotonic()
        self._until_failure = until_failure
        self._until_shortest = until_shortest

    def over(self) -> bool:
        """Whether hypothesis has had its time: until it found something, or half of what then is left."""
        limit = self._until_failure if self.found is None else (self._until_failure + self._until_shortest) / 2
        return time.monotonic() - self._started > limit

    def failed(self, exc: Exception, steps: list[Step]) -> bool:
        """Keep a failing history, if none was shorter; whether it was kept."""
        if self.found is not None and len(steps) > len(self.found[0]):
            return False
        self.found = list(steps), exc
        return True

    def shorten(self, fails: Callable[[list[Step]], bool]) -> None:
        """Take steps away while it fails: halves, quarters, and one by one (Zeller's ddmin), as long as there is time.

        Hypothesis shortens what it drew, and gives up where a step that is taken away changes what the next ones mean.
        """
        size = len(self.found[0]) // 2 if self.found is not None else 0
        while size and self.found is not None and time.monotonic() - self._started < self._until_shortest:
            steps = self.found[0]
            for start in range(0, len(steps), size):
                less = steps[:start] + steps[start + size :]
                if less and fails(less):
                    break
                if time.monotonic() - self._started > self._until_shortest:
                    return
            else:
                size //= 2


async def _drive(
    subject: Subject, port: Any, model: Model, steps: list[Step], history: History, patience: float
) -> None:
    clock = ManualClock()
    async with subject.place(clock) as harness:
        case = Case(subject, port, harness, history, clock)
        pending = list(steps)
        while pending:
            async with case.open() as store:
                while pending:
                    step = model.ready(pending.pop(0))
                    if step is None:
                        continue
                    if step.op == "reopen":
                        break
                    if step.op == "advance":
                        await case.advance(*step.args)
                        model.check(step, None)
                        continue
                    for one in expanded(model, step):
                        await _one(store, one, model, patience, case)


def expanded(model: Any, step: Step) -> Iterable[Step]:
    """The step, and what the model's own ``expanded`` wants done before it and seen after it, one after the other.

    ``fill`` is a whole generation: begin, stage, seal. Without it random steps hardly ever seal anything.
    """
    if hasattr(model, "expanded"):
        found: Iterable[Step] = model.expanded(step)
        return found
    if step.op != "fill":
        return [step]
    generation = step.options["generation"]
    return [
        Step("begin", step.args, {"generation": generation, "base": step.options["base"]}),
        Step("stage", step.args, {"generation": generation, "files": step.options["files"], "removed": []}),
        Step("seal", step.args, {"generation": generation}),
    ]


async def _one(store: Any, step: Step, model: Model, patience: float, case: Case) -> None:
    try:
        answer: Any = await asyncio.wait_for(called(store, step, model, case), patience)
    except PortError as exc:
        answer = exc
    except TimeoutError:
        raise Failed(f"{step.op} did not answer within {patience:.1f} s") from None
    model.check(step, answer)


def _alike(one: Any, other: Any, case: Case) -> bool:
    """Equal; seconds that are left (not those that mean something else, below 0) as exactly as the clock allows."""
    if isinstance(one, float) and isinstance(other, float) and min(one, other) > 0:
        return bool(one == case.about(other))
    return bool(one == other)


async def called(store: Any, step: Step, model: Any, case: Case) -> Any:
    """What the operation gives; the items of a stream as a list.

    A model whose steps are more than a call (time passes while it waits) makes them itself: its own ``perform`` gives
    the answer, or ``NotImplemented`` for a plain call.

    :raises Failed: the sync face, where there is one, gives something else
    """
    if hasattr(model, "perform"):
        answer = await model.perform(store, step, case)
        if answer is not NotImplemented:
            return answer
    args = [getattr(store, arg.name) if isinstance(arg, Planted) else arg for arg in step.args]
    made = getattr(store, step.op)(*args, **step.options)
    if hasattr(made, "__aiter__"):
        return [item async for item in made]
    answer = await made
    at_once = getattr(store.sync, step.op, None)
    if at_once is not None and not _alike(again := at_once(*args, **step.options), answer, case):
        raise Failed(f"{step.op} gave {answer!r}; its sync face gives {again!r}")
    return answer


def same(step: Step, answer: Any, expected: Any) -> None:
    """The answer must equal what the model gives; for an exception class: be one.

    :raises Failed: it does not
    """
    if isinstance(expected, type) and issubclass(expected, Exception):
        if not isinstance(answer, expected):
            raise Failed(f"{step.op} gave {shown(answer)}; {expected.__name__} must be raised")
    elif isinstance(answer, PortError):
        raise Failed(f"{step.op} raised {type(answer).__name__}: {answer.message}; the answer is {shown(expected)}")
    elif answer != expected:
        where = difference(answer, expected)
        raise Failed(
            f"{step.op} gave {shown(answer)}; the answer is {shown(expected)}" + (f"\n{where}" if where else "")
        )
