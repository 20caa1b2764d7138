"""The statement of a trial that did not hold, as lines of a script, with those that gave what it speaks of."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType
from typing import Any

from .script import Namer, imported, written

DEEPEST = 40
"""Frames between a trial's body and a call, at most."""
SIMPLE = (ast.Assert, ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
BRANCHING = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.BoolOp, ast.IfExp)
MOST_PULLED = 8
"""Statements that a failing one may depend on; with more of them a script is no shorter than the trial."""


class Noted:
    """What happened in a trial, kept as it was; its text is made only for a failure. ``text``: what is no call."""

    __slots__ = (
        "args",
        "line",
        "name",
        "names",
        "op",
        "options",
        "raised",
        "result",
        "store",
        "stream",
        "text",
        "whole",
    )

    def __init__(self, text: str = "", line: int = 0) -> None:
        self.text = text
        self.line = line
        """Of the trial's body, 0 when it was not made by the body itself but by a task."""
        self.op = ""
        self.store = ""
        self.args: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}
        self.names: tuple[str, ...] = ()
        """Names that the arguments had when the call was made, "" for those without."""
        self.stream = False
        self.whole = True
        self.name = ""
        self.result: Any = None
        self.raised: type[BaseException] | None = None


def line_of(code: CodeType | None) -> int:
    """The line at which the function that is running somewhere above is; 0 when it is not there."""
    frame = sys._getframe(1) if code is not None else None
    for _ in range(DEEPEST):
        if frame is None or frame.f_code is code:
            break
        frame = frame.f_back
    return frame.f_lineno if frame is not None and frame.f_code is code else 0


def rewritten(exc: BaseException, body: Any, namer: Namer, steps: list[Noted]) -> tuple[list[Noted], list[str]] | None:
    """The steps before the statement of ``body`` that ``exc`` left, and the lines that repeat the statement.

    An earlier statement that gave one of its values stands in the place of its calls, so that the script asks anew
    and asserts about no answer that it holds itself. None when something cannot be written down.
    """
    frame = exc.__traceback__
    code = getattr(body, "__code__", None)
    while frame is not None and frame.tb_frame.f_code is not code:
        frame = frame.tb_next
    source = _parsed(body) if frame is not None else None
    if frame is None or source is None:
        return None
    failing = _Failing(source, {**frame.tb_frame.f_globals, **frame.tb_frame.f_locals}, frame.tb_frame.f_locals, namer)
    statement = failing.at(frame.tb_lineno)
    return None if statement is None else failing.script(statement, steps)


def _parsed(body: Any) -> ast.AST | None:
    code = body.__code__
    lines = inspect.getblock(linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :])
    try:
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except SyntaxError:
        return None
    ast.increment_lineno(tree, code.co_firstlineno - 1)
    return tree.body[0]


