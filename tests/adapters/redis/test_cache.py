"""The cache on Redis beyond its contract: exchanges, news, values."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from redis.exceptions import RedisError

from codequay.ports.errors import Unavailable
from tests.contexts import run

from .server import Server
from .stores import cache, config, failed, soon


def test_reads_of_one_turn_are_one_mget_and_a_read_alone_is_a_get(server: Server) -> None:
    async def body() -> None:
        async with cache(config(server)) as store:
            await store.set_many({f"k{i}": str(i).encode() for i in range(64)})
            before, trips = server.commands(), store.client.trips
            found = await asyncio.gather(*(store.get(f"k{i % 64}") for i in range(100)), store.get("none"))
            assert found == [str(i % 64).encode() for i in range(100)] + [None]
            assert store.client.trips == trips + 1
            assert await store.get("k1") == b"1"
            after = server.commands()
            assert after["mget"] - before.get("mget", 0) == 1
            assert after["get"] - before.get("get", 0) == 1

    run(body())


def test_a_reader_that_goes_away_takes_nobody_along(server: Server) -> None:
    async def body() -> None:
        async with cache(config(server)) as store:
            await store.set("k", b"v")
            for gone in range(8):
                for moment in range(4):
                    readers = [asyncio.create_task(store.get("k")) for _ in range(8)]
                    for _ in range(moment):
                        await asyncio.sleep(0)
                    readers[gone].cancel()
                    found = await asyncio.gather(*readers, return_exceptions=True)
                    assert all(one == b"v" for at, one in enumerate(found) if at != gone)
                    assert isinstance(found[gone], asyncio.CancelledError)

    run(body())


def test_who_asks_while_the_cache_is_closed_is_told(server: Server) -> None:
    async def body() -> None:
        for moment in range(6):
            async with cache(config(server)) as store:
                readers = [asyncio.create_task(store.get("k")) for _ in range(3)]
                listener = asyncio.create_task(anext(aiter(store.invalidations())))
                for _ in range(moment):
                    await asyncio.sleep(0)
            found = await asyncio.wait_for(asyncio.gather(*readers, listener, return_exceptions=True), 5)
            assert all(one is None or isinstance(one, RedisError) for one in found[:-1]), found
            assert isinstance(found[-1], (RedisError, Unavailable)), found
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "codequay redis listener"]

    run(body())


def test_readers_all_hear_of_a_server_that_is_away(server: Server) -> None:
    async def body() -> None:
        async with cache(config(server, url="redis://127.0.0.1:1/0")) as store:
            found = await asyncio.gather(*(store.get(f"k{i}") for i in range(9)), return_exceptions=True)
            assert all(isinstance(one, RedisError) for one in found)

    run(body())


def test_reads_that_nobody_waits_for_end_with_the_cache(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with cache(config(server)) as store:
            await store.get("k")
            server.pause()
            readers = [asyncio.create_task(store.get(f"k{i}")) for i in range(3)]
            await asyncio.sleep(0.05)
            for one in readers:
                one.cancel()
            await asyncio.wait(readers)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        server.resume()

    run(body())


def test_news_name_what_was_written_and_nothing_that_was_merely_over(server: Server) -> None:
    async def body() -> None:
        chosen = config(server)
        async with cache(chosen) as store, cache(chosen) as other:
            heard: list[str] = []

            async def listen() -> None:
                async with aclosing(store.invalidations()) as keys:
                    async for key in keys:
                        heard.append(key)

            listener = asyncio.create_task(listen())
            while "begun" not in heard:
                await store.set("begun", b"")
                await asyncio.sleep(0.01)
            heard.clear()
            await other.set("short", b"1", ttl=0.1)
            await other.set_many({"a'b": b"1", 'ä "c"': b"2"})
            assert await other.add("added", b"1")
            assert not await other.add("added", b"2")
            assert await other.delete(["added", "none"]) == 1
            await asyncio.sleep(0.3)
            assert await store.get("short") is None
            await asyncio.sleep(0.2)
            assert sorted(heard) == sorted(["short", "a'b", 'ä "c"', "added", "added"])
            listener.cancel()
            await asyncio.wait({listener})

    run(body())


def test_a_listener_whose_connection_was_lost_is_told_that_it_may_have_missed_something(server: Server) -> None:
    async def body() -> None:
        async with cache(config(server)) as store:
            keys = store.invalidations()
            first = asyncio.ensure_future(anext(keys))
            while not first.done():
                await store.set("k", b"")
                await asyncio.sleep(0.01)
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")
            with pytest.raises(Unavailable, match="may have been missed"):
                while True:
                    await asyncio.wait_for(anext(keys), 5)
            again = store.invalidations()
            first = asyncio.ensure_future(anext(again))
            while not first.done():
                await store.set("k", b"")
                await asyncio.sleep(0.01)
            await again.aclose()

    run(body())


def test_scripts_run_on_the_caches_own_keys(server: Server) -> None:
    async def body() -> None:
        async with cache(config(server)) as store:
            await store.set("n", b"41")
            assert await store.eval("return redis.call('INCR', KEYS[1])", ["n"], []) == 42
            assert await store.eval("return {ARGV[1], ARGV[2]}", [], ["a", b"\0"]) == [b"a", b"\0"]
            assert await store.get("n") == b"42"
            assert (await failed(store.eval("nonsense", [], []))).message.startswith("Redis:")

    run(body())


def test_hostile_names_and_large_values_come_back(server: Server) -> None:
    names = ["'; FLUSHALL; --", '"', "\\", "*", "[a-z]?", "a\nb\r\nSET x y\r\n", "ключ", " ", "{slot}", "\u2028"]
    large = bytes(range(256)) * 40_960  # 10 MB

    async def body() -> None:
        async with cache(config(server)) as store, cache(config(server)) as other:
            await store.set_many({name: name.encode() for name in names})
            await store.set("large", large)
            assert await store.get_many(names) == [name.encode() for name in names]
            assert await store.get("large") == large
            assert sorted((await store.scan()).keys) == sorted([*names, "large"])
            assert (await store.scan(prefix="*")).keys == ("*",)
            await store.purge("[a-z]?")
            assert await store.get("[a-z]?") is None and await store.get("*") == b"*"
            assert (await other.scan()).keys == ()
            assert (await failed(store.get("\ud800"))).error.__name__ == "InvalidArgument"

    run(body())


def test_what_is_told_of_the_connections(server: Server) -> None:
    async def body() -> None:
        async with cache(config(server, max_pool=4)) as store:
            assert store.pool == (0, 0, 0, 0, 0.0)
            slow = [asyncio.create_task(store.client.command("BLPOP", f"none{i}", 0.3)) for i in range(6)]
            await soon(lambda: store.pool.active == 4 and store.pool.waiting == 2)
            assert store.pool.utilisation == 1.0
            await asyncio.gather(*slow)
            assert store.pool == (4, 0, 4, 0, 0.0)

    run(body())
