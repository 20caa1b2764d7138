"""Steps: a computation that asks ports for batches of reads, without doing them.

A generator yields a tuple of ``Call`` and receives their answers in order. So one definition of a search runs either
in a single thread hop over synchronous faces (a hop costs 25 to 165 us, and a search needs four reads in a row), or
awaited, each batch concurrently, over ports that have layers or a network behind them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Call(NamedTuple):
    """One read: port, operation, and its arguments."""

    port: str
    op: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}


Steps = Generator[tuple[Call, ...], list[Any], T]


def run_steps(steps: Steps[T], faces: Mapping[str, Any]) -> T:
    """Run in this thread over synchronous faces."""
    try:
        calls = next(steps)
        while True:
            calls = steps.send([getattr(faces[c.port], c.op)(*c.args, **c.options) for c in calls])
    except StopIteration as done:
        result: T = done.value
        return result


async def await_steps(steps: Steps[T], faces: Mapping[str, Any]) -> T:
    """Run over asynchronous ports; the calls of one batch run concurrently, and a failure cancels the others."""
    import asyncio

    async def one(call: Call) -> Any:
        return await getattr(faces[call.port], call.op)(*call.args, **call.options)

    try:
        calls = next(steps)
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(call)) for call in calls]
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
            calls = steps.send([task.result() for task in tasks])
    except StopIteration as done:
        result: T = done.value
        return result
