"""``codequay plan``."""

from __future__ import annotations

from . import exit_codes
from .command import Argument, Command, Invocation


def run(call: Invocation) -> int:
    from . import render, runtime

    settings = runtime.settings(call, call.values["PATH"])
    planned = runtime.app(call, settings).plan()
    plan = planned.to_json()
    out = call.out
    if out.options.format == "json":
        out.json(plan)
    elif out.options.format == "jsonl":
        for port, chosen in plan["ports"].items():
            out.json({"port": port, **chosen})
    else:
        rows = [("PORT", "ADAPTER", "REACH", "DURABLE", "CERTIFICATE", "CHOSEN BY")]
        for port, chosen in plan["ports"].items():
            able = chosen["capabilities"]
            durable = "yes" if able["durable"] else "no"
            rows.append((port, chosen["adapter"], able["reach"], durable, chosen["certificate"], chosen["why"]))
        out.data(f"profile  {plan['profile']}")
        render.table(out, rows)
    for line in (*plan["warnings"], *planned.of_machines):
        out.note(line)
    return exit_codes.OK


COMMAND = Command(
    name="plan",
    summary="which adapter stands behind each port, and why; opens nothing",
    run=run,
    arguments=(Argument("PATH", "with the settings that hold there (default: here)", default="."),),
    examples=(
        ("codequay plan", "what the next command will use"),
        ("CODEQUAY_PORTS__LOCK=memory codequay plan", "with one port swapped"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2)},
)
