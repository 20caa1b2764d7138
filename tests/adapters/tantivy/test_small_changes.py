"""Many small changes: their segments are put together, and nobody waits for Tantivy to merge the large ones."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from codequay.adapters.tantivy import documents, placing
from codequay.adapters.tantivy.lexical import TantivyLexical
from codequay.adapters.tantivy.segments import read_meta, segments
from codequay.ports.failpoint import VARIABLE
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, Term, Unit
from tests.contexts import run

from .stores import index, lex_file, publish

FILES = 120
WORDS = [f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)]
UNITS: tuple[Unit, ...] = ("file", "chunk")


def changed(generation: int) -> list[LexFile]:
    """All files at first, later three of them."""
    chance = random.Random(generation)
    numbers = range(FILES) if generation == 1 else chance.sample(range(FILES), 3)
    return [lex_file(f"f{n}.py", " ".join(chance.choices(WORDS, k=60))) for n in numbers]


def held(data: Path) -> dict[str, int]:
    """Segments and their documents, of both indexes."""
    roots = [data / "lexical" / folder for folder in ("chunks", "files")]
    return {one.id: one.documents for root in roots for one in segments(root, read_meta(root))}


def kept(data: Path) -> int:
    with closing(sqlite3.connect(data / "lexical/placements.db")) as db:
        found: int = db.execute("select count(*) from recent").fetchone()[0]
        return found


async def found(store: TantivyLexical, generation: int) -> list[object]:
    """The places of all hits of some words."""
    scope = (ScopeEntry("r", generation),)
    answers: list[object] = [(await store.scan(scope=scope)).files]
    for word in WORDS[:20]:
        for unit in UNITS:
            hits = await store.rank([Term(word)], scope=scope, unit=unit, k=500)
            answers.append(sorted((hit.path, hit.chunk_id) for hit in hits))
    return answers


async def rebuilt(data: Path, last: int) -> list[object]:
    """The same of an index that was made at once."""
    newest = {file.path: file for generation in range(1, last + 1) for file in changed(generation)}
    async with index(data) as store:
        await store.begin("r", generation=last, base=None)
        await store.stage("r", generation=last, files=list(newest.values()))
        await store.seal("r", generation=last)
        return await found(store, last)


def change(data: Path, first: int, last: int, after: Callable[[int], None] = lambda generation: None) -> None:
    """Each generation in a session of its own, as commands do; old ones are dropped."""

    async def one(generation: int) -> None:
        async with index(data) as store:
            await publish(store, changed(generation), generation=generation)
            if generation > 3:
                await store.drop("r", generation=generation - 3)

    for generation in range(first, last + 1):
        run(one(generation))
        after(generation)


def answers(data: Path, generation: int) -> list[object]:
    async def body() -> list[object]:
        async with index(data, readonly=True) as store:
            return await found(store, generation)

    return run(body())


def test_small_changes_do_not_have_large_segments_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FEW_FILES", FILES - 1)
    large: set[str] = set()
    most = 0

    def look(generation: int) -> None:
        nonlocal most
        now = held(tmp_path / "data")
        if generation == 1:
            large.update(now)
        assert large <= now.keys(), generation
        most = max(most, len(now))

    change(tmp_path / "data", 1, 20, look)
    assert most <= 2 * documents.CROWDED
    assert answers(tmp_path / "data", 20) == run(rebuilt(tmp_path / "rebuilt", 20))


def test_what_is_too_much_to_put_together_is_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "RECENT_FILES", 10)
    change(tmp_path / "data", 1, 1)
    first = max(held(tmp_path / "data").values())
    change(tmp_path / "data", 2, 14)
    assert kept(tmp_path / "data") <= 10 + 3 * documents.CROWDED
    assert max(held(tmp_path / "data").values()) > first
    assert answers(tmp_path / "data", 14) == run(rebuilt(tmp_path / "rebuilt", 14))


def test_a_large_change_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(tmp_path / "data", 1, 2)
    assert kept(tmp_path / "data") == FILES + 3
    monkeypatch.setattr(documents, "FEW_FILES", 2)
    change(tmp_path / "data", 3, 4)
    assert kept(tmp_path / "data") == FILES + 3


CRASH = """
import sys
from pathlib import Path
from tests.adapters.tantivy.test_small_changes import change

change(Path(sys.argv[1]), 2, 12)
"""


@pytest.mark.durability
@pytest.mark.parametrize("nth", [13, 14, 15, 16, 17, 18])
def test_a_process_killed_while_segments_are_put_together_loses_nothing(tmp_path: Path, nth: int) -> None:
    data = tmp_path / "data"
    change(data, 1, 1)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: f"tantivy.commit:{nth}"}
    done = subprocess.run([sys.executable, "-c", CRASH, str(data)], env=env, check=False)
    assert done.returncode == -signal.SIGKILL

    async def sealed() -> int:
        async with index(data, readonly=True) as store:
            return [state.generation for state in await store.generations("r") if state.sealed][-1]

    last = run(sealed())
    assert answers(data, last) == run(rebuilt(tmp_path / "rebuilt", last))
    change(data, last + 1, last + 9)
    assert answers(data, last + 9) == run(rebuilt(tmp_path / "again", last + 9))
