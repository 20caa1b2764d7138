"""Mechanical mutants: every kind is made, each changes one thing, and the module is itself again afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from codequay.contract.mutants import installed, mutants
from codequay.contract.selftest import reference_modules
from codequay.kernel.registry import default_registry
from codequay.ports import PORTS
from tests.contexts import run

SOURCE = '''
async def ask(value):
    return value


async def act(items, limit):
    """Text that is no statement."""
    found = []
    try:
        for item in items:
            if not item:
                continue
            if item < limit and item != 7:
                found.append(item + 1)
        await ask(found)
    except ValueError:
        return [0, 0]
    finally:
        found.reverse()
    kept = [one for one in found if one > 2]
    return kept if kept else max(found, [limit])


def swap(a, b):
    return divmod(a, b)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    package = tmp_path / "mutated"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "code.py").write_text(SOURCE)
    (package / "user.py").write_text("from .code import swap\n\n\ndef half(n):\n    return swap(n, 2)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "mutated.code"
    for name in [name for name in sys.modules if name.startswith("mutated")]:
        del sys.modules[name]


def test_every_kind_of_mistake_is_made(module: str) -> None:
    kinds = {mutant.id.split(": ")[1] for mutant in mutants(module)}
    assert kinds == {
        "comparison",
        "constant",
        "dropped except",
        "dropped finally",
        "emptied return",
        "negation",
        "removed await",
        "removed condition",
        "removed statement",
        "swapped arguments",
    }


@pytest.mark.parametrize(
    "expected",
    [
        "code:act: comparison: item < limit -> item <= limit",
        "code:act: comparison: item < limit -> item >= limit",
        "code:act: comparison: item != 7 -> item == 7",
        "code:act: constant: 7 -> 8",
        "code:act: constant: item + 1 -> item - 1",
        "code:act: negation: item < limit and item != 7 -> item < limit or item != 7",
        "code:act: removed await: await ask(found) -> ask(found)",
        "code:act: removed statement: continue -> pass",
        "code:swap: swapped arguments: divmod(a, b) -> divmod(b, a)",
        "code:swap: emptied return: return divmod(a, b) -> return None",
    ],
)
def test_a_mutant_says_what_it_changes(module: str, expected: str) -> None:
    assert expected in [mutant.id for mutant in mutants(module)]


def test_what_means_nothing_is_not_changed(module: str) -> None:
    found = [mutant.id for mutant in mutants(module)]
    assert not any("max" in one and "swapped" in one for one in found)
    assert not any("Text that is no statement" in one for one in found)


def test_names_are_unique_and_stable(module: str) -> None:
    names = [mutant.id for mutant in mutants(module)]
    assert len(set(names)) == len(names)
    assert names == [mutant.id for mutant in mutants(module)]


def test_an_installed_mutant_is_seen_by_its_dependents_and_goes_away(module: str) -> None:
    user = import_module("mutated.user")
    swapped = next(one for one in mutants(module) if "swapped arguments: divmod" in one.id)
    with installed(*swapped[:2], ("mutated.user",)):
        assert import_module("mutated.user").half(10) == (0, 2)
        assert import_module("mutated").user.half(10) == (0, 2)
    assert import_module("mutated.user") is user
    assert import_module("mutated.user").half(10) == (5, 0)


def test_a_removed_await_gives_the_coroutine_itself(module: str) -> None:
    unawaited = next(one for one in mutants(module) if "removed await" in one.id)
    with installed(*unawaited[:2], ()), pytest.warns(RuntimeWarning, match="never awaited"):
        assert run(import_module(module).act([5, 6], 9)) == [7, 6]


@pytest.mark.parametrize("port", PORTS)
def test_every_mutant_of_the_references_can_be_installed(port: str) -> None:
    modules = reference_modules(f"{port}.memory", default_registry())
    assert all(name.startswith("codequay.adapters.memory") for name in modules)
    for name in modules:
        before = import_module(name)
        for mutant in mutants(name)[::10]:
            with installed(name, mutant.number, [other for other in modules if other != name]):
                assert sys.modules[name] is not before
        assert sys.modules[name] is before
