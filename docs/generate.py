"""Writes docs/reference from the code; with --check says what differs and exits 1."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import codequay.ports
from codequay.ports import PORTS, errors, generations, paths, spec
from codequay.ports.op import operations
from codequay.ports.spec import AdapterSpec, PortSpec

OUT = Path(__file__).parent / "reference"


def _field_docs(cls: type) -> dict[str, str]:
    """The string under each field of a dataclass and of its bases, as written, in one line."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        body = ast.parse(inspect.cleandoc(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for here, after in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name):
                found[here.target.id] = " ".join(_text(after).split())
    return found


def _text(node: ast.stmt | None) -> str:
    """The string that the statement is, "" when it is something else."""
    found = node.value if isinstance(node, ast.Expr) else None
    return found.value if isinstance(found, ast.Constant) and isinstance(found.value, str) else ""


def _source(node: ast.stmt, lines: list[str]) -> str:
    """A statement as written, with its decorators."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "\n".join(lines[first - 1 : node.end_lineno])


def _statements(module: ModuleType) -> Iterator[tuple[str, ast.stmt, str]]:
    """Name, statement and source of each public class and constant; a constant with the string below it."""
    text = inspect.getsource(module)
    lines, body = text.splitlines(), ast.parse(text).body
    for here, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(here, ast.ClassDef) and not here.name.startswith("_"):
            yield here.name, here, _source(here, lines)
        elif isinstance(here, ast.Assign | ast.AnnAssign):
            target = here.target if isinstance(here, ast.AnnAssign) else here.targets[0]
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                said = f"\n{_source(after, lines)}" if after is not None and _text(after) else ""
                yield target.id, here, _source(here, lines) + said


HIDDEN = {"CHECKS", "CLAUSES", "PORT", "T", "F"}


def _code(sources: list[str]) -> list[str]:
    return ["```python", "\n\n\n".join(sources), "```", ""] if sources else []


def _values(module: ModuleType, port: PortSpec) -> tuple[list[str], list[str]]:
    """Sources of the values that operations take and give, and of the optional powers."""
    protocols = {one.__name__ for one in port.protocol.__mro__}
    values, powers = [], []
    for name, node, source in _statements(module):
        if isinstance(node, ast.ClassDef) and name.startswith("Supports"):
            powers.append(source)
        elif name not in protocols | HIDDEN | {port.capabilities.__name__}:
            values.append(source)
    return values, powers


def _borrowed(module: ModuleType, text: str) -> list[str]:
    """Sources of the values that ``text`` names and that the module has from another port's page."""
    found: dict[str, str] = {}
    for other in (generations, *(importlib.import_module(name) for name in PORTS.values())):
        if other is not module:
            for name, node, source in _statements(other):
                named = name in vars(module) and re.search(rf"\b{name}\b", text)
                if named and name not in HIDDEN and not (isinstance(node, ast.ClassDef) and name.endswith("Store")):
                    found.setdefault(name, source)
    return list(found.values())


def _rules() -> list[str]:
    """What holds on every page."""
    return inspect.cleandoc(codequay.ports.__doc__ or "").partition("every page:\n\n")[2].splitlines()


def _bounds(modules: list[ModuleType]) -> list[str]:
    """What the guard demands of the arguments: the shared checks in a sentence each, the port's own as written."""
    functions = {fn: module for module in modules for fn in vars(module).values() if inspect.isfunction(fn)}
    shared = [fn for fn in functions if fn.__name__.startswith("check_")]
    own = [fn for fn, module in functions.items() if fn.__name__.startswith("_") and fn.__module__ == module.__name__]
    out = [f"- `{fn.__name__}`: {' '.join((fn.__doc__ or '').split())}" for fn in shared]
    return [*out, "", *_code([inspect.getsource(fn).rstrip() for fn in own])][0 if out else 1 :]


