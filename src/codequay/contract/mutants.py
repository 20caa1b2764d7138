"""Mechanical mutants of a module: one small change each, of the kinds that people make by mistake."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}


class Mutant(NamedTuple):
    """One change of a module. ``id`` is stable while the changed line and its kind stay: module, function, kind, text.

    ``number`` counts the places of the module that can be changed.
    """

    module: str
    number: int
    id: str
    line: int


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module's functions, in the order of the text."""
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for function, place in _functions(ast.parse(_source(module))):
        for number in range(sum(1 for _ in _body(function, place))):
            changed = copy.deepcopy(function)
            where, line, kind, change = next(islice(_body(changed, place), number, None))
            before, after = change()
            said = f"{module.rpartition('.')[2]}:{where}: {kind}: {_cut(before)} -> {_cut(after)}"
            seen[said] = seen.get(said, 0) + 1
            name = said if seen[said] == 1 else f"{said} (#{seen[said]})"
            found.append(Mutant(module, len(found), name, line))
    return found


def _mutated(module: str, number: int) -> ast.Module:
    tree = ast.parse(_source(module))
    sites = (site for function, place in _functions(tree) for site in _body(function, place))
    next(islice(sites, number, None))[3]()
    return ast.fix_missing_locations(tree)


@contextmanager
def installed(module: str, number: int, dependents: Sequence[str]) -> Iterator[None]:
    """A mutant in place of its module; ``dependents`` are loaded anew so that they use it."""
    names = (module, *dependents)
    before = {name: import_module(name) for name in names}
    parents = {name: import_module(name.rpartition(".")[0]) for name in names}
    try:
        _put(module, compile(_mutated(module, number), f"<mutant of {module}>", "exec"), parents[module])
        for name in dependents:
            _put(name, compile(_source(name), str(_file(name)), "exec"), parents[name])
        yield
    finally:
        for name, known in before.items():
            sys.modules[name] = known
            setattr(parents[name], name.rpartition(".")[2], known)


def _put(name: str, code: CodeType, parent: ModuleType) -> None:
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    module.__file__ = str(_file(name))
    module.__dict__["_dropped"] = _dropped
    sys.modules[name] = module
    setattr(parent, name.rpartition(".")[2], module)
    exec(code, module.__dict__)  # noqa: S102 - our own source, changed in one place


async def _dropped(coroutine: object) -> object:
    """Stands where an ``await`` was removed: gives what was to be awaited."""
    return coroutine


def _file(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"no source of {module}")
    return Path(spec.origin)


def _source(module: str) -> str:
    known = sys.modules.get(module)
    file = getattr(known, "__file__", None)
    return Path(file or _file(module)).read_text(encoding="utf-8")


def _cut(text: str, length: int = 70) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."


Change = Callable[[], tuple[str, str]]
"""Applies a change to the tree that it was found in; source before and after."""


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.Module | ast.ClassDef, place: str = "") -> Iterator[tuple[Function, str]]:
    """The functions and methods of a module, with their names, in the order of the text."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{place}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, f"{place}{node.name}"


def _body(function: Function, place: str) -> Iterator[tuple[str, int, str, Change]]:
    for parent in _walk(function):
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "args"):
                if field == "args" and isinstance(parent, ast.Call):
                    yield from ((place, parent.lineno, *site) for site in _arguments(parent))
                continue
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield from ((place, line, kind, change) for line, kind, change in _statements(parent, field, value))
        if isinstance(parent, ast.expr):
            yield from ((place, parent.lineno, *site) for site in _expression(parent))
        elif isinstance(parent, (ast.If, ast.While)):
            yield place, parent.lineno, "negation", _negated(parent)
        elif isinstance(parent, ast.Return) and parent.value is not None and not _is_none(parent.value):
            yield place, parent.lineno, "emptied return", _emptied(parent)
        elif isinstance(parent, ast.Try):
            yield from ((place, line, kind, change) for line, kind, change in _try(parent))


def _walk(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, depth first, without annotations and decorators."""
    pending: list[ast.AST] = [function]
    while pending:
        node = pending.pop()
        yield node
        children: list[ast.AST] = []
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            if field == "args" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            children += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)]
        pending += reversed(children)


