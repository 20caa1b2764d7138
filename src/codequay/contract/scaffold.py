"""A new adapter's distribution, ready to be written: it installs, its tests run, and they fail until it works.

A distribution may serve several ports: called again with the same name, ``scaffold`` adds a port to what it made.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from codequay.kernel.registry import default_registry
from codequay.ports import PORTS
from codequay.ports.errors import FailedPrecondition, InvalidArgument
from codequay.ports.op import Op, operations
from codequay.ports.spec import PortSpec

from . import templates

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_WIDTH = 88
"""Columns of the code written: the default of the common formatters."""


class Made(NamedTuple):
    """What was written: new files, and files that were there and have been added to."""

    folder: Path
    written: list[Path]
    changed: list[Path]


def scaffold(port: str, name: str, into: Path) -> Made:
    """Write the distribution ``codequay-NAME`` into the folder ``into``, or add the port to it.

    It is added to when it is there, or when ``into`` is itself a distribution with an adapter of that name.

    :raises InvalidArgument: the name is not an adapter's name, or no port is called so
    :raises FailedPrecondition: something else is there, the name is taken, or the folder cannot be written
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no adapter's name", remedy="small letters and digits, words joined by _, for example my_store"
        )
    if port not in PORTS:
        raise InvalidArgument(f"no port is named {port!r}", remedy=f"one of: {', '.join(PORTS)}")
    spec: PortSpec = import_module(PORTS[port]).PORT
    _check_free(f"{port}.{name}", _distribution(name))
    existing = into if _announced(into, name) else into / _distribution(name)
    if _announced(existing, name):
        return _add(spec, name, existing)
    if existing.exists():
        raise FailedPrecondition(
            f"{existing} exists already, and announces no adapter {name}", remedy="remove it, or choose another name"
        )
    return Made(existing, _write(existing, _files(spec, name)), [])


def _check_free(component: str, distribution: str) -> None:
    """Two installed distributions with one adapter's name exclude each other."""
    for one in default_registry().announcements():
        if f"{one.port}.{one.name}" == component and one.distribution.replace("_", "-") != distribution:
            raise FailedPrecondition(
                f"{component} is an adapter of {one.distribution} {one.version}".rstrip(), remedy="choose another name"
            )


def _distribution(name: str) -> str:
    return f"codequay-{name.replace('_', '-')}"


