"""The level faults: what it says where there is no server, where a harness cannot, and over a server of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from codequay.contract import Failed, Harness, Subject, Unverified, Verdict, suite
from codequay.contract.alone import using
from codequay.contract.case import Case
from codequay.contract.clauses import Trial
from codequay.contract.far import Asked, Client, FarHarness, far
from codequay.contract.faults import Change, Ended, broken, tried, truthful
from codequay.contract.harness import subject
from codequay.contract.runner import run_trial
from codequay.contract.saboteurs import FAR, sabotaged, saboteurs
from codequay.kernel.registry import default_registry
from codequay.ports.cache import CacheCapabilities
from codequay.ports.errors import DeadlineExceeded, Internal, PortError, Unavailable
from codequay.ports.op import Effect
from codequay.ports.spec import Clause, Level

pytestmark = pytest.mark.kit

PORTS = ("chunks", "lexical", "metadata", "cache", "lock")
MEMORY = subject("cache.memory", default_registry())


def faults(port: str) -> list[Trial]:
    return suite(port).chosen(levels=[Level.FAULTS])


def perform(body: Any, over: Subject, *, restarts: bool = False) -> Any:
    trial = Trial(Clause("CA-00", "made for a test", Level.FAULTS), "made", body, restarts=restarts)
    return run_trial(over, trial)


@pytest.mark.parametrize("port", PORTS)
def test_every_port_with_a_server_has_the_clauses_and_those_that_restart_it_come_last(port: str) -> None:
    trials = faults(port)
    assert len({trial.clause.id for trial in trials}) >= 5
    restarts = [trial.restarts for trial in suite(port).chosen()]
    assert restarts == sorted(restarts)
    assert restarts[-1]


@pytest.mark.parametrize("port", PORTS)
def test_without_a_server_they_do_not_speak_of_the_adapter(port: str) -> None:
    target = subject(f"{port}.memory", default_registry())
    assert {run_trial(target, trial).verdict for trial in faults(port)} == {Verdict.NA}


def test_a_server_that_the_harness_does_not_name_is_unverified() -> None:
    class Remote(Harness):
        capabilities = CacheCapabilities(reach="network")

    target = Subject("cache", "memory", MEMORY.spec, Remote)
    found = {run_trial(target, trial).verdict for trial in faults("cache")}
    assert found == {Verdict.UNVERIFIED, Verdict.NA}  # not durable: nothing is promised of a restart


@pytest.mark.parametrize("port", PORTS)
def test_a_reference_behind_a_wire_passes(port: str) -> None:
    target = far(f"{port}.memory", default_registry())
    for trial in faults(port):
        found = run_trial(target, trial)
        assert found.verdict is Verdict.PASS, (trial.id, found.reason)


@pytest.mark.parametrize("port", PORTS)
def test_each_saboteur_of_the_level_stands_behind_a_wire(port: str) -> None:
    known = [name for name, wrong in saboteurs(port).items() if wrong.level is Level.FAULTS]
    assert len(known) >= 11
    for name in (FAR, *known):
        found = sabotaged(f"{port}.memory", name, default_registry())
        assert issubclass(found.harness, FarHarness)
        assert found.saboteur == name


@pytest.mark.parametrize(("name", "clause"), [("NeverAmbiguous", "CA-20"), ("TearsBatches", "CA-21")])
def test_a_saboteur_is_told_what_was_not_true(name: str, clause: str) -> None:
    target = sabotaged("cache.memory", name, default_registry())
    found = [run_trial(target, trial, shrink=False) for trial in suite("cache").chosen(clauses=[clause])]
    reasons = "\n".join(one.reason for one in found if one.verdict is Verdict.FAIL)
    assert ("without ambiguous" if name == "NeverAmbiguous" else "of 60 items") in reasons


def test_what_was_said_of_a_call_is_compared_with_what_is_there() -> None:
    async def call(*of: Any) -> bool:
        return True

    change = Change("set", call, call, right=lambda answer: answer is True)
    lost, refused = Unavailable("lost", ambiguous=True), Unavailable("refused")
    for ended, applied in ((Ended(True), True), (Ended(error=lost), True), (Ended(error=lost), False)):
        truthful(change, ended, applied, "now")
    truthful(change, Ended(error=refused), False, "now")
    for ended, applied in ((Ended(True), False), (Ended(False), True), (Ended(error=refused), True)):
        with pytest.raises(Failed):
            truthful(change, ended, applied, "now")


def test_only_errors_of_the_network_are_taken_for_one() -> None:
    async def raised(error: Exception) -> Any:
        raise error

    async def body() -> None:
        assert isinstance((await tried(raised(DeadlineExceeded("late")), "get")).error, DeadlineExceeded)
        with pytest.raises(Failed, match="get raised Internal"):
            await tried(raised(Internal("what?")), "get")

    asyncio.run(body())


def test_a_connection_that_is_left_is_found() -> None:
    async def leaks(case: Case) -> None:
        async with broken(case) as (store, net):
            await store.set("k", b"v")
            left.append(await asyncio.open_connection(*net.endpoint))
            while net.open < 2:
                await asyncio.sleep(0.001)

    left: list[Any] = []
    found = perform(leaks, far("cache.memory", default_registry()))
    assert "1 connections to the server are open after close" in found.reason


def test_turns_of_a_server_are_counted_before_it() -> None:
    async def spends(case: Case, store: Any) -> None:
        assert case.net is not None
        before = case.net.turns
        await store.set("k", b"v")
        await store.get("k")
        assert case.net.turns == before + 2

    trial = Trial(Clause("CA-00", "made for a test", Level.BUDGET), "made", spends)
    assert run_trial(far("cache.memory", default_registry()), trial).verdict is Verdict.PASS


def test_a_harness_restarts_its_server_by_the_command_in_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Serving(Harness):
        restarts = "CODEQUAY_TEST_SOMETHING_RESTART"

    harness = Serving(None, "n", tmp_path, None)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="set CODEQUAY_TEST_SOMETHING_RESTART"):
        asyncio.run(harness.restart())
    with pytest.raises(NotImplementedError, match="has no restart"):
        asyncio.run(Harness(None, "n", tmp_path, None).restart())  # type: ignore[arg-type]
    made = tmp_path / "made it"
    monkeypatch.setenv(Serving.restarts, f"{sys.executable} -c \"open('{made}', 'w')\"")
    asyncio.run(harness.restart())
    assert made.exists()
    monkeypatch.setenv(Serving.restarts, f"{sys.executable} -c \"raise SystemExit('no such server')\"")
    with pytest.raises(Unverified, match="status 1: no such server"):
        asyncio.run(harness.restart())
    monkeypatch.setenv(Serving.restarts, str(tmp_path / "nothing"))
    with pytest.raises(Unverified, match="could not be restarted"):
        asyncio.run(harness.restart())


def _alone(command: str, log: Path) -> None:
    with using(command, alone=True), log.open("a") as file:
        file.write("in\n")
        file.flush()
        time.sleep(0.2)
        file.write("out\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no process waits for another there")
def test_who_restarts_a_server_is_alone_with_it(tmp_path: Path) -> None:
    command, log = f"restart {tmp_path}", tmp_path / "log"
    spawn = multiprocessing.get_context("spawn")
    with using(command, alone=False), using(command, alone=False):
        first, second = (spawn.Process(target=_alone, args=(command, log)) for _ in range(2))
        first.start()
        second.start()
        time.sleep(0.5)
        assert not log.exists()
    for process in (first, second):
        process.join(30)
        assert process.exitcode == 0
    assert log.read_text() == "in\nout\n" * 2
    with using("", alone=True), using("", alone=True):
        pass


class OneEach(FarHarness):
    """A connection for each call."""

    class client_type(Client):
        async def call(self, asked: Asked) -> Any:
            try:
                return await super().call(asked)
            finally:
                await self.close()


class Again(Asked):
    """A call for the second time."""


class AsksAgain(FarHarness):
    """What is idempotent is sent again when its answer was lost, and only then given up."""

    class client_type(Client):
        async def in_doubt(self, asked: Asked, exc: Exception) -> Any:
            if not asked.op.idempotent or isinstance(asked, Again):
                raise self.lost(asked, exc)
            try:
                return await super().call(Again(asked.op, asked.args, asked.options))
            except PortError as failed:
                failed.ambiguous = failed.ambiguous or asked.op.effect is Effect.WRITE
                raise


@pytest.mark.parametrize("harness", [OneEach, AsksAgain])
@pytest.mark.parametrize("port", ["cache", "chunks"])
def test_what_the_page_leaves_open_is_no_failure(port: str, harness: type[FarHarness]) -> None:
    target = far(f"{port}.memory", default_registry(), harness)
    for trial in faults(port):
        found = run_trial(target, trial)
        assert found.verdict is Verdict.PASS, (trial.id, found.reason)