def _statements(parent: ast.AST, field: str, body: list[ast.stmt]) -> Iterator[tuple[int, str, Change]]:
    for i, statement in enumerate(body):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, (ast.Expr, ast.Assign, ast.AugAssign, ast.Delete, ast.Raise, ast.Continue, ast.Break)):
            yield statement.lineno, "removed statement", _removed(body, i)


def _removed(body: list[ast.stmt], i: int) -> Change:
    def change() -> tuple[str, str]:
        gone = body[i]
        body[i] = ast.copy_location(ast.Pass(), gone)
        return ast.unparse(gone), "pass"

    return change


def _expression(node: ast.expr) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for replacement in _COMPARISONS.get(type(node.ops[0]), ()):
            yield "comparison", _compared(node, replacement)
    elif isinstance(node, ast.Compare):
        for i, comparison in enumerate(node.ops):
            for replacement in _COMPARISONS.get(type(comparison), ())[:1]:
                yield "comparison", _compared(node, replacement, i)
    elif isinstance(node, ast.BoolOp):
        yield "negation", _switched(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "negation", _unnegated(node)
    elif isinstance(node, ast.IfExp):
        yield "negation", _negated(node)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "constant", _constant(node, not node.value)
        elif isinstance(node.value, (int, float)):
            yield "constant", _constant(node, node.value + 1)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield "constant", _operator(node)
    elif isinstance(node, ast.Await):
        yield "removed await", _unawaited(node)
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        for generator in node.generators:
            if generator.ifs:
                yield "removed condition", _unfiltered(generator)


def _compared(node: ast.Compare, to: type[ast.cmpop], i: int = 0) -> Change:
    return _changing(node, lambda: node.ops.__setitem__(i, to()))


def _switched(node: ast.BoolOp) -> Change:
    return _changing(node, lambda: setattr(node, "op", ast.And() if isinstance(node.op, ast.Or) else ast.Or()))


def _constant(node: ast.Constant, value: float | bool) -> Change:
    return _changing(node, lambda: setattr(node, "value", value))


def _operator(node: ast.BinOp) -> Change:
    return _changing(node, lambda: setattr(node, "op", ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()))


def _unfiltered(generator: ast.comprehension) -> Change:
    return _changing(generator, generator.ifs.clear)


def _unnegated(node: ast.UnaryOp) -> Change:
    return _changing(node, lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand)))


def _negated(node: ast.If | ast.While | ast.IfExp) -> Change:
    def change() -> tuple[str, str]:
        before = ast.unparse(node.test)
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return before, ast.unparse(node.test)

    return change


def _unawaited(node: ast.Await) -> Change:
    """``await x`` becomes ``x``: the coroutine is made and never run."""

    def change() -> tuple[str, str]:
        before = ast.unparse(node)
        call = node.value
        node.value = ast.Call(ast.Name("_dropped", ast.Load()), [call], [])
        return before, ast.unparse(call)

    return change


def _emptied(node: ast.Return) -> Change:
    def change() -> tuple[str, str]:
        before = ast.unparse(node)
        node.value = ast.Constant(None)
        return before, "return None"

    return change


def _arguments(call: ast.Call) -> Iterator[tuple[str, Change]]:
    if isinstance(call.func, ast.Name) and call.func.id in ("min", "max"):
        return  # The order of their arguments means nothing.
    if len(call.args) >= 2 and not any(isinstance(arg, ast.Starred) for arg in call.args[:2]):

        def swap() -> None:
            call.args[0], call.args[1] = call.args[1], call.args[0]

        yield "swapped arguments", _changing(call, swap)


def _try(node: ast.Try) -> Iterator[tuple[int, str, Change]]:
    def without_handlers() -> None:
        node.handlers = []
        node.orelse = []
        if not node.finalbody:
            node.finalbody = [ast.Pass()]

    def without_finally() -> None:
        node.finalbody = [ast.Pass()]

    if node.handlers:
        yield node.lineno, "dropped except", _changing(node, without_handlers)
    if node.finalbody:
        yield node.lineno, "dropped finally", _changing(node, without_finally)


def _changing(node: ast.AST, apply: Callable[[], object]) -> Change:
    def change() -> tuple[str, str]:
        before = ast.unparse(node)
        apply()
        return before, ast.unparse(node)

    return change


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
