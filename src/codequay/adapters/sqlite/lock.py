"""Leases in ``lock.sqlite``: a file of its own, so that asking who writes never waits for what is written.

A lease is a row, taken in one ``BEGIN IMMEDIATE``. Its end is a time of the machine's monotonic clock, which all
processes share and no change of the date touches. An owner that has died, or was of an earlier start of the machine,
is replaced at once; one that is merely paused only after its lease has expired. The fence is the row's number, which
SQLite never gives twice (``AUTOINCREMENT``), and every commit is synced: not even a power cut takes it back.

A row that came with its folder from another machine names a clock that cannot be read here. It counts as expired once
it has been watched from here for as long as it was to last.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from codequay.adapters._schema import Schema
from codequay.adapters._waiting import either
from codequay.ports.errors import Conflict
from codequay.ports.generations import StoreIdentity
from codequay.ports.lock import Holder, Lease
from codequay.ports.process import Process, this_process
from codequay.ports.spec import BuildContext, Clock

from .connection import Hops, open_database, store_id
from .defaults import Options, SqliteDefaults
from .schema import APPLICATION_ID

LOCK_FILE = "lock.sqlite"
FINGERPRINT = "sqlite-lock-1"
FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.5
"""A waiter looks again after the first pause, then after half as long again each time, up to the longest. Releases of
its own process wake it at once."""
GROWTH = 1.5
SLACK_S = 1.0
"""By how much longer than its ttl a lease may seem to last: what rounding does to a sum of seconds, and far more."""

SCHEMA = Schema(
    application_id=APPLICATION_ID,
    script="""
