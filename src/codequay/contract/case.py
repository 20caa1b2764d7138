"""One trial's view of the adapter under test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from codequay.kernel.compose import check_fit, compose, compose_sync
from codequay.kernel.guard import Gate
from codequay.kernel.translate import Translator, no_classify
from codequay.ports.spec import PortSpec

from .clock import ManualClock, settle
from .expect import Failed, Unverified, near
from .harness import Harness, Subject
from .history import History, Recorded
from .proxy import Proxy, proxy

T = TypeVar("T")

SOON_S = 3.0
"""Seconds of the machine's time for what is promised within one of the contract's: a busy machine is no fault."""
TICK_S = 0.02
"""By how much the clock moves at a time, and each time waits a millisecond for whoever it woke."""
SERVER_TICK_S = 0.002
"""Longer than what a server cannot tell apart: most count in milliseconds."""
SHORTEST_SECOND_S = 0.1
"""What trials count time in where it is real: longer than calls take on a busy machine."""
LONGEST_INJECTED_TTL_S = 0.001
"""``min_ttl`` of a store that takes the time from its context; one that declares more has a server that keeps it."""


class Case:
    """An adapter in an empty place of its own, behind guard and translate, under a clock that the trial moves."""

    def __init__(
        self,
        subject: Subject,
        port: PortSpec,
        harness: Harness,
        history: History,
        clock: ManualClock,
        *,
        opened: bool = False,
    ) -> None:
        self.subject = subject
        self.port = port
        self.harness = harness
        self.clock = clock
        self.net: Proxy | None = None
        """The proxy between adapter and server, while there is one."""
        self._history = history
        self._opened = opened

    @property
    def capabilities(self) -> Any:
        return self.subject.capabilities

    @property
    def folder(self) -> Path:
        return self.harness.folder

    @property
    def namespace(self) -> str:
        return self.harness.namespace

    @asynccontextmanager
    async def open(self, *, readonly: bool = False) -> AsyncIterator[Any]:
        """The guarded adapter: empty the first time, afterwards what the earlier ones left.

        :raises Unverified: the harness cannot open it again
        """
        again, self._opened = self._opened, True
        async with AsyncExitStack() as stack:
            try:
                adapter = await stack.enter_async_context(self.harness.opened(again=again, readonly=readonly))
            except NotImplementedError as exc:
                raise Unverified(str(exc) or "the harness cannot open the adapter again") from exc
            component = self.subject.component
            check_fit(self.port, adapter, component)
            translator = Translator(component, "the harness", self.subject.classify or no_classify)
            gate = Gate()
            face = compose(self.port, adapter, self.capabilities, translator, gate)
            reads = getattr(adapter, "sync", None)
            sync = None if reads is None else compose_sync(self.port, reads, self.capabilities, translator, gate)
            planted = await self.harness.plant(adapter)
            store = Recorded(face, sync, self._history, self.port, planted)
            self._history.opened(store, self, readonly)
            yield store
            gate.closed = True
            self._history.closed(store, self)

    @asynccontextmanager
    async def through(self) -> AsyncIterator[Proxy]:
        """What is opened in this block reaches its server through a proxy. See ``codequay.contract.faults``.

        :raises LookupError: there is no server
        """
        real = self.harness.endpoint
        if real is None:
            raise LookupError(f"{type(self.harness).__name__} names no endpoint")
        async with proxy(real) as net:
            self.harness.endpoint, self.net = net.endpoint, net
            try:
                yield net
            finally:
                self.harness.endpoint, self.net = real, None

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Case]:
        """A second place, with nothing in common."""
        async with self.subject.place(self.clock) as harness:
            place = Case(self.subject, self.port, harness, self._history, self.clock)
            self._history.another(place, self)
            yield place

    # -- time -----------------------------------------------------------------------------------------------------

    @property
    def server_time(self) -> bool:
        """Whether a server keeps the time, so that what waits must really wait."""
        return getattr(self.capabilities, "min_ttl", 0.0) > LONGEST_INJECTED_TTL_S

    @property
    def second(self) -> float:
        """What trials count time in: a second of the injected clock, else about the shortest ttl of the server."""
        return max(self.capabilities.min_ttl, SHORTEST_SECOND_S) if self.server_time else 1.0

    @property
    def now(self) -> float:
        """The time by which the adapter goes, in seconds."""
        return time.monotonic() if self.server_time else self.clock.monotonic()

    def about(self, seconds: float) -> near:
        """Equal to that many seconds, as exactly as the clock allows."""
        return near(seconds, self.second if self.server_time else 0.01)

    async def advance(self, seconds: float) -> None:
        """Let time pass. Where a server keeps it, it passes by itself, and the clock goes along."""
        self._history.advanced(self, seconds)
        if not self.server_time:
            await self.clock.advance(seconds)
            return
        end = time.monotonic() + seconds + SERVER_TICK_S
        while (left := end - time.monotonic()) > 0:
            await self._go_along(min(left, TICK_S))

    async def _go_along(self, seconds: float) -> None:
        """Wait really, and move the clock by as much as that took."""
        before = time.monotonic()
        await asyncio.sleep(seconds)
        await self.clock.advance(time.monotonic() - before)

    async def soon(self, work: Awaitable[T], what: str, *, seconds: float = 1.0, patience: float = SOON_S) -> T:
        """What the work gives within a second of the clock, which moves meanwhile: the adapter may sleep on it.

        ``patience``: seconds of the machine's own time that it gets in any case.

        :raises Failed: it has not ended then; ``what`` says what was to happen
        """
        task = asyncio.ensure_future(work)
        before = self.clock.monotonic()
        end, gives_up = self.now + seconds * self.second, time.monotonic() + patience
        while not task.done():
            if self.server_time:
                await self._go_along(0.001)
            else:
                await asyncio.sleep(0.001)
                if self.now < end - TICK_S:
                    await self.clock.advance(TICK_S)
                    continue
            if time.monotonic() > gives_up and self.now >= end - TICK_S:
                task.cancel()
                await asyncio.wait({task}, timeout=SOON_S)
                raise Failed(f"{what} within {seconds:g} s: it has not happened")
        if self.clock.monotonic() > before and not self.server_time:
            self._history.advanced(self, round(self.clock.monotonic() - before, 2))
        return task.result()

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        """The clock moves by itself in this block, for adapters that sleep on it while they wait."""

        async def move() -> None:
            while True:
                await asyncio.sleep(0.001)
                await self.clock.advance(TICK_S)

        mover = asyncio.create_task(move())
        try:
            yield
        finally:
            mover.cancel()
            await asyncio.wait({mover})

    async def settle(self) -> None:
        """Give what was begun the time to reach the point where it waits."""
        await settle()
        await asyncio.sleep(0.002 if self.capabilities.reach == "process" else 0.02)
        await settle()

    def note(self, what: str) -> None:
        """Say in the history what is no call of this store."""
        self._history.aside(what)
