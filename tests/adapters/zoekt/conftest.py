"""A server for the tests of this folder, which end it and look into its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .stores import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "shards")
    one.start()
    try:
        yield one
    finally:
        one.stop()
