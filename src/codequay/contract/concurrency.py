"""Small concurrent histories, checked for linearizability (Wing and Gong 1993; Lowe's search with memory).

Each call has a beginning and an end. A history is linearizable if its calls can be put into one order that respects
these and that a sequential model accepts. Histories are kept under a dozen calls: the search is exponential.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .expect import Failed

Apply = Callable[[Any, str, tuple[Any, ...]], tuple[Any, Any]]
"""(state, operation, arguments) -> (next state, answer). States are hashable."""


class Call(NamedTuple):
    """An operation of one worker."""

    op: str
    args: tuple[Any, ...] = ()


@dataclass(slots=True)
class Done:
    """A call that was made: when it began and ended (counted, not timed), and what it gave."""

    call: Call
    began: int
    ended: int = 0
    answer: Any = None

    def __repr__(self) -> str:
        said = ", ".join(map(repr, self.call.args))
        return f"{self.began}-{self.ended}: {self.call.op}({said}) -> {self.answer!r}"


async def together(
    workers: Sequence[Sequence[Call]], perform: Callable[[Call], Awaitable[Any]], seed: int
) -> list[Done]:
    """Run the workers' calls side by side, with pauses in an order that ``seed`` decides; the history."""
    order = random.Random(seed)
    made: list[Done] = []
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return ticks

    async def work(calls: Sequence[Call]) -> None:
        for call in calls:
            for _ in range(order.randrange(4)):
                await asyncio.sleep(0)
            one = Done(call, tick())
            made.append(one)
            one.answer = await perform(call)
            one.ended = tick()

    await asyncio.gather(*(work(calls) for calls in workers))
    return made


def check_linearizable(history: Sequence[Done], state: Hashable, apply: Apply) -> None:
    """Find an order that the model accepts.

    :raises Failed: there is none; with the history
    """
    seen: set[tuple[frozenset[int], Hashable]] = set()

    def search(left: frozenset[int], state: Any) -> bool:
        if not left:
            return True
        if (left, state) in seen:
            return False
        seen.add((left, state))
        first_end = min(history[i].ended for i in left)
        for i in left:
            one = history[i]
            if one.began > first_end:
                continue
            after, answer = apply(state, one.call.op, one.call.args)
            if answer == one.answer and search(left - {i}, after):
                return True
        return False

    if not search(frozenset(range(len(history))), state):
        lines = "\n".join(f"    {one!r}" for one in sorted(history, key=lambda one: one.began))
        raise Failed(f"no order of these calls explains their answers:\n{lines}")
