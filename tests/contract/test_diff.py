"""Two adapters driven by one history: what can be told apart, and what a declared capability explains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codequay.contract.crash import environment
from codequay.contract.diff import compare, compare_subjects, normal
from codequay.contract.harness import Origin
from codequay.kernel.registry import default_registry
from codequay.ports.errors import ConfigError, Conflict
from codequay.ports.lock import Lease

from .hostile import announced, implementation

pytestmark = pytest.mark.kit


def lease(token: str, fence: int | None) -> Lease:
    return Lease(key="k", token=token, fence=fence, ttl=5.0)


@pytest.mark.parametrize(
    "embedded", ["cache.sqlite", "chunks.sqlite", "lexical.tantivy", "lock.sqlite", "metadata.sqlite"]
)
def test_our_own_cannot_be_told_from_memory(embedded: str) -> None:
    found = compare(f"{embedded.partition('.')[0]}.memory", embedded, examples=20)
    assert found.differences == ()
    assert found.histories >= 20
    assert sum(found.operations.values()) > 100


def test_a_difference_is_printed_as_a_short_script_that_shows_it(tmp_path: Path) -> None:
    lowers = implementation("    async def get(self, key):\n        return await super().get(key.lower())")
    with announced(tmp_path, lowers) as component:
        found = compare("cache.memory", component, seed_=3)
        first = found.differences[0]
        script = tmp_path / "difference.py"
        script.write_text(first.history, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, env=environment(), check=False
        )
    assert found.seed == 3
    assert first.step == "get"
    assert len(first.history.splitlines()) < 14, first.history
    assert done.returncode == 1
    assert f"{component} gives" in done.stderr


SILENT = """
    async def invalidations(self):
        async for key in super().invalidations():
            if await self.get(key) is not None:
                yield key
"""


def test_what_no_generated_history_meets_is_found_by_the_trials(tmp_path: Path) -> None:
    with announced(tmp_path, implementation(SILENT)) as component:
        found = compare("cache.memory", component, examples=5)
    assert [one.step.partition(" ")[0] for one in found.differences] == ["CA-08"]
    assert found.differences[0].answers[0] == "as the port says"


def test_a_declared_capability_explains_a_difference() -> None:
    assert compare("lock.memory", "lock.noop", examples=20).differences == ()


def test_a_saboteur_is_told_by_one_difference() -> None:
    registry = default_registry()
    wrong = Origin("cache.memory", "FoldsCase").subject(registry)
    right = Origin("cache.memory").subject(registry)
    found = compare_subjects(right, wrong, first=True)
    assert len(found.differences) == 1


def test_adapters_of_two_ports_are_refused() -> None:
    with pytest.raises(ConfigError, match="serve different ports"):
        compare("cache.memory", "lock.memory")


def test_what_two_right_adapters_may_fill_differently_is_not_compared() -> None:
    assert normal(lease("a", 1)) == normal(lease("b", 7))
    assert normal(lease("a", 1)) != normal(lease("a", None))
    assert normal([Conflict("one")]) == normal([Conflict("another")])
    assert normal(0.1 + 0.2) == normal(0.3)


def test_json_of_a_comparison() -> None:
    found = compare("cache.memory", "cache.memory", examples=3)
    data = found.to_json()
    assert (data["from"], data["to"], data["seed"], data["differences"]) == ("cache.memory", "cache.memory", 0, [])
    assert data["histories"] == found.histories
