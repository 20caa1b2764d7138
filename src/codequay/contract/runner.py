"""Run one trial so that an adapter which hangs, leaks, prints or exits costs a verdict and not the kit.

A trial runs in a thread with an event loop of its own. One that waits too long is cancelled; a thread that blocks
cannot be ended: the outcome is then ``poisoned``, and whoever runs many trials goes on in a new process
(``codequay.contract.pool``).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from codequay.kernel.context import THREAD_NAME
from codequay.ports.errors import ConfigError, InvalidArgument, PortError, Unsupported
from codequay.ports.spec import Level

from .alone import using
from .case import Case
from .clauses import Trial
from .clock import ManualClock
from .expect import Failed, NotOffered, Unverified, said
from .explain import Given, explain
from .harness import Subject
from .history import History
from .model import machine
from .playing import LONGEST_S, repeats
from .verdict import Outcome, Verdict
from .watch import OWN, watched

TIMEOUT_S = 30.0
"""Seconds for one trial. They are counted in milliseconds on embedded stores; a busy machine is no fault."""
ENDING_S = 2.0
"""Seconds that threads and tasks get to end after close."""
CANCELLED_S = 1.0
"""Seconds that a trial which took too long gets to end when it is cancelled."""


def run_trial(subject: Subject, trial: Trial, *, timeout: float = TIMEOUT_S, shrink: bool = True) -> Outcome:
    """What the trial finds. Never raises, never waits longer than ``timeout`` and a moment.

    ``timeout``: seconds, ``trial.patience`` times as many for one that starts processes. ``shrink``: make a failing
    history of a state machine shorter, and see that the script which is given does repeat the failure.
    """
    timeout *= trial.patience
    if not __debug__:
        raise RuntimeError("the kit is written with assert: run Python without -O")
    try:
        speaks = trial.needs is None or trial.needs(subject.capabilities)
        fills = trial.fills is None or trial.fills(subject.capabilities)
    except Exception as exc:  # noqa: BLE001 - a declaration of the wrong kind is a finding
        reason = f"its capabilities cannot be read: {type(exc).__name__}: {said(exc)}"
        return _outcome(trial, Verdict.FAIL, reason=reason, hint="declare the capabilities of the port's page")
    if not speaks:
        return _outcome(trial, Verdict.NA, reason="the adapter does not declare what this clause speaks of")
    if not fills:
        return _outcome(trial, Verdict.NA, reason="the adapter takes no writes, and this trial has to fill it first")
    ending = min(ENDING_S, timeout / 2)
    running = _Running(subject, trial, ending, partial(machine, seconds=timeout, shrink=shrink), scripted=shrink)
    thread = threading.Thread(target=running.run, name=f"{OWN}{trial.id}", daemon=True)
    hangs = ""
    command = subject.harness.restart_command()
    with using(command, alone=trial.restarts), watched(running.problems, ending):
        started = time.perf_counter()
        thread.start()
        thread.join(timeout)
        if thread.is_alive():
            hangs = f"it did not end within {timeout:g} s{running.pending()}{running.where(thread)}"
            running.cancel()
            thread.join(min(CANCELLED_S, timeout))
    seconds = time.perf_counter() - started
    if hangs:
        history = running.by_name()
        hint = "a call that waits needs an end, and must not block the event loop; on a busy machine: --timeout"
        return _outcome(trial, Verdict.FAIL, seconds, hangs, hint, history, poisoned=thread.is_alive())
    if running.problems:
        reason = "\n".join(running.problems)
        history = running.script(timeout) if shrink else ""
        return _outcome(trial, Verdict.FAIL, seconds, reason, running.hint, history)
    if running.not_offered:
        return _outcome(trial, Verdict.NA, seconds, running.not_offered)
    if running.unverified:
        return _outcome(trial, Verdict.UNVERIFIED, seconds, running.unverified, trial.hint)
    return _outcome(trial, Verdict.PASS, seconds)


def _outcome(
    trial: Trial,
    verdict: Verdict,
    seconds: float = 0.0,
    reason: str = "",
    hint: str = "",
    history: str = "",
    *,
    poisoned: bool = False,
) -> Outcome:
    clause = trial.clause
    return Outcome(trial.id, clause.level, clause.text, verdict, seconds, reason, hint, history, poisoned)


class _Running:
    """A trial on its thread, and what went wrong."""

    def __init__(
        self, subject: Subject, trial: Trial, ending: float, machine: Callable[..., None], *, scripted: bool
    ) -> None:
        from .clauses import suite

        self._machine = machine
        self._scripted = scripted
        self.subject = subject
        self.trial = trial
        self.port = suite(subject.port).port
        self.history = History(self.port)
        self.history.body = getattr(trial.body, "__code__", None)
        self._error: BaseException | None = None
        self.problems: list[str] = []
        self.unverified = self.not_offered = ""
        self.hint = trial.hint
        """The clause's own, or what is to be done about an adapter that does not fit at all."""
        self._ending = ending
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        try:
            if self.trial.machine is not None:
                self._machine(self.subject, self.port, *self.trial.machine, self._keep)
                return
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._loop.set_exception_handler(self._unhandled)
                runner.run(self._perform())
        except Unverified as exc:
            self.unverified = str(exc)
        except NotOffered as exc:
            self.not_offered = str(exc)
        except BaseException as exc:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of an adapter are a finding
            self.problems.append(told(exc, self.history.given))
            if isinstance(exc, (ConfigError, InvalidArgument, Unsupported)):
                self.hint = exc.remedy  # The clause's own speaks of a wrong answer, and here a call was refused.
            self._error = exc
            if self._scripted:
                self.history.failed(exc, self.trial.body)

    def cancel(self) -> None:
        """End a trial that waits; one that blocks its event loop goes on."""
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)

    def pending(self) -> str:
        """The calls that were not answered, as part of a sentence."""
        calls = self.history.pending
        return f"; pending: {'; '.join(calls)}" if calls else ""

    def script(self, seconds: float) -> str:
        """What repeats the trial: the calls where that was seen to fail again, else the trial by its name."""
        trial, machine = self.trial, self.trial.machine is not None
        if self._error is not None and len(self.problems) == 1:
            text = self.history.replayed(self.subject.component, trial.id, trial.clause.level, machine=machine)
            if text and repeats(text, self.subject, self._error, model=machine, seconds=min(seconds, LONGEST_S)):
                return text
        return self.by_name()

    def by_name(self) -> str:
        return self.history.by_name(self.subject.component, self.trial.id, self.subject.seed)

    def where(self, thread: threading.Thread) -> str:
        """Where it hangs: in code of the adapter's if there is any, on whichever thread or task."""
        frames = sys._current_frames()
        blocked = [t for t in threading.enumerate() if t.name.startswith(THREAD_NAME)]
        found = [_outwards(frames.get(t.ident or -1)) for t in blocked]
        with contextlib.suppress(RuntimeError):  # A task began or ended meanwhile.
            tasks = asyncio.all_tasks(self._loop) if self._loop is not None else set()
            found += [_awaited(task.get_coro()) for task in sorted(tasks, key=lambda one: one is not self._task)]
        found.append(_outwards(frames.get(thread.ident or -1)))
        known = [_adapters] if self.history.pending else [_adapters, _not_of_python]
        for foreign in known:
            for chain in found:
                for frame in chain:
                    if foreign(frame.f_code.co_filename):
                        return f"; it hangs at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        return ""

    def _keep(self, history: History) -> None:
        self.history = history

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        self.problems.append(f"left to the event loop: {context.get('message')}" + (f": {told(exc)}" if exc else ""))

    async def _perform(self) -> None:
        self._task = asyncio.current_task()
        clock = ManualClock()
        async with self.subject.place(clock) as harness:
            case = Case(self.subject, self.port, harness, self.history, clock)
            async with contextlib.AsyncExitStack() as stack:
                if self.trial.clause.level is Level.BUDGET and harness.endpoint is not None:
                    await stack.enter_async_context(case.through())
                offered = {"case": case}
                if "store" in self.trial.wants:
                    offered["store"] = await stack.enter_async_context(case.open())
                await self.trial.body(**{name: offered[name] for name in self.trial.wants})
            await self._ended()

    async def _ended(self) -> None:
        """Nothing of the adapter's may still run after close."""
        own = asyncio.current_task()
        deadline = time.monotonic() + self._ending
        while left := [task for task in asyncio.all_tasks() if task is not own]:
            if time.monotonic() > deadline:
                names = ", ".join(sorted(task.get_name() for task in left))
                raise Failed(f"{len(left)} tasks still run after close: {names}")
            await asyncio.sleep(0.001)