def port_page(port: PortSpec) -> str:
    """One port: what it is for, values, operations, optional powers, capabilities, clauses."""
    module = inspect.getmodule(port.protocol)
    assert module is not None
    out = [f"# Port `{port.name}`", "", inspect.cleandoc(module.__doc__ or ""), ""]
    values, powers = _values(module, port)
    modules = [module]
    if generations.GenerationStore in port.protocol.__mro__:
        out += ["## Generations", "", inspect.cleandoc(generations.__doc__ or ""), ""]
        values = _values(generations, port)[0] + values
        modules = [generations, module]
    signatures = " ".join(str(mark.signature) for mark in operations(port.protocol).values())
    known = set(values)
    borrowed = _borrowed(module, "\n".join([signatures, *values, *powers]))
    values = [source for source in borrowed if source not in known] + values
    out += ["## Values", "", f"From `{module.__name__}`.", "", *_code(values), "## Operations", ""]
    for name, mark in operations(port.protocol).items():
        method = getattr(port.protocol, name)
        facts = [str(mark.effect), "idempotent" if mark.idempotent else "not idempotent"]
        if mark.batch:
            facts.append(f"batch over `{mark.batch}`")
        if mark.sync:
            facts.append("on the sync face")
        signature = str(mark.signature).replace("(self, ", "(").replace("(self)", "()")
        out += [f"### `{name}{signature}`", "", f"*{', '.join(facts)}*", "", inspect.cleandoc(method.__doc__ or ""), ""]
    if powers:
        out += ["## Optional powers", "", *_code(powers)]
    out += ["## Capabilities", "", "| field | default | meaning |", "|---|---|---|"]
    docs = _field_docs(port.capabilities)
    for field in dataclasses.fields(port.capabilities):
        out.append(f"| `{field.name}` | `{field.default!r}` | {docs.get(field.name, '')} |")
    out += ["", "## Arguments", "", "What the guard demands before an adapter is called:", "", *_bounds(modules)]
    out += ["## Rules of every port", "", *_rules()]
    out += ["", "## Clauses", "", f"Contract {port.contract}. {_new(port)}", ""]
    out += ["| id | level | since | clause |", "|---|---|---|---|"]
    out += [f"| {c.id} | {c.level} | {c.since} | {c.text} |" for c in port.clauses]
    return "\n".join(out) + "\n"


def _new(port: PortSpec) -> str:
    new = [clause.id for clause in port.clauses if port.advisory(clause)]
    if not new:
        return "Every clause counts."
    return f"[Advisory](../contract.md#new-clauses) until the next minor version: {', '.join(new)}."


def adapters_page() -> str:
    """Every adapter of this distribution with what it declares."""
    out = ["# Adapters", "", "What each adapter declares, as `codequay adapters` prints it.", ""]
    for entry in sorted(entry_points(group="codequay.adapters"), key=lambda e: e.name):
        if entry.dist is None or entry.dist.name != "codequay":
            continue
        adapter: AdapterSpec = entry.load()
        out += [f"## `{adapter.port}.{adapter.name}`", "", f"{adapter.summary} ({adapter.stability})", ""]
        out += [f"- `{key}` = `{value!r}`" for key, value in adapter.capabilities.to_json().items()]
        out.append("")
    return "\n".join(out)


def building_page() -> str:
    """What every adapter's author needs, whatever the port."""
    found = {name: source for name, _, source in _statements(spec)}
    out = ["# What an adapter is built with", "", "See [Write an adapter](../write-an-adapter.md).", ""]
    for title, names in {
        "What the factory is given": ("BuildContext", "SupportsReload", "Clock"),
        "What an adapter announces": ("AdapterSpec", "Requirement", "Capabilities", "Reach", "Level"),
        "Optional powers of any port": ("SyncReads", "SupportsPing", "SupportsPool", "PoolStats"),
    }.items():
        out += [f"## {title}", "", f"From `{spec.__name__}`.", "", *_code([found[name] for name in names])]
    raised = {name: source for name, _, source in _statements(errors)}
    out += ["## Errors", "", inspect.cleandoc(errors.__doc__ or ""), ""]
    out += _code([raised[name] for name in ("Category", "PortError", "Verdict")])
    out += ["## Names of files", "", inspect.cleandoc(paths.__doc__ or ""), ""]
    for fn in (paths.path_from_bytes, paths.path_to_bytes, paths.os_path):
        out += [f"- `{fn.__name__}{inspect.signature(fn)}`: {inspect.cleandoc(fn.__doc__ or '')}"]
    return "\n".join(out) + "\n"


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    made = {"adapters.md": adapters_page(), "building.md": building_page()}
    for name, module in PORTS.items():
        made[f"{name}.md"] = port_page(importlib.import_module(module).PORT)
    return made


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    wrong = []
    for name, text in pages().items():
        path = OUT / name
        if "--check" in arguments:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                wrong.append(name)
        else:
            OUT.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if wrong:
        print(f"docs/reference differs from the code: {', '.join(wrong)}\nfix: nox -s docs -- --write", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
