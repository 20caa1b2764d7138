"""Zoekt's server is killed under searches, its indexer while it makes a shard: no half answer, and no half index."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from codequay.ports.errors import Category, NotIndexed, PortError
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, LexicalIndex, Term

from .storm import WRITERS, Server, opened, running, storm

INDEXER = "zoekt-archive-index"
FILES = 40
KILLS = 3
LOOK_S = 0.005
NOTICED_S = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Where it is the double, its indexer is on PATH, too."""
    with running("zoekt", durable=False) as one, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", one.settings().get("PATH", os.environ["PATH"]))
        yield one


def _file(repo: str, n: int) -> LexFile:
    text = f"def word{n}():\n    return everywhere\n"
    return LexFile(f"f{n:02}.py", f"{repo} {n}", "python", 0o100644, text, (), ())


async def _staged(lexical: LexicalIndex, repo: str) -> None:
    await lexical.begin(repo, generation=1, base=None)
    await lexical.stage(repo, generation=1, files=[_file(repo, n) for n in range(FILES)])


async def _everywhere(lexical: LexicalIndex, repo: str) -> set[str]:
    hits = await lexical.rank([Term("everywhere")], scope=[ScopeEntry(repo, 1)], unit="file", k=2 * FILES)
    return {hit.path for hit in hits}


def test_a_search_gives_all_or_an_error_that_passes(server: Server, tmp_path: Path) -> None:
    paths = {_file("", n).path for n in range(FILES)}

    async def story() -> None:
        async with opened(tmp_path, server.settings(), lexical="zoekt") as ports:
            for reader in range(WRITERS):
                await _staged(ports.lexical, f"repo{reader}")
                await ports.lexical.seal(f"repo{reader}", generation=1)

            async def search(reader: int, _: int) -> None:
                assert await _everywhere(ports.lexical, f"repo{reader}") == paths

            await storm(search, server.kill)

    asyncio.run(story())


async def _kill_indexer() -> None:
    """Kill the first indexer that this process starts."""
    while True:
        for child in psutil.Process().children():
            try:
                if any(INDEXER in word for word in child.cmdline()):
                    child.kill()
                    return
            except psutil.Error:
                continue
        await asyncio.sleep(LOOK_S)


def test_a_generation_whose_indexer_was_killed_is_sealed_by_the_next_try(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, server.settings(), lexical="zoekt") as ports:
            for kill in range(KILLS):
                repo = f"killed{kill}"
                await _staged(ports.lexical, repo)
                killing = asyncio.create_task(_kill_indexer())
                with pytest.raises(PortError) as raised:
                    await ports.lexical.seal(repo, generation=1)
                async with asyncio.timeout(NOTICED_S):
                    await killing
                assert raised.value.category is not Category.PERMANENT, raised.value
                with pytest.raises(NotIndexed):
                    await _everywhere(ports.lexical, repo)
                await ports.lexical.seal(repo, generation=1)
                assert len(await _everywhere(ports.lexical, repo)) == FILES

    asyncio.run(story())
