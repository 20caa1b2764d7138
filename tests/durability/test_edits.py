"""200 random edits: what an incremental run publishes equals a rebuild, each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from .commands import all_passed

SERIES = {11: 50, 12: 50, 13: 50, 14: 50}
"""Seed -> edits. Odd seeds keep the library open for several runs, even ones open it anew each time; 11 and 14 index by
searching."""


@pytest.mark.durability
def test_every_incremental_run_equals_a_rebuild(tmp_path: Path) -> None:
    jobs = {
        f"seed {seed}": ["tests.durability.edits", str(seed), str(edits), str(tmp_path / str(seed))]
        for seed, edits in SERIES.items()
    }
    said = all_passed(tmp_path / "logs", jobs, timeout=500)
    for seed, edits in SERIES.items():
        assert f"\n{edits - 1} " in said[f"seed {seed}"]
