"""What a reader remembers of documents between questions never shows in an answer."""

from __future__ import annotations

from pathlib import Path

from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import Term, Where
from tests.adapters.tantivy.stores import index, lex_file, publish
from tests.contexts import run


def test_each_scope_and_unit_shows_its_own_documents(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file("a.py", "needle one"), lex_file("b.py", "needle two")])
            await publish(store, [lex_file("a.py", "needle three")], generation=2)
            await publish(store, [lex_file("a.py", "needle four")], repo="s")

            async def places(*scope: ScopeEntry) -> list[tuple[str, str, int]]:
                found = []
                for unit in ("file", "chunk"):
                    hits = await store.rank([Term("needle")], scope=scope, unit=unit, k=9)
                    found.append(sorted((h.repo_id, h.path, h.start_line) for h in hits))
                assert [place[:2] for place in found[0]] == [place[:2] for place in found[1]]
                return found[1]

            old, new, other = ScopeEntry("r", 1), ScopeEntry("r", 2), ScopeEntry("s", 1)
            for _ in range(2):
                assert await places(old) == [("r", "a.py", 1), ("r", "b.py", 1)]
                assert await places(new) == [("r", "a.py", 1), ("r", "b.py", 1)]
                assert await places(new, other) == [("r", "a.py", 1), ("r", "b.py", 1), ("s", "a.py", 1)]
                assert await places(other) == [("s", "a.py", 1)]
            (hit,) = await store.rank([Term("three")], scope=(new,), unit="chunk", k=9)
            assert await store.rank([Term("three")], scope=(old,), unit="chunk", k=9) == []
            await store.drop("r", generation=1)
            assert await store.rank([Term("three")], scope=(new,), unit="chunk", k=9) == [hit]

    run(body())


def test_runs_of_equal_scores_come_by_place_with_and_without_a_filter(tmp_path: Path) -> None:
    files = [lex_file(f"{n % 7}/{n:02}.py", "needle" + " hay" * (n % 3)) for n in range(60)]

    async def body() -> None:
        async with index(tmp_path) as store:
            await publish(store, files)
            scope = (ScopeEntry("r", 1),)
            for where in (None, Where(excludes=("3/",))):
                for unit in ("file", "chunk"):
                    whole = await store.rank([Term("needle")], scope=scope, unit=unit, k=99, where=where)
                    assert len({hit.score for hit in whole}) < len(whole)
                    assert whole == sorted(whole, key=lambda hit: (-hit.score, hit.path))
                    for k in (1, 5, 20, 41):
                        cut = await store.rank([Term("needle")], scope=scope, unit=unit, k=k, where=where)
                        assert cut == whole[:k]

    run(body())
