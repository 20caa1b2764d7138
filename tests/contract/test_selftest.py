"""The measure of the kit's strength, over a port whose reference and broken adapters take a moment."""

from __future__ import annotations

import pytest

from codequay.contract import selftest
from codequay.contract.equivalents import EQUIVALENT
from codequay.contract.saboteurs import saboteurs
from codequay.contract.selftest import Strength, broken, matrix, measure
from codequay.kernel.registry import default_registry
from codequay.ports import PORTS
from codequay.ports.spec import Level

pytestmark = pytest.mark.kit

FEW = ("FoldsCase", "GetManySorted", "SetsOneByOne")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three saboteurs and every thirtieth mutant of the cache."""
    some = {name: wrong for name, wrong in saboteurs("cache").items() if name in FEW}
    known = broken("cache", default_registry())[::30]
    monkeypatch.setattr(selftest, "saboteurs", lambda port: some)
    monkeypatch.setattr(selftest, "broken", lambda port, registry: known)


@pytest.mark.usefixtures("few")
def test_every_broken_adapter_is_found() -> None:
    found = measure("cache", workers=2)
    assert found.reference == []
    assert (found.killed_saboteurs, found.saboteurs) == (3, 3)
    assert found.mutants >= 3
    assert found.out_of_reach == ["SetsOneByOne"]
    assert found.missed_by_diff == found.too_broken == []
    assert sum(found.killers.values()) == found.killed_saboteurs + found.killed_mutants
    assert len(found.survivors) == found.mutants - found.equivalent - found.killed_mutants
    assert set(found.to_json()) >= {
        "clauses", "saboteurs", "killed_saboteurs", "mutants", "equivalent", "killed_mutants", "seconds",
    }  # fmt: skip


@pytest.mark.usefixtures("few")
def test_the_matrix_says_what_each_clause_catches_alone() -> None:
    rows = {row.clause: row for row in matrix("cache", workers=2)}
    assert list(rows) == sorted(rows)
    assert rows["CA-02"].caught >= 1
    assert rows["CA-10"].caught == 0
    assert all(len(row.alone) <= row.caught for row in rows.values())
    alone = [name for row in rows.values() for name in row.alone]
    assert alone
    assert len(set(alone)) == len(alone)


@pytest.mark.usefixtures("few")
def test_a_reference_that_fails_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest._Order, "learn", lambda self, origin: ["CA-01:x: FAIL: wrong"])
    found = measure("cache")
    assert not found.strong
    assert (found.saboteurs, found.mutants) == (0, 0)
    assert found.to_json()["reference"] == ["CA-01:x: FAIL: wrong"]


@pytest.mark.parametrize(
    ("numbers", "strong"),
    [
        ({"saboteurs": 12, "killed_saboteurs": 12, "mutants": 100, "killed_mutants": 95}, True),
        ({"saboteurs": 12, "killed_saboteurs": 11, "mutants": 100, "killed_mutants": 100}, False),
        ({"saboteurs": 12, "killed_saboteurs": 12, "mutants": 100, "killed_mutants": 94}, False),
        ({"mutants": 100, "equivalent": 8, "killed_mutants": 88}, True),
        ({"mutants": 100, "equivalent": 9, "killed_mutants": 91}, False),
        ({"too_broken": ["X"]}, False),
        ({"missed_by_diff": ["X"]}, False),
        ({"reference": ["CA-01"]}, False),
    ],
)
def test_what_is_strong(numbers: dict[str, object], strong: bool) -> None:
    assert Strength("cache", 10, **numbers).strong is strong


@pytest.mark.parametrize("port", PORTS)
def test_there_are_enough_saboteurs_and_each_says_what_is_wrong(port: str) -> None:
    found = saboteurs(port)
    assert len(found) >= 12
    assert len({one.wrong for one in found.values()}) == len(found)
    assert {one.level for one in found.values()} >= {Level.CORE}


@pytest.mark.parametrize("port", PORTS)
def test_equivalent_mutants_exist_and_have_a_reason(port: str) -> None:
    known = {name for name, _ in broken(port, default_registry())}
    said = EQUIVALENT.get(port, {})
    assert set(said) <= known
    assert all(len(reason) > 20 for reason in said.values())
    assert len(said) <= 0.08 * len(known)
