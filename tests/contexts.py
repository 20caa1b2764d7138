"""A real, small ``BuildContext`` for tests that open adapters without the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from codequay.ports.spec import Clock, SystemClock

T = TypeVar("T")


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run one test's coroutine in a loop of its own."""
    return asyncio.run(coro)


class ManualClock:
    """A clock that moves only by ``advance`` (seconds); sleepers wake when it passes their time."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = (self._now + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, seconds: float) -> None:
        """Move time on and let every woken task run."""
        self._now += seconds
        for due, future in self._sleepers:
            if due <= self._now and not future.done():
                future.set_result(None)
        for _ in range(10):
            await asyncio.sleep(0)


class TestContext:
    """``BuildContext`` over a thread pool and an exit stack."""

    __test__ = False

    def __init__(
        self, data: Path, readonly: bool, clock: Clock, instance: str, pool: ThreadPoolExecutor, stack: AsyncExitStack
    ) -> None:
        self.data = data
        self.readonly = readonly
        self.clock = clock
        self.instance = instance
        self._pool = pool
        self._stack = stack
        self._shared: dict[str, Any] = {}
        self._opening = asyncio.Lock()

    async def shared(self, key: str, open: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        async with self._opening:
            if key not in self._shared:
                self._shared[key] = await self._stack.enter_async_context(open())
            resource: T = self._shared[key]
            return resource

    async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
        work = asyncio.get_running_loop().run_in_executor(self._pool, lambda: fn(*args))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            raise


@asynccontextmanager
async def build_context(
    data: Path, *, readonly: bool = False, clock: Clock | None = None, instance: str = "test"
) -> AsyncIterator[TestContext]:
    """A context over ``data``, which is created unless ``readonly``; shared resources close last in, first out."""
    if not readonly:
        data.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(4, thread_name_prefix="test") as pool:
        async with AsyncExitStack() as stack:
            yield TestContext(data, readonly, clock or SystemClock(), instance, pool, stack)
