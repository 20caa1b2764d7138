"""Budgets in turns, not in milliseconds: a turn is one trip to where the data lies and back.

For a server it is a request and its answer: the proxy before it counts them, and the harness may too; the larger number
counts. For an embedded store it is a hop to a thread; a store in memory needs none. Turns are the same on every
machine, and a loop that asks once per item shows at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from .case import Case
from .expect import Failed, Unverified

MOST_PER_CALL = 4
"""Turns of an operation on one item: begin, do, commit, and one to find a connection."""
THOUSAND = 1000
MOST_PER_BATCH = 16
"""Turns of a large batch: begin, what holds it for a while, do, commit, and those to find a connection."""


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
    turns.spent = max(after - start for after, start in zip(await _so_far(case), before, strict=True))


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


async def thousand(case: Case, what: str, call: Callable[[int, int], Awaitable[Any]]) -> None:
    """A thousand items, in calls ``call(first, count)`` as large as they may be, take a constant number of turns each.

    :raises Failed: it takes more
    :raises Unverified: the harness cannot count them
    """
    size = min(case.capabilities.max_batch, THOUSAND)

    async def every() -> None:
        for first in range(0, THOUSAND, size):
            await call(first, min(size, THOUSAND - first))

    most = batches(THOUSAND, size) * MOST_PER_BATCH
    await within(case, f"{what} of {THOUSAND}", most, every)


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


async def _so_far(case: Case) -> tuple[int, int]:
    """As the harness counts, and as the proxy before its server does: neither may see less than the budget allows."""
    told = await case.harness.turns()
    if told is None and case.net is None:
        name = type(case.harness).__name__
        raise Unverified(f"{name} cannot count turns: give it an endpoint, or turns(), the round trips made so far")
    return told or 0, case.net.turns if case.net is not None else 0
