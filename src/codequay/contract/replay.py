"""Run again what the kit has printed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from codequay.kernel.registry import default_registry
from codequay.ports.errors import PortError

from .clauses import suite
from .diff import normal
from .expect import Failed
from .harness import Subject, subject
from .model import keep_nothing
from .playing import Script, play
from .runner import run_trial
from .verdict import Verdict


def replay(component: str, history: Script, *, model: bool = False, beside: str = "") -> None:
    """Run ``history(case)`` over ``PORT.NAME`` and print each call with its answer.

    ``model``: compare each answer with the port's model. ``beside``: with that of another adapter.

    :raises Failed: an answer is wrong, or the other adapter gives another
    :raises TimeoutError: it does not end
    """
    target = subject(component, default_registry())
    if not beside:
        asyncio.run(play(target, history, model=model, noted=_printed))
        return
    calls = _answers(target, history, told=True)
    others = _answers(subject(beside, default_registry()), history, told=False)
    for (call, mine), (_, theirs) in zip(calls, others, strict=False):
        if mine != theirs:
            raise Failed(f"at {call}\n  {component} gives {mine}\n  {beside} gives {theirs}")


def repeat(component: str, trial: str, *, seed: int = 0) -> None:
    """Run one trial of ``PORT.NAME`` again.

    :raises Failed: it fails again
    """
    keep_nothing()
    target = subject(component, default_registry(), seed=seed)
    found = next(one for one in suite(target.port).trials if one.id == trial)
    outcome = run_trial(target, found)
    if outcome.verdict is Verdict.FAIL:
        raise Failed(outcome.reason)


def _printed(steps: list[str]) -> None:
    print("\n".join(steps))  # noqa: T201 - what it is for


def _answers(target: Subject, history: Script, *, told: bool) -> list[tuple[str, Any]]:
    """What each call gave or raised, up to the one that one of the two adapters does not answer as the other did."""
    made: list[tuple[str, Any]] = []

    def heard(name: str, args: tuple[Any, ...], options: dict[str, Any], answer: Any) -> None:
        made.append((name, normal(answer)))

    with contextlib.suppress(PortError, Failed):
        asyncio.run(play(target, history, model=False, told=heard, noted=_printed if told else lambda steps: None))
    return made