def _announced(folder: Path, name: str) -> dict[str, str]:
    """Entry point of each adapter of that name in the distribution that lies in the folder: PORT.NAME -> value."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}
    found = project.get("entry-points", {}).get("codequay.adapters", {})
    return {key: str(value) for key, value in found.items() if key.partition(".")[2] == name}


def _add(spec: PortSpec, name: str, folder: Path) -> Made:
    """A further port in a distribution that this module has made."""
    values = _values(spec, name)
    announced = _announced(folder, name)
    if f"{spec.name}.{name}" in announced:
        raise FailedPrecondition(
            f"{folder} serves {spec.name}.{name} already", remedy="choose another port, or another name"
        )
    package = folder / "src" / values["package"]
    needed = {"__init__.py": "", "config.py": f"class {values['title']}Config", "errors.py": "def classify"}
    for file, text in needed.items():
        if not (package / file).is_file() or text not in (package / file).read_text(encoding="utf-8"):
            raise FailedPrecondition(
                f"{folder} is not laid out as this command does ({package / file})",
                remedy="add the port by hand: an entry point, an AdapterSpec, a module, a harness, a test",
            )
    harness, pyproject, init = package / "harness.py", folder / "pyproject.toml", package / "__init__.py"
    edits: dict[Path, str] = {
        pyproject: _with_entry_points(pyproject.read_text(encoding="utf-8"), values),
        init: _with_spec(init.read_text(encoding="utf-8"), spec, values),
    }
    class_name = values["harness"]
    files = _files(spec, name)
    new = {path: text for path, text in files.items() if not (folder / path).exists()}
    if harness.exists() and f"class {class_name}(" not in harness.read_text(encoding="utf-8"):
        more = files[f"src/{values['package']}/harness.py"]
        edits[harness] = _with_class(harness.read_text(encoding="utf-8"), more)
    written = _write(folder, new)
    changed = _write(folder, {path.relative_to(folder).as_posix(): text for path, text in edits.items()})
    return Made(folder, written, changed)


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    written = [folder / path for path in sorted(files)]
    try:
        for file in written:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(files[file.relative_to(folder).as_posix()], encoding="utf-8")
    except OSError as exc:
        raise FailedPrecondition(
            f"{exc.filename} cannot be written: {exc.strerror}", remedy="choose another folder: --into DIR"
        ) from exc
    return written


def _values(spec: PortSpec, name: str) -> dict[str, str]:
    """What the templates are filled with."""
    title = "".join(part.capitalize() for part in name.split("_"))
    base_module, base = templates.HARNESSES.get(spec.name, ("codequay.contract", "Harness"))
    return {
        "port": spec.name,
        "constant": spec.name.upper(),
        "name": name,
        "dist": _distribution(name),
        "package": f"codequay_{name}",
        "title": title,
        "adapter": f"{title}{spec.protocol.__name__}",
        "protocol": spec.protocol.__name__,
        "module": spec.protocol.__module__,
        "capabilities": spec.capabilities.__name__,
        "summary": spec.summary,
        "harness": f"{title}{base}",
        "base": base,
        "note": templates.NOTES.get(spec.name, ""),
        "hooks": templates.HOOKS.get(spec.name, "").format(title=title),
        "base_module": base_module,
    }


def _files(spec: PortSpec, name: str) -> dict[str, str]:
    values = _values(spec, name)
    package = values["package"]
    texts = {
        "pyproject.toml": templates.PYPROJECT,
        "README.md": templates.README,
        f"src/{package}/__init__.py": templates.INIT + templates.SPEC,
        f"src/{package}/config.py": templates.CONFIG,
        f"src/{package}/errors.py": templates.ERRORS,
        f"src/{package}/harness.py": templates.HARNESS,
        f"tests/test_{spec.name}.py": templates.TEST,
    }
    declared = _declared(spec)
    filled = {path: text.lstrip("\n").format(**values, declared=declared) for path, text in texts.items()}
    filled[f"src/{package}/py.typed"] = ""
    filled[f"src/{package}/{spec.name}.py"] = _adapter(spec, values)
    return filled


def _declared(spec: PortSpec) -> str:
    """The capabilities that may be declared, each as a comment with its default and the first sentence on it."""
    meanings = _meanings(spec.capabilities)
    said = [
        f"        # {one.name}={_literal(one.default)},  # {meanings.get(one.name, '')}".rstrip(" #")
        for one in fields(spec.capabilities)
    ]
    return "\n".join(said)


def _meanings(capabilities: type) -> dict[str, str]:
    """Field -> first sentence of the string under it."""
    found: dict[str, str] = {}
    for cls in reversed(capabilities.__mro__[:-1]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, below in pairwise(body):
            match field, below:
                case ast.AnnAssign(), ast.Expr(value=ast.Constant(value=str() as text)):
                    sentence = " ".join(text.split()).partition(". ")[0].rstrip(".")
                    found[ast.unparse(field.target)] = textwrap.shorten(sentence, _WIDTH, placeholder=" ...")
    return found


def _adapter(spec: PortSpec, values: Mapping[str, str]) -> str:
    """The implementation: every operation of the Protocol, each with its signature, not yet written."""
    ops = operations(spec.protocol)
    opening = _wrapped(
        f"async def open_{spec.name}(",
        [f"config: {values['title']}Config", "ctx: BuildContext"],
        f") -> AsyncIterator[{values['adapter']}]:",
        indent=0,
    )
    head = templates.ADAPTER.lstrip("\n").format(**values, imports=_imports(spec, ops), opening=opening)
    body = "\n".join(textwrap.indent(_method(spec, op), "    ", lambda line: line != "\n") for op in ops.values())
    return head + "\n" + body


def _method(spec: PortSpec, op: Op) -> str:
    said = inspect.getdoc(getattr(spec.protocol, op.name)) or op.name
    documentation = f'"""{said}"""' if "\n" not in said else f'"""{said}\n"""'
    head = _wrapped(f"{'def' if op.stream else 'async def'} {op.name}(", _parameters(op), f") -> {_gives(op)}:")
    return f'{head}\n{textwrap.indent(documentation, "    ")}\n    raise NotImplementedError("{op.name}")\n'


def _wrapped(head: str, parts: Sequence[str], tail: str, *, indent: int = 4) -> str:
    """A definition as the formatters write it, to be indented so far."""
    inner, room = ", ".join(parts), _WIDTH - indent
    if len(head + inner + tail) <= room:
        return head + inner + tail
    if len(inner) <= room - 4:
        return f"{head}\n    {inner}\n{tail}"
    return "\n".join([head, *(f"    {part}," for part in parts), tail])


def _parameters(op: Op) -> list[str]:
    """The Protocol's own parameters as source: their annotations are text already."""
    said, keyword = [], False
    for one in op.signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not keyword:
            said.append("*")
            keyword = True
        text = one.name if one.annotation is one.empty else f"{one.name}: {one.annotation}"
        said.append(text if one.default is one.empty else f"{text} = {_literal(one.default)}")
    return said


