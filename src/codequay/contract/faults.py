"""Break the network between an adapter and its server, and see whether what the adapter then says is true.

A trial opens its store with ``broken(case)`` and gets the proxy beside it. ``tried`` makes a call that may fail,
``truthful`` compares what became of it with what the store shows afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from codequay.ports.errors import DeadlineExceeded, PortError, Unavailable

from .case import Case
from .expect import Failed, NotOffered, Unverified, shown
from .proxy import Proxy

TIMEOUT_S = 5.0
"""What an adapter is told to take at most for a call, unless a trial waits for it."""
GONE_S = 2.0
"""Seconds that connections get to end after close."""
NOTICED_S = 0.02
"""Seconds in which a client notices that its connections were reset."""


def _yes(answer: Any) -> bool:
    return True


@dataclass(frozen=True)
class Change:
    """One write of a port. ``n`` is another number each time: what one does is nobody else's."""

    name: str
    call: Callable[[Any, int, Any], Awaitable[Any]]
    """(store, n, what ``prepare`` gave) -> the answer."""
    applied: Callable[[Any, int, Any], Awaitable[bool]]
    """(store, n, what ``prepare`` gave) -> whether the store shows it; raises ``Failed`` for a part of it."""
    prepare: Callable[[Any, int], Awaitable[Any]] | None = None
    """What must be there before."""
    right: Callable[[Any], bool] = _yes
    """Whether the answer is the one of a call that was applied, once."""

    async def prepared(self, store: Any, n: int) -> Any:
        return await self.prepare(store, n) if self.prepare is not None else None


class Ended(NamedTuple):
    """What became of a call: ``error`` is None when it was answered."""

    answer: Any = None
    error: PortError | None = None


@asynccontextmanager
async def broken(case: Case, *, timeout: float = TIMEOUT_S) -> AsyncIterator[tuple[Any, Proxy]]:
    """The store, and the proxy between it and its server. At the end no connection may be left.

    ``timeout``: seconds that the adapter is told to take at most for one call.

    :raises NotOffered: the adapter has no server
    :raises Unverified: it says that it has one, and its harness does not say where
    """
    if case.harness.endpoint is None:
        if case.capabilities.reach != "network":
            raise NotOffered("no server is behind this adapter")
        raise Unverified(f"{type(case.harness).__name__} names no endpoint, so that no proxy can stand before it")
    case.harness.timeout = timeout
    async with case.through() as net:
        async with case.open() as store:
            yield store, net
        await _all_closed(net)


async def _all_closed(net: Proxy) -> None:
    deadline = time.monotonic() + GONE_S
    while net.open:
        if time.monotonic() > deadline:
            raise Failed(f"{net.open} connections to the server are open after close")
        await asyncio.sleep(0.005)


async def tried(call: Awaitable[Any], what: str) -> Ended:
    """Make a call that may fail.

    :raises Failed: it fails otherwise than the page says
    """
    try:
        return Ended(await call)
    except (Unavailable, DeadlineExceeded) as exc:
        return Ended(error=exc)
    except PortError as exc:
        raise Failed(
            f"{what} raised {type(exc).__name__} ({exc.message}); a connection that fails is Unavailable or"
            " DeadlineExceeded"
        ) from exc


async def settled(task: asyncio.Future[Any], what: str) -> None:
    """Look at what a call that has ended raised, if it was not cancelled.

    :raises Failed: it failed otherwise than the page says
    """
    if not task.cancelled() and task.exception() is not None:
        await tried(task, what)


def truthful(change: Change, ended: Ended, applied: bool, when: str) -> None:
    """What was said of the call against what the store shows.

    :raises Failed: it was not true
    """
    error = ended.error
    if error is None:
        if not applied:
            raise Failed(f"{when}, {change.name} was acknowledged, and it was not applied")
        if not change.right(ended.answer):
            raise Failed(f"{when}, {change.name} gave {shown(ended.answer)}: the answer of a call that was made twice?")
    elif applied and not error.ambiguous:
        raise Failed(
            f"{when}, {change.name} was applied, and it raised {type(error).__name__} without ambiguous: its caller"
            f" believes that nothing was done ({error.message})"
        )


async def works(store: Any, change: Change, n: int) -> None:
    """Make a call that nothing disturbs, and see that it was applied."""
    before = await change.prepared(store, n)
    await change.call(store, n, before)
    assert await change.applied(store, n, before)


class Writers:
    """Tasks that make the same change at once, and what they were told of each call."""

    def __init__(self, store: Any, change: Change, tasks: int, *, calls: int) -> None:
        """``calls``: of each task at most; those whose preparation failed count too."""
        self._store = store
        self._change = change
        self._tasks = tasks
        self._calls = calls
        self._ended: dict[int, tuple[Any, Ended]] = {}
        self.enough = False
        """Set it to let them end."""

    @property
    def acknowledged(self) -> int:
        return sum(one.error is None for _, one in self._ended.values())

    @property
    def unused(self) -> int:
        """A number that none of them takes."""
        return self._tasks * self._calls

    async def write(self) -> None:
        """Make the calls, and wait for all of them also where one fails otherwise than the page says."""
        firsts = range(0, self._tasks * self._calls, self._calls)
        for failed in await asyncio.gather(*map(self._write, firsts), return_exceptions=True):
            if failed is not None:
                raise failed

    async def _write(self, first: int) -> None:
        for n in range(first, first + self._calls):
            if self.enough:
                return
            try:
                before = await self._change.prepared(self._store, n)
            except PortError:
                await asyncio.sleep(0.01)
                continue
            self._ended[n] = before, await tried(self._change.call(self._store, n, before), self._change.name)

    async def were_told_the_truth(self, when: str) -> None:
        """
        :raises Failed: they were not
        """
        for n, (before, one) in self._ended.items():
            truthful(self._change, one, await self._change.applied(self._store, n, before), when)


async def healed(net: Proxy) -> None:
    """The network works again, and the adapter has had the time to notice which connections it has lost."""
    await net.heal()
    await asyncio.sleep(NOTICED_S)
