"""What a trial did to an adapter, written down as a script that does it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

from codequay.ports.errors import PortError
from codequay.ports.op import Op, operations
from codequay.ports.spec import Level, PortSpec

from .expect import SHOWN, Failed, shown
from .failing import Noted, line_of, rewritten
from .script import Namer, written
from .types import misfit, promised

MOST_STEPS = 120
"""Steps of a script; a longer history repeats the trial by its name instead, and shows the last of them."""
SHOWN_STEPS = 40
LONGEST_SCRIPT = 20_000
"""Characters of a script; a longer one repeats the trial by its name instead."""
LONGEST_ROUND = 4
"""Steps that are told once with how often, when the same come again and again."""
SHORTEST_ID = 16
"""Characters of a text that a call gave, from which on it may be an id that is another one the next time."""
SEQUENTIAL = (Level.CORE, Level.CAPABILITY)
"""Levels whose trials call one after the other, so that a list of calls repeats them."""

Checked = Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]


class History:
    """The calls of one trial, in order of their beginning."""

    def __init__(self, port: PortSpec, checked: Checked | None = None) -> None:
        self._port = port
        self.namer = Namer(port)
        self.checked = checked
        """Told of each call with its answer or the ``PortError`` that it raised."""
        self.body: CodeType | None = None
        """The code of the trial, which tells which of its statements makes a call."""
        self._steps: list[Noted] = []
        self._running: list[Noted] = []
        self._whole = True
        self._failing: list[str] = []

    # -- what happened --------------------------------------------------------------------------------------------

    def opened(self, store: Any, place: Any, readonly: bool) -> None:
        """A place was opened, the first time or again."""
        name = self.namer.give("store", store)
        self.note(f"{name} = await {self._place(place)}.open({'readonly=True' if readonly else ''})")

    def closed(self, store: Any, place: Any) -> None:
        self.note(f"await {self._place(place)}.close({self.namer.known(store)})")

    def another(self, place: Any, from_place: Any) -> None:
        """A second place with nothing in common with the first."""
        before = self._place(from_place)
        self.note(f"{self.namer.give('case', place)} = await {before}.another()")

    def advanced(self, place: Any, seconds: float) -> None:
        self.note(f"await {self._place(place)}.advance({seconds!r})")

    def aside(self, what: str) -> None:
        """What no script can repeat: something outside of the store."""
        self._whole = False
        self.note(f"# {what}")

    def note(self, step: str) -> None:
        """A step that is no call of the port's."""
        self._steps.append(Noted(step, line_of(self.body)))

    def call(
        self, store: Any, op: str, args: tuple[Any, ...], options: dict[str, Any], *, stream: bool = False
    ) -> Noted:
        """Note a call; what ``result`` and ``failure`` are told of."""
        self._whole = self._whole and not self._running
        step = Noted(line=line_of(self.body))
        step.op, step.args, step.options, step.stream = op, args, options, stream
        step.store = self.namer.known(store) or "store"
        step.names = tuple(self.namer.known(value) for value in (*args, *options.values()))
        self._steps.append(step)
        return step

    def began(self, step: Noted) -> None:
        self._running.append(step)

    def ended(self, step: Noted) -> None:
        self._running.remove(step)

    @property
    def pending(self) -> list[str]:
        """The calls that have not been answered."""
        return [_cut(self._said(step)[0]) for step in list(self._running)]

    def result(self, step: Noted, value: Any) -> None:
        """Note what the call gave. Objects and ids get a name, by which later calls refer to them."""
        named = hasattr(type(value), "__dataclass_fields__") or (type(value) is str and len(value) >= SHORTEST_ID)
        if named and not self.namer.known(value):
            step.name = self.namer.give("r", value)
        step.result = value

    def failure(self, step: Noted, exc: BaseException) -> None:
        """Note that the call raised."""
        step.raised = type(exc)

    def given(self, op: str) -> list[object]:
        """What the calls of an operation gave, the last one last."""
        return [step.result for step in self._steps if step.op == op and not step.raised]

    def failed(self, exc: BaseException, body: Any) -> None:
        """The trial ended with ``exc``: take the statement of its body that did not hold into the script."""
        found = rewritten(exc, body, self.namer, self._steps)
        if found is not None:
            self._steps, self._failing = found

    # -- what is printed ------------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[str]:
        """The steps as text."""
        return [self._said(step)[0] for step in self._steps]

    def replayed(self, component: str, trial: str, level: Level, *, machine: bool = False) -> str:
        """A program of a few lines that makes the same calls; "" where that repeats nothing."""
        sequential = level in SEQUENTIAL and self._whole and len(self._steps) <= MOST_STEPS
        if not sequential or not (machine or self._failing):
            return ""
        said = [self._said(step) for step in self._steps]
        if not all(whole for _, whole in said):
            return ""
        texts = [self._again(step, text) for step, (text, _) in zip(self._steps, said, strict=True)]
        if machine and self._steps:
            texts[-1] = said[-1][0]  # The answer that is wrong: the model says what it should have been.
        steps = [_often(texts[start:end], times) for start, end, times in _rounds(texts)]
        last = f'replay("{component}", history{", model=True" if machine else ""})'
        found = self._program(f"# {trial} on {component}", [*steps, *self._failing], last)
        return found if len(found) <= LONGEST_SCRIPT else ""

    def by_name(self, component: str, trial: str, seed: int) -> str:
        """A program that runs the whole trial again, and what happened in it as a comment."""
        texts = [_cut(self._said(step)[0]) for step in self._steps]
        rounds = _rounds(texts)
        lines: list[str] = []
        for start, end, times in rounds[-SHOWN_STEPS:]:
            lines += [f"#   {line}" for text in texts[start:end] for line in text.splitlines()]
            lines += [f"#   ... {times} times"] if times > 1 else []
        left_out = rounds[-SHOWN_STEPS][0] if len(rounds) > SHOWN_STEPS else 0
        more = [f"# {left_out} earlier steps, then:"] if left_out else []
        head = [f"# {trial} on {component}", "from codequay.contract import repeat", ""]
        return "\n".join([*head, *more, *lines, f'repeat("{component}", "{trial}", seed={seed})'])

    def comparison(self, left: str, right: str) -> str:
        """A program that drives two adapters with what happened, and shows where they part."""
        texts = self.steps
        steps = [self._again(step, text) for step, text in zip(self._steps[:-1], texts, strict=False)] + texts[-1:]
        return self._program(f"# {left} and {right} differ", steps, f'replay("{left}", history, beside="{right}")')

    def _again(self, step: Noted, text: str) -> str:
        """The step in a script: one that rightly raised must raise again."""
        if step.raised is None or not issubclass(step.raised, PortError):
            return text
        name = step.raised.__name__
        if name not in self.namer.vocabulary:
            self.namer.imports.append(f"from {step.raised.__module__} import {name}")
        return f"with raises({name}):\n    {text.partition('  # raised')[0]}"

    def _program(self, title: str, steps: list[str], last: str) -> str:
        calls = "replay, raises" if any("raises(" in step for step in steps) else "replay"
        head = [title, f"from codequay.contract import {calls}", f"from {self._port.protocol.__module__} import *"]
        body = [f"    {line}" for step in steps for line in step.splitlines()] or ["    pass"]
        imports = dict.fromkeys(self.namer.imports)
        return "\n".join([*head, *imports, "", "async def history(case):", *body, "", last])

    def _place(self, place: Any) -> str:
        return self.namer.known(place) or self.namer.give("case", place)

    def _said(self, step: Noted) -> tuple[str, bool]:
        """The step as text, and whether that does it again."""
        if step.text:
            return step.text, True
        whole = step.whole
        said: list[str] = []
        for key, name, value in zip(
            (*("" for _ in step.args), *(f"{key}=" for key in step.options)),
            step.names,
            (*step.args, *step.options.values()),
            strict=True,
        ):
            text = name or written(value, self.namer)
            whole = whole and text is not None
            said.append(f"{key}{shown(value) if text is None else text}")
        call = f"{step.store}.{step.op}({', '.join(said)})"
        call = f"[one async for one in {call}]" if step.stream else f"await {call}"
        call = f"{step.name} = {call}" if step.name else call
        if step.raised:
            return f"{call}  # raised {step.raised.__name__}", whole
        return (call if step.name or step.result is None else f"{call}  # {shown(step.result)}"), whole


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _rounds(texts: list[str]) -> list[tuple[int, int, int]]:
    """The texts in order, as (first, end, times): what comes three times or more in a row is there once."""
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(texts):
        length, times = 1, 1
        for size in range(1, LONGEST_ROUND + 1):
            one, count = texts[at : at + size], 1
            while texts[at + count * size : at + (count + 1) * size] == one:
                count += 1
            if count > 2 and count * size > length * times:
                length, times = size, count
        found.append((at, at + length, times))
        at += length * times
    return found


