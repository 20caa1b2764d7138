"""The clauses of ``metadata`` beyond single calls: limits, writers side by side, cancelled and killed ones, budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from codequay.ports.errors import Conflict, InvalidArgument, NotFound
from codequay.ports.metadata import PORT, Fence, Publication, Published, Repo, SkippedFile

from ..budget import MOST_PER_CALL, spent
from ..cancel import cuts
from ..case import Case
from ..clauses import Suite
from ..concurrency import Call, check_linearizable, together
from ..crash import Acknowledge, kill_and_reopen
from ..expect import Failed, raises
from ..many import Many
from ..needs import durable, shared
from ..processes import elsewhere

SUITE = Suite(PORT)
"""Its trials are added to those of ``codequay.contract.ports.metadata``."""

A, B = "a", "ab"


async def publish(store: Any, repo: str, base: int | None, **more: Any) -> Published:
    """Open a generation upon ``base`` and publish it."""
    number = await store.open_generation(repo, base=base)
    found: Published = await store.publish(Publication(repo, number, base, **more))
    return found


async def put(store: Any, *repos: str) -> None:
    for repo in repos:
        await store.put_repo(Repo(repo, f"/{repo}"))


PROBED_BATCH = 5_000
"""A declared max_batch above this is not filled: it would take seconds."""


@SUITE.trial("MD-17")
async def limits_are_taken_up_to_what_is_declared(case: Case, store: Any) -> None:
    await put(store, A, B, "abc")
    files = tuple(SkippedFile(path, "binary") for path in ("a", "b", "c"))
    shown = await publish(store, A, None, skipped=files)
    capabilities = case.capabilities

    async def skipped(limit: int) -> Any:
        return await store.skipped(A, generation=shown.generation, limit=limit)

    most = capabilities.max_limit
    assert len((await store.scan(limit=most)).repos) == min(most, 3)
    assert (await skipped(most)).files == files[:most]
    for limit in (0, most + 1):
        with raises(InvalidArgument):
            await store.scan(limit=limit)
        with raises(InvalidArgument):
            await skipped(limit)
    for read in (store.published, store.snapshots):
        with raises(InvalidArgument):
            await read(Many(A, capabilities.max_batch + 1))
        if capabilities.max_batch <= PROBED_BATCH:
            filled = [f"x{i}" for i in range(capabilities.max_batch - 1)]
            assert await read([*filled, A]) == [shown]


@SUITE.trial("MD-17", hint="neither a list of ids nor one of files has a length of its own")
async def large_batches_are_whole(case: Case, store: Any) -> None:
    await put(store, A)
    files = tuple(SkippedFile(f"f{i:04}", "binary", "ü" * (2000 if i == 999 else 1)) for i in range(1500))
    shown = await publish(store, A, None, skipped=files)
    ids = [f"x{i}" for i in range(min(1500, case.capabilities.max_batch) - 1)]
    assert await store.published([*ids, A]) == await store.snapshots([*ids, A]) == [shown]
    assert shown.skipped == {"binary": len(files)}
    first = await store.skipped(A, generation=shown.generation, limit=1000)
    rest = await store.skipped(A, generation=shown.generation, after=first.after, limit=1000)
    assert first.files + rest.files == files


@SUITE.trial("MD-06")
async def one_of_two_racing_writers_publishes(store: Any) -> None:
    await put(store, A)
    numbers = [await store.open_generation(A, base=None) for _ in range(4)]
    answers = await asyncio.gather(
        *(store.publish(Publication(A, number, None)) for number in numbers), return_exceptions=True
    )
    assert [isinstance(answer, Conflict) for answer in answers] == [True, True, True, False]
    assert await store.published() == answers[3:]


@SUITE.trial("MD-07")
async def a_lower_fence_of_the_same_lock_is_refused(store: Any) -> None:
    await put(store, A, B)

    async def attempt(base: int | None, fence: Fence | None, repo: str = A) -> int:
        found = await publish(store, repo, base, fence=fence)
        return found.generation

    base = await attempt(None, Fence("redis", "one", 7))
    with raises(Conflict):
        await attempt(base, Fence("redis", "one", 6))
    assert [p.generation for p in await store.published()] == [base]
    base = await attempt(base, Fence("redis", "one", 7))
    base = await attempt(base, Fence("redis", "one", 9))
    await attempt(None, Fence("redis", "one", 1), B)
    base = await attempt(base, Fence("redis", "two", 1))
    with raises(Conflict):
        await attempt(base, Fence("redis", "two", 0))
    with raises(Conflict):
        await attempt(base, Fence("redis", "one", 8))
    base = await attempt(base, Fence("sqlite", "two", 1))
    base = await attempt(base, Fence("sqlite", "two", 9))
    base = await attempt(base, Fence("sqlite", "two", 10))
    with raises(Conflict):
        await attempt(base, Fence("sqlite", "two", 9))
    base = await attempt(base, Fence("noop", "three", None))
    base = await attempt(base, Fence("redis", "one", None))
    base = await attempt(base, None)
    with raises(Conflict):
        await attempt(base, Fence("redis", "one", 8))
    late = await store.open_generation(A, base=base)
    await store.open_generation(A, base=base)
    with raises(Conflict):
        await store.publish(Publication(A, late, base, fence=Fence("redis", "one", 99)))
    await attempt(base, Fence("redis", "one", 9))


@SUITE.trial("MD-22", needs=shared, children=True, hint="declare reach process when one process holds the store")
async def another_process_sees_what_was_published(case: Case) -> None:
    async with elsewhere(case) as other, case.open() as store:
        assert await other.store.identity() == await store.identity()
        await put(store, A)
        assert await other.store.scan() == await store.scan()
        first = await publish(store, A, None)
        assert await other.store.published() == await store.published() == [first]
        opened = await store.open_generation(A, base=first.generation)
        second = await publish(other.store, A, first.generation, skipped=(SkippedFile("x", "binary"),))
        assert second.generation > opened
        with raises(Conflict):
            await store.publish(Publication(A, opened, first.generation))
        assert await store.published() == await store.snapshots() == [second]
        assert await store.history(A) == await other.store.history(A) == [first, second]
        assert (await store.skipped(A, generation=second.generation)).files == (SkippedFile("x", "binary"),)
        await other.store.purge(A)
        assert await store.published() == []
        with raises(NotFound):
            await store.open_generation(A, base=None)


@SUITE.trial("MD-18", hint="compare and write in one transaction")
async def of_two_publications_of_one_generation_one_is_published(case: Case) -> None:
    async with case.open() as store:
        await put(store, A)
        base: int | None = None
        for _ in range(4):
            number = await store.open_generation(A, base=base)
            answers = await asyncio.gather(
                *(store.publish(Publication(A, number, base, files=files)) for files in (1, 2, 3)),
                return_exceptions=True,
            )
            done = [one for one in answers if isinstance(one, Published)]
            assert len(done) == 1 and all(isinstance(one, (Published, Conflict)) for one in answers)
            assert await store.published() == done
            base = number


@SUITE.trial("MD-18", hint="compare and write in one transaction")
async def writers_side_by_side_are_in_one_order(case: Case) -> None:
    for round_ in range(8):
        async with case.another() as place, place.open() as store:
            await put(store, A)
            calls = [[Call(op, (worker,)) for op in ("open", "publish", "head")] for worker in range(3)]
            history = await together(calls, partial(_performed, store, {}), case.subject.seed + round_)
            for one in history:
                one.call, one.answer = one.answer
            check_linearizable(history, (None, None, 0), _apply)


async def _performed(store: Any, opened: dict[int, tuple[int, int | None]], call: Call) -> tuple[Call, Any]:
    """The call as it was made, with what was known before it, and its answer. A number is part of the call."""
    (worker,) = call.args
    kept = [one.generation for one in await store.history(A)] if call.op == "open" else []
    if call.op == "head" or (call.op == "publish" and worker not in opened):
        return Call("head"), [one.generation for one in await store.published()][-1:]
    try:
        if call.op == "open":
            base = kept[-1] if kept else None
            number = await store.open_generation(A, base=base)
            opened[worker] = number, base
            return Call("open", (base, number)), True
        number, base = opened[worker]
        await store.publish(Publication(A, number, base))
        return Call("publish", (base, number)), True
    except Conflict:
        return Call(call.op, (base, 0 if call.op == "open" else number)), False


def _apply(state: Any, op: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """The state: generation published, number that may be published next, highest number given."""
    head, opened, last = state
    if op == "head":
        return state, [] if head is None else [head]
    base, number = args
    if op == "open":
        right = base == head
        return ((head, number, number), number > last) if right else (state, False)
    right = base == head and opened == number
    return ((number, None, last), True) if right else (state, False)


@SUITE.trial("MD-19", hint="one transaction, in a shielded step")
async def a_cancelled_publish_is_whole_or_nothing(store: Any) -> None:
    await put(store, A)
    before = await publish(store, A, None)
    files = tuple(SkippedFile(path, "binary") for path in "abc")

    async def begun(base: int) -> Publication:
        return Publication(A, await store.open_generation(A, base=base), base, skipped=files)

    due = await begun(before.generation)

    async def publish_due() -> Published:
        found: Published = await store.publish(due)
        return found

    async for _ in cuts(publish_due):
        shown = (await store.published())[0]
        history = await store.history(A)
        assert history[-1] == shown
        assert [one.hidden_at is None for one in history] == [False] * (len(history) - 1) + [True]
        if shown.generation == due.generation:
            assert (await store.skipped(A, generation=due.generation)).files == files
            before, due = shown, await begun(due.generation)
        else:
            assert shown == before
            assert (await store.skipped(A, generation=due.generation)).files == ()
    assert [one.generation for one in await store.published()] == [due.generation]


@SUITE.trial("MD-19")
async def other_cancelled_calls_are_whole_or_nothing(store: Any) -> None:
    numbers = [0]
    files = (SkippedFile("x", "binary"),)
    await put(store, A, B)
    async for _ in cuts(lambda: store.open_generation(B, base=None)):
        numbers.append(await store.open_generation(B, base=None))
        assert numbers[-1] > numbers[-2]

    async def fresh() -> Published:
        await store.purge(A)
        await put(store, A)
        return await publish(store, A, None, skipped=files)

    shown = await fresh()
    async for _ in cuts(lambda: store.forget(A, snapshot="worktree")):
        history = await store.history(A)
        assert history == [shown]
        assert await store.published() == ([shown] if history[0].hidden_at is None else [])
        shown = await fresh()
    shown = await fresh()
    async for _ in cuts(lambda: store.purge(A)):
        there = await store.history(A)
        assert there in ([], [shown])
        assert await store.published() == there
        assert [repo.repo_id for repo in (await store.scan()).repos] == ([A, B] if there else [B])
        assert (await store.skipped(A, generation=shown.generation)).files == (files if there else ())
        shown = await fresh()
    assert await store.history(A) == []


@SUITE.trial("MD-20", needs=durable, hint="acknowledge after the transaction is on the disk")
async def what_was_published_survives_a_kill(case: Case) -> None:
    async def verify(store: Any, acknowledged: list[str]) -> None:
        given = [int(line.partition(" ")[2]) for line in acknowledged]
        history = await store.history(A)
        numbers = [one.generation for one in history]
        published = {int(line.partition(" ")[2]) for line in acknowledged if line.startswith("published")}
        missing = published - set(numbers)
        if missing:
            raise Failed(f"published and acknowledged, and gone after the kill: {sorted(missing)}")
        assert await store.published([A]) == history[-1:]
        for one in history:
            assert len((await store.skipped(A, generation=one.generation)).files) == one.files == 5
        again = await store.open_generation(A, base=numbers[-1] if numbers else None)
        assert again > max(given, default=0)

    async with case.open() as store:
        await put(store, A)
    await kill_and_reopen(case, publish_on, verify)


async def publish_on(store: Any, acknowledge: Acknowledge) -> None:
    """The child of MD-20: it publishes one generation upon the other until it is killed."""
    history = await store.history(A)
    base = history[-1].generation if history else None
    skipped = tuple(SkippedFile(f"f{i}", "binary", "x" * 500) for i in range(5))
    for _ in range(300):
        number = await store.open_generation(A, base=base)
        acknowledge(f"opened {number}")
        await store.publish(Publication(A, number, base, files=5, skipped=skipped))
        acknowledge(f"published {number}")
        base = number


@SUITE.trial("MD-21")
async def turns_do_not_grow_with_the_store(case: Case, store: Any) -> None:
    async def filled(n: int) -> int | None:
        """``n`` repositories, and as many generations and skipped files in the first of them."""
        await store.purge(A)
        await put(store, A, *(f"r{i}" for i in range(n)))
        base: int | None = None
        for _ in range(n):
            files = tuple(SkippedFile(f"f{i}", "binary") for i in range(n))
            base = (await publish(store, A, base, skipped=files)).generation
        return base

    calls: dict[str, Callable[[int | None], Awaitable[Any]]] = {
        "put_repo": lambda base: store.put_repo(Repo(B, "/ab")),
        "scan": lambda base: store.scan(),
        "open_generation": lambda base: store.open_generation(A, base=base),
        "publish": lambda base: _publish_upon(store, base),
        "published": lambda base: store.published(),
        "snapshots": lambda base: store.snapshots(),
        "history": lambda base: store.history(A),
        "skipped": lambda base: store.skipped(A, generation=base),
        "forget": lambda base: store.forget(A, snapshot="worktree"),
        "retire": lambda base: store.retire(A, generation=base),
        "purge": lambda base: store.purge(A),
    }
    spent_at: list[dict[str, int]] = []
    for n in (2, 20):
        base = await filled(n)
        spent_at.append({name: await spent(case, partial(call, base)) for name, call in calls.items()})
    for name, few in spent_at[0].items():
        if spent_at[1][name] > few:
            raise Failed(f"{name} takes {few} turns in a small store and {spent_at[1][name]} in a larger one")
        if few > MOST_PER_CALL * (3 if name == "publish" else 1):
            raise Failed(f"{name} takes {few} turns")


async def _publish_upon(store: Any, base: int | None) -> None:
    """A generation that holds what the one before did: three calls."""
    number = await store.open_generation(A, base=base)
    files = (await store.skipped(A, generation=base)).files
    await store.publish(Publication(A, number, base, skipped=files))
