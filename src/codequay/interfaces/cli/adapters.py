"""``codequay adapters``: which back ends there are, and a new one to be written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exit_codes
from .command import Argument, Command, Invocation, Option
from .parse import did_you_mean, usage_error

if TYPE_CHECKING:
    from codequay.kernel.registry import Registry


def run(call: Invocation) -> int:
    action = call.values["ACTION"]
    if not action:
        if call.values.get("into"):
            raise usage_error("--into is for a new adapter", command="adapters", remedy=f"for example: {_EXAMPLE}")
        return _list(call)
    if action != "new":
        near = did_you_mean(action, ("new",))
        remedy = (f"did you mean {near}? " if near else "") + f"codequay adapters lists them; a new one: {_EXAMPLE}"
        raise usage_error(f"adapters cannot {action}", command="adapters", remedy=remedy)
    return _new(call)


def _list(call: Invocation) -> int:
    from codequay.kernel.registry import default_registry

    from . import render

    found = listing(default_registry())
    out = call.out
    if out.options.format == "json":
        out.json({"adapters": found})
    elif out.options.format == "jsonl":
        for one in found:
            out.json(one)
    else:
        rows = [("PORT", "ADAPTER", "STATE", "CERTIFICATE", "FROM", "WHAT")]
        for one in found:
            what = one["summary"] if one["state"] == "ready" else one["remedy"]
            rows.append((one["port"], one["name"], one["state"], one["certificate"], one["distribution"], what))
        render.table(out, rows)
    return exit_codes.OK


def listing(registry: Registry) -> list[dict[str, Any]]:
    """Every announced adapter. One that cannot be used says so and hides no other."""
    from codequay.kernel import certificates
    from codequay.kernel.registry import missing_requirement
    from codequay.ports.errors import PortError

    found = []
    for port in registry.ports:
        for name in registry.names(port):
            one: dict[str, Any] = {"port": port, "name": name, "state": "ready", "distribution": "", "summary": ""}
            one |= {"stability": "", "certificate": "none", "capabilities": {}, "remedy": ""}
            try:
                announcement = registry.announcement(port, name)
                one["distribution"] = f"{announcement.distribution} {announcement.version}".strip()
                spec = registry.spec(port, name)
                one |= {"summary": spec.summary, "stability": spec.stability}
                one["capabilities"] = spec.capabilities.to_json()
                one["certificate"] = certificates.state(f"{port}.{name}", announcement.module, registry.port(port))
                missing = missing_requirement(spec)
                if missing is not None:
                    one |= {"state": str(missing.code), "remedy": missing.remedy}
            except PortError as exc:
                one |= {"state": str(exc.code), "remedy": exc.remedy}
            found.append(one)
    return found


def _new(call: Invocation) -> int:
    import shlex

    from .contract import need_kit

    need_kit()
    from codequay.contract.scaffold import scaffold

    port, name = call.values["PORT"], call.values["NAME"]
    if not port or not name:
        what = "NAME" if port else "PORT"
        raise usage_error(f"{what} is missing", command="adapters", remedy=f"for example: {_EXAMPLE}")
    made = scaffold(port, name, Path(call.values.get("into") or "."))
    # Beside codequay, in the interpreter that runs this: only there are its entry points seen.
    then = [
        f"cd {shlex.quote(str(made.folder))}",
        "python -m pip install -e '.[test]'",
        "python -m pytest",
        f"codequay contract check {port}.{name}",
    ]
    out = call.out
    if out.options.format != "text":
        written, changed = (list(map(str, files)) for files in (made.written, made.changed))
        out.json({"folder": str(made.folder), "written": written, "changed": changed, "then": then})
        return exit_codes.OK
    for file in made.written:
        out.data(f"written  {out.name(str(file))}")
    for file in made.changed:
        out.data(f"changed  {out.name(str(file))}")
    out.data("then:")
    for line in then:
        out.data(f"  {out.name(line)}")
    return exit_codes.OK


_EXAMPLE = "codequay adapters new chunks mystore"

COMMAND = Command(
    name="adapters",
    summary="which back ends are installed, and what each can do; a new one to write",
    run=run,
    arguments=(
        Argument("ACTION", "new: write a distribution with an adapter that is still to be written", default=""),
        Argument("PORT", "new: the port, for example chunks", default=""),
        Argument("NAME", "new: the adapter's name, for example mystore", default=""),
    ),
    options=(
        Option(
            ("--into",),
            "new: write it under this folder (default: here); a distribution with such an adapter gets a further port",
            metavar="DIR",
        ),
    ),
    examples=(
        ("codequay adapters", "all of them"),
        ("codequay adapters --format json", "with capabilities"),
        (_EXAMPLE, "writes ./codequay-mystore: package, harness, tests"),
        ("codequay adapters new lock mystore", "the same distribution, one port more"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3)},
)
