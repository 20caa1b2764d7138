"""Python text for what a trial used: names for its objects, text for its values."""

from __future__ import annotations

import ast
import sys
from types import ModuleType
from typing import Any

from codequay.ports.spec import PortSpec

LONGEST_VALUE = 4000
"""Characters of one value in a script; a longer one is written as a repetition, or the script is not written."""
LONGEST_READ = 20_000
"""Characters of a value in which repetitions are looked for."""
UNIT = 16
"""The longest unit of such a repetition."""
BLOCK = 1 << 16


class Namer:
    """Names of the objects that calls gave: stores, places, leases."""

    def __init__(self, port: PortSpec) -> None:
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []
        self._given: dict[str, int] = {}
        self.vocabulary = dict(vars(sys.modules[port.protocol.__module__]))
        """What a script knows: the names of the port's page, and those of other pages that it had to import."""
        self.imports: list[str] = []

    def give(self, kind: str, value: Any) -> str:
        """Name an object: ``store``, ``store2``, ...; a result is ``r1`` at first."""
        number = self._given[kind] = self._given.get(kind, 0) + 1
        name = kind if number == 1 and kind != "r" else f"{kind}{number}"
        self._names[id(value)] = name
        self._kept.append(value)
        return name

    def known(self, value: Any) -> str:
        """The name, "" for an object without one."""
        return self._names.get(id(value), "")


def written(value: Any, namer: Namer) -> str | None:
    """Text that gives the value again; None when there is none of a bearable length."""
    try:
        if isinstance(value, (str, bytes)) and len(value) > 2 * UNIT:
            short = _repeated(value)
            if short is not None or len(value) > LONGEST_VALUE:
                return short
        text = repr(value)
        if 2 * UNIT < len(text) <= LONGEST_READ:
            text = _shortened(text)
        if len(text) > LONGEST_VALUE:
            return None
        again = _evaluated(text, namer)
        return text if again == value or value != value else None
    except Exception:  # noqa: BLE001 - whatever a repr does, there is no text for it then
        return None


def imported(name: str, value: Any, namer: Namer) -> bool:
    """Whether a page or suite has the value itself, under whatever name; a script then imports it as ``name``."""
    for module in _pages():
        for its, one in list(vars(module).items()):
            if one is value and not its.startswith("__"):
                alias = "" if its == name else f" as {name}"
                namer.imports.append(f"from {module.__name__} import {its}{alias}")
                return True
    return False


def _shortened(text: str) -> str:
    """The same expression with the long texts in it written as repetitions."""
    tree = ast.parse(text, mode="eval")
    short = _Shorter()
    changed = short.visit(tree)
    return ast.unparse(changed) if short.shorter else text


class _Shorter(ast.NodeTransformer):
    shorter = False

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        text = _repeated(node.value) if isinstance(node.value, (str, bytes)) and len(node.value) > 2 * UNIT else None
        if text is None:
            return node
        self.shorter = True
        return ast.parse(text, mode="eval").body


def _evaluated(text: str, namer: Namer) -> Any:
    """The value of the text. Names that the port's page does not have are taken from the others."""
    while True:
        try:
            return eval(text, {}, namer.vocabulary)  # noqa: S307 - the repr of a value that the kit made
        except NameError as exc:
            module = next((one for one in _pages() if hasattr(one, exc.name or "")), None)
            if module is None or exc.name is None:
                raise
            namer.vocabulary[exc.name] = getattr(module, exc.name)
            namer.imports.append(f"from {module.__name__} import {exc.name}")


def _pages() -> list[ModuleType]:
    packages = ("codequay.ports.", "codequay.contract.")
    return [module for name, module in sys.modules.items() if name.startswith(packages)]


def _repeated(value: str | bytes) -> str | None:
    for length in range(1, UNIT + 1):
        if len(value) % length == 0 and _repeats(value, value[:length]):
            return f"{value[:length]!r} * {len(value) // length}"
    return None


def _repeats(value: Any, unit: Any) -> bool:
    """In blocks: the largest value that a store takes may be half a gigabyte, and is not copied."""
    block = unit * (BLOCK // len(unit))
    return all(value[i : i + len(block)] == block[: len(value) - i] for i in range(0, len(value), len(block)))