CREATE TABLE lease (
    fence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, token TEXT NOT NULL, owner TEXT NOT NULL,
    host TEXT NOT NULL, boot TEXT NOT NULL, space TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL,
    ttl REAL NOT NULL, expires REAL NOT NULL, watcher TEXT NOT NULL DEFAULT '', watched REAL NOT NULL DEFAULT 0
);
""",
    rebuild="delete {path} while nobody writes; it holds only who is writing",
)
"""``expires`` counts seconds of the monotonic clock of the owner's machine, ``watched`` of the ``watcher``'s."""


@asynccontextmanager
async def open_lock(config: Options, ctx: BuildContext) -> AsyncIterator[SqliteLock]:
    """Open the file, making it unless the context is read-only. What is still held at the end is given back.

    :raises NotFound: the context is read-only and there is no such file: nobody has ever written
    :raises Corrupt: the file is damaged
    """
    options = SqliteDefaults(busy_timeout=config.busy_timeout, cache_mb=1, mmap_mb=0, synchronous="full")
    hops = await ctx.shared(LOCK_FILE, lambda: open_database(LOCK_FILE, SCHEMA, options, ctx))
    identity = StoreIdentity(await hops.read(store_id), FINGERPRINT)
    lock = SqliteLock(hops, ctx.clock, identity)
    try:
        yield lock
    finally:
        await lock.give_back()


@dataclass(frozen=True, slots=True)
class _Held:
    """A row, as the table has it."""

    token: str
    owner: str
    process: Process
    ttl: float
    expires: float
    watcher: str
    watched: float

    def left(self, here: Process, now: float) -> float:
        """Seconds until the key may be taken: 0 or less when it may now.

        A lease that would last longer than it was given for is of an earlier start of a machine that does not name
        its starts.
        """
        if self.process.same_machine(here):
            left = self.expires - now
            return 0.0 if left > self.ttl + SLACK_S or here.sees_dead(self.process) else left
        if self.process.rebooted(here):
            return 0.0
        return self.ttl if self.watcher != _machine(here) else self.watched + self.ttl - now

    def unwatched(self, here: Process) -> bool:
        """Whether nobody here has begun to wait for the end of a foreign lease."""
        return not self.process.same_machine(here) and self.watcher != _machine(here)


class SqliteLock:
    """``Lock`` over one file. Each call is one hop; waiters poll, and hold neither a thread nor a transaction."""

    def __init__(self, hops: Hops, clock: Clock, identity: StoreIdentity) -> None:
        self._hops = hops
        self._clock = clock
        self._identity = identity
        self._tokens: set[str] = set()
        self._changed = asyncio.Event()

    async def ping(self) -> None:
        await self._hops.read(store_id)

    async def identity(self) -> StoreIdentity:
        return self._identity

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        deadline = self._clock.monotonic() + wait
        token = os.urandom(16).hex()
        pause = FIRST_PAUSE_S
        while True:
            changed = self._changed
            try:
                taken = await self._hops.run(self._attempt, key, token, ttl, owner)
            except asyncio.CancelledError:
                await self._undo(token)
                raise
            if isinstance(taken, Lease):
                self._tokens.add(token)
                return taken
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return None
            await either(changed, min(pause, left, max(taken, FIRST_PAUSE_S)))
            pause = min(pause * GROWTH, LONGEST_PAUSE_S)

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        if not await self._hops.write(_extend, lease, ttl, self._clock):
            raise Conflict(
                f"the lease of {lease.key!r} has expired or was released",
                remedy="begin anew: another may have taken it meanwhile",
            )
        return replace(lease, ttl=ttl)

    async def release(self, lease: Lease) -> bool:
        held = await self._hops.write(_delete, [lease.token], self._clock)
        self._tokens.discard(lease.token)
        self._wake()
        return held == 1

    async def holder(self, key: str) -> Holder | None:
        held, left = await self._hops.run(self._look, key)
        return None if held is None or left <= 0 else Holder(held.owner, left)

    async def wait_lost(self, lease: Lease) -> None:
        while True:
            changed = self._changed
            held, left = await self._hops.run(self._look, lease.key)
            if held is None or held.token != lease.token or left <= 0:
                return
            await either(changed, min(left, LONGEST_PAUSE_S))

    async def give_back(self) -> None:
        """Release every lease of this opening: nobody is left to extend it.

        Where that cannot be written, as on a full disk, they end with the process, or expire.
        """
        if self._tokens:
            with suppress(sqlite3.OperationalError):
                await self._hops.write(_delete, list(self._tokens), self._clock)
            self._tokens.clear()

    def _look(self, key: str) -> tuple[_Held | None, float]:
        held = self._hops.database.read(_row, key)
        return held, 0.0 if held is None else held.left(this_process(), self._clock.monotonic())

    def _attempt(self, key: str, token: str, ttl: float, owner: str) -> Lease | float:
        """The lease, or for how many seconds another may still hold the key. Writes only when there is reason to."""
        held, left = self._look(key)
        if held is not None and left > 0 and not held.unwatched(this_process()):
            return left
        return self._hops.database.write(_take, key, token, ttl, owner, self._clock)

    async def _undo(self, token: str) -> None:
        """Take back what a cancelled attempt may have taken, however often it is cancelled meanwhile."""
        work = asyncio.ensure_future(self._hops.write(_delete, [token], self._clock))
        while not work.done():
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                continue
        if work.exception() is None:
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _machine(process: Process) -> str:
    """The name under which a machine watches foreign leases; another one after it was started anew."""
    return f"{process.host}/{process.boot}"


def _row(connection: sqlite3.Connection, key: str) -> _Held | None:
    row = connection.execute(
        "SELECT token, owner, host, boot, space, pid, started, ttl, expires, watcher, watched FROM lease WHERE key = ?",
        (key,),
    ).fetchone()
    return None if row is None else _Held(row[0], row[1], Process(*row[2:7]), *row[7:])


def _take(connection: sqlite3.Connection, key: str, token: str, ttl: float, owner: str, clock: Clock) -> Lease | float:
    here, now = this_process(), clock.monotonic()
    held = _row(connection, key)
    if held is not None and (left := held.left(here, now)) > 0:
        if held.unwatched(here):
            connection.execute("UPDATE lease SET watcher = ?, watched = ? WHERE key = ?", (_machine(here), now, key))
        return left
    connection.execute("DELETE FROM lease WHERE key = ?", (key,))
    fence = connection.execute(
        "INSERT INTO lease (key, token, owner, host, boot, space, pid, started, ttl, expires)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key, token, owner or f"{here.host}:{here.pid}",
            here.host, here.boot, here.space, here.pid, here.started, ttl, now + ttl,
        ),
    ).lastrowid  # fmt: skip
    return Lease(key, token, fence, ttl)


def _extend(connection: sqlite3.Connection, lease: Lease, ttl: float, clock: Clock) -> bool:
    now = clock.monotonic()
    changed = connection.execute(
        "UPDATE lease SET ttl = ?, expires = ?, watcher = '' WHERE key = ? AND token = ? AND expires > ?",
        (ttl, now + ttl, lease.key, lease.token, now),
    )
    return changed.rowcount == 1


def _delete(connection: sqlite3.Connection, tokens: Iterable[str], clock: Clock) -> int:
    """Forget the leases; how many of them had not expired."""
    now = clock.monotonic()
    living = 0
    for token in tokens:
        living += connection.execute(
            "SELECT count(*) FROM lease WHERE token = ? AND expires > ?", (token, now)
        ).fetchone()[0]
        connection.execute("DELETE FROM lease WHERE token = ?", (token,))
    return living
