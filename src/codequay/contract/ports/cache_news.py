"""The clauses of the port ``cache`` about what others see and hear of a write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from codequay.ports.cache import PORT

from ..case import Case
from ..clauses import Suite
from ..expect import Failed

NEWS = Suite(PORT)


def shared(capabilities: Any) -> bool:
    """What one opening writes is for others too, and at once."""
    return bool(capabilities.reach != "process" and capabilities.visibility == "immediate")


@NEWS.trial("CA-08")
async def invalidations_name_each_key_written_since_the_first_step(case: Case, store: Any) -> None:
    await store.set_many({"before": b"", "gone:1": b"", "gone:2": b"", "kept": b""})
    async with listening(case, store, store) as first, listening(case, store, store) as second:
        await store.set("a", b"1")
        await store.set_many({"ä": b"1", "c": b"2"})
        await store.add("d", b"")
        await store.add("d", b"lost")
        await store.delete(["before"])
        await store.purge("gone:")
        await store.get("kept")
        await store.ttl("kept")
        wanted = {"a", "ä", "c", "d", "before", "gone:1", "gone:2"}
        for seen in (first, second):
            await hears(case, seen, wanted)
            assert not seen - wanted - {"listening"}
            seen.clear()
        await store.set("a", b"2")
        await hears(case, first, {"a"})


@asynccontextmanager
async def listening(case: Case, store: Any, writer: Any) -> AsyncIterator[set[str]]:
    """The keys that a listener hears of, which is known to listen: ``writer`` has set "listening", and it was heard."""
    seen: set[str] = set()

    async def listen() -> None:
        async with aclosing(store.invalidations()) as keys:
            async for key in keys:
                seen.add(key)

    async def until_heard() -> None:
        while "listening" not in seen:
            await writer.set("listening", b"")
            await case.settle()

    listener = asyncio.create_task(listen())
    try:
        await case.soon(until_heard(), "a listener hears of a key that is set again and again")
        yield seen
    finally:
        listener.cancel()
        await asyncio.wait({listener})


async def hears(case: Case, seen: set[str], wanted: set[str]) -> None:
    async def heard() -> None:
        while wanted - seen:
            await case.settle()

    try:
        await case.soon(heard(), "a listener hears of every key")
    except Failed:
        raise Failed(f"a listener has not heard of {sorted(wanted - seen)} within a second") from None


@NEWS.trial("CA-15", needs=shared, hint="read and listen where every opening writes")
async def openings_see_and_hear_each_other(case: Case) -> None:
    async with case.open() as one, case.open() as other:
        await other.set("k", b"1")
        assert await one.get("k") == b"1"
        assert await other.get("k") == b"1"
        async with listening(case, one, other) as seen:
            await other.set_many({"k": b"2", "l": b""})
            assert await one.get_many(["k", "l"]) == [b"2", b""]
            assert await one.get("k") == b"2"
            await other.delete(["l"])
            assert await one.get("l") is None
            assert not await one.add("k", b"3")
            await hears(case, seen, {"k", "l"})
            assert seen == {"listening", "k", "l"}
        await one.purge()
        assert (await other.scan()).keys == ()
