"""The GE clauses, which every store of generations shares: trials written once for chunks and lexical."""

from __future__ import annotations

from typing import Any

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import FAULTS, GenerationState, ScopeEntry

from ..case import Case
from ..clauses import Suite
from ..expect import raises
from ..needs import durable
from .faults import fault_trials
from .generations_faults import faulty
from .generations_reach import reach_trials
from .generations_writers import writer_trials
from .staging import A, B, Stager

ALIKE = ("a", "ab", "_", "A", "ä", "a\u0308", "a ")
"""Repositories whose ids a careless comparison takes for one another. The first, third and fifth are purged."""
HIGHEST = 2**53


def generation_trials(suite: Suite, s: Stager) -> None:
    """Put the trials into a port's suite."""

    @suite.trial("GE-01")
    async def a_generation_is_its_base_less_removed_plus_staged(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "k/x": "two", "kx": "three", "l": "four"})
        await s.fill(store, A, 2, {"l": "new", "m": "one"}, base=1, removed=["k", "nowhere"])
        await s.assert_shows(store, A, 2, {"k/x": "two", "kx": "three", "l": "new", "m": "one"})
        await s.fill(store, A, 5, {"k": "back"}, base=2)
        await s.assert_shows(store, A, 5, {"k": "back", "k/x": "two", "kx": "three", "l": "new", "m": "one"})

    @suite.trial("GE-01")
    async def several_stage_calls_add_up_and_a_staged_path_beats_its_removal(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "new", "m": "three"}, removed=["k"])
        await s.stage(store, A, 2, {"m": "four"}, removed=["l"])
        files = [s.file("n", "first"), s.file("n", "last")]
        await store.stage(A, generation=2, files=files)
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "new", "m": "four", "n": "last"})

    @suite.trial("GE-01")
    async def a_generation_may_be_empty_unchanged_or_of_the_highest_number(store: Any) -> None:
        await s.fill(store, A, 9, {})
        await s.assert_shows(store, A, 9, {})
        await s.fill(store, A, 2**31, {"k": "one"}, base=9)
        await s.fill(store, A, HIGHEST - 1, {}, base=2**31)
        await s.fill(store, A, HIGHEST, {"l": "two"}, base=HIGHEST - 1)
        await s.assert_shows(store, A, HIGHEST - 1, {"k": "one"})
        await s.assert_shows(store, A, HIGHEST, {"k": "one", "l": "two"})
        assert [one.generation for one in await store.generations(A)] == [9, 2**31, HIGHEST - 1, HIGHEST]

    @suite.trial("GE-01")
    async def what_was_staged_can_be_removed_again_and_the_base_restored(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "two", "l": "three"})
        await s.stage(store, A, 2, {}, removed=["l"])
        await s.stage(store, A, 2, {"k": "one"})
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one"})
        await s.assert_shows(store, A, 1, {"k": "one"})
        await store.begin(A, generation=3, base=2)
        await s.stage(store, A, 3, {"m": "three"}, removed=["k"])
        await s.stage(store, A, 3, {"k": "back", "m": "four"}, removed=["m"])
        await store.seal(A, generation=3)
        await s.assert_shows(store, A, 3, {"k": "back", "m": "four"})

    @suite.trial("GE-02")
    async def begin_upon_an_unsealed_base_changes_nothing(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "two"})
        for repo, base in ((A, 2), (A, 3), (B, 1)):
            with raises(NotIndexed):
                await store.begin(repo, generation=4, base=base)
        assert await store.generations(A) == [GenerationState(1, True), GenerationState(2, False)]
        assert await store.generations(B) == []
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two"})

    @suite.trial("GE-03")
    async def stage_and_seal_of_a_generation_not_begun_conflict(store: Any) -> None:
        await store.begin(A, generation=1, base=None)
        for repo, generation in ((A, 2), (B, 1)):
            with raises(Conflict):
                await s.stage(store, repo, generation, {"k": "one"})
            with raises(Conflict):
                await store.seal(repo, generation=generation)
        assert await store.generations(B) == []

    @suite.trial("GE-03")
    async def a_sealed_generation_takes_nothing_more(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        with raises(Conflict):
            await s.stage(store, A, 1, {"l": "two"})
        with raises(Conflict):
            await s.stage(store, A, 1, {}, removed=["k"])
        await s.assert_shows(store, A, 1, {"k": "one"})

    @suite.trial("GE-03")
    async def a_writer_whose_generation_is_gone_is_told(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await store.drop(A, generation=2)
        await store.begin(B, generation=1, base=None)
        await store.purge(B)
        for repo, generation in ((A, 2), (B, 1)):
            with raises(Conflict):
                await s.stage(store, repo, generation, {"l": "two"})
            with raises(Conflict):
                await store.seal(repo, generation=generation)
        await s.assert_shows(store, A, 1, {"k": "one"})

    @suite.trial("GE-03")
    async def a_newer_begin_shuts_the_older_writer_out(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "mine"})
        await store.begin(A, generation=3, base=1)
        with raises(Conflict):
            await s.stage(store, A, 2, {"m": "mine"})
        with raises(Conflict):
            await store.seal(A, generation=2)
        with raises(Conflict):
            await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 3, {"n": "theirs"})
        await store.seal(A, generation=3)
        await s.assert_shows(store, A, 3, {"k": "one", "n": "theirs"})

    @suite.trial("GE-04")
    async def sealing_again_does_nothing(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.seal(A, generation=1)
        assert await store.generations(A) == [GenerationState(1, True)]
        await s.fill(store, A, 2, {"l": "two"}, base=1)
        await store.seal(A, generation=1)
        await s.assert_shows(store, A, 1, {"k": "one"})
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two"})

    @suite.trial("GE-05")
    async def drop_is_idempotent_and_keeps_what_others_show(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 2, {"k": "new"}, base=1)
        await s.fill(store, A, 3, {"m": "three"}, base=2, removed=["l"])
        for _ in range(2):
            await store.drop(A, generation=2)
            with raises(NotIndexed):
                await s.shown(store, (A, 2))
            await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})
            await s.assert_shows(store, A, 3, {"k": "new", "m": "three"})
        await store.drop(A, generation=1)
        await store.drop(A, generation=9)
        await store.drop(B, generation=1)
        await s.assert_shows(store, A, 3, {"k": "new", "m": "three"})
        assert await store.generations(A) == [GenerationState(3, True)]

    @suite.trial("GE-05")
    async def what_a_dropped_generation_removed_stays_removed(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 2, {}, base=1, removed=["k"])
        await s.fill(store, A, 3, {}, base=2)
        await store.drop(A, generation=2)
        await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})
        await s.assert_shows(store, A, 3, {"l": "two"})

    @suite.trial("GE-05")
    async def the_base_of_an_open_generation_can_be_dropped(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "new"})
        await store.drop(A, generation=1)
        await s.stage(store, A, 2, {"m": "three"})
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one", "l": "new", "m": "three"})
        assert await store.generations(A) == [GenerationState(2, True)]

    @suite.trial("GE-06")
    async def begin_again_forgets_what_was_staged(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "wrong", "m": "wrong"}, removed=["l"])
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"n": "right"})
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two", "n": "right"})

    @suite.trial("GE-06")
    async def an_abandoned_generation_leaves_nothing_sealed_or_not(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 2, {"k": "sealed, never published"}, base=1, removed=["l"])
        await store.begin(A, generation=3, base=1)
        await s.stage(store, A, 3, {"m": "abandoned"}, removed=["k"])
        await s.fill(store, A, 4, {"n": "four"}, base=1)
        await s.assert_shows(store, A, 4, {"k": "one", "l": "two", "n": "four"})
        assert await store.generations(A) == [GenerationState(1, True), GenerationState(4, True)]

    @suite.trial("GE-06")
    async def a_rebuild_from_nothing_starts_empty_beside_the_published_one(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=None)
        await s.stage(store, A, 2, {"l": "two", "m": "wrong"})
        await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 3, {"l": "two", "n": "three"}, base=None)
        await s.assert_shows(store, A, 3, {"l": "two", "n": "three"})
        await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 3, {"o": "four"}, base=None)
        await s.assert_shows(store, A, 3, {"o": "four"})
        assert await store.generations(A) == [GenerationState(1, True), GenerationState(3, True)]

    @suite.trial("GE-07")
    async def every_read_of_a_superseded_generation_answers_as_before(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        before = await s.answers(store, A, 1)
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "new", "m": "three", "n": "four"}, removed=["l"])
        assert await s.answers(store, A, 1) == before
        await store.seal(A, generation=2)
        assert await s.answers(store, A, 1) == before
        after = await s.answers(store, A, 2)
        assert [name for name in before if after[name] == before[name]] == []
        await store.drop(A, generation=1)
        assert await s.answers(store, A, 2) == after

    @suite.trial("GE-07")
    async def a_superseded_generation_stays_readable_while_the_next_is_written(store: Any) -> None:
        old = {"k": "one", "l": "two"}
        await s.fill(store, A, 1, old)
        await store.begin(A, generation=2, base=1)
        await s.assert_shows(store, A, 1, old)
        await s.stage(store, A, 2, {"k": "new", "m": "three"}, removed=["l"])
        await s.assert_shows(store, A, 1, old)
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 1, old)
        await s.fill(store, A, 3, {"l": "two"}, base=2, removed=["k"])
        await s.assert_shows(store, A, 1, old)
        await s.assert_shows(store, A, 2, {"k": "new", "m": "three"})

    @suite.trial("GE-08")
    async def purge_forgets_one_repository_and_no_other(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, B, 1, {"k": "one", "m": "three"})
        await s.fill(store, A, 2, {"k": "new"}, base=1)
        await store.begin(A, generation=3, base=2)
        await store.purge(A)
        assert await store.generations(A) == []
        with raises(NotIndexed):
            await s.shown(store, (A, 1))
        await s.assert_shows(store, B, 1, {"k": "one", "m": "three"})
        await store.purge(A)
        await s.fill(store, A, 1, {"n": "one"})
        await s.assert_shows(store, A, 1, {"n": "one"})
        await s.assert_shows(store, B, 1, {"k": "one", "m": "three"})

    @suite.trial("GE-09", needs=durable)
    async def a_reopened_store_is_the_same_and_holds_what_was_sealed(case: Case) -> None:
        async with case.open() as store:
            identity = await store.identity()
            assert identity.store_id and identity.fingerprint
            await s.fill(store, A, 1, {"k": "one"})
            await s.fill(store, A, 2, {"l": "two"}, base=1)
        for readonly in (True, False):
            async with case.open(readonly=readonly) as store:
                assert await store.identity() == identity
                assert await store.generations(A) == [GenerationState(1, True), GenerationState(2, True)]
                await s.assert_shows(store, A, 1, {"k": "one"})
                await s.assert_shows(store, A, 2, {"k": "one", "l": "two"})

    @suite.trial("GE-09")
    async def two_stores_have_two_ids(case: Case) -> None:
        async with case.open() as store, case.another() as elsewhere, elsewhere.open() as other:
            identity = await store.identity()
            assert identity.store_id != (await other.identity()).store_id
            await s.fill(store, A, 1, {"k": "one"})
            assert await store.identity() == identity

    @suite.trial("GE-10")
    async def a_read_of_what_is_not_sealed_raises(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "two"})
        for scope in ([(A, 2)], [(A, 3)], [(B, 1)], [(A, 1), (B, 1)], [(B, 1), (A, 1)]):
            for read in s.reads(store, [ScopeEntry(*entry) for entry in scope]).values():
                with raises(NotIndexed):
                    await read()

    @suite.trial("GE-11")
    async def a_scope_shows_its_own_repositories_at_their_own_generations(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await s.fill(store, B, 1, {"k": "one", "l": "two"})
        await s.fill(store, B, 2, {"m": "three"}, base=1, removed=["k"])
        assert await s.shown(store) == {}
        one, two, three = map(s.blob_id, ("one", "two", "three"))
        assert await s.shown(store, (A, 1)) == {(A, "k"): one}
        assert await s.shown(store, (B, 1), (A, 1)) == {(A, "k"): one, (B, "k"): one, (B, "l"): two}
        assert await s.shown(store, (A, 1), (B, 2)) == {(A, "k"): one, (B, "l"): two, (B, "m"): three}

    @suite.trial("GE-11")
    async def repositories_with_alike_ids_are_kept_apart(store: Any) -> None:
        for repo in ALIKE:
            await s.fill(store, repo, 1, {"k": f"of {repo}"})
        expected = {(repo, "k"): s.blob_id(f"of {repo}") for repo in ALIKE}
        assert list(await s.shown(store, *((repo, 1) for repo in ALIKE))) == sorted(expected)
        for repo in ALIKE[:5:2]:
            await store.purge(repo)
            del expected[repo, "k"]
            assert await s.shown(store, *((left, 1) for left, _ in expected)) == expected

    fault_trials(suite, FAULTS, faulty(s))
    reach_trials(suite, s)
    writer_trials(suite, s)
