"""A reader that may not write into the data folder, while others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contexts import run
from tests.permissions import bound_reader, open_folder

from .stores import REPO, Server, opened, text

_FOLLOW = f"""
import os, sys
from pathlib import Path
from codequay.adapters.zoekt.config import ZoektConfig
from codequay.ports.generations import ScopeEntry
from tests.adapters.zoekt.stores import opened, paths
from tests.contexts import run

async def main():
    config = ZoektConfig(url=os.environ["ZOEKT"], index_dir=os.environ["SHARDS"])
    async with opened(config, Path(sys.argv[1]), readonly=True) as store:
        for generation in (1, 2):
            print(generation, await paths(store, "alpha", [ScopeEntry({REPO!r}, generation)]), flush=True)
            sys.stdin.readline()

run(main())
"""


def _allow(folder: Path, *, writing: bool) -> None:
    for each in (folder, folder / "zoekt"):
        each.chmod(0o755 if writing else 0o555)


def test_an_open_reader_of_a_read_only_folder_sees_later_generations(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(generation: int) -> None:
        async with opened(server.config(), folder) as store:
            await store.begin(REPO, generation=generation, base=generation - 1 or None)
            file = text(f"{generation}.py", "alpha\n" * generation)
            await store.stage(REPO, generation=generation, files=[file])
            await store.seal(REPO, generation=generation)

    monkeypatch.setenv("ZOEKT", server.url)
    monkeypatch.setenv("SHARDS", str(server.folder))
    with open_folder() as folder:
        run(write(1))
        _allow(folder, writing=False)
        child = bound_reader(_FOLLOW, folder)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with child, child.stdin:
                assert child.stdout.readline() == "1 ['1.py']\n"
                _allow(folder, writing=True)
                run(write(2))
                _allow(folder, writing=False)
                child.stdin.write("\n")
                child.stdin.flush()
                assert child.stdout.readline() == "2 ['2.py', '1.py']\n"
                child.stdin.write("\n")
        finally:
            _allow(folder, writing=True)
        assert child.returncode == 0
