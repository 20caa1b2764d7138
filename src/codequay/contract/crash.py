"""SIGKILL a process that writes and acknowledges; what was acknowledged must be there afterwards.

The child is made from the harness, so that the author of an adapter writes nothing for it. A scenario is a coroutine of
the port's suite that writes and calls ``acknowledge`` after each write that was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from codequay.kernel.registry import default_registry

from .case import Case
from .clock import ManualClock
from .expect import Failed, Unverified
from .harness import Origin
from .history import History

ROUNDS = 4
"""Kills per trial, at different numbers of acknowledged writes."""
CHILD_S = 20.0
"""Seconds until a child that says nothing more is ended; less than a trial has."""
MOST_ACKNOWLEDGED = 12

Acknowledge = Callable[[str], None]
Scenario = Callable[[Any, Acknowledge], Awaitable[None]]
Verify = Callable[[Any, list[str]], Awaitable[None]]


async def kill_and_reopen(case: Case, scenario: Scenario, verify: Verify) -> None:
    """Several rounds: a child writes until it is killed, then ``verify(store, acknowledged)`` on the reopened store.

    :raises Unverified: the harness cannot reopen, or this system has no SIGKILL
    """
    if not hasattr(signal, "SIGKILL"):
        raise Unverified("this system has no SIGKILL")
    for _ in range(2):  # Made, and opened again here before a child does: whether the harness can is not the child's.
        async with case.open():
            pass
    order = random.Random(case.subject.seed)
    for _ in range(ROUNDS):
        after = order.randint(1, MOST_ACKNOWLEDGED)
        acknowledged = await asyncio.to_thread(_child, case, scenario, after)
        async with case.open() as store:
            await verify(store, acknowledged)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of the kit in another interpreter, which imports nothing from where it starts."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of such an interpreter: it finds the modules that this one finds."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}  # Clauses are asserts.
    return {**kept, "PYTHONPATH": path}


def _child(case: Case, scenario: Scenario, kill_after: int) -> list[str]:
    """Run the scenario in a child, kill it at that many acknowledgements; these."""
    harness = case.harness
    where = f"{scenario.__module__}:{getattr(scenario, '__name__', '')}"
    process = subprocess.Popen(
        python(
            "codequay.contract.crash",
            json.dumps(case.subject.origin),
            str(harness.folder),
            harness.namespace,
            repr(case.clock.monotonic()),
            where,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    acknowledged: list[str] = []
    silent = threading.Timer(CHILD_S, process.kill)
    silent.daemon = True
    silent.start()
    try:
        with process:
            for line in process.stdout or ():
                acknowledged.append(line.rstrip("\n"))
                if len(acknowledged) == kill_after:
                    process.send_signal(signal.SIGKILL)
            said = process.stderr.read() if process.stderr else ""
    finally:
        silent.cancel()
        silent.join()
    if process.returncode not in (0, -signal.SIGKILL):
        raise Failed(f"the child ended with status {process.returncode}: {said[-500:]}")
    if process.returncode != 0 and len(acknowledged) < kill_after:
        raise Failed(f"the child had {len(acknowledged)} writes answered in {CHILD_S:g} s and was ended")
    return acknowledged


async def _main(origin: str, folder: str, namespace: str, now: str, where: str) -> None:
    from .clauses import suite

    found = Origin(*json.loads(origin)).subject(default_registry())
    port = suite(found.port).port
    clock = ManualClock(float(now))
    harness = found.harness(found.spec, namespace, Path(folder), clock)
    case = Case(found, port, harness, History(port), clock, opened=True)
    module, _, name = where.partition(":")
    scenario: Scenario = getattr(import_module(module), name)

    def acknowledge(what: str) -> None:
        os.write(1, what.encode() + b"\n")

    async with case.open() as store:
        await scenario(store, acknowledge)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
