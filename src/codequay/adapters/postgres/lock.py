"""Fenced leases on one server: a row per key, taken, extended and given back in one statement each.

The server keeps the time, by its own clock. The token is chosen before anything is sent, so that a caller that goes
away can take back what it may have been given. The fence is ``max(last + 1, the server's time in microseconds)``: it
rises even when a backup was restored, or a replica that had not seen the last lease has taken over.

A row and no advisory lock: those are the session's, which a pooler lends to others, end with the connection although
the holder still works, and know no fence.

Waiters of other processes look again after a pause that grows; of one process only the first in line looks, and is
woken at once by a release.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import asyncpg

from codequay.adapters._waiting import Waiters, either
from codequay.ports.errors import Conflict
from codequay.ports.lock import Holder, Lease
from codequay.ports.spec import BuildContext

from .config import PostgresConfig
from .errors import FAILURES, NO_TABLE, NoConnection, PoolClosed, WriteLost, state_of
from .migrations import Store, opened_store
from .pool import GRACE_S, settled
from .port import ServerPort

T = TypeVar("T")

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.5
GROWTH = 1.5
"""A waiter looks again after the first pause, then after half as long again each time, up to the longest."""
CLOSE_S = 5.0
"""Seconds that the server gets to take back, at close, what is still held."""
_FOR_EVER_S = 1e9
_UNREACHED = (*FAILURES, WriteLost, NoConnection, PoolClosed)

_TAKE = """
WITH taken AS (
    INSERT INTO {s}.lease AS l (key, token, owner, expires, fence) VALUES (
        $1, $2, $3, clock_timestamp() + make_interval(secs => $4),
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    ) ON CONFLICT (key) DO UPDATE SET token = excluded.token, owner = excluded.owner,
        expires = clock_timestamp() + make_interval(secs => $4), fence = greatest(l.fence + 1, excluded.fence)
    WHERE l.expires <= clock_timestamp() RETURNING l.fence
)
SELECT fence FROM taken
"""
_EXTEND = """
UPDATE {s}.lease SET expires = clock_timestamp() + make_interval(secs => $3)
WHERE key = $1 AND token = $2 AND expires > clock_timestamp() RETURNING 1
"""
_RELEASE = """
UPDATE {s}.lease SET token = '', owner = '', expires = clock_timestamp()
WHERE key = $1 AND token = $2 AND expires > clock_timestamp() RETURNING 1
"""
_LOOK = """
SELECT token, owner, extract(epoch FROM expires - clock_timestamp())::double precision FROM {s}.lease
WHERE key = $1 AND expires > clock_timestamp()
"""


@asynccontextmanager
async def open_lock(config: PostgresConfig, ctx: BuildContext) -> AsyncIterator[PostgresLock]:
    """Open the store, making its tables where the options and the context allow it. What is still held at the end is
    given back.

    :raises NotFound: the context is read-only and there is no store
    :raises FailedPrecondition: there is no such database, or the server cannot be used
    :raises FingerprintMismatch: the tables are missing or of another release
    """
    store = await opened_store(config, ctx)
    lock = PostgresLock(store)
    try:
        yield lock
    finally:
        await lock.give_back()


class PostgresLock(ServerPort):
    """``Lock`` on a server; one exchange a call."""

    component = "lock.postgres"

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._take, self._extend, self._release, self._look = (
            sql.format(s=self._schema) for sql in (_TAKE, _EXTEND, _RELEASE, _LOOK)
        )
        self._waiting: dict[str, Waiters] = {}
        self._held: dict[str, Lease] = {}
        self._freed = asyncio.Event()
        self._going: set[asyncio.Task[Any]] = set()

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        owner = owner or f"{socket.gethostname()}:{os.getpid()}"
        if key not in self._waiting:
            lease = await self._attempt(key, owner, ttl)
            if lease is not None or wait <= 0:
                return lease
        elif wait <= 0:
            return None
        try:
            async with asyncio.timeout(wait if wait < _FOR_EVER_S else None) as limit:
                return await self._in_line(key, owner, ttl)
        except TimeoutError:
            if limit.expired():
                return None
            raise

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        if not await self._pool.change(self._extend, lease.key, lease.token, ttl):
            self._held.pop(lease.token, None)
            raise Conflict(
                f"the lease of {lease.key!r} has expired or was released",
                remedy="begin anew: another may have taken it meanwhile",
            )
        return replace(lease, ttl=ttl)

    async def release(self, lease: Lease) -> bool:
        self._held.pop(lease.token, None)
        going = self._start(self._give_back(lease.key, lease.token))
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            await settled(going, GRACE_S)
            raise
        except asyncpg.PostgresError as exc:
            if state_of(exc) in NO_TABLE:
                return False
            raise

    async def holder(self, key: str) -> Holder | None:
        rows = await self._pool.read(self._look, key)
        return Holder(rows[0][1].decode(), rows[0][2]) if rows else None

    async def wait_lost(self, lease: Lease) -> None:
        while True:
            freed = self._freed
            rows = await self._pool.read(self._look, lease.key)
            if not rows or rows[0][0] != lease.token:
                return
            await either(freed, min(rows[0][2], LONGEST_PAUSE_S))

    async def give_back(self) -> None:
        """Release what this opening still holds: nobody is left to extend it. What cannot be reached ends by itself."""
        if self._going:
            await asyncio.wait(self._going, timeout=GRACE_S)
        for task in self._going:
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)
        with suppress(*_UNREACHED):
            async with asyncio.timeout(CLOSE_S):
                for lease in list(self._held.values()):
                    await self._give_back(lease.key, lease.token)
        self._held.clear()

    async def _attempt(self, key: str, owner: str, ttl: float) -> Lease | None:
        """The lease, or None while another holds the key. A caller that goes away meanwhile holds nothing."""
        token = os.urandom(16).hex()
        asked = self._start(self._ask(key, token, owner, ttl))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await settled(self._start(self._undo(asked, key, token)), GRACE_S)
            raise

    async def _ask(self, key: str, token: str, owner: str, ttl: float) -> Lease | None:
        rows = await self._pool.change(self._take, key, token, owner.encode(), ttl)
        if not rows:
            return None
        lease = self._held[token] = Lease(key, token, rows[0][0], ttl)
        return lease

    async def _undo(self, asked: asyncio.Task[Lease | None], key: str, token: str) -> None:
        """Give back what the asking has got, or may have got when nobody can tell."""
        await asyncio.wait((asked,), timeout=GRACE_S)
        if not asked.done():
            asked.cancel()
            await asyncio.wait((asked,), timeout=3 * GRACE_S)
        self._held.pop(token, None)
        if asked.done() and not asked.cancelled() and asked.exception() is None and asked.result() is None:
            return
        with suppress(*_UNREACHED):
            await self._give_back(key, token)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that goes on when its caller is cancelled, until the lock is closed."""
        task = asyncio.create_task(work, name="codequay postgres lock")
        self._going.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._going.discard(task)
        if not task.cancelled():
            task.exception()

    async def _give_back(self, key: str, token: str) -> bool:
        freed = bool(await self._pool.change(self._release, key, token))
        self._freed.set()
        self._freed = asyncio.Event()
        if (waiters := self._waiting.get(key)) is not None:
            waiters.news.set()
        return freed

    async def _in_line(self, key: str, owner: str, ttl: float) -> Lease:
        waiters = self._waiting.setdefault(key, Waiters())
        turn = asyncio.Event()
        waiters.line.append(turn)
        try:
            while waiters.line[0] is not turn:
                turn.clear()
                await turn.wait()
            pause = FIRST_PAUSE_S
            while True:
                waiters.news.clear()
                rows: Any = await self._pool.read(self._look, key)
                if not rows and (lease := await self._attempt(key, owner, ttl)) is not None:
                    return lease
                left = rows[0][2] if rows else FIRST_PAUSE_S
                await either(waiters.news, min(pause, max(left, 0.001)))
                pause = min(pause * GROWTH, LONGEST_PAUSE_S)
        finally:
            waiters.line.remove(turn)
            if waiters.line:
                waiters.line[0].set()
            else:
                del self._waiting[key]
