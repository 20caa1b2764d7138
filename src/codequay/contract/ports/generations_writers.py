"""The GE clauses of writers at once, of cancellation, of what survives a crash, and of turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import product
from typing import Any

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import GenerationState, ScopeEntry

from ..budget import spent
from ..cancel import cuts
from ..case import Case
from ..clauses import Suite
from ..concurrency import Call, check_linearizable, together
from ..crash import kill_and_reopen
from ..expect import Failed, shown
from ..needs import durable
from .staging import A, B, Stager

PATHS = tuple(f"k{i}" for i in range(12))
SEEDS = 3
"""Interleavings that are tried of concurrent calls."""
PAUSES = 3
"""Turns of the loop after which something is forgotten beside readers: from none to one less."""


State = frozenset[tuple[int, bool, frozenset[tuple[str, str]]]]
"""The generations of one repository: number, sealed, (path, blob id) pairs."""


def writer_trials(suite: Suite, s: Stager) -> None:
    """Put the trials into a port's suite."""

    @suite.trial("GE-12", hint="bind a read to one state of the store: one transaction, or one snapshot")
    async def readers_beside_a_writer_see_whole_generations(store: Any) -> None:
        await s.fill(store, A, 1, dict.fromkeys(PATHS, "one"))
        writing = True
        seen = 0

        async def read() -> None:
            nonlocal seen
            while writing:
                known = [one.generation for one in await store.generations(A) if one.sealed]
                shown = await s.shown(store, (A, known[-1]))
                assert len(shown) == len(PATHS)
                assert len(set(shown.values())) == 1
                await s.assert_shows(store, A, 1, dict.fromkeys(PATHS, "one"))
                seen += 1
                await asyncio.sleep(0)

        async def write() -> None:
            nonlocal writing
            try:
                for generation, text in ((2, "two"), (3, "three")):
                    await store.begin(A, generation=generation, base=generation - 1)
                    for path in PATHS:
                        await s.stage(store, A, generation, {path: text})
                        await asyncio.sleep(0)
                    await store.seal(A, generation=generation)
            finally:
                writing = False

        await asyncio.gather(write(), read(), read())
        assert seen
        await s.assert_shows(store, A, 3, dict.fromkeys(PATHS, "three"))

    @suite.trial("GE-12", hint="bind a read to one state of the store: one transaction, or one snapshot")
    async def a_read_beside_a_drop_or_purge_is_whole_or_refused(store: Any) -> None:
        files = dict.fromkeys(PATHS, "one") | {"k": "one", "l": "two"}
        await s.fill(store, A, 1, files)
        for generation, (pause, name) in enumerate(product(range(PAUSES), ("drop", "purge")), 1):
            await s.fill(store, B, generation, files)

            async def forget(name: str = name, generation: int = generation) -> None:
                await (store.purge(B) if name == "purge" else store.drop(B, generation=generation))

            await _read_beside(s.reads(store, [ScopeEntry(A, 1), ScopeEntry(B, generation)]), name, forget, pause)
        await s.assert_shows(store, A, 1, files)

    @suite.trial("GE-13", hint="run a write where the caller's cancellation cannot reach into it, or undo it")
    async def a_cancelled_stage_is_whole_or_nothing(case: Case, store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=1)
        old, new = {"k": "one", "l": "two"}, {"k": "new", "m": "three"}
        generation = 2

        async def stage() -> None:
            await s.stage(store, A, generation, {"k": "new", "m": "three"}, removed=["l"])

        async for _ in cuts(stage):
            await store.seal(A, generation=generation)
            shown = await s.shown(store, (A, generation))
            ids = [{(A, path): s.blob_id(text) for path, text in state.items()} for state in (old, new)]
            whole = shown in ids
            assert whole or not case.capabilities.atomic_batch
            generation += 1
            await store.begin(A, generation=generation, base=1)
        await store.seal(A, generation=generation)
        await s.assert_shows(store, A, generation, new)

    @suite.trial("GE-13", hint="seal in one step, and let the next begin clean up")
    async def a_cancelled_begin_or_seal_leaves_a_store_that_works(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        generation = 1

        async def write() -> None:
            nonlocal generation
            generation += 1
            await store.begin(A, generation=generation, base=1)
            await s.stage(store, A, generation, {"l": f"text {generation}"})
            await store.seal(A, generation=generation)

        async for _ in cuts(write):
            await s.assert_shows(store, A, 1, {"k": "one"})
            sealed = [one.generation for one in await store.generations(A) if one.sealed]
            if generation in sealed:
                await s.assert_shows(store, A, generation, {"k": "one", "l": f"text {generation}"})
        await s.assert_shows(store, A, generation, {"k": "one", "l": f"text {generation}"})

    @suite.trial("GE-13", hint="delete in one transaction")
    async def a_cancelled_drop_or_purge_is_whole_or_nothing(store: Any) -> None:
        old, new = {"k": "one", "l": "two"}, {"k": "one", "m": "three"}
        await s.fill(store, A, 1, old)
        await s.fill(store, A, 2, {"m": "three"}, base=1, removed=["l"])
        newest = 2

        async def drop() -> None:
            await store.drop(A, generation=newest - 1)

        async for _ in cuts(drop):
            if GenerationState(newest - 1, True) in await store.generations(A):
                await s.assert_shows(store, A, newest - 1, old)
            await s.assert_shows(store, A, newest, new)
            await drop()
            newest += 1
            await s.fill(store, A, newest, dict([*old.items(), *new.items()]), removed=[], base=newest - 1)
            old, new = new, old | new
        assert await store.generations(A) == [GenerationState(newest, True)]

        async def purge() -> None:
            await store.purge(B)

        await s.fill(store, B, 1, {"k": "one"})
        async for _ in cuts(purge):
            if await store.generations(B):
                await s.assert_shows(store, B, 1, {"k": "one"})
            await s.assert_shows(store, A, newest, new)
            await purge()
            await s.fill(store, B, 1, {"k": "one"})
        assert await store.generations(B) == []

    @suite.trial("GE-16", hint="give the connection back in a finally")
    async def a_cancelled_read_leaves_a_store_that_works(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        for name, read in s.reads(store, [ScopeEntry(A, 1)]).items():
            expected = await read()
            async for _ in cuts(read):
                if await read() != expected:
                    raise Failed(f"after a cancelled {name} the next one answers otherwise")
        await s.fill(store, A, 2, {"m": "three"}, base=1)
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two", "m": "three"})

    @suite.trial("GE-15", hint="one transaction, or one turn, for each write")
    async def stage_calls_made_at_once_add_up(store: Any) -> None:
        for repo in (A, B):
            await store.begin(repo, generation=1, base=None)
        await asyncio.gather(*(s.stage(store, repo, 1, {path: f"at {path}"}) for path in PATHS for repo in (A, B)))
        await asyncio.gather(*(store.seal(repo, generation=1) for repo in (A, B)))
        for repo in (A, B):
            await s.assert_shows(store, repo, 1, {path: f"at {path}" for path in PATHS})

    @suite.trial("GE-15", hint="one transaction, or one turn, for each write")
    async def writers_at_once_are_put_into_one_order(store: Any) -> None:
        for seed in range(SEEDS):
            repo = f"r{seed}"
            await s.fill(store, repo, 1, {"k": "one"})

            async def perform(call: Call, repo: str = repo) -> Any:
                return await _answered(s, store, repo, call)

            history = await together(
                [
                    [Call("begin", (2,)), Call("stage", (2, "k", "mine")), Call("seal", (2,))],
                    [Call("begin", (3,)), Call("stage", (3, "l", "theirs")), Call("seal", (3,))],
                    [Call("known"), Call("shows", (2,)), Call("drop", (2,)), Call("shows", (3,))],
                ],
                perform,
                seed,
            )
            start: State = frozenset({(1, True, frozenset({("k", s.blob_id("one"))}))})
            check_linearizable(history, start, _sequentially(s))

    @suite.trial("GE-17", hint="state the condition to the server; do not fetch in order to decide")
    async def turns_do_not_grow_with_what_a_generation_holds(case: Case, store: Any) -> None:
        turns: dict[str, dict[str, int]] = {}
        for repo, files in (("warm", 3), ("small", 6), ("large", 60)):
            await s.fill(store, repo, 1, {f"p{n}": f"{repo} {n}" for n in range(files)} | {"k": "one"})
            found = turns[repo] = {}
            found["begin"] = await spent(case, lambda repo=repo: store.begin(repo, generation=2, base=1))  # type: ignore[misc]
            await s.stage(store, repo, 2, {"k": f"new of {repo}"})
            found["seal"] = await spent(case, lambda repo=repo: store.seal(repo, generation=2))  # type: ignore[misc]
            for name, read in s.reads(store, [ScopeEntry(repo, 2)]).items():
                found[name] = await spent(case, read)
            found["generations"] = await spent(case, lambda repo=repo: store.generations(repo))  # type: ignore[misc]
            found["drop"] = await spent(case, lambda repo=repo: store.drop(repo, generation=1))  # type: ignore[misc]
            found["purge"] = await spent(case, lambda repo=repo: store.purge(repo))  # type: ignore[misc]
        for name, most in turns["small"].items():
            if turns["large"][name] > most:
                raise Failed(f"{name} takes {most} turns over 7 files and {turns['large'][name]} over 61")

    @suite.trial("GE-14", needs=durable, hint="sync to the disk before seal returns")
    async def sealed_generations_survive_sigkill(case: Case) -> None:
        await kill_and_reopen(case, s.scenario, _verify)

    async def _verify(store: Any, acknowledged: list[str]) -> None:
        sealed = {one.generation for one in await store.generations(A) if one.sealed}
        assert {int(number) for number in acknowledged} <= sealed
        for number in sorted(sealed):
            await s.assert_shows(store, A, number, {"k": "one", "l": f"text {number}"})


async def _read_beside(
    reads: Mapping[str, Callable[[], Awaitable[Any]]], name: str, forget: Callable[[], Awaitable[None]], pause: int
) -> None:
    """Every read again and again, until what it asks for has been forgotten, which begins ``pause`` turns later.

    :raises Failed: one gave neither what it gave before nor NotIndexed
    """
    whole = {of: await read() for of, read in reads.items()}
    forgotten = False

    async def again(of: str, read: Callable[[], Awaitable[Any]]) -> None:
        while not forgotten:
            try:
                found = await read()
            except NotIndexed:
                return
            if found != whole[of]:
                raise Failed(f"{of} beside a {name}: neither the whole answer nor NotIndexed, but {shown(found)}")
            await asyncio.sleep(0)

    async def end() -> None:
        nonlocal forgotten
        try:
            for _ in range(pause):
                await asyncio.sleep(0)
            await forget()
        finally:
            forgotten = True

    await asyncio.gather(*(again(of, read) for of, read in reads.items()), end())


async def _answered(s: Stager, store: Any, repo: str, call: Call) -> Any:
    """What a call of GE-15 gives, as ``_sequentially`` has it."""
    try:
        if call.op == "known":
            return tuple((one.generation, one.sealed) for one in await store.generations(repo))
        if call.op == "shows":
            shown = await s.shown(store, (repo, call.args[0]))
            return frozenset((path, blob) for (_, path), blob in shown.items())
        if call.op == "stage":
            generation, path, text = call.args
            await s.stage(store, repo, generation, {path: text})
        elif call.op == "begin":
            await store.begin(repo, generation=call.args[0], base=1)
        else:
            await getattr(store, call.op)(repo, generation=call.args[0])
    except (Conflict, NotIndexed) as exc:
        return type(exc).__name__
    return "done"


def _sequentially(s: Stager) -> Callable[[State, str, tuple[Any, ...]], tuple[State, Any]]:
    """The same calls one after the other."""

    def apply(state: State, op: str, args: tuple[Any, ...]) -> tuple[State, Any]:
        if op == "known":
            return state, tuple(sorted((number, sealed) for number, sealed, _ in state))
        held = next((one for one in state if one[0] == args[0]), None)
        if op == "shows":
            return state, held[2] if held is not None and held[1] else "NotIndexed"
        if op == "drop":
            return state - {held} if held is not None else state, "done"
        if op == "begin":
            if max(number for number, _, _ in state) > args[0]:
                return state, "Conflict"
            base = next(one for one in state if one[0] == 1)
            return frozenset({base, (args[0], False, base[2])}), "done"
        if held is None or (op == "stage" and held[1]):
            return state, "Conflict"
        files = dict(held[2])
        if op == "stage":
            files[args[1]] = s.blob_id(args[2])
        return state - {held} | {(held[0], op == "seal" or held[1], frozenset(files.items()))}, "done"

    return apply
