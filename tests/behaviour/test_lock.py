"""Behaviour of every lock."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from codequay.ports.errors import Conflict
from tests.behaviour.adapters import Case, behaviour, uncovered


def exclusive(capabilities: Any) -> bool:
    return bool(capabilities.exclusive)


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


@behaviour("lock", "LK-01", needs=exclusive)
async def test_one_task_at_a_time_holds_a_key(store: Any) -> None:
    inside = most = turns = 0

    async def work() -> None:
        nonlocal inside, most, turns
        lease = await store.acquire("k", ttl=60, wait=float("inf"))
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        turns += 1
        assert await store.release(lease)

    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(10))), 10)
    assert (most, turns) == (1, 10)


@behaviour("lock", "LK-02", needs=exclusive)
async def test_a_held_key_answers_none_at_once_or_after_the_wait(case: Case, store: Any) -> None:
    lease = await store.acquire("k", ttl=60, owner="somebody")
    assert await store.acquire("k", ttl=60) is None
    waiting = asyncio.create_task(store.acquire("k", ttl=60, wait=10))
    await settle()
    await case.clock.advance(9)
    assert not waiting.done()
    await case.clock.advance(1.001)
    assert await asyncio.wait_for(waiting, 5) is None
    holder = await store.holder("k")
    assert (holder.owner, holder.expires_in) == ("somebody", pytest.approx(49.999))
    waiting = asyncio.create_task(store.acquire("k", ttl=60, wait=10))
    await settle()
    assert await store.release(lease)
    taken = await asyncio.wait_for(waiting, 5)
    assert taken is not None and taken.token != lease.token


@behaviour("lock", "LK-03", needs=exclusive)
async def test_a_lease_expires_after_its_ttl(case: Case, store: Any) -> None:
    first = await store.acquire("k", ttl=10)
    waiting = asyncio.create_task(store.acquire("k", ttl=10, wait=60))
    await settle()
    await case.clock.advance(6)
    extended = await store.extend(first, ttl=10)
    assert (extended.key, extended.token, extended.fence, extended.ttl) == ("k", first.token, first.fence, 10)
    await case.clock.advance(9)
    assert not waiting.done()
    assert (await store.holder("k")).expires_in == pytest.approx(1)
    await case.clock.advance(1.001)
    second = await asyncio.wait_for(waiting, 5)
    assert second is not None and second.token != first.token
    await case.clock.advance(10.001)
    assert await store.holder("k") is None
    assert await store.acquire("k", ttl=10) is not None


@behaviour("lock", "LK-04", needs=exclusive)
async def test_extend_of_a_lost_lease_conflicts(case: Case, store: Any) -> None:
    released = await store.acquire("k", ttl=10)
    await store.release(released)
    expired = await store.acquire("l", ttl=10)
    replaced = await store.acquire("m", ttl=10)
    await case.clock.advance(10.001)
    assert await store.acquire("m", ttl=10) is not None
    for lease in (released, expired, replaced):
        with pytest.raises(Conflict):
            await store.extend(lease, ttl=10)
    assert await store.holder("l") is None


@behaviour("lock", "LK-05", needs=exclusive)
async def test_release_by_another_frees_nothing(case: Case, store: Any) -> None:
    old = await store.acquire("k", ttl=10)
    await case.clock.advance(10.001)
    assert await store.release(old) is False
    new = await store.acquire("k", ttl=10)
    assert await store.release(old) is False
    assert await store.acquire("k", ttl=10) is None
    assert await store.release(new) is True
    assert await store.release(new) is False


@behaviour("lock", "LK-06")
async def test_fences_rise_or_are_none(case: Case, store: Any) -> None:
    leases = []
    for i in range(5):
        lease = await store.acquire("k", ttl=10)
        leases.append(lease)
        if i % 2:
            assert await store.release(lease)
        else:
            await case.clock.advance(10.001)
    fences = [lease.fence for lease in leases]
    if case.capabilities.fenced:
        assert fences == sorted(set(fences))
    else:
        assert fences == [None] * 5
    assert len({lease.token for lease in leases}) == 5
    assert await store.identity() == await store.identity()


@behaviour("lock", "LK-07", needs=exclusive)
async def test_a_cancelled_waiter_leaves_nothing_behind(store: Any) -> None:
    held = await store.acquire("k", ttl=60)
    waiters = [asyncio.create_task(store.acquire("k", ttl=60, wait=50)) for _ in range(3)]
    await settle()
    waiters[0].cancel()
    await settle()
    assert await store.release(held)
    waiters[1].cancel()
    await asyncio.wait(waiters, timeout=5)
    assert waiters[0].cancelled()
    last = await waiters[2]
    if not waiters[1].cancelled():
        pytest.fail("cancelled before it ran, a waiter must not take the key")
    assert last is not None
    assert await store.release(last)
    assert await store.holder("k") is None


@behaviour("lock", "LK-08", needs=exclusive)
async def test_wait_lost_returns_when_the_lease_is_lost(case: Case, store: Any) -> None:
    async def lost(key: str) -> tuple[Any, asyncio.Task[None]]:
        lease = await store.acquire(key, ttl=10)
        signal = asyncio.create_task(store.wait_lost(lease))
        await settle()
        assert not signal.done()
        return lease, signal

    released, signal = await lost("k")
    await store.release(released)
    await asyncio.wait_for(signal, 5)
    await asyncio.wait_for(store.wait_lost(released), 5)
    extended, signal = await lost("l")
    await case.clock.advance(5)
    await store.extend(extended, ttl=10)
    await case.clock.advance(9)
    assert not signal.done()
    await case.clock.advance(1.001)
    await asyncio.wait_for(signal, 5)


@behaviour("lock", "LK-09")
async def test_keys_do_not_touch_each_other(store: Any) -> None:
    leases = {key: await store.acquire(key, ttl=60) for key in ("k", "kk", "K", "k:", "k%", "ключ")}
    assert all(lease.key == key for key, lease in leases.items())
    assert await store.release(leases["k"])
    for key in ("kk", "K", "k:", "k%", "ключ"):
        assert (await store.extend(leases[key], ttl=60)).token == leases[key].token
        assert await store.release(leases[key])


@behaviour("lock", "LK-10")
async def test_a_free_key_is_taken_at_once_and_given_back(store: Any) -> None:
    for wait in (0.0, 5.0, float("inf")):
        assert await store.holder("k") is None
        lease = await asyncio.wait_for(store.acquire("k", ttl=7, wait=wait), 5)
        assert (lease.key, lease.ttl) == ("k", 7)
        assert await store.release(lease) is True


def test_every_clause_has_a_test() -> None:
    assert uncovered("lock", sys.modules[__name__]) == []
