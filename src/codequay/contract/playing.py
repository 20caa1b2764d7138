"""Play a printed history to an adapter: for whoever runs the script, and for the kit before it prints one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from codequay.kernel.registry import default_registry
from codequay.ports.errors import PortError

from .case import Case
from .clauses import suite
from .clock import ManualClock
from .harness import Subject, subject
from .history import History
from .model import Step
from .watch import OWN

LONGEST_S = 20.0
"""Seconds that a script may take: a call that hangs is then a ``TimeoutError``."""
REFERENCE = "memory"
"""The adapter of each port that is right by every clause."""

Script = Callable[[Any], Awaitable[None]]
Told = Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]


class Place:
    """What a script calls ``case``: a place that is opened and closed by statements."""

    def __init__(self, case: Case, moved: Callable[[float], None]) -> None:
        self._case = case
        self._moved = moved
        self._open: dict[int, AbstractAsyncContextManager[Any]] = {}
        self._others: list[tuple[Place, AbstractAsyncContextManager[Case]]] = []

    async def open(self, *, readonly: bool = False) -> Any:
        """The store, empty the first time."""
        manager = self._case.open(readonly=readonly)
        store = await manager.__aenter__()
        self._open[id(store)] = manager
        return store

    async def close(self, store: Any) -> None:
        await self._open.pop(id(store)).__aexit__(None, None, None)

    async def another(self) -> Place:
        """A second place, with nothing in common."""
        manager = self._case.another()
        place = Place(await manager.__aenter__(), self._moved)
        self._others.append((place, manager))
        return place

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await self._case.advance(seconds)
        self._moved(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._case, name)

    async def leave(self) -> None:
        """Close what is still open."""
        for place, manager in self._others:
            await place.leave()
            await manager.__aexit__(None, None, None)
        while self._open:
            await self._open.popitem()[1].__aexit__(None, None, None)


async def play(
    target: Subject,
    history: Script,
    *,
    model: bool,
    told: Told = lambda name, args, options, answer: None,
    seconds: float = LONGEST_S,
    noted: Callable[[list[str]], None] = lambda steps: None,
) -> None:
    """Run ``history(case)``. ``model``: compare each answer with the port's model.

    ``told`` hears of each call with its answer; ``noted`` gets the text of all calls, however it ends.

    :raises Failed: an answer is wrong
    :raises TimeoutError: it does not end within ``seconds``
    """
    found = suite(target.port)
    machine = next((one.machine for one in found.trials if one.machine is not None), None)
    right = machine[0](target.capabilities) if model and machine is not None else None

    def checked(name: str, args: tuple[Any, ...], options: dict[str, Any], answer: Any) -> None:
        told(name, args, options, answer)
        if right is not None and (isinstance(answer, PortError) or not isinstance(answer, BaseException)):
            right.check(Step(name, args, options), answer)

    def moved(passed: float) -> None:
        if right is not None:
            right.check(Step("advance", (passed,)), None)

    clock = ManualClock()
    made = History(found.port, checked)
    async with target.place(clock) as harness:
        place = Place(Case(target, found.port, harness, made, clock), moved)
        try:
            with contextlib.suppress(*([PortError] if model else [])):
                await asyncio.wait_for(history(place), seconds)
        finally:
            noted(made.steps)
            await place.leave()


def repeats(script: str, target: Subject, error: BaseException, *, model: bool, seconds: float) -> bool:
    """Whether a printed script does what it says: it fails on the adapter as the trial did, and not on the reference.

    The last line of the script, which names the adapter, is left out here.
    """
    if not isinstance(ended := _ending(script, target, model, seconds), _kind(error)):
        return False
    if target.adapter == REFERENCE and not target.saboteur:
        return True
    try:
        right = subject(f"{target.port}.{REFERENCE}", default_registry())
    except PortError:
        return ended is not None
    return _ending(script, right, model, seconds) is None


def _kind(error: BaseException) -> type[BaseException]:
    return AssertionError if isinstance(error, AssertionError) else type(error)


def _ending(script: str, target: Subject, model: bool, seconds: float) -> BaseException | None:
    """With what the script ends on an adapter: None when it holds, ``TimeoutError`` when it does not end."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            names: dict[str, Any] = {}
            exec(script.rpartition("\n")[0], names)  # noqa: S102 - the kit has just written it
            asyncio.run(play(target, names["history"], model=model, seconds=seconds))
        except BaseException as exc:  # noqa: BLE001 - an adapter may raise anything
            ended.append(exc)
        else:
            ended.append(None)

    thread = threading.Thread(target=run, name=f"{OWN}script", daemon=True)
    thread.start()
    thread.join(2 * seconds)
    return ended[0] if ended else TimeoutError()