class _Failing:
    def __init__(self, function: ast.AST, values: dict[str, Any], local: dict[str, Any], namer: Namer) -> None:
        self._function = function
        self._values = values
        self._local = local
        self._namer = namer
        self._statements = [one for one in ast.walk(function) if isinstance(one, ast.stmt) and one is not function]
        self._pulled: list[ast.stmt] = []

    def at(self, line: int) -> ast.stmt | None:
        """The innermost statement at the line; of a block that expects an exception, the block."""
        found = [one for one in self._statements if one.lineno <= line <= (one.end_lineno or one.lineno)]
        block = next((one for one in found if isinstance(one, ast.With) and _expects(one)), None)
        innermost = block or max(found, key=lambda one: (one.lineno, one.col_offset), default=None)
        return innermost if isinstance(innermost, (*SIMPLE, ast.With)) else None

    def script(self, statement: ast.stmt, steps: list[Noted]) -> tuple[list[Noted], list[str]] | None:
        start = self._run(statement, steps, len(steps))
        before = list(steps[:start])
        lines = self._lines(statement)
        if lines is None:
            return None
        for one in sorted(self._pulled, key=lambda one: one.lineno, reverse=True):
            again = self._lines(one, pull=False)
            if again is None:
                return None
            last = next((i for i in reversed(range(len(before))) if _within(before[i], one)), None)
            if last is None:
                lines = [*again, *lines]
                continue
            first = self._run(one, before, last + 1)
            before[first : last + 1] = [Noted("\n".join(again))]
        return before, lines

    def _run(self, statement: ast.stmt, steps: list[Noted], end: int) -> int:
        """Where the steps begin that the statement made when it ran the last time, before ``end``."""
        start = end
        while start and _within(steps[start - 1], statement):
            start -= 1
        if start == end or not self._in_loop(statement):
            return start
        calls = [one for one in ast.walk(statement) if isinstance(one, ast.Await)]
        branches = any(isinstance(one, BRANCHING) for one in ast.walk(statement))
        if not branches and all(map(_operation, calls)):
            return max(start, end - len(calls))
        return max(i for i in range(start, end) if steps[i].op == steps[start].op)

    def _in_loop(self, statement: ast.stmt) -> bool:
        return any(isinstance(one, LOOPS) and statement in ast.walk(one) for one in self._statements)

    def _lines(self, statement: ast.stmt, *, pull: bool = True) -> list[str] | None:
        """The statement after lines that give its names their values."""
        lines: list[str] = []
        bound = _bound(statement)
        for name in _loaded(statement):
            if name in bound or name not in self._values or name in self._namer.vocabulary:
                continue
            value = self._values[name]
            if said := self._namer.known(value):
                lines += [f"{name} = {said}"] if said != name else []
            elif name not in self._local:
                if name != "raises":
                    self._namer.imports.append(f"from {self._values['__name__']} import {name}")
            elif any(name in _bound(one) for one in self._pulled) or (pull and self._pull(name)):
                continue
            elif (text := written(value, self._namer)) is not None:
                lines.append(f"{name} = {text}")
            elif not imported(name, value, self._namer):
                return None
        return [*lines, *ast.unparse(statement).splitlines()]

    def _pull(self, name: str) -> bool:
        """Take the one assignment that gave the name its value from an answer, and those that it needs."""
        made = [one for one in self._statements if name in _bound(one) and not isinstance(one, (*LOOPS, ast.AsyncWith))]
        if not self._asks(name, set()) or len(made) != 1 or len(self._pulled) >= MOST_PULLED:
            return False
        (one,) = made
        if not isinstance(one, (ast.Assign, ast.AnnAssign)):
            return False
        self._pulled.append(one)
        for needed in _loaded(one):
            if needed in self._local and not self._namer.known(self._values[needed]) and needed not in _bound(one):
                self._pull(needed)
        return True

    def _asks(self, name: str, seen: set[str]) -> bool:
        """Whether the name's value came from an answer of the store."""
        seen.add(name)
        for one in self._statements:
            if name not in _bound(one) or isinstance(one, (ast.AsyncWith, ast.With)):
                continue
            asked = one.iter if isinstance(one, (ast.For, ast.AsyncFor)) else one
            if any(isinstance(node, ast.Await) for node in ast.walk(asked)):
                return True
            if any(other in self._local and other not in seen and self._asks(other, seen) for other in _loaded(asked)):
                return True
        return False


def _within(step: Noted, statement: ast.stmt) -> bool:
    return statement.lineno <= step.line <= (statement.end_lineno or statement.lineno)


def _expects(block: ast.With) -> bool:
    call = block.items[0].context_expr
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "raises"


def _operation(awaited: ast.Await) -> bool:
    """Whether it is a call of a store, and not of a helper that may call several times."""
    return isinstance(awaited.value, ast.Call) and isinstance(awaited.value.func, ast.Attribute)


def _loaded(statement: ast.AST) -> list[str]:
    found = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return list(dict.fromkeys(found))


def _bound(statement: ast.AST) -> set[str]:
    """The names that the statement itself gives a value, and the arguments of functions in it."""
    return set(_targets(statement))


def _targets(statement: ast.AST) -> Iterator[str]:
    blocks = (*LOOPS, ast.With, ast.AsyncWith, ast.If, ast.Try)
    parts: list[ast.AST] = [statement]
    if isinstance(statement, blocks) and not (isinstance(statement, ast.With) and _expects(statement)):
        parts = [getattr(statement, "target", None) or ast.Pass()]
        parts += [item.optional_vars for item in getattr(statement, "items", []) if item.optional_vars]
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id
            elif isinstance(node, ast.arg):
                yield node.arg
