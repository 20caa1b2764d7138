"""Compaction of the lexical index from the texts of the chunk store."""

from __future__ import annotations

from pathlib import Path

import pytest

from codequay.adapters.tantivy import LEXICAL
from codequay.indexing.compaction import compact, compaction_due
from codequay.kernel.compose import compose
from codequay.kernel.guard import Gate
from codequay.kernel.translate import Translator
from codequay.ports.errors import NotIndexed
from codequay.ports.lexical import PORT, RankHit, Term
from tests.contexts import run
from tests.indexing.world import World, world

STORES = {"chunks": "sqlite", "lexical": "tantivy", "metadata": "sqlite"}
WORDS = ("handler", "größe", "value 3", "empty", "round 5")


def edit(root: Path, turn: int) -> None:
    """Write all files at first, then a fifth of them anew; remove one, add one."""
    root.mkdir(exist_ok=True)
    for n in range(turn % 5, 30, 5) if turn else range(30):
        body = "".join(f"def handler_{n}_{i}():\n    return 'größe {turn} value {i}'\n\n\n" for i in range(40 + n))
        (root / f"m{n}.py").write_text(body)
        (root / f"copy{n}.py").write_text(body)
    (root / "empty.py").write_text("")
    (root / f"once{turn}.md").write_text(f"# round {turn}\n\nhandler of the round\n")
    (root / f"once{turn - 2}.md").unlink(missing_ok=True)


async def ranked(w: World) -> list[list[RankHit]]:
    scope = await w.scope()
    return [
        await w.lexical.rank([Term(word) for word in words.split()], scope=scope, unit=unit, k=1000)
        for words in WORDS
        for unit in ("file", "chunk")
    ]


def guarded(w: World) -> World:
    """The same world with the lexical index behind its guard, as an index run has it."""
    lexical = compose(PORT, w.lexical, LEXICAL.capabilities, Translator("lexical.tantivy"), Gate())
    ports = {port: getattr(w, port) for port in ("chunks", "metadata", "source", "lock")}
    return World(w.root, w.data, {**ports, "lexical": lexical}, w.names)


def test_after_compaction_the_answers_are_those_of_a_rebuild_scores_included(tmp_path: Path) -> None:
    root = tmp_path / "t"

    async def check() -> None:
        async with world(root, tmp_path / "data", **STORES) as w:
            for turn in range(5):
                edit(root, turn)
                await w.index()
            generation = (await w.scope())[0].generation
            for state in await w.lexical.generations("r"):
                if state.generation != generation:
                    await w.lexical.drop("r", generation=state.generation)
            assert not await compaction_due(w)
            ports = guarded(w)
            assert await compaction_due(ports)
            old = await ranked(w)
            files = (await w.lexical.stats(scope=await w.scope())).files
            assert await compact(ports) == files
            assert not await compaction_due(ports)
            new = await ranked(w)
            assert new != old
            async with world(root, tmp_path / "rebuilt", **STORES) as rebuilt:
                await rebuilt.index()
                assert new == await ranked(rebuilt)
            edit(root, 5)
            await w.index()
            scope = await w.scope()
            assert await w.lexical.rank([Term("round"), Term("5")], scope=scope, unit="file", k=1) != []

    run(check())


def test_a_generation_that_the_chunk_store_has_dropped_stops_a_compaction(tmp_path: Path) -> None:
    root = tmp_path / "t"

    async def check() -> None:
        async with world(root, tmp_path / "data", **STORES) as w:
            edit(root, 1)
            await w.index()
            old = await ranked(w)
            await w.chunks.drop("r", generation=1)
            with pytest.raises(NotIndexed, match=r"m\d+\.py|copy\d+\.py|once1\.md|empty\.py"):
                await compact(w)
            assert await ranked(w) == old

    run(check())
