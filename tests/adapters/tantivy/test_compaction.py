"""Compaction killed or cancelled anywhere, and readers beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from codequay.adapters.tantivy.lexical import TantivyLexical
from codequay.ports.failpoint import VARIABLE
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, LexRef, RankHit, Term, Unit
from tests.contexts import run

from .stores import index, lex_file, publish

LAST = 6
SCOPE = (ScopeEntry("r", LAST), ScopeEntry("q", 1))
UNITS: tuple[Unit, ...] = ("file", "chunk")


def text(path: str, generation: int) -> str:
    return f"alpha {path} common\n" * (generation + len(path)) + f"round{generation}\n"


async def age(store: TantivyLexical) -> None:
    """Generations that each change a fifth of the files; the last two remain."""
    await publish(store, [lex_file(f"q{n}.py", text(f"q{n}.py", 1)) for n in range(3)], "q")
    for generation in range(1, LAST + 1):
        names = [f"a{n}.py" for n in range(60) if generation == 1 or n % 5 == generation % 5]
        await publish(store, [lex_file(name, text(name, generation)) for name in names], generation=generation)
        if generation > 2:
            await store.drop("r", generation=generation - 2)


async def read(refs: Sequence[LexRef]) -> list[LexFile | None]:
    found: list[LexFile | None] = []
    for ref in refs:
        made = [lex_file(ref.path, text(ref.path, generation)) for generation in range(1, LAST + 1)]
        found.append(next(file for file in made if file.blob_id == ref.blob_id))
    return found


async def answers(store: TantivyLexical) -> list[list[RankHit]]:
    """All hits of some words, without scores."""
    return [
        sorted(h._replace(score=0.0) for h in await store.rank([Term(word)], scope=SCOPE, unit=unit, k=500))
        for word in ("alpha", "a7", "round6", "round5", "q1")
        for unit in UNITS
    ]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.adapters.tantivy.stores import index
from tests.adapters.tantivy.test_compaction import read
from tests.contexts import run

async def reading(refs):
    if sys.argv[2] == "reading":
        os.kill(os.getpid(), signal.SIGKILL)
    return await read(refs)

async def body():
    async with index(Path(sys.argv[1])) as store:
        await store.compact(reading)
        if sys.argv[2] == "done":
            os.kill(os.getpid(), signal.SIGKILL)

run(body())
"""


@pytest.mark.durability
@pytest.mark.parametrize("point", ["reading", "tantivy.commit:1", "tantivy.commit:2", "done"])
def test_a_compaction_killed_anywhere_leaves_every_answer_as_it_was(tmp_path: Path, point: str) -> None:
    async def prepare() -> list[list[RankHit]]:
        async with index(tmp_path) as store:
            await age(store)
            return await answers(store)

    async def verify(expected: list[list[RankHit]]) -> None:
        async with index(tmp_path) as store:
            assert await answers(store) == expected
            dead = (await store.stats(scope=())).dead
            assert dead == 0 if point == "done" else dead > 0
            await publish(store, [lex_file("new.py", "fresh")], generation=LAST + 1)
            assert await answers(store) == expected
            await store.drop("r", generation=LAST + 1)
            assert await store.compact(read) > 0
            assert await answers(store) == expected
            assert (await store.stats(scope=())).dead == 0

    expected = run(prepare())
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: point}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), point], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    run(verify(expected))


def test_a_compaction_cancelled_while_it_reads_changes_nothing_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store, index(tmp_path) as other:
            await age(store)
            expected = await answers(store)
            reached = asyncio.Event()

            async def stuck(refs: Sequence[LexRef]) -> list[LexFile | None]:
                reached.set()
                await asyncio.Event().wait()
                raise AssertionError

            task = asyncio.create_task(store.compact(stuck))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await answers(store) == expected
            await publish(other, [lex_file("b.py", "beta")], "z")
            assert await answers(other) == expected

    run(body())


def test_readers_answer_during_a_compaction_and_follow_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            await age(store)
            expected = await answers(store)
            async with index(tmp_path, readonly=True) as reader:
                assert await answers(reader) == expected

                async def reading(refs: Sequence[LexRef]) -> list[LexFile | None]:
                    assert await answers(reader) == expected
                    return await read(refs)

                await store.compact(reading)
                assert await answers(reader) == expected
                assert (await reader.stats(scope=SCOPE)).dead == 0
                scored = [await reader.rank([Term("alpha")], scope=SCOPE, unit=unit, k=500) for unit in UNITS]
                assert scored == [await store.rank([Term("alpha")], scope=SCOPE, unit=unit, k=500) for unit in UNITS]

    run(body())
