"""Budgets in turns, not in milliseconds: a turn is one trip to where the data lies and back.

For a server it is a request and its answer; for an embedded store a hop to a thread; a store in memory needs none.
Counted, they are the same on every machine, and a loop that asks once per item shows at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from .case import Case
from .expect import Failed, Unverified

MOST_PER_CALL = 4
"""Turns of an operation on one item: begin, do, commit, and one to find a connection."""


class Turns:
    """What a block of ``counted`` spent; known when the block has ended."""

    spent: int = 0


@asynccontextmanager
async def counted(case: Case) -> AsyncIterator[Turns]:
    """Count the turns of a block: ``async with counted(case) as turns: ...``, then ``turns.spent``.

    :raises Unverified: the harness cannot count them
    """
    before = await _so_far(case)
    turns = Turns()
    yield turns
    turns.spent = await _so_far(case) - before


async def spent(case: Case, call: Callable[[], Awaitable[Any]]) -> int:
    """The turns of one call.

    :raises Unverified: the harness cannot count them
    """
    async with counted(case) as turns:
        await call()
    return turns.spent


async def within(case: Case, what: str, most: int, call: Callable[[], Awaitable[Any]]) -> None:
    """The call takes at most ``most`` turns. ``what`` names it.

    :raises Failed: it takes more
    :raises Unverified: the harness cannot count them
    """
    found = await spent(case, call)
    if found > most:
        raise Failed(f"{what} takes {found} turns; its budget is {most}")


def batches(items: int, max_batch: int) -> int:
    """Batches of at most ``max_batch`` that hold the items."""
    return -(-items // max_batch)


async def batched(case: Case, what: str, items: int, call: Callable[[], Awaitable[Any]]) -> None:
    """A batch of ``items`` takes one turn per ``max_batch`` of them, and a constant.

    :raises Failed: it takes more
    :raises Unverified: the harness cannot count them
    """
    most = batches(items, case.capabilities.max_batch) + MOST_PER_CALL
    await within(case, f"{what} of {items}", most, call)


async def level(case: Case, what: str, call: Callable[[int], Awaitable[Any]], *, n: int = 10, slack: int = 0) -> None:
    """``call(10 * n)`` takes no more turns than ``call(n)``; a first ``call(n)`` warms caches and is not counted.

    ``slack``: turns that the larger one may take beyond that, as for pages or batches.

    :raises Failed: it takes more
    :raises Unverified: the harness cannot count them
    """
    await call(n)
    small = await spent(case, lambda: call(n))
    large = await spent(case, lambda: call(10 * n))
    if large > small + slack:
        raise Failed(f"{what} takes {small} turns at {n} and {large} at {10 * n}; it must not grow")


async def _so_far(case: Case) -> int:
    found = await case.harness.turns()
    if found is None:
        name = type(case.harness).__name__
        raise Unverified(f"{name} cannot count turns: give it turns(), the round trips made so far")
    return found
