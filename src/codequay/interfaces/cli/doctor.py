"""``codequay doctor``."""

from __future__ import annotations

from . import exit_codes
from .command import Argument, Command, Invocation

EXITS = {"ok": exit_codes.OK, "incomplete": exit_codes.INCOMPLETE, "wrong": exit_codes.PERMANENT}


def run(call: Invocation) -> int:
    from . import reports, runtime

    path = call.values["PATH"]
    settings = runtime.settings(call, path)
    answer = runtime.ask(call, settings, lambda quay: quay.doctor(path))
    reports.doctor(call.out, answer)
    return EXITS[answer.verdict]


COMMAND = Command(
    name="doctor",
    summary="what is wrong with an index, and what to do about it",
    run=run,
    arguments=(Argument("PATH", "a path inside the index (default: here)", default="."),),
    examples=(
        ("codequay doctor", "looks at every part, changes nothing"),
        ("codequay doctor -q && serve", "as a probe: by its exit code, and only what is wrong is printed"),
    ),
    exits={
        0: "nothing is wrong",
        2: exit_codes.MEANING[2],
        3: "something is wrong; each finding says what to do",
        4: "nothing is broken, but the index is missing, cold or old",
    },
)
