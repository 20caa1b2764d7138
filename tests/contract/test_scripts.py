"""Printed scripts: each fails on the adapter that it was printed for, and holds on the right one of the port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from codequay.contract import replay, suite
from codequay.contract.expect import Failed
from codequay.contract.harness import Origin, Subject, subject
from codequay.contract.history import LONGEST_SCRIPT, SEQUENTIAL, History
from codequay.contract.playing import play
from codequay.contract.runner import run_trial
from codequay.contract.saboteurs import saboteurs
from codequay.contract.script import Namer, written
from codequay.contract.verdict import Outcome, Verdict
from codequay.kernel.registry import default_registry
from codequay.ports.cache import PORT as CACHE
from codequay.ports.errors import Conflict, PortError

pytestmark = pytest.mark.kit

EVERY = 9
"""One saboteur in so many is tried,"""
FAILURES = 4
"""with so many of its failures."""
PATIENCE_S = 2.0


def broken(port: str) -> Iterator[tuple[Subject, Outcome, bool]]:
    """Failures of a sample of saboteurs: adapter, what was found, whether by a state machine."""
    machines = [one for one in sequential(port) if not one.example]
    for name, wrong in islice(saboteurs(port).items(), 0, None, EVERY):
        if wrong.over != "memory" or wrong.level not in SEQUENTIAL:
            continue
        target = Origin(f"{port}.memory", name).subject(default_registry())
        examples = (one for one in sequential(port) if one.example)
        found = (one for trial in examples if (one := run_trial(target, trial, timeout=PATIENCE_S)))
        failed = (one for one in found if one.verdict is Verdict.FAIL)
        yield from ((target, one, False) for one in islice(failed, FAILURES))
        for trial in machines[:1]:
            one = run_trial(target, trial, timeout=PATIENCE_S)
            if one.verdict is Verdict.FAIL:
                machines.clear()
                yield target, one, True


def sequential(port: str) -> list[Any]:
    return [one for one in suite(port).trials if one.clause.level in SEQUENTIAL]


def ending(script: str, target: Subject, *, model: bool) -> BaseException | None:
    """What the program raises when its last line names this adapter."""
    names: dict[str, Any] = {}
    exec(script.rpartition("\n")[0], names)
    try:
        asyncio.run(play(target, names["history"], model=model))
    except (AssertionError, PortError, TypeError, KeyError, AttributeError) as exc:
        return exc
    return None


@pytest.mark.parametrize("port", ["cache", "chunks", "lexical", "lock", "metadata", "source"])
def test_every_script_fails_on_the_broken_adapter_and_holds_on_the_right_one(port: str) -> None:
    right = subject(f"{port}.memory", default_registry())
    calls = whole = 0
    for wrong, found, machine in broken(port):
        script = found.history
        whole += 1
        if f'replay("{port}.memory", history' not in script:
            assert script.endswith(f'repeat("{port}.memory", "{found.clause}", seed=0)'), script
            continue
        calls += 1
        assert len(script) <= LONGEST_SCRIPT
        assert ending(script, wrong, model=machine) is not None, script
        assert ending(script, right, model=machine) is None, script
    assert calls >= whole / 3, f"{calls} of {whole} scripts are calls"


def test_an_earlier_step_that_rightly_raised_must_raise_again() -> None:
    noted = History(CACHE)
    step = noted.call(object(), "get", ("k",), {})
    noted.failure(step, Conflict("no"))
    noted.result(noted.call(object(), "get", ("k",), {}), None)
    script = noted.replayed("cache.memory", "CA-01:x", CACHE.clauses[0].level, machine=True)
    assert "    with raises(Conflict):\n        await store.get('k')\n    await store.get('k')\n" in script
    assert "from codequay.ports.errors import Conflict" in script


def test_what_comes_again_and_again_is_told_once() -> None:
    noted = History(CACHE)
    for _ in range(40):
        noted.call(object(), "set", ("k", b"1"), {})
    noted.call(object(), "get", ("k",), {})
    script = noted.replayed("cache.memory", "CA-01:x", CACHE.clauses[0].level, machine=True)
    assert "    for _ in range(40):\n        await store.set('k', b'1')\n    await store.get('k')" in script
    told = noted.by_name("cache.memory", "CA-01:x", 0)
    assert "#   await store.set('k', b'1')\n#   ... 40 times\n#   await store.get('k')" in told


def test_a_long_script_repeats_the_trial_by_its_name() -> None:
    noted = History(CACHE)
    for i in range(30):
        noted.call(object(), "set", (f"{i}", bytes(range(256)) * 3), {})
    assert noted.replayed("cache.memory", "CA-01:x", CACHE.clauses[0].level, machine=True) == ""
    assert len(noted.by_name("cache.memory", "CA-01:x", 0)) < LONGEST_SCRIPT


def test_long_texts_within_a_value_are_written_as_repetitions() -> None:
    assert written(["k" * 1025, b"ab" * 40], Namer(CACHE)) == "['k' * 1025, b'ab' * 40]"


def test_a_difference_of_two_adapters_is_told_also_when_one_of_them_raises() -> None:
    async def history(case: Any) -> None:
        store = await case.open()
        await store.set("k", b"1")
        await store.get("")

    replay("cache.memory", history, beside="cache.sqlite")

    async def differing(case: Any) -> None:
        store = await case.open()
        await store.acquire("k", ttl=5)
        await store.acquire("k", ttl=5)

    with pytest.raises(Failed, match="at acquire"):
        replay("lock.memory", differing, beside="lock.noop")
