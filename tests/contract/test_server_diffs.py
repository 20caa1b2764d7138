"""What an adapter of a server answers is what the adapter in whose place it comes answers: nothing tells them apart."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.servers
SWAPS = [
    ("chunks.sqlite", "chunks.postgres"),
    ("metadata.sqlite", "metadata.postgres"),
    ("lock.sqlite", "lock.postgres"),
    ("lock.sqlite", "lock.redis"),
    ("cache.sqlite", "cache.redis"),
    ("lexical.tantivy", "lexical.zoekt"),
]


def compare(one: str, other: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(f"{other.partition('.')[2]}_server")
    command = [sys.executable, "-m", "codequay", "contract", "diff", "--from", one, "--to", other]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("no difference\n")


class TestEmbedded:
    @pytest.mark.parametrize(("one", "other"), SWAPS)
    def test_nothing_tells_them_apart(self, one: str, other: str, request: pytest.FixtureRequest) -> None:
        compare(one, other, request)


class TestMemory:
    @pytest.mark.parametrize("other", sorted({other for _, other in SWAPS}))
    def test_nothing_tells_them_apart(self, other: str, request: pytest.FixtureRequest) -> None:
        compare(f"{other.partition('.')[0]}.memory", other, request)
