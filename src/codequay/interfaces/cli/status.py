"""``codequay status``."""

from __future__ import annotations

from . import exit_codes
from .command import Argument, Command, Invocation


def run(call: Invocation) -> int:
    from codequay.app import StatusRequest

    from . import render, runtime

    request = StatusRequest(call.values["PATH"])
    settings = runtime.settings(call, request.path)
    answer = runtime.ask(call, settings, lambda quay: quay.status(request))
    render.status(call.out, answer)
    return exit_codes.INCOMPLETE if any(repo.cold for repo in answer.repos) else exit_codes.OK


COMMAND = Command(
    name="status",
    summary="what is indexed, and which stores hold it",
    run=run,
    arguments=(Argument("PATH", "a path inside the repository (default: here)", default="."),),
    examples=(
        ("codequay status", "of the repository that you stand in"),
        ("codequay status --format json", "for programs"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 4, 6)},
)
