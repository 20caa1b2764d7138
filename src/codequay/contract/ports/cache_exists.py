"""The clauses of the port ``cache`` about ``exists``, which came with contract 1.2: no older clause asks for it."""

from __future__ import annotations

from functools import partial
from typing import Any

from codequay.ports.cache import NO_EXPIRY, PORT
from codequay.ports.errors import InvalidArgument

from ..budget import MOST_PER_CALL, within
from ..case import Case
from ..clauses import Suite
from ..expect import NotOffered, raises
from ..needs import durable
from .cache_news import hears, listening, shared

EXISTS = Suite(PORT)

NEAR = ("k", "K", "k ", "k:", "k:a", "k%", "k_", "k*", "e", "é", "e\u0301")
"""Keys that a store may take for one another."""


@EXISTS.trial("CA-25", hint="look for the key, as it is, and not at its value")
async def exists_speaks_of_exactly_that_key(store: Any) -> None:
    assert await store.exists("k") is False
    for key in NEAR:
        await store.set(key, b"")
        assert [one for one in NEAR if await store.exists(one)] == [key]
        await store.delete([key])
        assert await store.exists(key) is False
    assert await store.add("k", b"v")
    assert await store.exists("k") is True
    await store.set_many({"k:a": b"", "l": b"v"})
    assert [await store.exists(key) for key in ("k", "k:a", "k:", "l")] == [True, True, False, True]
    await store.purge("k")
    assert [await store.exists(key) for key in ("k", "k:a", "k:", "l")] == [False, False, False, True]


@EXISTS.trial("CA-25", hint="what is over is not there, though it may not be removed yet; to ask is not to use")
async def exists_ends_with_the_ttl_and_leaves_it_as_it_was(case: Case, store: Any) -> None:
    second = case.second
    await store.set("k", b"v", ttl=4 * second)
    await store.set("l", b"v")
    assert await store.exists("k") is True
    await case.advance(3 * second)
    assert await store.exists("k") is True
    assert await store.ttl("k") == case.about(second)
    await case.advance(second if not case.server_time else 1.5 * second)
    assert await store.exists("k") is False
    assert await store.get("k") is None
    assert await store.exists("l") is True
    assert (await store.get("l"), await store.ttl("l")) == (b"v", NO_EXPIRY)
    assert await store.add("k", b"again")
    assert await store.exists("k") is True


@EXISTS.trial("CA-25", hint="announce writes, and nothing else")
async def nobody_hears_of_exists(case: Case, store: Any) -> None:
    await store.set_many({"kept": b"", "timed": b"v"}, ttl=60)
    async with listening(case, store, store) as seen:
        assert [await store.exists(key) for key in ("kept", "timed", "none")] == [True, True, False]
        await store.set("last", b"")
        await hears(case, seen, {"last"})
        assert seen == {"listening", "last"}


@EXISTS.trial("CA-25", hint="the guard refuses; the store takes the rest as it is")
async def exists_refuses_what_is_no_key_and_takes_the_longest(store: Any) -> None:
    for key in ("", "k" * 1025, "\0", "k\ud800"):
        with raises(InvalidArgument):
            await store.exists(key)
    for end in "kж":
        await store.set(end * 1024, b"v")
        assert await store.exists(end * 1024) is True
        assert await store.exists(end * 1023) is False


@EXISTS.trial("CA-25")
async def exists_on_the_sync_face_answers_the_same(case: Case, store: Any) -> None:
    if store.sync is None:
        raise NotOffered("the adapter has no sync face")
    second = case.second
    await store.set_many({"a": b"1", "b": b""}, ttl=7 * second)
    await store.set("c", b"3")
    assert [store.sync.exists(key) for key in ("a", "b", "c", "x")] == [True, True, True, False]
    await case.advance(7.001 * second)
    await store.delete(["c"])
    assert [store.sync.exists(key) for key in ("a", "b", "c")] == [False, False, False]


@EXISTS.trial("CA-25", needs=shared, hint="ask where every opening writes")
async def exists_knows_what_other_openings_did(case: Case) -> None:
    async with case.open() as one, case.open() as other:
        assert await one.exists("k") is False
        await other.set("k", b"")
        assert await one.exists("k") is True
        await other.delete(["k"])
        assert await one.exists("k") is False
        await other.set("k", b"")
        assert await one.exists("k") is True
        await other.purge()
        assert await one.exists("k") is False


@EXISTS.trial("CA-25", needs=durable)
async def what_exists_does_so_after_a_reopen(case: Case) -> None:
    second = case.second
    async with case.open() as store:
        await store.set_many({"a": b"", "b": b""})
        await store.set("c", b"", ttl=4 * second)
        await store.delete(["b"])
    async with case.open(readonly=True) as store:
        assert [await store.exists(key) for key in "abc"] == [True, False, True]
    await case.advance(4.5 * second)
    async with case.open() as store:
        assert [await store.exists(key) for key in "abc"] == [True, False, False]


@EXISTS.trial("CA-26", hint="one question, however much there is")
async def exists_takes_few_turns(case: Case, store: Any) -> None:
    keys = [f"k{n:02}" for n in range(20)]
    await store.set_many(dict.fromkeys(keys, b"v"))
    for key in (keys[-1], "none"):
        await within(case, "exists", MOST_PER_CALL, partial(store.exists, key))
