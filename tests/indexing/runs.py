"""What tests of later runs have in common: stores of both kinds, and what a rebuild gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.indexing.world import Options, World, world

REAL = {"chunks": "sqlite", "metadata": "sqlite", "lexical": "tantivy"}
MEMORY: dict[str, str] = {}
STORES = [MEMORY, REAL]
both = pytest.mark.parametrize("stores", STORES, ids=["memory", "real"])


async def rebuilt(
    root: Path, data: Path, stores: Mapping[str, str] = MEMORY, options: Options | None = None
) -> dict[str, Any]:
    """What a first run over the tree gives."""
    async with world(root, data, **stores) as w:
        await w.index(options)
        return await w.content()


async def generations(w: World) -> list[list[int]]:
    return [[one.generation for one in await store.generations("r")] for store in (w.chunks, w.lexical)]
