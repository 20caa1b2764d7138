"""A real, small ``BuildContext`` for tests that open adapters without the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from codequay.contract.clock import ManualClock
from codequay.ports.spec import Clock, SystemClock

__all__ = ["ManualClock", "TestContext", "build_context", "run"]

T = TypeVar("T")


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run one test's coroutine in a loop of its own."""
    return asyncio.run(coro)


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
