"""Fenced leases on one Redis server.

A lease is a key with an end (``SET NX PX``) that holds the token of its acquisition; the token is chosen before
anything is sent, so that a caller that goes away can take back what it may have been given, and one whose answer was
lost can ask again. The fence is ``max(last + 1, the server's time in microseconds)``, drawn in the same script: it
rises even after the server has lost its data.

Waiters do not poll: who finds a key taken leaves a mark beside it, a release that finds the mark is published, and the
end of a lease is known from its time to live. In one process waiters of a key are served in the order in which they
asked.

This is one server, not Redlock: several servers that vote would still let a paused holder write. What protects a
store is the fence that it compares.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from codequay.adapters._waiting import Waiters, either
from codequay.ports.diagnose import Finding
from codequay.ports.errors import Conflict
from codequay.ports.generations import StoreIdentity
from codequay.ports.lock import Holder, Lease
from codequay.ports.spec import BuildContext, PoolStats

from .config import RedisConfig
from .connection import Client, Script, client
from .diagnose import check, look
from .errors import Closed, PoolExhausted
from .listener import Listener

FINGERPRINT = "redis-lock-1"
LONGEST_WAIT_S = 30.0
"""A waiter looks again after this long at the latest, should news have been lost."""
WATCH_S = 0.5
"""Who waits for the end of a lease looks this often: a key that somebody deletes by hand is not published."""
GRACE_S = 1.0
"""Seconds that the server gets to take back what a caller has given up, before the caller goes on."""
AGAIN_S = 0.1
"""Between the tries of a waiter whose server is away."""

_IDENTIFY = Script("""
local id = redis.call('GET', KEYS[1])
if not id then
    id = ARGV[1]
    redis.call('SET', KEYS[1], id)
end
return id
""")
# KEYS: lease, fence, mark; ARGV: token and owner, milliseconds, "1" of one who will wait. Asked again by the same token
# it gives the same lease. The mark outlives the lease by a second, in which the waiter looks again by itself.
_TAKE = Script("""
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    if redis.call('GET', KEYS[1]) == ARGV[1] then
        redis.call('PEXPIRE', KEYS[1], ARGV[2])
        return {1, redis.call('GET', KEYS[2])}
    end
    local left = redis.call('PTTL', KEYS[1])
    if ARGV[3] == '1' then
        redis.call('SET', KEYS[3], '', 'PX', left + 1000)
    end
    return {0, left}
end
local now = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local fence = string.format('%.0f', math.max(last + 1, now[1] * 1000000 + now[2]))
redis.call('SET', KEYS[2], fence)
return {1, fence}
""")
_EXTEND = Script("""
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
""")
_RELEASE = Script("""
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    if redis.call('DEL', KEYS[2]) == 1 then
        redis.call('PUBLISH', ARGV[2], ARGV[3])
    end
    return 1
end
return 0
""")
_LOOK = Script("""
local left = redis.call('PTTL', KEYS[1])
if ARGV[1] == '1' and left > 0 then
    redis.call('SET', KEYS[2], '', 'PX', left + 1000)
end
return {redis.call('GET', KEYS[1]), left}
""")


@asynccontextmanager
async def open_lock(config: RedisConfig, ctx: BuildContext) -> AsyncIterator[RedisLock]:
    """Look at the server, and listen. What is still held at the end is given back.

    :raises FailedPrecondition: the server is too old, or part of a cluster
    :raises redis.RedisError: the server cannot be reached
    """
    lock = RedisLock(await client(config, ctx))
    try:
        await check(lock.client)
        await lock.listen()
        yield lock
    finally:
        await lock.close()


class _Seen(NamedTuple):
    token: str
    owner: str
    left: float


class _Patience:
    """Lets a server that was there be away for as long as one call may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = 0.0
        self._there = self._failed = False

    def spend(self, exc: Exception) -> None:
        """:raises Exception: the one that was given, when the server was away for too long"""
        now = asyncio.get_running_loop().time()
        if not self._failed:
            self._since = now
        self._failed = True
        if not self._there or isinstance(exc, (Closed, PoolExhausted)) or now - self._since > self._seconds:
            raise exc

    def renew(self) -> None:
        self._there, self._failed = True, False


