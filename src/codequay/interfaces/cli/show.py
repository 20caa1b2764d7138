"""``codequay show``."""

from __future__ import annotations

import re

from . import exit_codes
from .command import REFRESH, REV, Argument, Command, Invocation

_PLACE = re.compile(r"(?P<path>.+?):(?P<line>[1-9][0-9]{0,8})(?:[-:][0-9]+)?:?", re.DOTALL)


def place(typed: str) -> tuple[str, int | None]:
    """``FILE``, ``FILE:LINE``, and what search prints: ``FILE:START-END``."""
    match = _PLACE.fullmatch(typed)
    return (match["path"], int(match["line"])) if match else (typed, None)


def run(call: Invocation) -> int:
    from codequay.app import ShowRequest

    from . import render, runtime

    path, line = place(call.values["FILE[:LINE]"])
    settings = runtime.settings(call, path)
    refresh = call.values.get("refresh", settings.retrieval.refresh)
    request = ShowRequest(path, line, rev=call.values.get("rev"), refresh=refresh)
    answer = runtime.ask(call, settings, lambda quay: quay.show(request), readonly=request.refresh == "never")
    render.show(call.out, answer)
    return exit_codes.INCOMPLETE if answer.stale else exit_codes.OK


COMMAND = Command(
    name="show",
    summary="print an indexed file, or the function around a line",
    run=run,
    arguments=(Argument("FILE[:LINE]", "a path on disk or in the index, and perhaps a line", required=True),),
    options=(REV, REFRESH),
    examples=(
        ("codequay show src/app.py", "the file as indexed"),
        ("codequay show src/app.py:42", "the function that holds line 42"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 4, 6, 7, 124)},
)
