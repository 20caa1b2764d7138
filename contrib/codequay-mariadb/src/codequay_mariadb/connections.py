"""The connections to one server, and transactions on them.

Statements that do not depend on each other's answers go in one packet, so that most calls take one trip and a write
takes two or three. A read is one transaction and so sees one state.

**Cancellation.** A read that is cancelled closes its connection: an answer that is under way belongs to nobody. A write
runs in a task of its own: once its caller is cancelled it sends nothing new, rolls back, and only then does the caller
return; a commit that has been sent is waited for. So no connection with an open transaction is ever used again, and
nothing is applied after the caller has been told, unless the server says nothing for ``GRACE_S``.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncmy
from asyncmy.constants import CLIENT
from asyncmy.errors import MySQLError

from codequay.ports.errors import ConfigError

from .config import MariadbConfig
from .errors import DEADLOCK, CommitLost, NoConnection, PoolClosed, is_lost, is_stale, number_of

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]

PACKET_BYTES = 1_000_000
"""Characters of one packet: below the 16 MB that a server takes unless it is told otherwise."""
TRIES = 6
"""Times that a transaction is tried which the server gives up in favour of another one."""
BACKOFF_S = 0.01
"""Longest wait before the second try; it doubles with each. Shorter than a person notices, longer than a commit."""
GRACE_S = 1.0
"""Seconds that a server gets to end a write whose caller is gone; then its connection is closed."""
CLOSE_S = 2.0
"""Seconds that a connection gets to say goodbye."""


class Connections:
    """At most ``max_connections`` at once, opened when needed, kept until close. For one event loop."""

    def __init__(self, config: MariadbConfig) -> None:
        self._config = config
        self._free = asyncio.Semaphore(config.max_connections)
        self._idle: list[Any] = []
        self._closed = False
        self.trips = 0
        """Packets sent and answered: what the budget of a call is counted in."""

    @property
    def idle(self) -> int:
        """Connections that nobody uses."""
        return len(self._idle)

    async def read(self, statements: Sequence[str]) -> list[Rows]:
        """The rows of each, all of one state of the database."""
        packet = ["START TRANSACTION READ ONLY", *statements, "COMMIT"]
        async with self._lent() as connection:
            if connection.asked:
                try:
                    return (await connection.send(packet))[1:-1]
                except Exception as exc:
                    if not is_stale(exc):
                        raise
                # The server has closed it meanwhile, and its neighbours too, perhaps.
                await connection.renew()
            return (await connection.send(packet))[1:-1]

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run a transaction that is applied as a whole or not at all, again when the server gave it up for another.

        ``work`` must end with ``commit``; it may be run more than once.

        :raises CommitLost: nobody knows whether it was applied
        """
        for attempt in range(1, TRIES + 1):
            try:
                return await self._write_once(work)
            except MySQLError as exc:
                if number_of(exc) not in DEADLOCK or attempt == TRIES:
                    raise
            await asyncio.sleep(random.uniform(0, BACKOFF_S * 2**attempt))
        raise AssertionError("the last try returns or raises")

    async def _write_once(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._lent() as connection:
            transaction = Transaction(connection)
            task = asyncio.create_task(_performed(connection, transaction, work), name="codequay-mariadb-write")
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                transaction.abandoned = True
                await _settled(task, GRACE_S)
                if not task.done():
                    connection.drop()
                    await _settled(task)
                raise

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """A connection outside of any transaction, for what the server commits by itself."""
        async with self._lent() as connection:
            yield connection

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        if self._closed:
            raise PoolClosed
        try:
            async with asyncio.timeout(self._config.connect_timeout):
                await self._free.acquire()
        except TimeoutError:
            most, seconds = self._config.max_connections, self._config.connect_timeout
            raise NoConnection(f"all {most} connections were in use for {seconds:g} s") from None
        connection = Connection(self, self._idle.pop() if self._idle else None)
        try:
            try:
                yield connection
            except Exception as exc:
                if is_lost(exc):
                    connection.drop()
                else:
                    await connection.roll_back()
                raise
            except BaseException:
                if connection.in_doubt:
                    connection.drop()
                raise
            finally:
                self._take_back(connection)
        finally:
            self._free.release()

    def _take_back(self, connection: Connection) -> None:
        driver = connection.driver
        if driver is None:
            return
        if self._closed or connection.in_doubt:
            driver.close()
        else:
            self._idle.append(driver)

    async def connect(self) -> Any:
        """A new connection of the driver's, with the session that our statements count on."""
        config = self._config
        address: dict[str, Any] = {"host": config.host, "port": config.port}
        if config.unix_socket:
            address = {"unix_socket": config.unix_socket}
        session = ", ".join((
            "autocommit = 1",
            "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            "sql_notes = 0",
            f"innodb_lock_wait_timeout = {config.lock_timeout}",
            "in_predicate_conversion_threshold = 0",
            "max_sort_length = 8192",
        ))  # fmt: skip
        return await asyncmy.connect(
            **address,
            user=config.user,
            password=config.password.get_secret_value(),
            database=config.database,
            charset="utf8mb4",
            autocommit=None,
            init_command=f"SET SESSION {session}",
            client_flag=CLIENT.MULTI_STATEMENTS,
            connect_timeout=config.connect_timeout,
            read_timeout=config.timeout,
            program_name="codequay-mariadb",
            ssl=_tls(config),
        )

    def forget_idle(self) -> None:
        """Close what lies idle: the server has ended one, so it has ended the others too, perhaps."""
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """Close every connection; one that is in use is closed when its call has ended."""
        self._closed = True
        while self._idle:
            driver = self._idle.pop()
            try:
                async with asyncio.timeout(CLOSE_S):
                    await driver.ensure_closed()
            except (Exception, asyncio.CancelledError) as exc:
                driver.close()
                if isinstance(exc, asyncio.CancelledError):
                    self.forget_idle()
                    raise


class Connection:
    """A connection while one call has it."""

    def __init__(self, owner: Connections, driver: Any) -> None:
        self._owner = owner
        self.driver = driver
        self.asked = driver is not None
        """It has served another call before: the server may have closed it since."""
        self.in_doubt = False
        """An answer or the end of a transaction is outstanding."""

    async def send(self, statements: Sequence[str]) -> list[Rows]:
        """The rows of each statement, [] of one without. A trip per packet."""
        if self.driver is None:
            self.driver = await self._owner.connect()
        self.in_doubt = True
        answers: list[Rows] = []
        for packet in _packets(statements):
            self._owner.trips += 1
            cursor = self.driver.cursor()
            await cursor.execute(packet)
            while True:
                answers.append(await cursor.fetchall() if cursor.description else ())
                if not await cursor.nextset():
                    break
        self.in_doubt = False
        return answers

    async def renew(self) -> None:
        """Another connection in place of one that is lost."""
        self.drop()
        self._owner.forget_idle()
        self.driver, self.asked = await self._owner.connect(), False

    async def roll_back(self) -> None:
        """Undo what is open, after a statement or its caller has failed. The connection is dropped if that fails."""
        if not self.in_doubt:
            return
        try:
            await self.send(["ROLLBACK"])
        except Exception:  # noqa: BLE001 - whoever calls has an error of his own to raise
            self.drop()

    def drop(self) -> None:
        """Close at once; the server rolls back."""
        if self.driver is not None:
            self.driver.close()
        self.driver, self.in_doubt = None, False


class Transaction:
    """Statements that are applied together. READ COMMITTED: rows are locked where two writers could meet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = False
        self.abandoned = False
        """The caller is gone: nothing more may be sent."""

    async def send(self, statements: Sequence[str]) -> list[Rows]:
        """The rows of each statement."""
        if self._begun:
            return await self._send(statements)
        begin = ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"]
        packet = [*begin, *statements]
        if self._connection.asked:
            try:
                answers = await self._send(packet)
            except Exception as exc:
                if self.abandoned or not is_stale(exc):
                    raise
                await self._connection.renew()
                answers = await self._send(packet)
        else:
            answers = await self._send(packet)
        self._begun = True
        return answers[len(begin) :]

    async def commit(self, statements: Sequence[str] = ()) -> None:
        """Send the last statements and commit.

        :raises CommitLost: the connection went before the server had answered
        """
        try:
            await self._send([*statements, "COMMIT"])
        except Exception as exc:
            if is_lost(exc):
                raise CommitLost from exc
            raise

    async def _send(self, statements: Sequence[str]) -> list[Rows]:
        if self.abandoned:
            raise asyncio.CancelledError
        answers = await self._connection.send(statements)
        self._connection.in_doubt = statements[-1] != "COMMIT"
        return answers


async def _performed(
    connection: Connection, transaction: Transaction, work: Callable[[Transaction], Awaitable[T]]
) -> T:
    """The work; rolled back here when the caller is gone."""
    try:
        return await work(transaction)
    except asyncio.CancelledError:
        await connection.roll_back()
        raise


async def _settled(task: asyncio.Task[Any], seconds: float = float("inf")) -> None:
    """Wait for the end of a task for so many seconds, however often that is cancelled. Its outcome is not raised."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not task.done() and (left := end - loop.time()) > 0:
        try:
            await asyncio.wait((task,), timeout=left if left < float("inf") else None)
        except asyncio.CancelledError:
            continue
    if task.done() and not task.cancelled():
        task.exception()


def _packets(statements: Sequence[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for one in statements:
        if held and size + len(one) > PACKET_BYTES:
            yield ";\n".join(held)
            held, size = [], 0
        held.append(one)
        size += len(one)
    yield ";\n".join(held)


def _tls(config: MariadbConfig) -> ssl.SSLContext | None:
    if config.tls == "off":
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca or None)
    except OSError as exc:
        raise ConfigError(
            f"the authorities in {config.ca!r} cannot be read: {exc}", remedy="correct the option ca"
        ) from exc
    if config.tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
