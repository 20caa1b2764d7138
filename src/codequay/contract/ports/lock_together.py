"""The clauses of the port ``lock`` about tasks and processes that meet, go away, pause or die."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.lock import PORT

from ..cancel import cuts
from ..case import Case
from ..clauses import Suite
from ..concurrency import Call, Done, check_linearizable, together
from ..expect import raises
from ..processes import elsewhere

TOGETHER = Suite(PORT)

FOR_EVER = float("inf")


def exclusive(capabilities: Any) -> bool:
    return bool(capabilities.exclusive)


def between_processes(capabilities: Any) -> bool:
    return bool(capabilities.exclusive and capabilities.fenced and capabilities.reach != "process")


@TOGETHER.trial("LK-01", needs=exclusive, hint="decide and take in one step of the store")
async def one_task_at_a_time_holds_a_key(case: Case, store: Any) -> None:
    inside = most = turns = 0

    async def work() -> None:
        nonlocal inside, most, turns
        lease = await store.acquire("k", ttl=100 * case.second, wait=FOR_EVER)
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        turns += 1
        assert await store.release(lease)

    await case.soon(asyncio.gather(*(work() for _ in range(8))), "eight waiters take their turns", seconds=8)
    assert (most, turns) == (1, 8)


@TOGETHER.trial("LK-07", needs=exclusive, hint="a waiter that goes away gives up its place, and what it got meanwhile")
async def a_cancelled_waiter_leaves_nothing_behind(case: Case, store: Any) -> None:
    ttl = 60 * case.second
    held = await store.acquire("k", ttl=ttl)
    waiters = [asyncio.create_task(store.acquire("k", ttl=ttl, wait=50 * case.second)) for _ in range(3)]
    await case.settle()
    waiters[0].cancel()
    await asyncio.wait({waiters[0]}, timeout=5)
    assert waiters[0].cancelled()
    assert await store.release(held)
    if waiters[1].cancel():
        await asyncio.wait({waiters[1]}, timeout=5)
        assert waiters[1].cancelled()
    else:
        assert await store.release(waiters[1].result())
    last = await case.soon(waiters[2], "the key is free and the waiter that is left gets it")
    assert last is not None
    assert await store.release(last)
    assert await store.holder("k") is None


@TOGETHER.trial("LK-07", needs=exclusive, hint="end what a listener has begun when it goes away")
async def a_cancelled_listener_leaves_nothing_behind(case: Case, store: Any) -> None:
    lease = await store.acquire("k", ttl=60 * case.second)
    before = asyncio.all_tasks()
    signal = asyncio.create_task(store.wait_lost(lease))
    await case.settle()
    signal.cancel()
    await asyncio.wait({signal}, timeout=5)
    assert signal.cancelled()
    for _ in range(100):
        if asyncio.all_tasks() <= before:
            break
        await asyncio.sleep(0.01)
    assert [task.get_name() for task in asyncio.all_tasks() - before] == []
    assert await store.release(lease)


@TOGETHER.trial("LK-12", hint="give back in a shielded step what was taken while the caller went away")
async def a_cancelled_call_leaves_nothing_that_outlasts_its_ttl(case: Case, store: Any) -> None:
    second = case.second
    async for _ in cuts(lambda: store.acquire("k", ttl=second)):
        await case.advance(1.001 * second)
        lease = await store.acquire("k", ttl=second)
        assert lease is not None
        assert await store.release(lease)
    await case.advance(1.001 * second)
    held = [await store.acquire("k", ttl=second)]
    async for _ in cuts(lambda: store.release(held[-1])):
        await case.advance(1.001 * second)
        held.append(await store.acquire("k", ttl=second))
        assert held[-1] is not None


@TOGETHER.trial("LK-12", needs=exclusive, hint="pass the key on when the waiter that was to get it has gone")
async def a_waiter_cancelled_at_the_handover_does_not_keep_the_key(case: Case, store: Any) -> None:
    second = case.second

    async def prepared() -> asyncio.Task[None]:
        """A task that gives the key back while somebody waits for it."""
        await case.advance(1.001 * second)
        held = await store.acquire("k", ttl=100 * second)
        assert held is not None

        async def give_back() -> None:
            await case.settle()
            await store.release(held)

        return asyncio.create_task(give_back())

    giving = await prepared()
    async with case.moving():
        async for _ in cuts(lambda: store.acquire("k", ttl=second, wait=FOR_EVER)):
            await giving
            giving = await prepared()
        await giving


@TOGETHER.trial("LK-11", needs=exclusive, hint="decide and take in one step of the store")
async def concurrent_calls_have_an_order(case: Case) -> None:
    for round_ in range(12):
        order = random.Random(f"{case.subject.seed}-{round_}")
        async with case.another() as place, place.open() as store:
            await _in_some_order([store] * 3, order, round_, 4, 60 * case.second)


async def _in_some_order(
    stores: list[Any], order: random.Random, seed: int, calls: int, ttl: float
) -> list[tuple[Done, Any]]:
    """One worker for each store, whose calls overlap. The acquisitions, each with its lease."""
    held: dict[int, Any] = {}
    taken: list[tuple[Call, Any]] = []

    async def perform(call: Call) -> Any:
        worker = call.args[0]
        store = stores[worker]
        if call.op == "acquire":
            lease = await store.acquire("k", ttl=ttl, owner=str(worker))
            held[worker] = lease or held.get(worker)
            if lease is not None:
                taken.append((call, lease))
            return lease is not None
        if call.op == "holder":
            holder = await store.holder("k")
            return None if holder is None else int(holder.owner)
        lease = held.get(worker)
        if lease is None:
            return False
        if call.op == "release":
            held[worker] = None
            return await store.release(lease)
        try:
            await store.extend(lease, ttl=ttl)
        except Conflict:
            return False
        return True

    ops = ("acquire", "acquire", "release", "release", "holder", "extend")
    workers = [[Call(order.choice(ops), (worker,)) for _ in range(calls)] for worker in range(len(stores))]
    history = await together(workers, perform, seed)
    for worker, lease in held.items():
        if lease is not None:
            await stores[worker].release(lease)
    check_linearizable(history, None, _apply)
    return [(next(one for one in history if one.call is call), lease) for call, lease in taken]


def _apply(state: int | None, op: str, args: tuple[Any, ...]) -> tuple[int | None, Any]:
    """The state is the worker that holds the key."""
    mine = state == args[0]
    if op == "acquire":
        return (args[0], True) if state is None else (state, False)
    if op == "release":
        return (None, True) if mine else (state, False)
    return state, state if op == "holder" else mine


@TOGETHER.trial(
    "LK-13", needs=between_processes, children=True, hint="keep lease and fence where every process sees them"
)
async def processes_exclude_each_other_and_fences_rise(case: Case) -> None:
    async with case.open() as store, elsewhere(case) as one, elsewhere(case) as other:
        order = random.Random(case.subject.seed)
        for round_ in range(4):
            stores = [store, one.store, other.store]
            taken = await _in_some_order(stores, order, round_, 4, 60 * case.second)
            for (earlier, lower), (later, higher) in pairwise(sorted(taken, key=lambda pair: pair[0].began)):
                assert lower.fence != higher.fence
                assert lower.fence < higher.fence or earlier.ended > later.began


@TOGETHER.trial("LK-14", needs=between_processes, children=True, hint="time ends a lease, not the life of its process")
async def a_holder_paused_beyond_its_ttl_has_lost(case: Case) -> None:
    second = case.second
    async with case.open() as store, elsewhere(case) as other:
        paused = await other.store.acquire("k", ttl=4 * second)
        forgotten = await other.store.acquire("l", ttl=4 * second)
        signals = [asyncio.create_task(other.store.wait_lost(lease)) for lease in (paused, forgotten)]
        await other.store.holder("k")
        await other.pause()
        await case.advance(2 * second)
        assert await store.acquire("k", ttl=60 * second) is None
        await case.advance(2.001 * second)
        taken = await store.acquire("k", ttl=60 * second)
        assert taken is not None and taken.fence > paused.fence
        assert not any(signal.done() for signal in signals)
        other.resume()
        await other.advance(4.001 * second)
        for lease in (paused, forgotten):
            with raises(Conflict):
                await other.store.extend(lease, ttl=4 * second)
            assert await other.store.release(lease) is False
        await other.advance(second)
        await asyncio.wait_for(asyncio.gather(*signals), 5)
        assert (await store.extend(taken, ttl=60 * second)).fence == taken.fence
        assert await store.release(taken) is True


@TOGETHER.trial(
    "LK-15", needs=between_processes, children=True, hint="commit lease and fence together, before acquire answers"
)
async def a_lease_whose_process_was_killed_ends(case: Case) -> None:
    second = case.second
    async with case.open() as store:
        last = -1
        for _ in range(2):
            async with elsewhere(case) as other:
                lost = await other.store.acquire("k", ttl=2 * second)
                await other.kill()
            assert lost.fence > last
            await case.advance(2.001 * second)
            lease = await store.acquire("k", ttl=60 * second)
            assert lease is not None and lease.fence > lost.fence
            last = lease.fence
            assert await store.release(lease)
