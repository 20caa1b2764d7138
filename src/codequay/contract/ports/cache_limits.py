"""The clauses of the port ``cache`` about what it declares: room, limits, scripts, turns."""

from __future__ import annotations

from functools import partial
from typing import Any

from codequay.ports.cache import LARGEST_KEY, LEAST_BATCH, LEAST_LIMIT, LEAST_ROOM, LEAST_VALUE, PORT
from codequay.ports.errors import InvalidArgument, PortError, Unsupported

from ..budget import MOST_PER_CALL, THOUSAND, level, thousand, within
from ..case import Case
from ..clauses import Suite
from ..expect import Unverified, raises

LIMITS = Suite(PORT)

MOST_FILLED = 1 << 30
"""Bytes of room that the kit fills; a larger one is unverified."""
MOST_STORED = 8 << 20
"""Bytes of a largest value that the kit stores; of larger ones it tries only what is too large."""

MANY = 1234
"""Keys of a batch, where so many may be given at once: more than a page or chunk of most stores, no round number."""


def roomy(capabilities: Any) -> bool:
    return capabilities.room is not None


@LIMITS.trial("CA-14", needs=roomy, hint="count what is replaced, deleted or expired no longer")
async def what_fits_the_room_stays_and_no_more_is_kept(case: Case, store: Any) -> None:
    room = case.capabilities.room
    count = max(8, -(-room // case.capabilities.max_value) + 1)
    if room > MOST_FILLED or count > 1000:
        raise Unverified(f"a room of {room} bytes is too large to be filled here")
    names = [f"ä{i:04}" for i in range(count)]
    sizes = [room // count - 6 + (room % count if i == 0 else 0) for i in range(count)]

    async def fill(prefix: str, part: slice = slice(None)) -> list[str]:
        """Exactly the room, in keys of 6 bytes."""
        keys = [prefix + name[1:] for name in names]
        for key, size in list(zip(keys, sizes, strict=True))[part]:
            await store.set(key, bytes(size))
        return keys

    async def kept(keys: list[str]) -> int:
        """Bytes of those that are not forgotten."""
        found = [(key, await store.get(key)) for key in keys]
        return sum(len(key.encode()) + len(value) for key, value in found if value is not None)

    await fill("ö", slice(0, count // 2))
    await store.set("short", b"lived", ttl=case.second)
    await case.advance(1.001 * case.second)
    keys = await fill("ö", slice(count // 2, count))
    assert await kept(keys) == room
    await fill("ö")
    assert await kept(keys) == room
    batch = case.capabilities.max_batch
    deleted = [await store.delete(keys[i : i + batch]) for i in range(0, count, batch)]
    assert sum(deleted) == count
    keys = await fill("ü")
    assert await kept(keys) == room
    await store.set("x", b"")
    assert await store.get("x") == b""
    assert await kept([*keys, "x"]) <= room


@LIMITS.trial("CA-17", hint="the guard refuses; the store takes the rest as it is")
async def what_the_page_allows_is_taken_and_the_rest_refused(case: Case, store: Any) -> None:
    most, pages, least = case.capabilities.max_value, case.capabilities.max_limit, case.capabilities.min_ttl
    assert most >= LEAST_VALUE and pages >= LEAST_LIMIT and case.capabilities.max_batch >= LEAST_BATCH
    assert case.capabilities.room is None or case.capabilities.room >= max(LEAST_ROOM, most + LARGEST_KEY)
    for key in ("", "k" * 1025, "\0", "k\ud800"):
        for refused in (
            store.get(key),
            store.set(key, b""),
            store.add(key, b""),
            store.get_many([key]),
            store.ttl(key),
        ):
            with raises(InvalidArgument):
                await refused
        with raises(InvalidArgument):
            await store.set_many({key: b""})
        with raises(InvalidArgument):
            await store.delete([key])
    for ttl in (0, -1, least / 2, 11 * 366 * 86_400, float("nan"), float("inf")):
        with raises(InvalidArgument):
            await store.set("k", b"", ttl=ttl)
    for limit in (0, -1, pages + 1):
        with raises(InvalidArgument):
            await store.scan(limit=limit)
    with raises(InvalidArgument):
        await store.set("k", bytes(most + 1))
    assert (await store.scan(limit=pages)).keys == ()
    long = ["k" * 1023 + end for end in "ab"] + ["ж" * 1023 + end for end in "ab"]
    for ttl in (least * 1000, 10 * 365 * 86_400, None):
        await store.set_many({key: key.encode() for key in long}, ttl=ttl)
        assert await store.get_many(long) == [key.encode() for key in long]
    if most <= MOST_STORED:
        await store.set("k", b"v" * most)
        assert await store.get("k") == b"v" * most


@LIMITS.trial("CA-17")
async def a_batch_of_the_declared_size_is_taken_and_a_larger_one_refused(case: Case, store: Any) -> None:
    most = case.capabilities.max_batch
    keys = [f"k{i:06}" for i in range(most + 1)]
    with raises(InvalidArgument):
        await store.get_many(keys)
    with raises(InvalidArgument):
        await store.delete(keys)
    with raises(InvalidArgument):
        await store.set_many(dict.fromkeys(keys, b"v"))
    there = keys[: min(most, MANY)]
    await store.set_many({key: key.encode() for key in there})
    assert await store.get_many(there) == [key.encode() for key in there]
    assert await store.delete(there) == len(there)
    assert await store.get_many(there) == [None] * len(there)
    await store.set_many(dict.fromkeys(there, b""))
    await store.purge("k")
    assert (await store.scan()).keys == ()


@LIMITS.trial("CA-18", hint="declare script where there is eval, and only there")
async def eval_is_refused_unless_it_is_declared(case: Case, store: Any) -> None:
    refused = False
    try:
        await store.eval("", [], [])
    except Unsupported:
        refused = True
    except PortError:
        pass
    assert refused is not case.capabilities.script


@LIMITS.trial("CA-16", hint="one statement or pipeline for a batch, not one per key")
async def a_batch_takes_no_more_turns_than_a_few_keys(case: Case, store: Any) -> None:
    await within(case, "set", MOST_PER_CALL, partial(store.set, "k", b"v", ttl=60))
    for name in ("get", "ttl"):
        await within(case, name, MOST_PER_CALL, partial(getattr(store, name), "k"))
    await within(case, "add", MOST_PER_CALL, partial(store.add, "l", b"v"))
    await within(case, "delete", MOST_PER_CALL, partial(store.delete, ["l"]))

    async def batches(n: int) -> None:
        keys = [f"k{i}" for i in range(n)]
        await store.set_many(dict.fromkeys(keys, b"v"))
        await store.get_many(keys)
        await store.scan(prefix="k", limit=n)
        await store.delete(keys)

    async def purge(n: int) -> None:
        await store.set_many({f"p{i}": b"v" for i in range(n)})
        await store.purge("p")

    n = min(10, case.capabilities.max_batch // 10)
    await level(case, "set_many, get_many, scan and delete", batches, n=n)
    await level(case, "set_many and purge", purge, n=n)


@LIMITS.trial("CA-16", hint="one statement or pipeline for a batch, not one per key")
async def a_thousand_keys_take_a_turn_per_batch_and_a_constant(case: Case, store: Any) -> None:
    keys = [f"k{n}" for n in range(THOUSAND)]
    await thousand(case, "set_many", lambda at, count: store.set_many(dict.fromkeys(keys[at : at + count], b"v")))
    await thousand(case, "get_many", lambda at, count: store.get_many(keys[at : at + count]))
    await thousand(case, "delete", lambda at, count: store.delete(keys[at : at + count]))
