"""The connections to one server: a pool for one event loop, and transactions on it.

Nothing is ever left in a session, so that a connection goes back without a reset, and a pooler in transaction mode may
stand between: names are qualified, locks and settings are those of a transaction, nothing is prepared by name there.

**Cancellation.** Until its commit is sent a transaction that is cancelled is rolled back; the connection is used again
once the server has said so, else closed. A commit that was sent is waited for, for ``GRACE_S`` at most.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from codequay.ports.spec import PoolStats

from .config import PostgresConfig
from .connecting import Connector, milliseconds
from .errors import AGAIN, FAILURES, NoConnection, OtherLoop, PoolClosed, WriteLost, is_lost, state_of

T = TypeVar("T")
Rows = Sequence[Any]

TRIES = 6
"""Times that a transaction is tried which the server gives up in favour of another one."""
BACKOFF_S = 0.01
"""Longest wait before the second try; it doubles with each. Shorter than a person notices, longer than a commit."""
GRACE_S = 1.0
"""Seconds that a server gets to end what its caller has given up; then the connection is closed."""


class Pool:
    """Connections, opened when needed, kept until close. Its calls count the exchanges with the server as ``trips``."""

    def __init__(self, config: PostgresConfig, reload: Callable[[], Any] | None = None) -> None:
        self._config = config
        self._connector = Connector(config, reload)
        self._pooled = config.statement_cache_size == 0
        self._loop = asyncio.get_running_loop()
        self._permits = asyncio.Semaphore(config.max_pool)
        self._idle: deque[tuple[Any, float]] = deque()
        self._size = self._active = self._waiting = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._filled = self._closed = False
        self.trips = 0
        self.trips_of_fetch = 2 if self._pooled else 1
        """What is not kept prepared is parsed in an exchange of its own."""
        self.schema = f'"{config.db_schema}"'
        limits = f"SET LOCAL statement_timeout = {milliseconds(config.statement_timeout)}; SET LOCAL jit = off"
        self._begin_read = f"BEGIN READ ONLY; {limits}; SET LOCAL plan_cache_mode = force_generic_plan"
        self._begin = f"BEGIN; {limits}; SET LOCAL lock_timeout = {milliseconds(config.lock_timeout)}"

    @property
    def stats(self) -> PoolStats:
        most = self._config.max_pool
        return PoolStats(self._size, self._active, len(self._idle), self._waiting, self._active / most)

    async def read(self, sql: str, *values: Any) -> Rows:
        """The rows of one statement: one state of the database.

        A connection that the server has closed since it was last used is replaced, once.
        """
        async with self._lent() as lent:
            try:
                return await self._read(lent, sql, values)
            except Exception as exc:
                if not (lent.reused and is_lost(exc)):
                    raise
            await lent.renew()
            return await self._read(lent, sql, values)

    async def _read(self, lent: _Lent, sql: str, values: Sequence[Any]) -> Rows:
        if not self._pooled:
            self.trips += 1
            found: Rows = await lent.driver.fetch(sql, *values)
            return found
        self.trips += 2 + self.trips_of_fetch
        lent.begun = True
        await lent.driver.execute(self._begin_read)
        found = await lent.driver.fetch(sql, *values)
        await lent.driver.execute("COMMIT")
        return found

    async def change(self, sql: str, *values: Any) -> Rows:
        """The rows of one statement that writes, as a transaction of its own.

        :raises WriteLost: nobody knows whether it was applied
        """
        if self._pooled:
            return await self.write(lambda tx: tx.fetch(sql, *values))
        async with self._lent() as lent:
            self.trips += 1
            return await self._to_its_end(lent, lent.driver.fetch(sql, *values))

    async def write(self, work: Callable[[Transaction], Awaitable[T]], *, alone: int | None = None) -> T:
        """Run a transaction, again when the server gave it up for another. READ COMMITTED.

        ``alone``: only one writer with this number at a time, among all processes. ``work`` may be run more than once.

        :raises WriteLost: nobody knows whether it was applied
        """
        begin = self._begin if alone is None else f"{self._begin}; SELECT pg_advisory_xact_lock({alone})"
        for attempt in range(1, TRIES + 1):
            try:
                return await self._write_once(work, begin)
            except asyncpg.PostgresError as exc:
                if state_of(exc) not in AGAIN or attempt == TRIES:
                    raise
            await asyncio.sleep(random.uniform(0, BACKOFF_S * 2**attempt))
        raise AssertionError("the last try returns or raises")

    async def _write_once(self, work: Callable[[Transaction], Awaitable[T]], begin: str) -> T:
        async with self._lent() as lent:
            self.trips += 1
            lent.begun = True
            try:
                await lent.driver.execute(begin)
            except Exception as exc:
                if not (lent.reused and is_lost(exc)):
                    raise
                await lent.renew()
                self.trips += 1
                await lent.driver.execute(begin)
            outcome = await work(Transaction(self, lent.driver))
            self.trips += 1
            await self._to_its_end(lent, lent.driver.execute("COMMIT"))
            return outcome

    async def _to_its_end(self, lent: _Lent, last: Coroutine[Any, Any, T]) -> T:
        """What can no longer be taken back is waited for, also when the caller is cancelled.

        :raises WriteLost: the connection went before the server had answered
        """
        task = asyncio.create_task(last, name="codequay postgres commit")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await settled(task, GRACE_S)
            if not task.done():
                lent.driver.terminate()
                await settled(task, GRACE_S)
            raise
        except Exception as exc:
            if is_lost(exc) or isinstance(exc, TimeoutError):
                raise WriteLost from exc
            raise

    # -- connections --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[_Lent]:
        if self._closed:
            raise PoolClosed
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise OtherLoop
        deadline = loop.time() + self._config.timeout
        if self._permits.locked():
            await self._permit()
        else:
            await self._permits.acquire()
        try:
            lent = _Lent(self, deadline)
            self._active += 1
            try:
                await lent.find()
            except BaseException:
                self._active -= 1
                raise
        except BaseException:
            self._permits.release()
            raise
        try:
            yield lent
        except Exception as exc:
            if is_lost(exc) or isinstance(exc, (TimeoutError, WriteLost)) or lent.driver.is_closed():
                self._drop(lent)
            elif lent.begun:
                await self._recovered(lent)
            else:
                self._take_back(lent)
            raise
        except BaseException:
            self._recover_later(lent)
            raise
        else:
            self._take_back(lent)

    async def _permit(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._config.timeout):
                await self._permits.acquire()
        except TimeoutError:
            most, seconds = self._config.max_pool, self._config.timeout
            raise NoConnection(f"all {most} connections were in use for {seconds:g} s") from None
        finally:
            self._waiting -= 1

    def pop_idle(self) -> Any:
        """A connection that nobody uses, the last one used; None when there is none."""
        while self._idle:
            driver, _ = self._idle.pop()
            if not driver.is_closed():
                return driver
            self._size -= 1
        return None

    async def connect(self, seconds: float) -> Any:
        """A new connection.

        :raises TimeoutError: there was none within so many seconds
        """
        self._size += 1
        task = asyncio.create_task(self._connector.connect(seconds), name="codequay postgres connect")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except BaseException:
            self._size -= 1
            # asyncpg is not quiet about a connecting that is cancelled: it may go on for a while, and is then closed
            task.add_done_callback(_abandoned)
            asyncio.get_running_loop().call_later(GRACE_S, task.cancel)
            raise
        finally:
            if not self._filled:
                self._filled = True
                self._start(self._fill())

    async def _fill(self) -> None:
        """Open what is missing to ``min_pool``; whoever needs one meanwhile opens his own."""
        with suppress(*FAILURES):
            while self._size < self._config.min_pool and not self._closed:
                self._keep(await self.connect(self._config.timeout))

    def _keep(self, driver: Any) -> None:
        if self._closed or driver.is_closed():
            driver.terminate()
            self._size -= 1
            return
        now = asyncio.get_running_loop().time()
        self._idle.append((driver, now))
        if self._size > self._config.min_pool and self._idle[0][1] < now - self._config.idle_timeout:
            oldest, _ = self._idle.popleft()
            self._size -= 1
            self._start(_goodbye(oldest))

    def _take_back(self, lent: _Lent) -> None:
        self._active -= 1
        self._permits.release()
        self._keep(lent.driver)

    def _drop(self, lent: _Lent) -> None:
        lent.driver.terminate()
        self._take_back(lent)

    def _recover_later(self, lent: _Lent) -> None:
        """The caller is gone: his connection is counted as in use until the server has ended what he had begun."""
        if lent.driver.is_closed() or self._closed:
            self._drop(lent)
        else:
            self._start(self._recovered(lent))

    async def _recovered(self, lent: _Lent) -> None:
        """Roll back what is open, and take the connection back, or close it if that cannot be done."""
        try:
            async with asyncio.timeout(GRACE_S):
                await lent.driver.execute("ROLLBACK" if lent.begun else "SELECT 1")
        except FAILURES:
            self._drop(lent)
        except BaseException:
            self._drop(lent)
            raise
        else:
            self._take_back(lent)

    def forget_idle(self) -> None:
        """Close what lies idle: the server has ended one, so perhaps the others too."""
        while self._idle:
            self._idle.pop()[0].terminate()
            self._size -= 1

    def forget_one(self) -> None:
        """A connection that was lent has been closed, and another one put in its place."""
        self._size -= 1

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="codequay postgres pool")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close every connection; one that is in use is closed when its call has ended."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        idle = [driver for driver, _ in self._idle]
        self._idle.clear()
        self._size -= len(idle)
        await asyncio.gather(*map(_goodbye, idle))


class _Lent:
    """A connection while one call has it."""

    def __init__(self, pool: Pool, deadline: float) -> None:
        self._pool = pool
        self._deadline = deadline
        self.driver: Any = None
        self.reused = False
        """It has served another call before: the server may have closed it since."""
        self.begun = False
        """A transaction may be open."""

    async def find(self) -> None:
        self.driver = self._pool.pop_idle()
        self.reused = self.driver is not None
        if self.driver is None:
            await self._connect()

    async def renew(self) -> None:
        """Another connection in place of one that is lost."""
        self.driver.terminate()
        self._pool.forget_idle()
        await self._connect()
        self._pool.forget_one()
        self.reused = False

    async def _connect(self) -> None:
        left = self._deadline - asyncio.get_running_loop().time()
        self.driver = await self._pool.connect(max(left, 0.001))


class Transaction:
    """Statements that are applied together."""

    def __init__(self, pool: Pool, driver: Any) -> None:
        self._pool = pool
        self._driver = driver

    async def fetch(self, sql: str, *values: Any) -> Rows:
        """The rows of a statement."""
        self._pool.trips += self._pool.trips_of_fetch
        rows: Rows = await self._driver.fetch(sql, *values)
        return rows

    async def script(self, sql: str) -> None:
        """Statements without values."""
        self._pool.trips += 1
        await self._driver.execute(sql)

    async def copy(self, table: str, columns: Sequence[str], records: Iterable[tuple[Any, ...]]) -> None:
        """Put rows into a temporary table by COPY."""
        self._pool.trips += 2
        await self._driver.copy_records_to_table(table, records=records, columns=columns, schema_name="pg_temp")


@asynccontextmanager
async def opened_pool(config: PostgresConfig, reload: Callable[[], Any] | None = None) -> AsyncIterator[Pool]:
    """A pool, closed at the end. Nothing is connected before the first call. ``reload`` gives the options once more,
    with secrets looked up anew."""
    pool = Pool(config, reload)
    try:
        yield pool
    finally:
        await pool.close()


def _abandoned(task: asyncio.Task[Any]) -> None:
    """Nobody waits for this connection any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


async def _goodbye(driver: Any) -> None:
    """Close in good order, or at once when the server does not answer."""
    try:
        await driver.close(timeout=GRACE_S)
    except FAILURES:
        driver.terminate()
    except BaseException:
        driver.terminate()
        raise


async def settled(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait for the end of a task, however often the waiting is cancelled. Its outcome is not raised."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not task.done() and (left := deadline - loop.time()) > 0:
        try:
            await asyncio.wait((task,), timeout=left)
        except asyncio.CancelledError:
            continue
    if task.done() and not task.cancelled():
        task.exception()
