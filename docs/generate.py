"""Writes docs/reference from the code; with --check says what differs and exits 1."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path

from codequay.ports import PORTS
from codequay.ports.op import operations
from codequay.ports.spec import AdapterSpec, PortSpec

OUT = Path(__file__).parent / "reference"


def _field_docs(cls: type) -> dict[str, str]:
    """The string under each field of a dataclass and of its bases, as written."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is object:
            continue
        lines = inspect.getsource(base).splitlines()
        for name in vars(base).get("__annotations__", {}):
            at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
            text = lines[at + 1].strip() if at + 1 < len(lines) else ""
            found[name] = text.strip('"') if text.startswith('"""') else ""
    return found


def port_page(spec: PortSpec) -> str:
    """One port: what it is for, operations, capabilities, clauses."""
    module = inspect.getmodule(spec.protocol)
    assert module is not None
    out = [f"# Port `{spec.name}`", "", inspect.cleandoc(module.__doc__ or ""), "", "## Operations", ""]
    for name, mark in operations(spec.protocol).items():
        method = getattr(spec.protocol, name)
        facts = [str(mark.effect), "idempotent" if mark.idempotent else "not idempotent"]
        if mark.batch:
            facts.append(f"batch over `{mark.batch}`")
        if mark.sync:
            facts.append("on the sync face")
        signature = str(mark.signature).replace("(self, ", "(").replace("(self)", "()")
        out += [f"### `{name}{signature}`", "", f"*{', '.join(facts)}*", "", inspect.cleandoc(method.__doc__ or ""), ""]
    out += ["## Capabilities", "", "| field | default | meaning |", "|---|---|---|"]
    docs = _field_docs(spec.capabilities)
    for field in dataclasses.fields(spec.capabilities):
        out.append(f"| `{field.name}` | `{field.default!r}` | {docs.get(field.name, '')} |")
    out += ["", "## Clauses", "", "| id | level | clause |", "|---|---|---|"]
    out += [f"| {c.id} | {c.level} | {c.text} |" for c in spec.clauses]
    return "\n".join(out) + "\n"


def adapters_page() -> str:
    """Every adapter of this distribution with what it declares."""
    out = ["# Adapters", "", "What each adapter declares, as `codequay adapters` prints it.", ""]
    for entry in sorted(entry_points(group="codequay.adapters"), key=lambda e: e.name):
        if entry.dist is None or entry.dist.name != "codequay":
            continue
        spec: AdapterSpec = entry.load()
        out += [f"## `{spec.port}.{spec.name}`", "", f"{spec.summary} ({spec.stability})", ""]
        out += [f"- `{key}` = `{value!r}`" for key, value in spec.capabilities.to_json().items()]
        out.append("")
    return "\n".join(out)


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    made = {"adapters.md": adapters_page()}
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
