"""The clauses of the port ``cache``, as trials."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from codequay.ports.cache import ABSENT, NO_EXPIRY, PORT, KeyPage

from ..cancel import cuts
from ..case import Case
from ..clauses import Suite
from ..concurrency import Call, check_linearizable, together
from ..crash import Acknowledge, kill_and_reopen
from ..expect import NotOffered, assert_pages
from ..models.cache import STEPS, STEPS_1_2, CacheModel
from ..needs import durable
from .cache_exists import EXISTS, NEAR
from .cache_faults import FAULTS
from .cache_limits import LIMITS
from .cache_news import NEWS

SUITE = Suite(PORT)


@SUITE.trial("CA-01", hint="compare keys as they are: no folding, no trimming, no patterns")
async def get_gives_the_last_value_of_exactly_that_key(store: Any) -> None:
    assert await store.get("k") is None
    for key in NEAR:
        await store.set(key, b"first " + key.encode())
    await store.set("k", b"second")
    assert await store.get("k") == b"second"
    for key in NEAR[1:]:
        assert await store.get(key) == b"first " + key.encode()
    assert await store.get("k:b") is None
    await store.set_many({"k": b"third", "K": b"third"})
    assert await store.get("k") == b"third"
    await store.delete(["k"])
    assert await store.get("k") is None
    assert await store.add("k", b"fourth")
    assert await store.get("k") == b"fourth"
    await store.purge("K")
    assert await store.get("K") is None


@SUITE.trial("CA-02")
async def get_many_answers_in_the_order_asked(store: Any) -> None:
    await store.set_many({"a": b"1", "b": b"2", "c": b""})
    assert await store.get_many(["c", "x", "a", "c", "b"]) == [b"", None, b"1", b"", b"2"]
    assert await store.get_many([]) == []


@SUITE.trial("CA-03")
async def a_value_is_there_until_its_ttl_and_then_gone(case: Case, store: Any) -> None:
    second = case.second
    await store.set("k", b"v", ttl=4 * second)
    await store.set_many({"l": b"v", "m": b"v"}, ttl=20 * second)
    await case.advance(3 * second)
    assert await store.get("k") == b"v"
    assert await store.ttl("k") == case.about(second)
    await case.advance(second if not case.server_time else 1.5 * second)
    assert await store.get("k") is None
    assert await store.get_many(["k", "l"]) == [None, b"v"]
    assert 14 * second < await store.ttl("l") <= 16.01 * second
    assert await store.ttl("k") == ABSENT
    assert (await store.scan()).keys == ("l", "m")
    assert await store.delete(["k"]) == 0


@SUITE.trial("CA-03")
async def set_again_replaces_or_removes_the_ttl(case: Case, store: Any) -> None:
    second = case.second
    await store.set("k", b"1", ttl=2 * second)
    await store.set("k", b"2")
    await store.set("l", b"1", ttl=2 * second)
    await store.set("l", b"2", ttl=8 * second)
    await store.set("m", b"1", ttl=2 * second)
    await store.set_many({"m": b"2"})
    assert await store.ttl("k") == NO_EXPIRY
    await case.advance(3 * second)
    assert await store.get_many(["k", "l", "m"]) == [b"2", b"2", b"2"]
    assert await store.ttl("l") == case.about(5 * second)
    assert await store.ttl("m") == NO_EXPIRY


@SUITE.trial("CA-03", hint="keep the end to the millisecond, and far ends whole")
async def short_and_long_times_are_kept_as_they_are(case: Case, store: Any) -> None:
    second = case.second
    await store.set("short", b"", ttl=1.5 * second)
    await store.set_many({"short, too": b""}, ttl=1.5 * second)
    days = {"a month": 30, "a year": 365, "ten years": 3650}
    for key, count in days.items():
        await store.set(key, b"", ttl=count * 86_400)
    await case.advance(1.4 * second)
    if not case.server_time:
        assert await store.get_many(["short", "short, too"]) == [b"", b""]
    await case.advance(0.102 * second)
    assert await store.get_many(["short", "short, too"]) == [None, None]
    for key, count in days.items():
        assert await store.ttl(key) == case.about(count * 86_400 - 1.502 * second)


@SUITE.trial("CA-04", hint="look and store in one step of the store")
async def exactly_one_of_many_adds_wins(case: Case, store: Any) -> None:
    second = case.second
    wins = await asyncio.gather(*(store.add("k", b"%d" % i) for i in range(20)))
    assert sum(wins) == 1
    assert await store.get("k") == b"%d" % wins.index(True)
    assert not await store.add("k", b"later")
    await store.set("l", b"old", ttl=3 * second)
    assert not await store.add("l", b"new", ttl=50 * second)
    assert await store.get("l") == b"old"
    assert await store.ttl("l") == case.about(3 * second)
    await case.advance(3.001 * second)
    assert await store.add("l", b"new", ttl=50 * second)
    assert await store.get("l") == b"new"
    assert await store.ttl("l") == case.about(50 * second)


@SUITE.trial("CA-05")
async def delete_counts_what_was_there_and_touches_no_other(store: Any) -> None:
    await store.set_many({"a": b"1", "ab": b"2", "b": b""})
    assert await store.delete(["a", "b", "x", "a"]) == 2
    assert await store.get_many(["a", "ab", "b"]) == [None, b"2", None]
    assert await store.delete(["a"]) == 0


@SUITE.trial("CA-06")
async def ttl_tells_no_end_from_no_key(store: Any) -> None:
    await store.set("k", b"")
    assert await store.ttl("k") == NO_EXPIRY == -1
    assert await store.ttl("x") == ABSENT == -2


@SUITE.trial("CA-07")
async def scan_is_complete_ordered_and_limited_to_the_prefix(store: Any) -> None:
    keys = ["a", "a%", "a%b", "a_", "a_b", "ab", "abc", "B", "\U0010ffff", "ä", "äb", "a\U0010ffff", "a\uffff"]
    await store.set_many(dict.fromkeys(keys, b"v"))
    for prefix in ("", "a", "a%", "a_", "ab", "ä", "b", "\U0010ffff"):

        async def scan(*, after: str | None, limit: int, prefix: str = prefix) -> Any:
            return await store.scan(prefix=prefix, after=after, limit=limit)

        await assert_pages(scan, "keys", sorted(key for key in keys if key.startswith(prefix)))
    assert await store.scan(prefix="ä", limit=2) == KeyPage(("ä", "äb"), None)
    assert await store.scan(prefix="ä", limit=1) == KeyPage(("ä",), "ä")


@SUITE.trial("CA-06", hint="look at the clock once in a call")
async def a_key_that_ends_during_ttl_has_time_left_or_is_absent(case: Case, store: Any) -> None:
    if case.server_time:
        raise NotOffered("its server keeps the time")
    case.note("from here on the clock moves by 0.3 s whenever it is looked at")
    case.clock.step = 0.3
    for key, ttl in (("k", 3.15), ("l", 3.45), ("m", 3.75)):
        await store.set(key, b"", ttl=ttl)
        left = [await store.ttl(key) for _ in range(14)]
        assert [one for one in left if not 0 < one <= ttl and one != ABSENT] == []
        assert left == sorted(left, reverse=True)
        assert left[-1] == ABSENT


@SUITE.trial("CA-07")
async def purge_forgets_the_prefix_and_nothing_else(store: Any) -> None:
    await store.set_many(dict.fromkeys(["a", "a%", "a_b", "aab", "A", "ä", "a[b]", "a?", "a*"], b"v"))
    await store.purge("a_")
    assert set((await store.scan()).keys) == {"a", "a%", "aab", "A", "ä", "a[b]", "a?", "a*"}
    for prefix in ("a[b]", "a?", "a*", "a%"):
        await store.purge(prefix)
        assert await store.get(prefix) is None
    assert set((await store.scan()).keys) == {"a", "aab", "A", "ä"}
    await store.purge("a")
    assert set((await store.scan()).keys) == {"A", "ä"}
    await store.purge()
    assert (await store.scan()).keys == ()


@SUITE.trial("CA-09")
async def every_byte_and_every_key_comes_back(store: Any) -> None:
    values = {"empty": b"", "bytes": bytes(range(256)), "ключ 鍵\n🔑": b"\0\xff", "k" * 1024: b"x" * 100_000}
    await store.set_many(values)
    for key, value in values.items():
        assert await store.get(key) == value
    assert set((await store.scan()).keys) == set(values)


@SUITE.trial("CA-10", needs=durable)
async def acknowledged_values_survive_a_reopen(case: Case) -> None:
    second = case.second
    async with case.open() as store:
        await store.set_many({"a": b"1", "b": b"2"})
        await store.set("c", b"3", ttl=8 * second)
        await store.set("d", b"4", ttl=2 * second)
        await store.delete(["b"])
        await store.set("e", b"5")
    async with case.open(readonly=True) as store:
        assert await store.get_many(["a", "b", "d", "e"]) == [b"1", None, b"4", b"5"]
    await case.advance(3 * second)
    async with case.open() as store:
        assert await store.get_many(["a", "b", "c", "d", "e"]) == [b"1", None, b"3", None, b"5"]
        assert await store.ttl("a") == NO_EXPIRY
        assert await store.ttl("c") == case.about(5 * second)
        assert (await store.scan()).keys == ("a", "c", "e")


@SUITE.trial("CA-19")
async def the_sync_face_answers_the_same(case: Case, store: Any) -> None:
    if store.sync is None:
        raise NotOffered("the adapter has no sync face")
    second = case.second
    await store.set_many({"a": b"1", "b": b""}, ttl=7 * second)
    await store.set("c", b"3")
    assert [store.sync.get(key) for key in ("a", "b", "x")] == [b"1", b"", None]
    assert store.sync.get_many(["b", "x", "a", "b"]) == [b"", None, b"1", b""]
    assert store.sync.ttl("b") == case.about(7 * second)
    assert (store.sync.ttl("c"), store.sync.ttl("x")) == (NO_EXPIRY, ABSENT)
    await case.advance(7.001 * second)
    await store.delete(["c"])
    assert store.sync.get_many(["a", "c"]) == [None, None]


@SUITE.trial("CA-11", hint="decide and write in one step of the store")
async def concurrent_calls_have_an_order(case: Case) -> None:
    for round_ in range(12):
        order = random.Random(f"{case.subject.seed}-{round_}")
        atomic = case.capabilities.atomic_batch
        workers = [[_any_call(order, f"{worker}{i}".encode(), atomic) for i in range(3)] for worker in range(3)]
        async with case.another() as place, place.open() as store:

            async def perform(call: Call, store: Any = store) -> Any:
                return await getattr(store, call.op)(*call.args)

            history = await together(workers, perform, round_)
            check_linearizable(history, (), _apply)


def _any_call(order: random.Random, value: bytes, atomic: bool) -> Call:
    """Batches of several keys are one call only where they are atomic."""
    key = order.choice("ab")
    calls = [
        Call("get", (key,)),
        Call("set", (key, value)),
        Call("add", (key, value)),
        Call("add", (key, value)),
        Call("delete", ([key],)),
        Call("delete", ([key],)),
    ]
    if atomic:
        calls += [Call("get_many", (["a", "b"],)), Call("set_many", ({"a": value, "b": value},))]
    return order.choice(calls)


def _apply(state: tuple[tuple[str, bytes], ...], op: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
    entries = dict(state)
    answer: Any = None
    if op == "get":
        answer = entries.get(args[0])
    elif op == "get_many":
        answer = [entries.get(key) for key in args[0]]
    elif op == "delete":
        answer = sum(entries.pop(key, None) is not None for key in args[0])
    elif op == "add":
        answer = args[0] not in entries
        entries.setdefault(*args)
    elif op == "set_many":
        entries |= args[0]
    else:
        entries[args[0]] = args[1]
    return tuple(sorted(entries.items())), answer


@SUITE.trial("CA-12", hint="run a write where the caller's cancellation cannot reach into it, or undo it")
async def a_cancelled_write_is_whole_or_nothing(case: Case, store: Any) -> None:
    old, new = {"a": b"1", "b": b"2"}, {"a": b"3", "b": b"4", "c": b"5"}

    async def found_then_reset() -> dict[str, bytes]:
        keys = ("a", "b", "c")
        found = {k: v for k, v in zip(keys, await store.get_many(keys), strict=True) if v is not None}
        await store.purge()
        await store.set_many(old)
        return found

    await store.set_many(old)
    async for _ in cuts(lambda: store.set_many(new)):
        found = await found_then_reset()
        if case.capabilities.atomic_batch:
            assert found in (old, new)
        else:
            assert all(value in (old.get(key), new.get(key)) for key, value in found.items())
    await found_then_reset()
    async for _ in cuts(lambda: store.delete(["a", "b"])):
        found = await found_then_reset()
        assert found in (old, {}) or not case.capabilities.atomic_batch
    await found_then_reset()
    async for _ in cuts(lambda: store.add("c", b"5")):
        found = await found_then_reset()
        assert found in (old, {**old, "c": b"5"})


@SUITE.trial("CA-13", needs=durable, hint="commit before the call returns")
async def acknowledged_values_survive_sigkill(case: Case) -> None:
    async def verify(store: Any, acknowledged: list[str]) -> None:
        for key in acknowledged:
            assert await store.get(key) == f"value of {key}".encode()

    await kill_and_reopen(case, set_one_after_the_other, verify)


async def set_one_after_the_other(store: Any, acknowledge: Acknowledge) -> None:
    """The child of CA-13."""
    for i in range(300):
        await store.set(f"k{i}", f"value of k{i}".encode())
        acknowledge(f"k{i}")


SUITE.trials += NEWS.trials
SUITE.trials += LIMITS.trials
SUITE.trials += EXISTS.trials
SUITE.trials += FAULTS.trials
SUITE.machine("CA-01", CacheModel, STEPS)
SUITE.machine("CA-25", CacheModel, STEPS_1_2)
