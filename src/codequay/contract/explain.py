"""What a failed assertion of a clause means: the line, the values in it, and where found and wanted part."""

from __future__ import annotations

import ast
import linecache
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import TracebackType
from typing import Any

from .expect import said, shown

Given = Callable[[str], list[object]]
"""Operation -> what its calls gave, the last one last."""


def explain(exc: AssertionError, given: Given = lambda op: []) -> str:
    """What failed: the message, else the asserted line with the values of the names and calls in it."""
    if exc.args:
        return said(exc)
    frame = _last(exc.__traceback__)
    if frame is None:
        return "an assertion failed"
    code, line = frame.tb_frame.f_code, frame.tb_lineno
    source = textwrap.dedent(_statement(code.co_filename, line, code.co_firstlineno)).strip()
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    known = {**frame.tb_frame.f_globals, **frame.tb_frame.f_locals}
    lines = [f"    {name} = {shown(value)}" for name, value in _names(tree, known)]
    lines += [f"    {op} gave {shown(value)}" for op, value in _calls(tree, given)]
    return "\n".join([source, *lines, *(f"    {text}" for text in _sides(tree, known, given))])


def _last(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


def _statement(file: str, line: int, first: int) -> str:
    """The whole statement that begins or goes on at ``line``."""
    lines = linecache.getlines(file)
    for end in range(line, min(line + 12, len(lines)) + 1):
        for start in range(line, max(first, line - 12) - 1, -1):
            text = textwrap.dedent("".join(lines[start - 1 : end]))
            try:
                tree = ast.parse(text)
            except SyntaxError:
                continue
            if tree.body and isinstance(tree.body[0], ast.Assert):
                return text
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _names(tree: ast.AST, known: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name in dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)):
        if name in known and not callable(known[name]) and not _of_kit(known[name]):
            yield name, known[name]


def _of_kit(value: object) -> bool:
    """Tools of the kit say nothing of the adapter: stores, places, what files are made with."""
    return type(value).__module__.startswith("codequay.contract.")


def _calls(tree: ast.AST, given: Given) -> Iterator[tuple[str, object]]:
    """What the calls of the line gave, in the order of the text."""
    asked = [op for op in (_operation(node) for node in ast.walk(tree)) if op]
    for op in dict.fromkeys(asked):
        yield from ((op, value) for value in given(op)[-asked.count(op) :])


def _operation(node: ast.AST) -> str:
    """The operation that ``await X.operation(...)`` calls, "" for anything else."""
    call = node.value if isinstance(node, ast.Await) else None
    return call.func.attr if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else ""


def _sides(tree: ast.Module, known: dict[str, Any], given: Given) -> list[str]:
    """The left side of ``assert a == b``, when it is more than a name or a call, and where the two sides part."""
    statement = tree.body[0] if tree.body else None
    test = statement.test if isinstance(statement, ast.Assert) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return []
    try:
        found, wanted = (_value(side, known, given) for side in (test.left, test.comparators[0]))
        text = difference(found, wanted)
    except Exception:  # noqa: BLE001 - whatever cannot be computed again is left out
        return []
    computed = not isinstance(test.left, (ast.Name, ast.Constant)) and not _operation(test.left)
    left = [f"the left side is {shown(found)}"] if computed else []
    return [*left, text] if text else left


def _value(side: ast.expr, known: dict[str, Any], given: Given) -> object:
    op = _operation(side)
    if op:
        return given(op)[-1]
    if any(isinstance(node, (ast.Await, ast.NamedExpr)) for node in ast.walk(side)):
        raise LookupError("it cannot be computed again")
    return eval(compile(ast.Expression(side), "<clause>", "eval"), known)  # noqa: S307 - a line of the kit's own


def difference(found: object, wanted: object, where: str = "") -> str:
    """Where the two part first; "" for values that have no parts, and say enough when they are shown."""
    if isinstance(found, (list, tuple)) and isinstance(wanted, (list, tuple)):
        return _of_sequences(found, wanted, where)
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*wanted, *found]:
            if key not in found or key not in wanted:
                return f"first difference{where}: {shown(key)} is {'missing' if key not in found else 'too much'}"
            if found[key] != wanted[key]:
                return _inside(found[key], wanted[key], f"{where or ' at '}[{shown(key)}]")
    if is_dataclass(found) and type(found) is type(wanted):
        for one in fields(found):
            parts = getattr(found, one.name), getattr(wanted, one.name)
            if parts[0] != parts[1]:
                return _inside(*parts, f"{where or ' at '}.{one.name}")
    return ""


def _of_sequences(found: Sequence[object], wanted: Sequence[object], where: str) -> str:
    for i, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return _inside(one, other, f"{where or ' at '}[{i}]")
    if len(found) != len(wanted):
        longer, word = (found, "too much") if len(found) > len(wanted) else (wanted, "missing")
        return f"first difference{where}: {shown(longer[min(len(found), len(wanted))])} is {word}"
    return ""


def _inside(found: object, wanted: object, where: str) -> str:
    return difference(found, wanted, where) or f"first difference{where}: {shown(found)}, not {shown(wanted)}"
