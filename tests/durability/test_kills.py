"""More than 60 SIGKILLs at named points: nothing published is lost, and the next run equals a rebuild."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .commands import all_passed

pytestmark = [pytest.mark.durability, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

POINTS = (
    "index.walk", "index.sealed", "index.flip", "index.published", "index.cleanup", "tantivy.commit", "sqlite.commit",
)  # fmt: skip
ROUNDS = 6
KILLS = 9
"""Kills of six rounds, every second of which has two; that of the very first run comes on top."""


def test_killed_runs_lose_nothing_that_was_published(tmp_path: Path) -> None:
    jobs = {
        point: ["tests.durability.kills", point, str(ROUNDS), str(seed), str(tmp_path / f"{point} {seed}")]
        for seed, point in enumerate(POINTS)
    }
    for said in all_passed(tmp_path / "logs", jobs, timeout=500).values():
        assert said.count("\nkilled ") == KILLS, said


def test_killed_collections_of_garbage_change_no_answer(tmp_path: Path) -> None:
    jobs = {
        point: ["tests.durability.kills", f"gc {point}", "4", str(seed), str(tmp_path / f"{point} {seed}")]
        for seed, point in enumerate(("index.cleanup", "tantivy.commit", "sqlite.commit"))
    }
    for said in all_passed(tmp_path / "logs", jobs, timeout=400).values():
        assert said.count("killed ") >= 4, said
