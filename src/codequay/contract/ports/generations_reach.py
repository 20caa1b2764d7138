"""The GE clause of what is declared to reach beyond one process."""

from __future__ import annotations

from codequay.ports.errors import NotIndexed
from codequay.ports.generations import GenerationState

from ..case import Case
from ..clauses import Suite
from ..expect import raises
from ..needs import shared
from ..processes import elsewhere
from .staging import A, B, Stager


def reach_trials(suite: Suite, s: Stager) -> None:
    """Put the trials into a port's suite."""

    @suite.trial("GE-18", needs=shared, children=True, hint="declare reach process when one process holds the store")
    async def another_process_sees_what_was_sealed_and_dropped(case: Case) -> None:
        async with elsewhere(case) as other, case.open() as store:
            assert await other.store.identity() == await store.identity()
            await s.fill(store, A, 1, {"k": "one", "l": "two"})
            assert await s.answers(other.store, A, 1) == await s.answers(store, A, 1)
            await other.store.begin(A, generation=2, base=1)
            await s.stage(other.store, A, 2, {"k": "new"}, removed=["l"])
            with raises(NotIndexed):
                await s.shown(store, (A, 2))
            await other.store.seal(A, generation=2)
            await s.assert_shows(store, A, 2, {"k": "new"})
            assert await s.answers(store, A, 2) == await s.answers(other.store, A, 2)
            await s.fill(store, A, 3, {"m": "three"}, base=2)
            await s.assert_shows(other.store, A, 3, {"k": "new", "m": "three"})
            await other.store.drop(A, generation=1)
            with raises(NotIndexed):
                await s.shown(store, (A, 1))
            await s.fill(other.store, B, 1, {"k": "one"})
            await s.assert_shows(store, B, 1, {"k": "one"})
            await store.purge(A)
            assert await other.store.generations(A) == []
            assert await other.store.generations(B) == [GenerationState(1, True)]
