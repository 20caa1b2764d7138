"""A reader that may not write, while others do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.tantivy.stores import index, lex_file, publish
from tests.contexts import run
from tests.permissions import bound_reader, open_folder

_FOLLOW = """
import asyncio, sys
from pathlib import Path
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import Term
from tests.adapters.tantivy.stores import index

async def main():
    async with index(Path(sys.argv[1]), readonly=True) as store:
        for generation in (1, 2, 3):
            hits = await store.rank([Term("alpha")], scope=[ScopeEntry("r", generation)], unit="file", k=9)
            print(generation, sorted(hit.path for hit in hits), flush=True)
            sys.stdin.readline()

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path
        _allow(path, writing=True)


def _allow(folder: Path, *, writing: bool) -> None:
    for each in (folder, folder / "lexical"):
        each.chmod(0o755 if writing else 0o555)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_an_open_reader_of_a_read_only_folder_sees_later_generations(folder: Path) -> None:
    async def write(generation: int) -> None:
        async with index(folder) as store:
            await publish(store, [lex_file(f"{generation}.py", f"alpha {generation}\n")], generation=generation)

    run(write(1))
    _allow(folder, writing=False)
    child = bound_reader(_FOLLOW, folder)
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdin:
        for generation, paths in ((1, ["1.py"]), (2, ["1.py", "2.py"]), (3, ["1.py", "2.py", "3.py"])):
            assert child.stdout.readline() == f"{generation} {paths}\n"
            _allow(folder, writing=True)
            if generation < 3:
                run(write(generation + 1))
            _allow(folder, writing=False)
            child.stdin.write("\n")
            child.stdin.flush()
    assert child.returncode == 0
