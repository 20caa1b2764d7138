"""What every store of generations does: the GE clauses, written once for chunks and lexical.

Each port gives a ``Stager``: how to stage texts at paths, and how to see what a scope shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import GenerationState, ScopeEntry, StageResult
from tests.behaviour.adapters import Behaviour, Case, behaviour, durable

A, B = "a", "ab"
"""Two repositories, one's id a prefix of the other's."""


@dataclass(frozen=True)
class Stager:
    """``file(path, text)`` makes what the port stages; a blob's id is made of its text."""

    port: str
    file: Callable[[str, str], Any]
    blob_id: Callable[[str], str]

    async def stage(
        self, store: Any, repo: str, generation: int, texts: Mapping[str, str], removed: Sequence[str] = ()
    ) -> StageResult:
        files = [self.file(path, text) for path, text in texts.items()]
        result: StageResult = await store.stage(repo, generation=generation, files=files, removed=removed)
        return result

    async def fill(
        self,
        store: Any,
        repo: str,
        generation: int,
        texts: Mapping[str, str],
        *,
        base: int | None = None,
        removed: Sequence[str] = (),
    ) -> StageResult:
        """A whole generation: begin, stage, seal."""
        await store.begin(repo, generation=generation, base=base)
        result = await self.stage(store, repo, generation, texts, removed)
        await store.seal(repo, generation=generation)
        return result

    async def shown(self, store: Any, *scope: tuple[str, int]) -> dict[tuple[str, str], str]:
        """(repository, path) -> blob id, as ``scan`` has it."""
        page = await store.scan(scope=[ScopeEntry(*entry) for entry in scope], limit=1000)
        assert page.after is None
        return {(f.repo_id, f.path): f.blob_id for f in page.files}

    async def assert_shows(self, store: Any, repo: str, generation: int, texts: Mapping[str, str]) -> None:
        expected = {(repo, path): self.blob_id(text) for path, text in texts.items()}
        assert await self.shown(store, (repo, generation)) == expected


