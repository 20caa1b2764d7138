"""``contract_tests``: one pytest item per clause, with no plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codequay.contract import Harness, contract_tests, suite
from codequay.contract.crash import environment
from codequay.ports.spec import Level

from .hostile import COMPONENT, announced, implementation

pytestmark = pytest.mark.kit

TEST = """
from codequay.contract import contract_tests

TestContract = contract_tests("{component}"{more})
"""


def items(folder: Path, component: str = COMPONENT, more: str = "", *options: str) -> dict[str, str]:
    """Test name -> outcome, by a pytest of its own without plugins."""
    (folder / "test_contract.py").write_text(TEST.format(component=component, more=more))
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio"]
    done = subprocess.run(
        [*command, "--rootdir", str(folder), *options, "test_contract.py"],
        capture_output=True, text=True, cwd=folder, env=environment(), check=False,
    )  # fmt: skip
    assert "INTERNALERROR" not in done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines():
        name, _, rest = line.partition("::test_")[2].partition(" ")
        if name and rest.split()[:1]:
            found.setdefault(name.replace("_", "-"), rest.split()[0])
    return found


def test_one_item_per_clause(tmp_path: Path) -> None:
    with announced(tmp_path):
        found = items(tmp_path)
    assert sorted(found) == sorted(clause.id for clause in suite("cache").port.clauses)
    assert set(found.values()) == {"PASSED", "SKIPPED"}
    assert found["CA-10"] == found["CA-13"] == "SKIPPED"


def test_an_item_is_chosen_by_its_clause(tmp_path: Path) -> None:
    with announced(tmp_path, implementation("    async def ttl(self, key):\n        os._exit(9)")):
        assert items(tmp_path, COMPONENT, "", "-k", "CA_02 or CA_06") == {"CA-02": "PASSED", "CA-06": "FAILED"}


def test_levels_are_chosen(tmp_path: Path) -> None:
    with announced(tmp_path):
        more = ', levels=[__import__("codequay.ports.spec").ports.spec.Level.CANCELLATION]'
        assert items(tmp_path, COMPONENT, more) == {"CA-12": "PASSED"}


def test_an_adapter_that_cannot_be_imported_fails_each_item(tmp_path: Path) -> None:
    with announced(tmp_path, spec="import sys\nsys.exit(1)"):
        assert set(items(tmp_path, COMPONENT, "", "-k", "CA_01").values()) == {"FAILED"}


class Mine(Harness):
    """A harness that nobody announces."""


def outcome(cls: type, name: str) -> BaseException | None:
    """What a test method raises."""
    try:
        getattr(cls(), name)()
    except BaseException as exc:
        return exc
    finally:
        cls.teardown_class()
    return None


def test_a_harness_may_be_given() -> None:
    assert outcome(contract_tests("cache.memory", harness=Mine), "test_CA_02") is None


def test_a_harness_made_in_a_function_runs_here() -> None:
    seen = []

    class Here(Harness):
        async def open(self) -> object:
            seen.append(self.namespace)
            return await self._from_spec(readonly=False)

    assert outcome(contract_tests("cache.memory", harness=Here), "test_CA_02") is None
    assert seen


def test_what_could_not_be_tried_is_no_success() -> None:
    class Once(Harness):
        async def open(self) -> object:
            return await self._from_spec(readonly=False)

    found = outcome(contract_tests("cache.sqlite", harness=Once, levels=[Level.CAPABILITY]), "test_CA_10")
    assert isinstance(found, pytest.fail.Exception)
    assert "CA-10:acknowledged_values_survive_a_reopen unverified" in str(found)
    assert "has no reopen()" in str(found)
