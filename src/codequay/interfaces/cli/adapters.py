"""``codequay adapters``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import exit_codes
from .command import Command, Invocation

if TYPE_CHECKING:
    from codequay.kernel.registry import Registry


def run(call: Invocation) -> int:
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
        rows = [("PORT", "ADAPTER", "STATE", "FROM", "WHAT")]
        for one in found:
            what = one["summary"] if one["state"] == "ready" else one["remedy"]
            rows.append((one["port"], one["name"], one["state"], one["distribution"], what))
        render.table(out, rows)
    return exit_codes.OK


def listing(registry: Registry) -> list[dict[str, Any]]:
    """Every announced adapter. One that cannot be used says so and hides no other."""
    from codequay.kernel.registry import missing_requirement
    from codequay.ports.errors import PortError

    found = []
    for port in registry.ports:
        for name in registry.names(port):
            one: dict[str, Any] = {"port": port, "name": name, "state": "ready", "distribution": "", "summary": ""}
            one |= {"stability": "", "capabilities": {}, "remedy": ""}
            try:
                announcement = registry.announcement(port, name)
                one["distribution"] = f"{announcement.distribution} {announcement.version}".strip()
                spec = registry.spec(port, name)
                one |= {"summary": spec.summary, "stability": spec.stability}
                one["capabilities"] = spec.capabilities.to_json()
                missing = missing_requirement(spec)
                if missing is not None:
                    one |= {"state": str(missing.code), "remedy": missing.remedy}
            except PortError as exc:
                one |= {"state": str(exc.code), "remedy": exc.remedy}
            found.append(one)
    return found


COMMAND = Command(
    name="adapters",
    summary="which back ends are installed, and what each can do",
    run=run,
    examples=(("codequay adapters", "all of them"), ("codequay adapters --format json", "with capabilities")),
    exits={0: exit_codes.MEANING[0]},
)
