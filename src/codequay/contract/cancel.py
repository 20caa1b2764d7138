"""Cancel a call at every point where it waits.

A call is run as a task of its own and cancelled at its n-th suspension, for n = 1, 2, ... until it ends by itself.
After each cut the trial looks: applied whole or not at all, nothing left running, and the next call works. The method
is that of SQLAlchemy's own tests (``testing/cancellation.py``), which no third party can run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

from .expect import Failed

MOST_CUTS = 300
"""A call that suspends more often than this for one small operation is not cut further."""
SETTLE_S = 5.0
"""Seconds that a cancelled call gets to end: it may finish what it has begun, and no more."""


class _Counted:
    """An awaitable that cancels its task at the n-th suspension of what it wraps."""

    def __init__(self, call: Awaitable[Any], cut_at: int) -> None:
        self._call = call
        self._cut_at = cut_at
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._call.__await__()
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                waiting = inner.send(value) if error is None else inner.throw(error)
            except StopIteration as done:
                return done.value
            self.suspensions += 1
            if self.suspensions == self._cut_at:
                task = asyncio.current_task()
                if task is not None:
                    asyncio.get_running_loop().call_soon(task.cancel)
            value, error = None, None
            try:
                value = yield waiting
            except BaseException as exc:  # noqa: BLE001 - handed on to the call
                error = exc


async def cuts(call: Callable[[], Awaitable[Any]]) -> AsyncIterator[int]:
    """Run ``call()`` again and again, cancelled at its 1st, 2nd, ... suspension; yields n after each cut.

    It ends with the first run that was not cut, which is not yielded.

    :raises Failed: a cancelled call did not end, or swallowed its cancellation
    """
    for n in range(1, MOST_CUTS):
        counted = _Counted(call(), n)
        before = asyncio.all_tasks()

        async def run(counted: _Counted = counted) -> Any:
            return await counted

        task = asyncio.create_task(run())
        done, _ = await asyncio.wait({task}, timeout=SETTLE_S)
        if not done:
            task.cancel()
            raise Failed(f"cancelled at its suspension {n}, the call did not end within {SETTLE_S:g} s")
        if counted.suspensions < n:
            task.result()
            return
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                raise Failed(f"cancelled at its suspension {n}, the call raised {type(error).__name__}: {error}")
        await _nothing_left(before, n)
        yield n


async def _nothing_left(before: set[asyncio.Task[Any]], n: int) -> None:
    """Tasks that the call started must end soon after it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_S
    while left := [t for t in asyncio.all_tasks() - before if t is not asyncio.current_task()]:
        if loop.time() > deadline:
            names = ", ".join(sorted(t.get_name() for t in left))
            raise Failed(f"cancelled at its suspension {n}, the call left tasks running: {names}")
        await asyncio.sleep(0.001)
