"""What a trial sees and leaves, and the script that repeats its failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codequay.contract import Harness, Outcome, Subject, Verdict, check, suite
from codequay.contract.budget import THOUSAND, counted, level, thousand, within
from codequay.contract.case import Case
from codequay.contract.clauses import Trial
from codequay.contract.crash import environment
from codequay.contract.expect import Failed, NotOffered, Unverified
from codequay.contract.harness import Origin, subject
from codequay.contract.history import History
from codequay.contract.model import machine
from codequay.contract.runner import run_trial
from codequay.contract.types import misfit
from codequay.kernel.registry import default_registry
from codequay.ports.cache import CacheCapabilities, KeyPage
from codequay.ports.spec import Clause, Level

from .hostile import announced, implementation

MEMORY = subject("cache.memory", default_registry())
SQLITE = subject("cache.sqlite", default_registry())


def tried(body: object, *, over: Subject = MEMORY, level: Level = Level.CORE, **more: object) -> Outcome:
    """The outcome of a trial made for a test."""
    return run_trial(over, Trial(Clause("CA-00", "made for a test", level), "made", body, "a hint"), **more)


def test_every_trial_has_a_place_and_a_namespace_of_its_own() -> None:
    seen: list[tuple[str, Path]] = []

    async def look(case: Case) -> None:
        async with case.another() as other:
            seen.extend((place.namespace, place.folder) for place in (case, other))

    assert all(tried(look).verdict is Verdict.PASS for _ in range(2))
    assert len({name for name, _ in seen}) == len({folder for _, folder in seen}) == 4
    assert all(name.isidentifier() and len(name) < 20 for name, _ in seen)
    assert not any(folder.exists() for _, folder in seen)


def test_verdicts() -> None:
    async def passes(store: object) -> None:
        assert store

    async def fails(store: object) -> None:
        raise Failed("5")

    async def unverified(case: Case) -> None:
        raise Unverified("no server")

    async def not_offered(case: Case) -> None:
        raise NotOffered("no sync face")

    found = [tried(one) for one in (passes, fails, unverified, not_offered)]
    assert [one.verdict for one in found] == [Verdict.PASS, Verdict.FAIL, Verdict.UNVERIFIED, Verdict.NA]
    assert [one.reason for one in found] == ["", "5", "no server", "no sync face"]
    assert found[1].hint == "a hint"


def test_what_is_not_declared_is_not_tried() -> None:
    trial = Trial(Clause("CA-00", "made for a test"), "made", lambda store: None, needs=lambda caps: caps.durable)
    assert run_trial(MEMORY, trial).verdict is Verdict.NA


def test_a_hang_names_the_call_that_is_not_answered() -> None:
    trial = next(one for one in suite("lock").trials if one.clause.id == "LK-08")
    found = run_trial(Origin("lock.memory", "NoLostSignal").subject(default_registry()), trial, timeout=0.5)
    assert found.reason == "it did not end within 0.5 s; pending: await store.wait_lost(r1)"


def test_a_trial_that_starts_processes_gets_more_time() -> None:
    trials = suite("lock").trials
    lasting = [one for one in trials if one.clause.level is Level.DURABILITY or one.children or one.restarts]
    assert {one.clause.id for one in lasting} >= {"LK-13", "LK-14", "LK-15"}
    assert {one.patience for one in lasting} == {3}
    assert {one.patience for one in trials if one not in lasting} == {1}


def test_a_trial_that_waits_is_cancelled_and_spoils_nothing() -> None:
    async def waits(case: Case) -> None:
        await case.clock.sleep(10)

    found = tried(waits, timeout=0.2)
    assert found.verdict is Verdict.FAIL
    assert not found.poisoned
    assert "did not end within 0.2 s; it hangs at" in found.reason
    assert "test_runner.py" in found.reason


def test_time_passes_only_when_it_is_told_to() -> None:
    async def hour(case: Case, store: object) -> None:
        before = case.clock.monotonic()
        await case.advance(3600)
        assert case.clock.monotonic() == before + 3600

    assert tried(hour).verdict is Verdict.PASS


def test_what_lies_outside_after_close_is_a_failure() -> None:
    class Leaves(Harness):
        async def leftovers(self) -> list[str]:
            return [f"the table {self.namespace}_x"]

    async def nothing(store: object) -> None:
        pass

    found = tried(nothing, over=Subject("cache", "memory", MEMORY.spec, Leaves))
    assert found.verdict is Verdict.FAIL
    assert "left behind after close: the table ct" in found.reason


def test_turns_are_counted() -> None:
    async def spend(case: Case, store: object) -> None:
        async with counted(case) as turns:
            await store.set("k", b"v")
        assert turns.spent == 1
        await within(case, "get", 1, lambda: store.get("k"))
        keys = [f"k{i}" for i in range(THOUSAND)]
        await thousand(case, "set_many", lambda at, count: store.set_many(dict.fromkeys(keys[at : at + count], b"")))

        async def one_by_one(n: int) -> None:
            for i in range(n):
                await store.set(f"k{i}", b"")

        await level(case, "set, one by one,", one_by_one)

    found = tried(spend, over=SQLITE)
    assert found.reason == "set, one by one, takes 10 turns at 10 and 100 at 100; it must not grow"


def test_turns_that_cannot_be_counted_are_unverified() -> None:
    class Remote(Harness):
        capabilities = CacheCapabilities(reach="network")

    async def spend(case: Case, store: object) -> None:
        async with counted(case):
            pass

    found = tried(spend, over=Subject("cache", "memory", MEMORY.spec, Remote))
    assert (found.verdict, found.reason) == (
        Verdict.UNVERIFIED,
        "Remote cannot count turns: give it an endpoint, or turns(), the round trips made so far",
    )


@pytest.mark.parametrize(
    ("value", "hint", "wrong"),
    [
        ([b"1", None], list[bytes | None], ""),
        ((b"1",), list[bytes | None], "the answer is tuple (b'1',)"),
        ([b"1", "2"], list[bytes | None], "the answer[1] is str '2'"),
        (KeyPage(("a",), None), KeyPage, ""),
        (KeyPage(["a"], None), KeyPage, "the answer.keys is list"),
        (KeyPage(("a", 5), None), KeyPage, "the answer.keys[1] is int 5"),
        (True, int, "the answer is bool True"),
        (1, float, ""),
        (1, bool, "the answer is int 1"),
        ({"a": 1}, dict[str, str], "the answer['a'] is int 1"),
        ("anything", type(None), ""),
    ],
)
def test_types_of_answers(value: object, hint: object, wrong: str) -> None:
    found = misfit(value, hint)
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


WRONG = {
    "CA-01": "    async def get(self, key):\n        return await super().get(key.lower())",
    "CA-02": "    async def get_many(self, keys):\n        return await super().get_many(sorted(keys))",
    "CA-03": "    async def set(self, key, value, *, ttl=None):\n"
    "        await super().set(key, value, ttl=None if ttl is None else ttl + 1)",
    "CA-11": "    async def add(self, key, value, *, ttl=None):\n"
    "        if await super().get(key) is not None:\n            return False\n"
    "        await asyncio.sleep(0)\n        await super().set(key, value, ttl=ttl)\n        return True",
}


ERRORS = ("AssertionError", "codequay.contract.expect.Failed")


@pytest.mark.kit
@pytest.mark.parametrize("clause", WRONG)
def test_a_printed_script_repeats_the_failure(clause: str, tmp_path: Path) -> None:
    with announced(tmp_path, implementation(WRONG[clause])) as component:
        failed = [one for one in check(component, clauses=[clause]).outcomes if one.verdict is Verdict.FAIL]
        assert failed
        for one in failed:
            script = tmp_path / "repeat.py"
            script.write_text(one.history, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, str(script)], capture_output=True, text=True, env=environment(), check=False
            )
            assert done.returncode == 1, one.history
            assert done.returncode == 1, one.history
            assert any(line.startswith(ERRORS) for line in done.stderr.splitlines()), done.stderr


@pytest.mark.kit
def test_a_history_of_a_state_machine_is_made_short(tmp_path: Path) -> None:
    with announced(tmp_path, implementation(WRONG["CA-01"])) as component:
        (found,) = check(component, clauses=["CA-01:state_machine"]).outcomes
    calls = [line for line in found.history.splitlines() if line.strip().startswith("await store.")]
    assert len(calls) <= 3, found.history


@pytest.mark.kit
def test_the_seed_decides_the_histories() -> None:
    trial = next(one for one in suite("cache").trials if not one.example)

    def calls(seed: int) -> list[str]:
        made: list[str] = []
        target = Subject("cache", "memory", MEMORY.spec, seed=seed)
        noted: list[History] = []
        machine(target, suite("cache").port, *(trial.machine or ()), noted.append, seconds=60, shrink=False)
        for one in noted[:3]:
            made += one.steps
        return made

    assert calls(0) == calls(0) != calls(1)


def test_a_subject_needs_capabilities() -> None:
    spec = Subject("cache", "memory", None)
    with pytest.raises(LookupError, match=r"cache\.memory declares no capabilities"):
        _ = spec.capabilities
