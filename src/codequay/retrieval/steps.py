"""Steps: a computation that asks ports for batches of reads, without doing them.

A generator yields a tuple of ``Call`` (or ``Work``) and receives their answers in order. So one definition of a search
runs either in a single thread hop over synchronous faces (a hop costs 25 to 165 us, and a search needs four reads in a
row), or awaited, each batch concurrently, over ports that have layers or a network behind them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Call(NamedTuple):
    """One read: port, operation, and its arguments."""

    port: str
    op: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}


class Work(NamedTuple):
    """A computation of milliseconds: done in a thread where the reads are awaited, so that others have their turn."""

    function: Callable[..., Any]
    args: tuple[Any, ...]


Steps = Generator[tuple[Call | Work, ...], list[Any], T]


def run_steps(steps: Steps[T], faces: Mapping[str, Any]) -> T:
    """Run in this thread over synchronous faces."""
    try:
        calls = next(steps)
        while True:
            calls = steps.send([_done(call, faces) for call in calls])
    except StopIteration as done:
        result: T = done.value
        return result


def _done(call: Call | Work, faces: Mapping[str, Any]) -> Any:
    if isinstance(call, Work):
        return call.function(*call.args)
    return getattr(faces[call.port], call.op)(*call.args, **call.options)


async def await_steps(steps: Steps[T], faces: Mapping[str, Any], run_sync: Callable[..., Awaitable[Any]]) -> T:
    """Run over asynchronous ports; the calls of one batch run concurrently, and a failure cancels the others.

    ``run_sync`` runs a function in a thread.
    """
    import asyncio

    async def one(call: Call | Work) -> Any:
        if isinstance(call, Work):
            return await run_sync(call.function, *call.args)
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
