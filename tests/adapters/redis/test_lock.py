"""The lock on Redis beyond its contract: restarts, lost news, cancellation."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from codequay.adapters.redis import listener
from codequay.adapters.redis.lock import RedisLock
from codequay.ports.errors import Conflict, Unavailable
from codequay.ports.held import DistributedLock
from codequay.ports.lock import Lease
from tests.contexts import run

from .server import Server
from .stores import FAILURES, config, failed, lock, soon, verdict

CANCELS = 600


async def taken(store: RedisLock, key: str, **options: Any) -> Lease:
    lease = await store.acquire(key, **{"ttl": 30, **options})
    assert lease is not None
    return lease


def test_no_cancelled_acquire_or_release_leaves_a_lock(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store:
            for number in range(CANCELS):

                async def work() -> None:
                    lease = await store.acquire("k", ttl=60, wait=random.choice((0, 1)))
                    assert lease is not None
                    await store.release(lease)

                task = asyncio.create_task(work())
                await asyncio.sleep(random.uniform(0, 0.001))
                task.cancel()
                if number % 3 == 0:
                    await asyncio.sleep(0)
                    task.cancel()
                await asyncio.wait({task})
                if task.cancelled():
                    # a release that was cancelled is made meanwhile
                    continue
                await task
            last = await taken(store, "k", wait=1)
            assert await store.release(last)
        assert not server.ask("KEYS", f"{chosen.prefix}lock:*")
        assert not server.connections(chosen.client_name)

    run(body())


def test_an_acquire_that_is_cancelled_while_it_is_underway_holds_nothing(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store:
            left = 0
            for _ in range(CANCELS):
                task = asyncio.create_task(store.acquire("k", ttl=60))
                await asyncio.sleep(random.uniform(0, 0.0006))
                task.cancel()
                await asyncio.wait({task})
                lease = None if task.cancelled() else task.result()
                if lease is not None:
                    await store.release(lease)
                left += await store.holder("k") is not None
            assert left == 0

    run(body())


def test_connections_survive_a_storm_of_cancellations(server: Server) -> None:
    async def body() -> None:
        async with lock(config(server, max_pool=3, timeout=2)) as store:
            for _ in range(60):
                tasks = [asyncio.create_task(store.holder(f"k{i}")) for i in range(20)]
                await asyncio.sleep(random.uniform(0, 0.003))
                for one in random.sample(tasks, 15):
                    one.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert store.pool.active == store.pool.waiting == 0
            assert await asyncio.gather(*(store.holder("k") for _ in range(10))) == [None] * 10
            assert store.pool.size <= 3

    run(body())


@pytest.mark.parametrize("persistent", [False, True])
def test_a_restart_lets_no_fence_fall(make: Any, persistent: bool) -> None:
    server = make(appendonly="yes", appendfsync="always") if persistent else make()
    server.start()

    async def body() -> None:
        async with lock(config(server)) as store:
            identity, fences = await store.identity(), []
            for _ in range(3):
                lease = await taken(store, "k")
                fences.append(lease.fence)
                await asyncio.to_thread(server.restart)
                assert (await store.identity()) == identity
                if persistent:
                    assert await store.release(lease)
                else:
                    assert not await store.release(lease)
                    with pytest.raises(Conflict):
                        await store.extend(lease, ttl=30)
            assert fences == sorted(set(fences))

    run(body())


def test_the_fence_is_the_servers_time_and_rises_when_that_stands_still(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store:
            lease = await taken(store, "k")
            assert lease.fence is not None and abs(lease.fence / 1e6 - time.time()) < 60
            await store.release(lease)
            ahead = 4_000_000_000_000_000  # in the year 2096
            server.ask("SET", f"{chosen.prefix}fence:k", ahead)
            for more in (1, 2):
                lease = await taken(store, "k")
                assert lease.fence == ahead + more
                await store.release(lease)

    run(body())


def test_the_clients_clock_is_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with lock(config(server)) as store:
            first = await taken(store, "k", ttl=20)
            await store.release(first)
            monkeypatch.setattr(time, "time", lambda: 0.0)
            second = await taken(store, "k", ttl=20)
            assert second.fence is not None and first.fence is not None and second.fence > first.fence
            assert 19 < (await store.holder("k")).expires_in <= 20  # type: ignore[union-attr]

    run(body())


def test_a_waiter_is_woken_by_the_release_and_asks_nothing_meanwhile(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store, lock(chosen) as other:
            lease = await taken(store, "k")
            waiting = asyncio.create_task(taken(other, "k", wait=20))
            await asyncio.sleep(0.2)
            trips = other.client.trips
            await asyncio.sleep(1)
            assert other.client.trips == trips
            released = time.monotonic()
            await store.release(lease)
            await waiting
            assert time.monotonic() - released < 0.5

    run(body())


def test_waiters_of_one_process_are_served_in_order(server: Server) -> None:
    async def body() -> None:
        async with lock(config(server)) as store:
            first = await taken(store, "k")
            served: list[int] = []

            async def one(number: int) -> None:
                lease = await taken(store, "k", wait=20)
                served.append(number)
                await store.release(lease)

            tasks = []
            for number in range(20):
                tasks.append(asyncio.create_task(one(number)))
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            await store.release(first)
            await asyncio.gather(*tasks)
            assert served == list(range(20))

    run(body())


def test_a_waiter_survives_the_loss_of_the_connection_it_listens_on(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store, lock(chosen) as other:
            for _ in range(5):
                lease = await taken(store, "k")
                waiting = asyncio.create_task(taken(other, "k", wait=20))
                await asyncio.sleep(0.05)
                server.ask("CLIENT", "KILL", "TYPE", "pubsub")
                await store.release(lease)
                begun = time.monotonic()
                await other.release(await waiting)
                assert time.monotonic() - begun < 1

    run(body())


def test_waiters_wake_when_the_server_is_back_from_a_restart_that_forgot_the_lease(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with lock(config(server)) as store:
            await taken(store, "k", ttl=600)
            waiting = [asyncio.create_task(store.acquire("k", ttl=0.2, wait=30)) for _ in range(3)]
            await asyncio.sleep(0.1)
            server.stop()
            await asyncio.sleep(0.5)
            server.start()
            begun = time.monotonic()
            assert all(await asyncio.gather(*waiting))
            assert time.monotonic() - begun < 5

    run(body())


def test_waiters_hear_of_a_server_that_does_not_come_back(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with lock(config(server, timeout=1)) as store:
            await taken(store, "k", ttl=2)
            await taken(store, "l", ttl=2)
            waiting = asyncio.create_task(store.acquire("k", ttl=1, wait=60))
            short = asyncio.create_task(store.acquire("l", ttl=1, wait=2.5))
            await asyncio.sleep(0.1)
            server.stop()
            begun = time.monotonic()
            for one in (short, waiting):
                with pytest.raises(FAILURES) as gone:
                    await one
                assert verdict(gone.value).error is Unavailable
            assert time.monotonic() - begun < 10

    run(body())


def test_a_key_that_was_deleted_by_hand_is_a_lost_lease(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store:
            lease = await taken(store, "k")
            lost = asyncio.create_task(store.wait_lost(lease))
            await asyncio.sleep(0.1)
            server.ask("DEL", f"{chosen.prefix}lock:k")
            await asyncio.wait_for(lost, 1)
            with pytest.raises(Conflict):
                await store.extend(lease, ttl=30)
            other = await taken(store, "k")
            assert not await store.release(lease)
            assert await store.release(other)

    run(body())


def test_a_holder_hears_within_a_third_of_the_ttl_that_the_server_forgot(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with lock(config(server)) as store:
            named = DistributedLock(store, "k", ttl=3)
            async with named.hold(timeout=5) as held:
                await asyncio.sleep(3.5)
                held.check()
                assert not held.lost.is_set()
                server.ask("FLUSHALL")
                begun = time.monotonic()
                await asyncio.wait_for(held.lost.wait(), 3)
                assert time.monotonic() - begun < 1.5
                with pytest.raises(Conflict):
                    held.check()
            assert not await held.release()

    run(body())


def test_a_holder_whose_server_is_silent_knows_that_its_time_is_over(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with lock(config(server, timeout=10)) as store:
            held = await DistributedLock(store, "k", ttl=1.5).acquire(blocking=False)
            assert held is not None
            server.pause()
            begun = time.monotonic()
            await asyncio.wait_for(held.lost.wait(), 5)
            assert time.monotonic() - begun <= 1.8
            server.resume()
            await held.release()

    run(body())


def test_two_libraries_in_one_process_exclude_each_other(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as one, lock(chosen) as two, lock(config(server)) as elsewhere:
            lease = await taken(one, "k", owner="one")
            assert await two.acquire("k", ttl=1) is None
            assert (await two.holder("k")).owner == "one"  # type: ignore[union-attr]
            await taken(elsewhere, "k")
            assert await two.identity() == await one.identity() != await elsewhere.identity()
            assert await one.release(lease)
            await taken(two, "k")
        async with lock(chosen) as again:
            assert await again.holder("k") is None

    run(body())


def test_loops_one_after_the_other_have_their_own_connections(server: Server) -> None:
    chosen = config(server)

    async def body() -> None:
        async with lock(chosen) as store:
            assert await store.release(await taken(store, "k"))

    for _ in range(3):
        run(body())
    assert not server.connections(chosen.client_name)


def test_hostile_keys_and_owners_are_taken_as_they_are(server: Server) -> None:
    async def body() -> None:
        async with lock(config(server)) as store:
            for key in ("it's", '"', "\\", "a b", "{x}", "*", "ключ", "'; FLUSHALL --"):
                lease = await taken(store, key, owner=f"{key} {key}")
                assert (await store.holder(key)).owner == f"{key} {key}"  # type: ignore[union-attr]
                assert await store.release(lease)
            assert (await failed(store.acquire("\ud800", ttl=1))).error.__name__ == "InvalidArgument"

    run(body())


def test_a_lease_whose_answer_was_lost_is_given_back(server: Server) -> None:
    """The connection dies after the script ran: the token is known, so it can be given back."""

    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store:
            for _ in range(20):
                task = asyncio.create_task(store.acquire("k", ttl=60))
                for _ in range(random.randint(0, 12)):
                    await asyncio.sleep(0)
                for one in store.client.connections._in_use_connections:
                    if one._writer is not None:
                        one._writer.transport.abort()
                try:
                    lease = await task
                except FAILURES:
                    lease = None
                if lease is not None:
                    await store.release(lease)
                await soon(lambda: server.ask("EXISTS", f"{chosen.prefix}lock:k") == 0, 2)

    run(body())


def test_who_waits_when_the_lock_is_closed_is_told_and_nothing_stays_open(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store:
            lease = await taken(store, "k")
            waiting = [
                asyncio.create_task(failed(work))
                for work in (
                    store.acquire("k", ttl=9, wait=60),
                    store.acquire("k", ttl=9, wait=60),
                    store.wait_lost(lease),
                )
            ]
            await asyncio.sleep(0.1)
        for said in await asyncio.gather(*waiting):
            assert said.error is Unavailable and "closed" in said.message and not said.ambiguous
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(0.1)
        assert not server.connections(chosen.client_name)
        assert not server.ask("KEYS", f"{chosen.prefix}lock:*")

    run(body())


def test_noise_on_the_channel_harms_nobody(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with lock(chosen) as store, lock(chosen) as other:
            lease = await taken(store, "k")
            waiting = asyncio.create_task(taken(other, "k", wait=20))
            await asyncio.sleep(0.05)
            for noise in (b"\xff\xfe", b"", b"k", b"none"):
                server.ask("PUBLISH", f"{chosen.prefix}freed", noise)
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await store.release(lease)
            await asyncio.wait_for(waiting, 2)

    run(body())


def test_a_listening_connection_that_went_silent_is_replaced(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BEAT_S", 0.2)
    server = make()
    server.start()

    def listening() -> set[bytes]:
        """Ids of the connections that listen."""
        return {line.split()[0] for line in server.ask("CLIENT", "LIST", "TYPE", "pubsub").splitlines()}

    async def body() -> None:
        chosen = config(server, timeout=0.5)
        async with lock(chosen) as store, lock(chosen.model_copy(update={"timeout": 20})) as other:
            lease = await taken(other, "k", ttl=600)
            waiting = asyncio.create_task(taken(store, "k", wait=20))
            await asyncio.sleep(0.5)
            before = listening()
            server.pause()
            await asyncio.sleep(1.5)
            server.resume()
            await asyncio.sleep(1.5)
            assert len(listening() - before) == len(before - listening()) >= 1
            begun = time.monotonic()
            await other.release(lease)
            await waiting
            assert time.monotonic() - begun < 1

    run(body())
