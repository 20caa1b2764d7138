"""The clauses of the port ``chunks`` about size: long values, large batches, declared limits, room and turns."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from codequay.ports.chunks import PORT, ChunkRef, Definition, DefinitionHit, FileRef, Location, PlacedChunk
from codequay.ports.errors import InvalidArgument, Unsupported
from codequay.ports.generations import ScopeEntry, StageResult

from ..budget import THOUSAND, batches, level, thousand
from ..case import Case
from ..clauses import Suite
from ..expect import raises
from ..many import Many
from .chunk_files import blob_id, file, fill, named, whole
from .staging import A, B

LIMITS = Suite(PORT)

MIB = 1 << 20


@LIMITS.trial("CH-14")
async def long_paths_names_and_texts_come_back_whole(store: Any) -> None:
    long = "/".join(["ordner mit ä" * 16] * 19)
    name = "größe_" * 150
    text = f"{name} = 1\n" + "€ and some more of it\n" * 60_000
    one = whole(text, definitions=[Definition(name, "variable", 1)], id="i" * 128)
    scope = await fill(store, file(long, text, one), file(long[:-1], "other"), repo="r" * 512)
    assert await store.get([ChunkRef("r" * 512, long, one.id)], scope=scope) == [PlacedChunk("r" * 512, long, one)]
    assert await store.text([blob_id(text)]) == [text]
    found = await store.defined([name, name[:-1]], scope=scope, limit=9)
    assert found == [DefinitionHit("r" * 512, long, one.id, name, "variable", 1)]
    assert [f.path for f in (await store.scan(scope=scope)).files] == [long[:-1], long]


@LIMITS.trial("CH-14")
async def a_large_batch_is_taken_and_answered_whole(case: Case, store: Any) -> None:
    most = min(300, case.capabilities.max_batch)
    files = [named(f"f{n:03}", f"n{n} text") for n in range(most)]
    await store.begin(A, generation=1, base=None)
    assert await store.stage(A, generation=1, files=files) == StageResult(most, most)
    await store.seal(A, generation=1)
    scope = [ScopeEntry(A, 1)]
    placed = [PlacedChunk(A, one.path, one.chunks[0]) for one in files] * min(4, case.capabilities.max_batch // most)
    assert await store.get([ChunkRef(A, one.path, one.chunk.id) for one in placed], scope=scope) == placed
    assert await store.of_file([FileRef(A, one.path) for one in placed], scope=scope) == [[one] for one in placed]
    assert await store.at([Location(A, one.path, 1) for one in placed], scope=scope) == placed
    assert await store.text([one.chunk.blob_id for one in placed]) == [one.chunk.text for one in placed]
    hits = await store.defined([f"n{n}" for n in range(most)], scope=scope, limit=1000)
    assert [hit.path for hit in hits] == [one.path for one in files]
    assert len((await store.scan(scope=scope)).files) == most
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[], removed=[one.path for one in files[1:]])
    await store.seal(A, generation=2)
    assert [f.path for f in (await store.scan(scope=[ScopeEntry(A, 2)])).files] == ["f000"]


@LIMITS.trial("CH-12", needs=lambda caps: caps.reclaim)
async def room_that_was_given_back_changes_no_answer(store: Any) -> None:
    kept = [named(f"kept{n}", f"text {n}\n" * 50) for n in range(20)]
    scope = await fill(store, *kept, repo=B)
    for generation in (1, 2):
        await store.begin(A, generation=generation, base=generation - 1 or None)
        noise = [file(f"f{generation}/{n}", _noise(100 * generation + n)) for n in range(80)]
        await store.stage(A, generation=generation, files=noise)
        await store.seal(A, generation=generation)
    await store.reclaim()
    refs = [FileRef(B, one.path) for one in kept]
    before = (await store.of_file(refs, scope=scope), await store.scan(scope=scope), await store.identity())
    await store.purge(A)
    given_back = await store.reclaim()
    assert given_back > MIB // 2
    assert (await store.of_file(refs, scope=scope), await store.scan(scope=scope), await store.identity()) == before
    assert await store.reclaim() < given_back
    await fill(store, *kept)
    assert (await store.stats(scope=[ScopeEntry(A, 1), *scope])).files == 40


@LIMITS.trial("CH-12", needs=lambda caps: not caps.reclaim)
async def reclaim_is_refused_where_it_is_not_declared(store: Any) -> None:
    with raises(Unsupported):
        await store.reclaim()


@LIMITS.trial("CH-13")
async def declared_limits_are_reached_and_one_more_is_refused(case: Case, store: Any) -> None:
    scope = await fill(store, named("k", "one"), named("l", "two"))
    most, batch = case.capabilities.max_limit, case.capabilities.max_batch
    assert len((await store.scan(scope=scope, limit=most)).files) == 2
    assert len(await store.defined(["one", "two"], scope=scope, limit=most)) == 2
    await store.begin(A, generation=2, base=1)
    last = [file("k", "last")] if batch > 1 else []
    files = Many(file("k", "again"), batch - len(last), *last)
    assert (await store.stage(A, generation=2, files=files)).placements == 1
    await store.stage(A, generation=2, files=[], removed=["l"])
    await store.seal(A, generation=2)
    shown = (await store.scan(scope=[ScopeEntry(A, 2)])).files
    assert [(f.path, f.blob_id) for f in shown] == [("k", files[-1].blob_id)]
    assert len(await store.defined(Many("one", batch), scope=scope, limit=2)) == 1
    await store.begin(A, generation=3, base=2)
    for refused in (
        store.scan(scope=scope, limit=most + 1),
        store.defined(["one"], scope=scope, limit=most + 1),
        store.defined(Many("one", batch + 1), scope=scope, limit=1),
        store.stage(A, generation=3, files=Many(file("k", "too many"), batch + 1)),
        store.stage(A, generation=3, files=[], removed=Many("k", batch + 1)),
        store.get(Many(ChunkRef(A, "k", whole("one").id), batch + 1), scope=scope),
        store.of_file(Many(FileRef(A, "k"), batch + 1), scope=scope),
        store.at(Many(Location(A, "k", 1), batch + 1), scope=scope),
        store.text(Many(blob_id("one"), batch + 1)),
    ):
        with raises(InvalidArgument):
            await refused


@LIMITS.trial("CH-16", hint="one statement for the batch, not one for each item")
async def a_batch_takes_the_turns_of_one(case: Case, store: Any) -> None:
    files = [named(f"f{n:03}", f"n{n} text") for n in range(100)]
    scope = await fill(store, *files)
    slack = batches(100, case.capabilities.max_batch) - 1
    refs = [FileRef(A, one.path) for one in files]
    calls: dict[str, Callable[[int], Awaitable[Any]]] = {
        "get": lambda n: store.get([ChunkRef(A, f.path, f.chunks[0].id) for f in files[:n]], scope=scope),
        "of_file": lambda n: store.of_file(refs[:n], scope=scope),
        "at": lambda n: store.at([Location(*ref, 1) for ref in refs[:n]], scope=scope),
        "defined": lambda n: store.defined([f"n{number}" for number in range(n)], scope=scope, limit=n),
        "text": lambda n: store.text([one.blob_id for one in files[:n]]),
        "scan": lambda n: store.scan(scope=scope, limit=n),
    }
    for name, call in calls.items():
        await level(case, name, call, slack=slack)
    await store.begin(A, generation=2, base=1)
    staged = 0

    async def stage(n: int) -> None:
        nonlocal staged
        fresh = [named(f"g{staged + number}", f"g{staged + number} text") for number in range(n)]
        staged += n
        await store.stage(A, generation=2, files=fresh, removed=[one.path for one in files[:n]])

    await level(case, "stage", stage, slack=slack)


@LIMITS.trial("CH-16", hint="one statement, or a stream of rows, for the batch")
async def a_thousand_files_take_a_turn_per_batch_and_a_constant(case: Case, store: Any) -> None:
    files = [named(f"f{n:04}", f"n{n} text") for n in range(THOUSAND)]
    await store.begin(A, generation=1, base=None)

    async def stage(first: int, count: int) -> None:
        await store.stage(A, generation=1, files=files[first : first + count])

    await thousand(case, "stage", stage)
    await store.seal(A, generation=1)
    assert (await store.stats(scope=[ScopeEntry(A, 1)])).files == THOUSAND


def _noise(seed: int) -> str:
    """20 kB that do not compress to less than half."""
    return random.Random(seed).randbytes(10_000).hex()
