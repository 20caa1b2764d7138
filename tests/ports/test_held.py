"""A lock to hold, over adapters that need no server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from codequay import App, DistributedLock, HeldLock, load_settings
from codequay.adapters.memory.lock import MemoryLock
from codequay.adapters.noop.lock import NoOpLock
from codequay.ports.errors import Conflict, LockBusy, Unavailable
from codequay.ports.lock import Lease
from codequay.ports.spec import SystemClock
from tests.contexts import run


class Shaky(MemoryLock):
    """Extends only as often as it is allowed to, and counts."""

    asked = 0
    allowed = 1_000
    silent = False

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        self.asked += 1
        if self.silent:
            await asyncio.sleep(60)
        if self.asked > self.allowed:
            raise Unavailable("the server is away")
        return await super().extend(lease, ttl=ttl)


def shaky() -> Shaky:
    return Shaky(SystemClock())


async def taken(lock: DistributedLock) -> HeldLock:
    held = await lock.acquire(blocking=False)
    assert held is not None
    return held


def test_a_lock_is_extended_every_third_of_its_ttl_until_it_is_released() -> None:
    async def body() -> None:
        port = shaky()
        async with DistributedLock(port, "k", ttl=0.3).hold() as held:
            await asyncio.sleep(1.05)
            held.check()
            assert not held.lost.is_set() and 6 <= port.asked <= 11
            await held.extend()
        asked = port.asked
        await asyncio.sleep(0.3)
        assert port.asked == asked and await port.holder("k") is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(body())


def test_each_acquisition_has_its_own_handle() -> None:
    async def body() -> None:
        lock = DistributedLock(shaky(), "k", owner="me")
        first = await taken(lock)
        assert await lock.acquire(blocking=False) is None
        assert await lock.acquire(timeout=0.05) is None
        with pytest.raises(LockBusy, match="held by me"):
            async with lock.hold(blocking=False):
                pass
        waiting = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0.05)
        assert await first.release()
        second = await waiting
        assert second is not None and second.token != first.token
        assert second.fence is not None and first.fence is not None and second.fence > first.fence
        assert not await first.release()
        assert await second.release()

    run(body())


def test_two_extensions_may_fail() -> None:
    async def body() -> None:
        port = shaky()
        held = await taken(DistributedLock(port, "k", ttl=0.6))
        port.allowed = 0
        await asyncio.sleep(0.45)
        assert port.asked >= 2 and not held.lost.is_set()
        port.allowed = 1_000
        await asyncio.sleep(0.6)
        held.check()
        assert await held.release()

    run(body())


@pytest.mark.parametrize("silent", [False, True])
def test_a_lease_that_cannot_be_extended_is_lost_when_its_time_is_over(silent: bool) -> None:
    async def body() -> None:
        port = shaky()
        held = await taken(DistributedLock(port, "k", ttl=0.4))
        begun = time.monotonic()
        port.allowed, port.silent = 0, silent
        await held.lost.wait()
        assert 0.3 < time.monotonic() - begun < 0.8
        with pytest.raises(Conflict, match="was lost"):
            held.check()
        with pytest.raises(Conflict):
            await held.extend()
        port.silent = False
        await held.release()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(body())


def test_a_lease_that_somebody_ended_is_lost_at_the_next_extension() -> None:
    async def body() -> None:
        port = shaky()
        held = await taken(DistributedLock(port, "k", ttl=0.6))
        await port.release(Lease("k", held.token, held.fence, 0.6))
        begun = time.monotonic()
        await held.lost.wait()
        assert time.monotonic() - begun < 0.4
        assert not await held.release()

    run(body())


def test_a_watchdog_that_breaks_tells_the_holder() -> None:
    class Broken(MemoryLock):
        async def extend(self, lease: Lease, *, ttl: float) -> Lease:
            raise ZeroDivisionError("a bug")

    async def body() -> None:
        held = await taken(DistributedLock(Broken(SystemClock()), "k", ttl=0.3))
        await held.lost.wait()
        with pytest.raises(Conflict) as lost:
            held.check()
        assert isinstance(lost.value.__cause__, ZeroDivisionError)
        await held.release()

    run(body())


def test_a_cancelled_holder_has_released() -> None:
    async def body() -> None:
        port = shaky()

        async def work() -> None:
            async with DistributedLock(port, "k").hold():
                await asyncio.Event().wait()

        for moment in range(6):
            task = asyncio.create_task(work())
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled() and await port.holder("k") is None

    run(body())


def test_a_lock_that_excludes_nobody_is_held_in_the_same_way() -> None:
    async def body() -> None:
        lock = DistributedLock(NoOpLock(), "k", ttl=0.1)
        async with lock.hold() as one, lock.hold() as two:
            await asyncio.sleep(0.2)
            assert one.fence is two.fence is None and one.token != two.token
            one.check()

    run(body())


def test_the_library_gives_locks_by_whatever_is_configured(tmp_path: Path) -> None:
    async def body(adapter: str) -> None:
        settings = load_settings(env={"CODEQUAY_PORTS__LOCK": adapter}, project=tmp_path)
        async with App(settings).run() as quay:
            lock = await quay.lock("nightly", ttl=5, path=str(tmp_path))
            async with lock.hold() as held:
                again = await quay.lock("nightly", path=str(tmp_path))
                taken = await again.acquire(blocking=False)
                assert (taken is None) is (adapter != "noop")
                if taken is not None:
                    await taken.release()
                assert (held.fence is None) is (adapter == "noop")

    for adapter in ("sqlite", "noop"):
        run(body(adapter))
