"""The Redis adapters beside redis-py itself, on one server, in turns.

    CODEQUAY_TEST_REDIS_URL=redis://127.0.0.1:6379/0 python -m bench.redis_store

``CODEQUAY_TEST_REDIS_PASSWORD`` is the server's password, if it has one.

Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from redis.asyncio import BlockingConnectionPool, Redis

from codequay.adapters.redis.cache import RedisCache
from codequay.adapters.redis.config import RedisConfig
from codequay.adapters.redis.connection import Client
from codequay.adapters.redis.lock import RedisLock

PREFIX = "codequay-bench:"
ROUNDS, LOCKS, HANDOVERS, READS, IN_FLIGHT, CANCELS = 15, 200, 40, 6400, 64, 600


class Row(NamedTuple):
    """One measurement: both sides as they are shown, what is compared, and the goal, "" for none."""

    what: str
    ours: str
    theirs: str
    found: float
    goal: str

    @property
    def met(self) -> bool:
        if not self.goal:
            return True
        relation, number = self.goal.split()
        return self.found <= float(number) if relation == "<=" else self.found >= float(number)


async def cpu_us(call: Callable[[], Awaitable[None]], times: int) -> float:
    """CPU microseconds of this process per call."""
    started = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - started) / times * 1e6


async def locks(ours: RedisLock, redis: Redis) -> Row:
    async def of_ours() -> None:
        lease = await ours.acquire("bench", ttl=10)
        if lease is None or not await ours.release(lease):
            raise RuntimeError("the key was not free")

    async def of_theirs() -> None:
        lock = redis.lock(f"{PREFIX}theirs", timeout=10)
        await lock.acquire()
        await lock.release()

    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        found["ours"].append(await cpu_us(of_ours, LOCKS))
        found["theirs"].append(await cpu_us(of_theirs, LOCKS))
    # what others do on the machine only adds to it
    mine, peer = min(found["ours"]), min(found["theirs"])
    return Row("acquire + release, CPU", f"{mine:.0f} us", f"Lock {peer:.0f} us", mine / peer, "<= 1.0")


async def handovers(ours: RedisLock, redis: Redis) -> Row:
    async def of_ours() -> float:
        lease = await ours.acquire("hand", ttl=10)
        waiting = asyncio.create_task(ours.acquire("hand", ttl=10, wait=10))
        await asyncio.sleep(random.uniform(0.05, 0.15))
        if lease is None:
            raise RuntimeError("the key was not free")
        started = time.perf_counter()
        await ours.release(lease)
        taken = await waiting
        spent = time.perf_counter() - started
        if taken is None:
            raise RuntimeError("the key was not handed over")
        await ours.release(taken)
        return spent

    async def of_theirs() -> float:
        first, second = (redis.lock(f"{PREFIX}hand", timeout=10) for _ in range(2))
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(random.uniform(0.05, 0.15))
        started = time.perf_counter()
        await first.release()
        await waiting
        spent = time.perf_counter() - started
        await second.release()
        return spent

    mine = statistics.median([await of_ours() * 1000 for _ in range(HANDOVERS)])
    peer = statistics.median([await of_theirs() * 1000 for _ in range(HANDOVERS)])
    return Row("hand-over to a waiter, p50", f"{mine:.1f} ms", f"Lock {peer:.1f} ms", mine / peer, "<= .1")


async def reads(cache: RedisCache, redis: Redis, at_once: int, goal: str) -> Row:
    """Gets of 1 KB, each task one after the other."""

    async def per_second(get: Callable[[str], Awaitable[Any]], prefix: str) -> float:
        async def one(number: int) -> None:
            for _ in range(READS // IN_FLIGHT):
                if await get(f"{prefix}k{number}") is None:
                    raise RuntimeError("the value is gone")

        started = time.perf_counter()
        await asyncio.gather(*(one(i) for i in range(at_once)))
        return READS // IN_FLIGHT * at_once / (time.perf_counter() - started)

    ours, plain = [], []
    for _ in range(ROUNDS):
        ours.append(await per_second(cache.get, ""))
        plain.append(await per_second(redis.get, f"{PREFIX}cache:"))
    mine, peer = statistics.median(ours), statistics.median(plain)
    return Row(f"reads, {at_once} in flight", f"{mine:.0f} /s", f"pool {peer:.0f} /s", mine / peer, goal)


async def cancels(ours: RedisLock) -> Row:
    """How many of the acquisitions that are cancelled at a random moment leave a lock."""
    left = 0
    for _ in range(CANCELS):
        task = asyncio.create_task(ours.acquire("cancelled", ttl=60))
        await asyncio.sleep(random.uniform(0, 0.0006))
        task.cancel()
        try:
            lease = await task
        except asyncio.CancelledError:
            lease = None
        if lease is not None:
            await ours.release(lease)
        left += await ours.holder("cancelled") is not None
    return Row(f"locks left by {CANCELS} random cancels", str(left), "", left, "<= 0")


async def main() -> int:
    url = os.environ.get("CODEQUAY_TEST_REDIS_URL", "")
    if not url:
        print("set CODEQUAY_TEST_REDIS_URL=redis://HOST:PORT/DB", file=sys.stderr)
        return 2
    password = os.environ.get("CODEQUAY_TEST_REDIS_PASSWORD") or None
    client = Client(RedisConfig(url=url, password=password, prefix=PREFIX))
    pool = BlockingConnectionPool.from_url(url, password=password, max_connections=IN_FLIGHT + 2, protocol=2)
    plain = Redis.from_pool(pool)
    cache, lock = RedisCache(client), RedisLock(client)
    try:
        await lock.listen()
        await cache.set_many({f"k{i}": b"x" * 1024 for i in range(IN_FLIGHT)})
        rows = [
            await locks(lock, plain),
            await handovers(lock, plain),
            await reads(cache, plain, IN_FLIGHT, ">= 4"),
            await reads(cache, plain, 1, ""),
            await cancels(lock),
        ]
        await cache.purge()
    finally:
        await lock.close()
        await cache.close()
        await client.close()
        await plain.aclose()
    print(f"{'':34} {'ours':>12} {'redis-py':>18} {'ratio':>7}  goal")
    for row in rows:
        missed = "" if row.met else "  MISSED"
        print(f"{row.what:34} {row.ours:>12} {row.theirs:>18} {row.found:>7.2f}  {row.goal}{missed}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