class RedisLock:
    """``Lock`` over one server; one exchange a call."""

    def __init__(self, connected: Client) -> None:
        self.client = self._client = connected
        self._id = os.urandom(16).hex()
        """The store's, should it have none."""
        self._channel = f"{connected.prefix}freed"
        self._listener = Listener(connected, self._channel, self._told)
        self._waiting: dict[str, Waiters] = {}
        self._watched: dict[str, set[asyncio.Event]] = {}
        self._held: dict[str, Lease] = {}
        self._behind: set[asyncio.Task[None]] = set()
        """What is done for callers that went away."""
        self._closed = False

    @property
    def pool(self) -> PoolStats:
        return self._client.stats

    async def listen(self) -> None:
        """Begin to hear of releases."""
        await self._listener.start()

    async def ping(self) -> None:
        await self._client.command("PING")

    async def identity(self) -> StoreIdentity:
        """A server that has lost its data gets the id that it had: its fences go on."""
        found = await self._client.script(_IDENTIFY, [f"{self._client.prefix}lock-store"], [self._id])
        self._id = found.decode()
        return StoreIdentity(self._id, FINGERPRINT)

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        asked = _Asked(key, os.urandom(16).hex(), owner or f"{socket.gethostname()}:{os.getpid()}", ttl, wait > 0)
        try:
            if wait > 0:
                return await self._in_line(asked, wait)
            taken = await self._attempt(asked)
            return taken if isinstance(taken, Lease) else None
        except RedisConnectionError as exc:
            if not isinstance(exc, (Closed, PoolExhausted)):
                # the answer was lost, and the lease perhaps not
                await self._see_to(self._give_up(asked.key, asked.token))
            raise

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        done = await self._client.script(_EXTEND, self._keys(lease.key)[:1], [lease.token, _milliseconds(ttl)])
        if not done:
            self._forget(lease.key, lease.token)
            raise Conflict(
                f"the lease of {lease.key!r} has expired or was released",
                remedy="begin anew: another may have taken it meanwhile",
            )
        return replace(lease, ttl=ttl)

    async def release(self, lease: Lease) -> bool:
        """A release that is cancelled is still made: it is asked for again, which does no harm."""
        try:
            return await self._give_back(lease.key, lease.token)
        except asyncio.CancelledError:
            await self._see_to(self._give_up(lease.key, lease.token))
            raise

    async def holder(self, key: str) -> Holder | None:
        seen = await self._look(key, waits=False)
        return None if seen is None else Holder(seen.owner, seen.left)

    async def wait_lost(self, lease: Lease) -> None:
        news, patience = asyncio.Event(), _Patience(self._client.timeout)
        self._watched.setdefault(lease.key, set()).add(news)
        try:
            while True:
                news.clear()
                try:
                    seen = await self._look(lease.key, waits=True)
                except (RedisConnectionError, OSError) as exc:
                    patience.spend(exc)
                    await either(news, AGAIN_S)
                    continue
                patience.renew()
                if seen is None or seen.token != lease.token:
                    return
                await either(news, min(seen.left + 0.001, WATCH_S))
        finally:
            watching = self._watched[lease.key]
            watching.discard(news)
            if not watching:
                del self._watched[lease.key]

    async def diagnose(self) -> list[Finding]:
        return await look(self._client, "lock.redis")

    async def close(self) -> None:
        """Release what is held: nobody is left to extend it. Where the server is away, leases end with their ttl.

        Who still waits is told.
        """
        self._closed = True
        await self._listener.close()
        self._told(None)
        if behind := set(self._behind):
            await asyncio.wait(behind, timeout=GRACE_S)
            for task in self._behind:
                task.cancel()
            await asyncio.wait(behind)
        with suppress(RedisError, OSError):
            for lease in list(self._held.values()):
                await self._give_back(lease.key, lease.token)
        self._held.clear()

    # -- one exchange -------------------------------------------------------------------------------------------------

    def _keys(self, key: str) -> tuple[str, str]:
        """Of the lease, and of the mark that somebody waits for its end."""
        return f"{self._client.prefix}lock:{key}", f"{self._client.prefix}waited:{key}"

    async def _attempt(self, asked: _Asked) -> Lease | float:
        """The lease, or for how many seconds another may still hold the key.

        A caller that goes away meanwhile holds nothing: the answer is awaited, and what it gave is given back. Only a
        server that does not answer in time may keep a lease that nobody knows of, until its ttl.
        """
        task = asyncio.ensure_future(self._ask(asked))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._see_to(self._undo(task, asked))
            raise

    async def _ask(self, asked: _Asked) -> Lease | float:
        if self._closed:
            raise Closed
        held, mark = self._keys(asked.key)
        keys = [held, f"{self._client.prefix}fence:{asked.key}", mark]
        args: list[str | int] = [f"{asked.token} {asked.owner}", _milliseconds(asked.ttl), int(asked.waits)]
        taken, said = await self._client.script(_TAKE, keys, args)
        if not taken:
            return float(said) / 1000
        lease = self._held[asked.key] = Lease(asked.key, asked.token, int(said), asked.ttl)
        return lease

    async def _undo(self, task: asyncio.Future[Lease | float], asked: _Asked) -> None:
        await asyncio.wait({task})
        if task.cancelled() or task.exception() is not None or isinstance(task.result(), Lease):
            await self._give_up(asked.key, asked.token)

    async def _give_up(self, key: str, token: str) -> None:
        """Give back what may be held. Where the server is away, it ends with its ttl."""
        with suppress(RedisError, OSError):
            await self._give_back(key, token)

    async def _see_to(self, work: Coroutine[Any, Any, None]) -> None:
        """Have the work done, however often the caller is cancelled, and wait a moment for it."""
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)
        loop = asyncio.get_running_loop()
        until = loop.time() + GRACE_S
        while not task.done() and (left := until - loop.time()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=left)

    async def _give_back(self, key: str, token: str) -> bool:
        done = bool(await self._client.script(_RELEASE, self._keys(key), [token, self._channel, key]))
        self._forget(key, token)
        return done

    def _forget(self, key: str, token: str) -> None:
        if (held := self._held.get(key)) is not None and held.token == token:
            del self._held[key]

    async def _look(self, key: str, *, waits: bool) -> _Seen | None:
        if self._closed:
            raise Closed
        value, left = await self._client.script(_LOOK, self._keys(key), [int(waits)])
        if value is None:
            return None
        token, _, owner = value.decode(errors="replace").partition(" ")
        return _Seen(token, owner, max(left, 1) / 1000)

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def _in_line(self, asked: _Asked, wait: float) -> Lease | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        waiters = self._waiting.setdefault(asked.key, Waiters())
        turn = asyncio.Event()
        waiters.line.append(turn)
        try:
            while waiters.line[0] is not turn:
                if loop.time() >= until:
                    return None
                await either(turn, min(until - loop.time(), LONGEST_WAIT_S))
            return await self._wait(asked, until, waiters.news)
        finally:
            waiters.line.remove(turn)
            if waiters.line:
                waiters.line[0].set()
            else:
                del self._waiting[asked.key]

    async def _wait(self, asked: _Asked, until: float, news: asyncio.Event) -> Lease | None:
        """Try at once, at each news, when the lease should have ended, and at the end of the wait.

        A server that is away for a moment, as when it is started anew, is waited for.
        """
        loop, patience = asyncio.get_running_loop(), _Patience(self._client.timeout)
        while True:
            news.clear()
            over = loop.time() >= until
            try:
                taken = await self._attempt(asked)
            except (RedisConnectionError, OSError) as exc:
                patience.spend(exc)
                if over:
                    raise
                pause = AGAIN_S
            else:
                patience.renew()
                if isinstance(taken, Lease):
                    return taken
                if over:
                    return None
                pause = min(max(taken, 0.001), LONGEST_WAIT_S)
            await either(news, min(pause, max(until - loop.time(), 0.0)))

    def _told(self, data: bytes | None) -> None:
        """A key was freed, or news was missed (None)."""
        for key in [*self._waiting, *self._watched] if data is None else [data.decode(errors="replace")]:
            if (waiters := self._waiting.get(key)) is not None:
                waiters.news.set()
            for news in self._watched.get(key, ()):
                news.set()


class _Asked(NamedTuple):
    """One acquisition; its token is chosen before anything is sent."""

    key: str
    token: str
    owner: str
    ttl: float
    waits: bool


def _milliseconds(seconds: float) -> int:
    """Redis ends a key within the millisecond after its time: one less, so that a lease ends when it should."""
    return max(1, round(seconds * 1000) - 1)