def told(exc: BaseException, given: Given = lambda op: []) -> str:
    """An exception for a person: what was raised, where, and from what. ``given``: what the calls before it gave."""
    if isinstance(exc, AssertionError):
        return explain(exc, given)
    if isinstance(exc, BaseExceptionGroup):
        return "; ".join(told(one, given) for one in exc.exceptions)
    where = traceback.extract_tb(exc.__traceback__)
    at = f" (at {where[-1].filename}:{where[-1].lineno})" if where else ""
    cause = exc.__cause__
    after = f"; caused by {type(cause).__name__}: {said(cause)}" if cause is not None else ""
    kind = f"{type(exc).__name__}" if isinstance(exc, PortError) else f"unexpected {type(exc).__name__}"
    return f"{kind}: {said(exc)}{at}{after}"


_PYTHON = sysconfig.get_path("stdlib")
_INSTALLED = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
_OWN = tuple(str(Path(__file__).parents[1] / part) for part in ("contract", "kernel"))


def _not_of_python(file: str) -> bool:
    return not file.startswith("<") and (not file.startswith(_PYTHON) or file.startswith(_INSTALLED))


def _adapters(file: str) -> bool:
    return _not_of_python(file) and not file.startswith(_OWN)


def _outwards(frame: FrameType | None) -> list[FrameType]:
    """The frames of a thread, the innermost first."""
    found: list[FrameType] = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _awaited(awaited: Any) -> list[FrameType]:
    """The frames of a chain of awaits, the innermost first."""
    found: list[FrameType] = []
    while awaited is not None:
        frame = next((f for n in ("cr_frame", "gi_frame", "ag_frame") if (f := getattr(awaited, n, None))), None)
        found += [frame] if frame is not None else []
        awaited = next((a for n in ("cr_await", "gi_yieldfrom", "ag_await") if (a := getattr(awaited, n, None))), None)
    return found[::-1]