def _literal(value: Any) -> str:
    """The value as source, with the quotes that formatters prefer."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _gives(op: Op) -> str:
    return str(op.signature.return_annotation)


def _imports(spec: PortSpec, ops: Mapping[str, Op]) -> str:
    """Imports of the names that the signatures use, by the module that defines them."""
    modules = [sys.modules[one.__module__] for one in spec.protocol.__mro__ if one.__module__.startswith("codequay.")]
    used = " ".join(text for op in ops.values() for text in (*_parameters(op), _gives(op)))
    homes: dict[str, set[str]] = {"codequay.ports.spec": {"BuildContext"}}
    abstract = {"AsyncIterator"}
    for word in set(re.findall(r"[A-Za-z_]\w*", used)):
        known = [module for module in modules if hasattr(module, word)]
        if word in ("AsyncIterator", "Mapping", "Sequence"):
            abstract.add(word)
        elif known and not inspect.ismodule(value := getattr(known[0], word)):
            home = str(getattr(value, "__module__", ""))
            # An alias knows no home of its own: it is that of the class furthest up which has it.
            homes.setdefault(home if home.startswith("codequay.") else known[-1].__name__, set()).add(word)
    lines = [
        f"from collections.abc import {', '.join(sorted(abstract))}",
        "from contextlib import asynccontextmanager",
        "",
    ]
    return "\n".join(lines + [_import(home, sorted(names)) for home, names in sorted(homes.items())])


def _import(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _with_entry_points(text: str, values: Mapping[str, str]) -> str:
    """The project file with the port's adapter and harness announced."""
    lines = text.splitlines()
    for group, value in (
        ("codequay.adapters", "{package}:{constant}"),
        ("codequay.contracts", "{package}.harness:{harness}"),
    ):
        entry = f'"{values["port"]}.{values["name"]}" = "{value.format(**values)}"'
        header = re.compile(rf"\[\s*project\s*\.\s*entry-points\s*\.\s*[\"']{re.escape(group)}[\"']\s*\]")
        at = next((i for i, line in enumerate(lines) if header.match(line.strip())), None)
        if at is None:
            lines += ["", f'[project.entry-points."{group}"]', entry]
        else:
            while at + 1 < len(lines) and lines[at + 1].strip() and not lines[at + 1].startswith("["):
                at += 1
            lines.insert(at + 1, entry)
    changed = "\n".join(lines) + "\n"
    try:
        tomllib.loads(changed)
    except tomllib.TOMLDecodeError as exc:
        raise FailedPrecondition(
            "pyproject.toml announces its entry points in a way that this command cannot add to",
            remedy=f'add by hand, for each port: "{values["port"]}.{values["name"]}" = ...',
        ) from exc
    return changed


def _with_spec(text: str, spec: PortSpec, values: Mapping[str, str]) -> str:
    """The package's module with a further ``AdapterSpec``."""
    lines = _with_imports(text, f"from {values['module']} import {values['capabilities']}").splitlines()
    public = next(
        (
            node
            for node in ast.parse("\n".join(lines)).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ),
        None,
    )
    if public is not None and isinstance(public.value, (ast.List, ast.Tuple)):
        names = sorted({*ast.literal_eval(public.value), values["constant"]})
        said = ", ".join(f'"{name}"' for name in names)
        lines[public.lineno - 1 : public.end_lineno] = [f"__all__ = [{said}]"]
    return "\n".join(lines) + "\n" + templates.SPEC.format(**values, declared=_declared(spec))


def _with_class(text: str, file: str) -> str:
    """The module with the imports and classes of another that it lacks."""
    body = ast.parse(file).body
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            text = _with_imports(text, ast.unparse(node))
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    lines = file.splitlines()
    parts = ["\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in classes]
    return text.rstrip("\n") + "\n\n\n" + "\n\n\n".join(parts) + "\n"


def _with_imports(text: str, line: str) -> str:
    """The module with one more import line, after those of its kind that sort before it."""
    lines = text.splitlines()
    if line in lines:
        return text
    imports = [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    before = [node for node in imports if ast.unparse(node) < line]
    at = (before[-1].end_lineno or 0) if before else imports[0].lineno - 1 if imports else 0
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"
