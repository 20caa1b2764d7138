"""The clauses of the port ``lock``, as trials."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from codequay.ports.errors import Conflict, InvalidArgument
from codequay.ports.generations import StoreIdentity
from codequay.ports.lock import PORT, Lease

from ..budget import MOST_PER_CALL, within
from ..case import Case
from ..clauses import Suite
from ..expect import raises
from ..models.lock import STEPS, LockModel
from .lock_faults import FAULTS
from .lock_together import TOGETHER, exclusive

SUITE = Suite(PORT)

KEYS = ("k", "kk", "K", "k ", "k:", "k%", "k_", "e", "é", "e\u0301", "ключ", "🔑")
FOR_EVER = float("inf")


def shared(capabilities: Any) -> bool:
    return not capabilities.exclusive


def fenced(capabilities: Any) -> bool:
    return bool(capabilities.fenced)


@SUITE.trial("LK-10", hint="key and token name a lease, whichever of its objects is given")
async def a_free_key_is_taken_at_once_extended_and_given_back(case: Case, store: Any) -> None:
    ttl = 7 * case.second
    for wait in (0.0, 5.0, FOR_EVER):
        assert await store.holder("k") is None
        lease = await asyncio.wait_for(store.acquire("k", ttl=ttl, wait=wait), 5)
        assert (lease.key, lease.ttl) == ("k", ttl)
        longer = await store.extend(lease, ttl=9 * case.second)
        assert (longer.key, longer.token, longer.fence) == ("k", lease.token, lease.fence)
        assert longer.ttl == 9 * case.second
        assert await store.release(longer if wait else lease) is True


@SUITE.trial("LK-02", needs=exclusive, hint="wait on ctx.clock, and look again within a second of a release")
async def a_held_key_answers_none_at_once_or_after_the_wait(case: Case, store: Any) -> None:
    second = case.second
    lease = await store.acquire("k", ttl=60 * second, owner="somebody")
    assert await asyncio.wait_for(store.acquire("k", ttl=60 * second), 5) is None
    waiting = asyncio.create_task(store.acquire("k", ttl=60 * second, wait=4 * second))
    await case.settle()
    await case.advance(3 * second)
    assert not waiting.done()
    await case.advance(1.001 * second)
    assert await case.soon(waiting, "the wait is over and acquire answers") is None
    assert (await store.holder("k")).owner == "somebody"
    waiting = asyncio.create_task(store.acquire("k", ttl=60 * second, wait=10 * second))
    await case.settle()
    await case.advance(3 * second)
    assert not waiting.done()
    assert await store.release(lease)
    taken = await case.soon(waiting, "the key is released and a waiter gets it")
    assert taken is not None and taken.token != lease.token
    assert 58.5 * second < (await store.holder("k")).expires_in <= 60.01 * second
    assert await store.acquire("k", ttl=60 * second) is None


@SUITE.trial("LK-03", needs=exclusive, hint="the ttl counts from the last extend")
async def a_lease_lives_for_its_ttl(case: Case, store: Any) -> None:
    second = case.second
    first = await store.acquire("k", ttl=4 * second)
    waiting = asyncio.create_task(store.acquire("k", ttl=4 * second, wait=60 * second))
    await case.settle()
    await case.advance(3 * second)
    await store.extend(first, ttl=4 * second)
    await case.advance(3 * second)
    assert not waiting.done()
    assert await store.acquire("k", ttl=4 * second) is None
    await case.advance(1.001 * second)
    taken = await case.soon(waiting, "the lease has ended and a waiter gets the key")
    assert taken is not None and taken.token != first.token


@SUITE.trial("LK-03", needs=exclusive, hint="an ended lease is no lease, also before anybody takes its key")
async def a_lease_has_ended_when_its_ttl_has_passed(case: Case, store: Any) -> None:
    second = case.second
    await store.acquire("k", ttl=4 * second)
    await case.advance(4 * second if not case.server_time else 4.5 * second)
    assert await store.holder("k") is None
    again = await store.acquire("k", ttl=4 * second)
    assert again is not None
    waiting = asyncio.create_task(store.acquire("k", ttl=4 * second, wait=60 * second))
    await case.settle()
    await store.extend(again, ttl=2 * second)
    await case.advance(1.5 * second)
    assert not waiting.done()
    await case.advance(0.501 * second)
    assert await case.soon(waiting, "the lease was cut short and a waiter gets the key") is not None


@SUITE.trial("LK-04", needs=exclusive)
async def extend_of_a_lost_lease_conflicts(case: Case, store: Any) -> None:
    ttl = 4 * case.second
    released = await store.acquire("k", ttl=ttl)
    await store.release(released)
    expired = await store.acquire("l", ttl=ttl)
    replaced = await store.acquire("m", ttl=ttl)
    handed = await store.acquire("n", ttl=ttl)
    await store.release(handed)
    assert await store.acquire("n", ttl=10 * ttl) is not None
    await case.advance(ttl + 0.001 * case.second)
    assert await store.acquire("m", ttl=ttl) is not None
    for lease in (released, expired, replaced, handed, Lease("o", "never given", 1, ttl)):
        with raises(Conflict):
            await store.extend(lease, ttl=ttl)
    assert await store.holder("l") is None


@SUITE.trial("LK-05", needs=exclusive)
async def release_by_another_frees_nothing(case: Case, store: Any) -> None:
    ttl = 4 * case.second
    old = await store.acquire("k", ttl=ttl)
    await case.advance(ttl + 0.001 * case.second)
    assert await store.release(old) is False
    new = await store.acquire("k", ttl=ttl)
    assert await store.release(old) is False
    assert await store.acquire("k", ttl=ttl) is None
    assert await store.release(Lease("k", "never given", new.fence, ttl)) is False
    assert await store.release(new) is True
    assert await store.release(new) is False


@SUITE.trial("LK-06", hint="count the fence where the lease is taken, in the same step")
async def fences_rise_or_are_none(case: Case, store: Any) -> None:
    leases = []
    for i in range(5):
        lease = await store.acquire("k", ttl=2 * case.second)
        leases.append(lease)
        if i % 2:
            assert await store.release(lease)
        else:
            await case.advance(2.001 * case.second)
    fences = [lease.fence for lease in leases]
    if case.capabilities.fenced:
        assert fences == sorted(set(fences))
        assert all(isinstance(fence, int) for fence in fences)
    else:
        assert fences == [None] * 5
    assert len({lease.token for lease in leases}) == 5


@SUITE.trial("LK-09")
async def keys_do_not_touch_each_other(case: Case, store: Any) -> None:
    ttl = 60 * case.second
    leases = {key: await store.acquire(key, ttl=ttl) for key in KEYS}
    assert [lease and lease.key for lease in leases.values()] == list(KEYS)
    assert await store.release(leases["k"])
    for key in KEYS[1:]:
        assert (await store.extend(leases[key], ttl=ttl)).token == leases[key].token
        if case.capabilities.exclusive:
            assert await store.acquire(key, ttl=ttl) is None
        assert await store.release(leases[key])


@SUITE.trial("LK-17", needs=exclusive)
async def holder_names_the_owner_and_the_seconds_left(case: Case, store: Any) -> None:
    second = case.second
    assert await store.holder("k") is None
    lease = await store.acquire("k", ttl=6 * second, owner="Ünïcode at host:1")
    await store.acquire("l", ttl=5 * second)
    await case.advance(second)
    found = await store.holder("k")
    assert (found.owner, found.expires_in) == ("Ünïcode at host:1", case.about(5 * second))
    await store.extend(lease, ttl=8 * second)
    assert (await store.holder("k")).expires_in == case.about(8 * second)
    unnamed = await store.holder("l")
    assert unnamed.owner and unnamed.expires_in == case.about(4 * second)
    await store.release(lease)
    assert await store.holder("k") is None
    await case.advance(4.001 * second)
    await store.acquire("l", ttl=6 * second, owner="the next one")
    found = await store.holder("l")
    assert (found.owner, found.expires_in) == ("the next one", case.about(6 * second))


@SUITE.trial("LK-16")
async def identity_is_the_same_at_each_call(store: Any) -> None:
    found = await store.identity()
    assert isinstance(found, StoreIdentity) and found.store_id and found.fingerprint
    assert await store.identity() == found
    await store.acquire("k", ttl=60)
    assert await store.identity() == found


@SUITE.trial("LK-16", needs=fenced, hint="a lock whose fences begin anew has another store_id")
async def fences_of_one_store_id_are_one_rising_line(case: Case) -> None:
    last: dict[str, int] = {}
    for _ in range(2):
        async with case.another() as place, place.open() as store:
            for _ in range(2):
                lease = await store.acquire("k", ttl=60)
                found = await store.identity()
                assert lease.fence > last.get(found.store_id, -1)
                last[found.store_id] = lease.fence
                assert await store.release(lease)


@SUITE.trial("LK-08", needs=exclusive)
async def wait_lost_returns_when_the_lease_is_lost(case: Case, store: Any) -> None:
    second = case.second

    async def lost(key: str) -> tuple[Any, asyncio.Task[None]]:
        lease = await store.acquire(key, ttl=4 * second)
        signal = asyncio.create_task(store.wait_lost(lease))
        await case.settle()
        assert not signal.done()
        return lease, signal

    released, signal = await lost("k")
    other = await store.acquire("l", ttl=4 * second)
    await store.release(other)
    await case.settle()
    assert not signal.done()
    await store.release(released)
    await case.soon(signal, "the lease is released and wait_lost returns")
    assert await store.acquire("k", ttl=60 * second) is not None
    await case.soon(store.wait_lost(released), "the lease was replaced and wait_lost returns")
    extended, signal = await lost("m")
    await case.advance(3 * second)
    await store.extend(extended, ttl=4 * second)
    await case.advance(3 * second)
    assert not signal.done()
    await case.advance(1.001 * second)
    await case.soon(signal, "the lease has ended and wait_lost returns")


@SUITE.trial("LK-20", needs=shared, hint="declare exclusive where there is exclusion, and only there")
async def without_exclusion_a_held_key_is_given_again(store: Any) -> None:
    first = await store.acquire("k", ttl=60)
    second = await asyncio.wait_for(store.acquire("k", ttl=60), 5)
    assert second is not None and second.token != first.token
    assert (await store.extend(first, ttl=70)).token == first.token
    assert await store.release(first) is True
    assert await store.release(second) is True


@SUITE.trial("LK-18", hint="the guard refuses; the store takes the rest without shortening it")
async def what_the_page_allows_is_taken_and_the_rest_refused(case: Case, store: Any) -> None:
    least = case.capabilities.min_ttl
    for key in ("", "k" * 513, "k\n", "\0"):
        with raises(InvalidArgument):
            await store.acquire(key, ttl=60)
        with raises(InvalidArgument):
            await store.holder(key)
    lease = await store.acquire("k", ttl=least)
    assert lease.ttl == least
    for ttl in (0, -1, least / 2, 86_401, float("nan"), FOR_EVER):
        with raises(InvalidArgument):
            await store.acquire("l", ttl=ttl)
        with raises(InvalidArgument):
            await store.extend(lease, ttl=ttl)
    for owner in ("o" * 513, "\0", "o\ud800"):
        with raises(InvalidArgument):
            await store.acquire("l", ttl=60, owner=owner)
    for wait in (-1, float("nan")):
        with raises(InvalidArgument):
            await store.acquire("l", ttl=60, wait=wait)
    keys = [letter * 511 + end for letter in "aж" for end in "xy"]
    leases = [await store.acquire(key, ttl=86_400) for key in keys]
    assert [lease and (lease.key, lease.ttl) for lease in leases] == [(key, 86_400) for key in keys]
    assert [await store.release(lease) for lease in leases] == [True] * 4


@SUITE.trial("LK-19", hint="find a lease by its key or token, never by looking at all")
async def each_call_takes_few_turns(case: Case, store: Any) -> None:
    ttl = 60 * case.second
    for held in (0, 30):
        for i in range(held):
            await store.acquire(f"held {i}", ttl=ttl)
        leases: list[Any] = []
        beside = f"with {held} keys held"
        await within(case, f"identity {beside}", MOST_PER_CALL, store.identity)
        await within(case, f"acquire {beside}", MOST_PER_CALL, partial(_acquire, store, ttl, leases))
        await within(case, f"holder {beside}", MOST_PER_CALL, partial(store.holder, "k"))
        await within(case, f"extend {beside}", MOST_PER_CALL, partial(store.extend, leases[0], ttl=ttl))
        await within(case, f"release {beside}", MOST_PER_CALL, partial(store.release, leases[0]))


async def _acquire(store: Any, ttl: float, leases: list[Any]) -> None:
    leases.append(await store.acquire("k", ttl=ttl))


SUITE.trials += TOGETHER.trials
SUITE.trials += FAULTS.trials
SUITE.machine("LK-10", LockModel, STEPS)
