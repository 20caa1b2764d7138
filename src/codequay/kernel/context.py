"""What an adapter's factory is given: shared resources, a bounded pool of threads, the clock.

Third parties have what ours have; nothing here knows an adapter.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codequay.ports.errors import Closed
from codequay.ports.spec import Clock

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

THREAD_NAME = "codequay"
"""What the names of the pool's threads begin with."""
THREADS = min(8, (os.cpu_count() or 1) + 4)
"""Blocking calls at once. They wait for a disk or a lock; more threads only queue on the same file."""
UNDO_TIMEOUT = 10.0
"""Seconds for an opening that was cancelled to undo what it did; then it is left alone."""


class Keeper:
    """Enters a context manager, holds it, and leaves it, all in one task of its own.

    A resource may span a task group or a timeout over its ``yield``; those must be left in the task that entered
    them, whereas ports are opened side by side and closed by another task.
    """

    def __init__(self, manager: AbstractAsyncContextManager[Any], name: str) -> None:
        self._manager = manager
        self._name = name
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> Any:
        """Enter; what the manager gives. A cancelled caller leaves nothing behind, unless undoing takes too long."""
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task = task = asyncio.create_task(self._hold(ready), name=self._name)
        try:
            await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await settle({task}, UNDO_TIMEOUT)
            if ready.done() and not ready.cancelled():
                ready.exception()
            raise
        if not ready.done():
            task.result()
            raise Closed(f"{self._name} ended while it was opened")
        return ready.result()

    async def close(self, timeout: float) -> None:
        """Leave. Cancelled when it takes longer than ``timeout`` seconds.

        :raises TimeoutError: it had to be cancelled
        """
        task = self._task
        if task is None:
            return
        self._stop.set()
        done, _ = await asyncio.wait((task,), timeout=timeout)
        if not done:
            task.cancel()
            await asyncio.wait((task,), timeout=timeout)
            raise TimeoutError(f"{self._name} did not close within {timeout:g} s")
        task.result()

    async def _hold(self, ready: asyncio.Future[Any]) -> None:
        try:
            async with self._manager as resource:
                ready.set_result(resource)
                await self._stop.wait()
        except Exception as exc:
            if ready.done():
                raise
            ready.set_exception(exc)


async def settle(work: Collection[asyncio.Future[Any]], timeout: float | None = None) -> None:
    """Wait for the end of all, however often the waiting is cancelled, for at most ``timeout`` seconds.

    Outcomes are not raised.
    """
    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    while left := [one for one in work if not one.done()]:
        remaining = None if end is None else end - loop.time()
        if remaining is not None and remaining <= 0:
            return
        try:
            await asyncio.wait(left, timeout=remaining)
        except asyncio.CancelledError:
            continue
    for one in work:
        if not one.cancelled():
            one.exception()


class Threads:
    """A bounded pool of threads, started when first used."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._running: set[Future[Any]] = set()
        self._given_up: asyncio.Future[None] | None = None
        self._closed = False

    async def run(self, fn: Callable[..., T], /, *args: Any) -> T:
        """Run blocking work; a cancelled caller returns after ``fn`` has ended, so that nothing runs unseen.

        Beside ``run_in_executor`` under ``shield`` this saves the loop a turn and 50 us.

        :raises Closed: after close
        """
        loop = asyncio.get_running_loop()
        if self._pool is None:
            if self._closed:
                raise Closed("run_sync was called after close")
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=THREAD_NAME)
            self._given_up = loop.create_future()
        answer: asyncio.Future[T] = loop.create_future()
        work = self._pool.submit(fn, *args)
        self._running.add(work)
        work.add_done_callback(partial(self._tell, loop, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            await self._ended(work)
            raise

    def _tell(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], work: Future[T]) -> None:
        """On the thread that did the work. A loop that was closed meanwhile has nobody who waits."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._settle, answer, work)

    def _settle(self, answer: asyncio.Future[T], work: Future[T]) -> None:
        self._running.discard(work)
        if answer.done():
            return
        if work.cancelled():
            answer.cancel()
        elif (error := work.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(work.result())

    async def _ended(self, work: Future[Any]) -> None:
        """Wait for the end of a call whose caller was cancelled, unless that has been given up."""
        ended = asyncio.wrap_future(work)
        while not ended.done() and self._given_up is not None and not self._given_up.done():
            try:
                await asyncio.wait((ended, self._given_up), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                continue
        if ended.done() and not ended.cancelled():
            ended.exception()

    async def close(self, timeout: float) -> None:
        """Wait for what still runs, for at most ``timeout`` seconds.

        :raises TimeoutError: calls go on all the same; the interpreter waits for them when it ends
        """
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        await settle({asyncio.wrap_future(work) for work in self._running}, timeout)
        stuck = sum(not work.done() for work in self._running)
        pool.shutdown(wait=not stuck, cancel_futures=True)
        if self._given_up is not None:
            self._given_up.set_result(None)
        if stuck:
            raise TimeoutError(f"{stuck} blocking calls did not end within {timeout:g} s")


class Shared:
    """Resources by (instance, key): opened once however many ports ask, closed last in first out."""

    def __init__(self) -> None:
        self._opening: dict[tuple[str, str], asyncio.Future[Any]] = {}
        self._keepers: list[Keeper] = []

    async def get(self, instance: str, key: str, opener: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """The resource; whoever asks first opens it. A failed opening is tried again by the next."""
        while True:
            waiting = self._opening.get((instance, key))
            if waiting is None:
                break
            await asyncio.wait((waiting,))
            if not waiting.cancelled() and waiting.exception() is None:
                found: T = waiting.result()
                return found
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._opening[instance, key] = future
        keeper = Keeper(opener(), f"{instance}:{key}")
        try:
            resource: T = await keeper.open()
        except BaseException as exc:
            del self._opening[instance, key]
            if isinstance(exc, Exception):
                future.set_exception(exc)
                future.exception()
            else:
                future.cancel()
            raise
        self._keepers.append(keeper)
        future.set_result(resource)
        return resource

    async def close(self, timeout: float) -> list[Exception]:
        """Close all; what went wrong."""
        failures: list[Exception] = []
        while self._keepers:
            try:
                await self._keepers.pop().close(timeout)
            except Exception as exc:  # noqa: BLE001 - the others must be closed too
                failures.append(exc)
        self._opening.clear()
        return failures


class Context:
    """The ``BuildContext`` of one adapter."""

    def __init__(
        self,
        *,
        data: Path,
        readonly: bool,
        instance: str,
        clock: Clock,
        shared: Shared,
        threads: Threads,
        reload: Callable[[], Any] = lambda: None,
    ) -> None:
        self.data = data
        self.readonly = readonly
        self.instance = instance
        self.clock = clock
        self._shared = shared
        self._threads = threads
        self._reload = reload

    def reload(self) -> Any:
        """The adapter's options with its secrets looked up now."""
        return self._reload()

    async def shared(self, key: str, open: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """One resource per (instance, key) for all ports."""
        return await self._shared.get(self.instance, key, open)

    async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
        """Blocking work in the bounded pool."""
        return await self._threads.run(fn, *args)