def generation_tests(s: Stager) -> dict[str, Callable[..., None]]:
    """The tests by name, for a test module to put among its own."""
    found: dict[str, Callable[..., None]] = {}

    def clause(*clauses: str, needs: Callable[[Any], bool] | None = None) -> Callable[[Behaviour], Behaviour]:
        def mark(body: Behaviour) -> Behaviour:
            found[getattr(body, "__name__", "")] = behaviour(s.port, *clauses, needs=needs)(body)
            return body

        return mark

    @clause("GE-01")
    async def test_a_generation_is_its_base_less_removed_plus_staged(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "k/x": "two", "kx": "three", "l": "four"})
        await s.fill(store, A, 2, {"k/x": "new", "m": "one"}, base=1, removed=["k", "nowhere"])
        await s.assert_shows(store, A, 2, {"k/x": "new", "kx": "three", "l": "four", "m": "one"})
        await s.fill(store, A, 5, {"k": "back"}, base=2)
        await s.assert_shows(store, A, 5, {"k": "back", "k/x": "new", "kx": "three", "l": "four", "m": "one"})

    @clause("GE-01")
    async def test_several_stage_calls_add_up_and_a_staged_path_beats_its_removal(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "new", "m": "three"}, removed=["k"])
        await s.stage(store, A, 2, {"m": "four"}, removed=["l"])
        files = [s.file("n", "first"), s.file("n", "last")]
        await store.stage(A, generation=2, files=files)
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "new", "m": "four", "n": "last"})

    @clause("GE-01")
    async def test_what_was_staged_can_be_removed_again_and_the_base_restored(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "two", "l": "three"})
        await s.stage(store, A, 2, {}, removed=["l"])
        await s.stage(store, A, 2, {"k": "one"})
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one"})
        await s.assert_shows(store, A, 1, {"k": "one"})

    @clause("GE-02")
    async def test_begin_upon_an_unsealed_base_changes_nothing(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "two"})
        for repo, base in ((A, 2), (A, 3), (B, 1)):
            with pytest.raises(NotIndexed):
                await store.begin(repo, generation=4, base=base)
        assert await store.generations(A) == [GenerationState(1, True), GenerationState(2, False)]
        assert await store.generations(B) == []
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two"})

    @clause("GE-03")
    async def test_stage_and_seal_of_a_generation_not_begun_conflict(store: Any) -> None:
        await store.begin(A, generation=1, base=None)
        for repo, generation in ((A, 2), (B, 1)):
            with pytest.raises(Conflict):
                await s.stage(store, repo, generation, {"k": "one"})
            with pytest.raises(Conflict):
                await store.seal(repo, generation=generation)
        assert await store.generations(B) == []

    @clause("GE-03")
    async def test_a_newer_begin_shuts_the_older_writer_out(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "mine"})
        await store.begin(A, generation=3, base=1)
        with pytest.raises(Conflict):
            await s.stage(store, A, 2, {"m": "mine"})
        with pytest.raises(Conflict):
            await store.seal(A, generation=2)
        with pytest.raises(Conflict):
            await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 3, {"n": "theirs"})
        await store.seal(A, generation=3)
        await s.assert_shows(store, A, 3, {"k": "one", "n": "theirs"})

    @clause("GE-04")
    async def test_sealing_again_does_nothing(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.seal(A, generation=1)
        assert await store.generations(A) == [GenerationState(1, True)]
        await s.fill(store, A, 2, {"l": "two"}, base=1)
        await store.seal(A, generation=1)
        await s.assert_shows(store, A, 1, {"k": "one"})
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two"})

    @clause("GE-05")
    async def test_drop_is_idempotent_and_keeps_what_others_show(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 2, {"k": "new"}, base=1)
        await s.fill(store, A, 3, {"m": "three"}, base=2, removed=["l"])
        for _ in range(2):
            await store.drop(A, generation=2)
            with pytest.raises(NotIndexed):
                await s.shown(store, (A, 2))
            await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})
            await s.assert_shows(store, A, 3, {"k": "new", "m": "three"})
        await store.drop(A, generation=1)
        await store.drop(A, generation=9)
        await store.drop(B, generation=1)
        await s.assert_shows(store, A, 3, {"k": "new", "m": "three"})
        assert await store.generations(A) == [GenerationState(3, True)]

    @clause("GE-06")
    async def test_begin_again_forgets_what_was_staged(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"k": "wrong", "m": "wrong"}, removed=["l"])
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"n": "right"})
        await store.seal(A, generation=2)
        await s.assert_shows(store, A, 2, {"k": "one", "l": "two", "n": "right"})

    @clause("GE-06")
    async def test_an_abandoned_generation_leaves_nothing_sealed_or_not(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 2, {"k": "sealed, never published"}, base=1, removed=["l"])
        await store.begin(A, generation=3, base=1)
        await s.stage(store, A, 3, {"m": "abandoned"}, removed=["k"])
        await s.fill(store, A, 4, {"n": "four"}, base=1)
        await s.assert_shows(store, A, 4, {"k": "one", "l": "two", "n": "four"})
        assert await store.generations(A) == [GenerationState(1, True), GenerationState(4, True)]

    @clause("GE-06", "GE-07")
    async def test_a_rebuild_from_nothing_starts_empty_beside_the_published_one(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await store.begin(A, generation=2, base=None)
        await s.stage(store, A, 2, {"l": "two", "m": "wrong"})
        await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, A, 3, {"l": "two", "n": "three"}, base=None)
        await s.assert_shows(store, A, 3, {"l": "two", "n": "three"})
        await s.assert_shows(store, A, 1, {"k": "one", "l": "two"})

    @clause("GE-07")
    async def test_a_superseded_generation_stays_readable_while_the_next_is_written(store: Any) -> None:
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

    @clause("GE-08")
    async def test_purge_forgets_one_repository_and_no_other(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one", "l": "two"})
        await s.fill(store, B, 1, {"k": "one", "m": "three"})
        await store.purge(A)
        assert await store.generations(A) == []
        with pytest.raises(NotIndexed):
            await s.shown(store, (A, 1))
        await s.assert_shows(store, B, 1, {"k": "one", "m": "three"})
        await store.purge(A)
        await s.fill(store, A, 2, {"n": "one"})
        await s.assert_shows(store, A, 2, {"n": "one"})

    @clause("GE-09", needs=durable)
    async def test_a_reopened_store_is_the_same_and_holds_what_was_sealed(case: Case) -> None:
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

    @clause("GE-09")
    async def test_two_stores_have_two_ids(case: Case) -> None:
        async with case.open() as store, Case(case.adapter, case.folder / "other").open() as other:
            assert (await store.identity()).store_id != (await other.identity()).store_id

    @clause("GE-10")
    async def test_a_read_of_what_is_not_sealed_raises(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await store.begin(A, generation=2, base=1)
        await s.stage(store, A, 2, {"l": "two"})
        for scope in ([(A, 2)], [(A, 3)], [(B, 1)], [(A, 1), (B, 1)]):
            entries = [ScopeEntry(*entry) for entry in scope]
            with pytest.raises(NotIndexed):
                await store.scan(scope=entries)
            with pytest.raises(NotIndexed):
                await store.stats(scope=entries)

    @clause("GE-11")
    async def test_a_scope_shows_its_own_repositories_at_their_own_generations(store: Any) -> None:
        await s.fill(store, A, 1, {"k": "one"})
        await s.fill(store, B, 1, {"k": "one", "l": "two"})
        await s.fill(store, B, 2, {"m": "three"}, base=1, removed=["k"])
        assert await s.shown(store) == {}
        one, two, three = map(s.blob_id, ("one", "two", "three"))
        assert await s.shown(store, (A, 1)) == {(A, "k"): one}
        assert await s.shown(store, (B, 1), (A, 1)) == {(A, "k"): one, (B, "k"): one, (B, "l"): two}
        assert await s.shown(store, (A, 1), (B, 2)) == {(A, "k"): one, (B, "l"): two, (B, "m"): three}

    return found