def _often(texts: list[str], times: int) -> str:
    """The steps as lines of a program, in a loop when they come more than once."""
    lines = [line for text in texts for line in text.splitlines()]
    return "\n".join(lines if times == 1 else [f"for _ in range({times}):", *(f"    {line}" for line in lines)])


class Recorded:
    """A store whose calls are noted, and whose answers must have the types of the port's page.

    ``sync`` is its synchronous face, None when the adapter has none. What the harness planted is beside the
    operations, and its calls are noted like theirs.
    """

    def __init__(self, face: Any, sync: Any, history: History, port: PortSpec, planted: Any = None) -> None:
        self._face = face
        self._planted = planted
        self._port = port
        self._ops: dict[str, Op] = operations(port.protocol)
        self._sync = None if sync is None else _Sync(sync, self._typed)
        self._history = history

    @property
    def sync(self) -> Any:
        return self._sync

    def __getattr__(self, name: str) -> Any:
        op = self._ops.get(name)
        if op is None and self._planted is not None and hasattr(self._planted, name):
            call = getattr(self._planted, name)
            if not inspect.iscoroutinefunction(call):
                return call
        else:
            call = getattr(self._face, name)
        if op is not None and op.stream:
            return lambda *args, **options: self._stream(name, call, args, options)
        return lambda *args, **options: self._perform(name, call, args, options)

    async def _perform(self, name: str, call: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        history = self._history
        step = history.call(self, name, args, options)
        history.began(step)
        try:
            value = await call(*args, **options)
        except BaseException as exc:
            history.failure(step, exc)
            if history.checked is not None:
                history.checked(name, args, options, exc)
            raise
        finally:
            history.ended(step)
        history.result(step, value)
        self._typed(name, value)
        if history.checked is not None:
            history.checked(name, args, options, value)
        return value

    def _stream(self, name: str, call: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        step = self._history.call(self, name, args, options, stream=True)
        step.whole = False  # Until its end is reached: one that is listened to has none.
        items = call(*args, **options)

        async def typed() -> Any:
            try:
                async for item in items:
                    self._typed(name, item)
                    yield item
                step.whole = True
            finally:
                await items.aclose()

        return typed()

    def _typed(self, name: str, value: object) -> None:
        if name in self._ops:
            wrong = misfit(value, promised(self._port.protocol, name))
            if wrong:
                raise Failed(f"{name}: {wrong}")


class _Sync:
    """The synchronous face; its answers have the same types."""

    def __init__(self, face: Any, typed: Callable[[str, object], None]) -> None:
        self._face = face
        self._typed = typed

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._face, name)

        def perform(*args: Any, **options: Any) -> Any:
            value = call(*args, **options)
            self._typed(name, value)
            return value

        return perform
