"""Behaviour of every cache."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from codequay.ports.cache import ABSENT, NO_EXPIRY
from tests.behaviour.adapters import Case, assert_pages, behaviour, durable, uncovered


@behaviour("cache", "CA-01")
async def test_get_gives_the_last_value_of_exactly_that_key(store: Any) -> None:
    assert await store.get("k") is None
    for key in ("k", "K", "k:", "k:a", "k%", "k_", "k*"):
        await store.set(key, b"first " + key.encode())
    await store.set("k", b"second")
    assert await store.get("k") == b"second"
    for key in ("K", "k:", "k:a", "k%", "k_", "k*"):
        assert await store.get(key) == b"first " + key.encode()
    assert await store.get("k:b") is None


@behaviour("cache", "CA-02")
async def test_get_many_answers_in_the_order_asked(store: Any) -> None:
    await store.set_many({"a": b"1", "b": b"2", "c": b""})
    assert await store.get_many(["c", "x", "a", "c", "b"]) == [b"", None, b"1", b"", b"2"]
    assert await store.get_many([]) == []


@behaviour("cache", "CA-03", "CA-06")
async def test_a_value_is_there_until_its_ttl_and_then_gone(case: Case, store: Any) -> None:
    await store.set("k", b"v", ttl=10)
    await store.set_many({"l": b"v", "m": b"v"}, ttl=20)
    await case.clock.advance(9)
    assert await store.get("k") == b"v"
    assert await store.ttl("k") == pytest.approx(1, abs=0.01)
    await case.clock.advance(1.001)
    assert await store.get("k") is None
    assert await store.get_many(["k", "l"]) == [None, b"v"]
    assert await store.ttl("k") == ABSENT
    assert (await store.scan()).keys == ("l", "m")
    assert await store.delete(["k"]) == 0


@behaviour("cache", "CA-03", "CA-06")
async def test_set_again_replaces_or_removes_the_ttl(case: Case, store: Any) -> None:
    await store.set("k", b"1", ttl=10)
    await store.set("k", b"2")
    await store.set("l", b"1", ttl=10)
    await store.set("l", b"2", ttl=30)
    assert await store.ttl("k") == NO_EXPIRY
    await case.clock.advance(20)
    assert await store.get_many(["k", "l"]) == [b"2", b"2"]
    assert await store.ttl("l") == pytest.approx(10, abs=0.01)


@behaviour("cache", "CA-04")
async def test_exactly_one_of_many_adds_wins(case: Case, store: Any) -> None:
    wins = await asyncio.gather(*(store.add("k", b"%d" % i) for i in range(20)))
    assert sum(wins) == 1
    assert await store.get("k") == b"%d" % wins.index(True)
    assert not await store.add("k", b"later")
    await store.set("l", b"old", ttl=5)
    assert not await store.add("l", b"new", ttl=50)
    assert await store.ttl("l") == pytest.approx(5, abs=0.01)
    await case.clock.advance(5.001)
    assert await store.add("l", b"new", ttl=50)
    assert await store.get("l") == b"new"
    assert await store.ttl("l") == pytest.approx(50, abs=0.01)


@behaviour("cache", "CA-05")
async def test_delete_counts_what_was_there_and_touches_no_other(store: Any) -> None:
    await store.set_many({"a": b"1", "ab": b"2", "b": b""})
    assert await store.delete(["a", "b", "x", "a"]) == 2
    assert await store.get_many(["a", "ab", "b"]) == [None, b"2", None]
    assert await store.delete(["a"]) == 0


@behaviour("cache", "CA-06")
async def test_ttl_tells_no_end_from_no_key(store: Any) -> None:
    await store.set("k", b"")
    assert await store.ttl("k") == NO_EXPIRY == -1
    assert await store.ttl("x") == ABSENT == -2


@behaviour("cache", "CA-07")
async def test_scan_is_complete_ordered_and_limited_to_the_prefix(store: Any) -> None:
    keys = ["a", "a%", "a%b", "a_", "a_b", "ab", "abc", "B", "\U0010ffff", "ä", "äb", "a\U0010ffff", "a\uffff"]
    await store.set_many(dict.fromkeys(keys, b"v"))
    for prefix in ("", "a", "a%", "a_", "ab", "ä", "b", "\U0010ffff"):

        async def scan(*, after: str | None, limit: int, prefix: str = prefix) -> Any:
            return await store.scan(prefix=prefix, after=after, limit=limit)

        await assert_pages(scan, "keys", sorted(key for key in keys if key.startswith(prefix)))


@behaviour("cache", "CA-07")
async def test_purge_forgets_the_prefix_and_nothing_else(store: Any) -> None:
    await store.set_many(dict.fromkeys(["a", "a%", "a_b", "aab", "A", "ä"], b"v"))
    await store.purge("a_")
    assert set((await store.scan()).keys) == {"a", "a%", "aab", "A", "ä"}
    await store.purge("a")
    assert set((await store.scan()).keys) == {"A", "ä"}
    await store.purge()
    assert (await store.scan()).keys == ()


@behaviour("cache", "CA-08")
async def test_invalidations_name_each_key_set_or_deleted_since_the_first_step(store: Any) -> None:
    await store.set("before", b"")
    found: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for key in store.invalidations():
            found.put_nowait(key)

    listener = asyncio.create_task(listen())
    try:
        await asyncio.sleep(0.05)
        await store.set("a", b"1")
        await store.set_many({"ä": b"1", "c": b"2"})
        await store.add("d", b"")
        await store.add("d", b"lost")
        await store.delete(["before"])
        seen = [await asyncio.wait_for(found.get(), 5) for _ in range(5)]
        assert sorted(seen) == sorted(["a", "ä", "c", "d", "before"])
        await asyncio.sleep(0.05)
        assert found.empty()
    finally:
        listener.cancel()
        await asyncio.wait({listener})


@behaviour("cache", "CA-09")
async def test_every_byte_and_every_key_comes_back(store: Any) -> None:
    values = {"empty": b"", "bytes": bytes(range(256)), "ключ 鍵\n🔑": b"\0\xff", "k" * 1024: b"x" * 100_000}
    await store.set_many(values)
    for key, value in values.items():
        assert await store.get(key) == value
    assert set((await store.scan()).keys) == set(values)


@behaviour("cache", "CA-10", needs=durable)
async def test_acknowledged_values_survive_a_reopen(case: Case) -> None:
    async with case.open() as store:
        await store.set_many({"a": b"1", "b": b"2"})
        await store.set("c", b"3", ttl=100)
        await store.delete(["b"])
    await case.clock.advance(40)
    async with case.open() as store:
        assert await store.get_many(["a", "b", "c"]) == [b"1", None, b"3"]
        assert await store.ttl("a") == NO_EXPIRY
        assert await store.ttl("c") == pytest.approx(60, abs=0.01)


@behaviour("cache", "CA-01", "CA-02", "CA-06")
async def test_the_sync_face_answers_the_same(store: Any) -> None:
    await store.set_many({"a": b"1", "b": b"2"}, ttl=7)
    assert store.sync.get("a") == b"1"
    assert store.sync.get_many(["b", "x"]) == [b"2", None]
    assert store.sync.ttl("b") == pytest.approx(7, abs=0.01)


def test_every_clause_has_a_test() -> None:
    assert uncovered("cache", sys.modules[__name__]) == []
