"""``codequay repos``."""

from __future__ import annotations

import os

from . import exit_codes
from .command import Argument, Command, Invocation, Option
from .parse import did_you_mean, usage_error

ACTIONS = ("list", "rm")


def run(call: Invocation) -> int:
    from codequay.app import RemoveRequest, ReposRequest

    from . import reports, runtime

    action, name = call.values["ACTION"], call.values["NAME"]
    if action not in ACTIONS:
        near = did_you_mean(action, ACTIONS)
        remedy = (f"did you mean {near}? " if near else "") + f"one of: {', '.join(ACTIONS)}"
        raise usage_error(f"repos cannot {action}", command="repos", remedy=remedy)
    if action == "list":
        _only_rm(call)
        place = name or "."
        settings = runtime.settings(call, place)
        reports.repos(call.out, runtime.ask(call, settings, lambda quay: quay.repos(ReposRequest(place))))
        return exit_codes.OK
    if not name:
        raise usage_error("REPO is missing", command="repos", remedy="codequay repos list names them")
    path = name if os.path.isdir(name) else "."
    request = RemoveRequest(name, path, call.values.get("rev"), bool(call.values.get("purge")))
    settings = runtime.settings(call, path)
    reports.removed(call.out, runtime.ask(call, settings, lambda quay: quay.remove(request), readonly=False))
    return exit_codes.OK


def _only_rm(call: Invocation) -> None:
    for flag in ("purge", "rev"):
        if call.values.get(flag):
            raise usage_error(f"--{flag} goes with rm", command="repos", remedy=f"codequay repos rm REPO --{flag}")


COMMAND = Command(
    name="repos",
    summary="the repositories of an index; take one out",
    run=run,
    arguments=(
        Argument("ACTION", "list (default) or rm", default="list"),
        Argument("NAME", "list: a path inside the index (default: here); rm: the id or a path of a repository"),
    ),
    options=(
        Option(("--purge",), "rm: delete its data now, not with the next gc"),
        Option(("--rev",), "rm: take out this indexed revision only", metavar="REV"),
    ),
    examples=(
        ("codequay repos list", "those of the index that you stand in"),
        ("codequay repos rm github.com/django/django", "searches no longer show it; gc deletes its data"),
        ("codequay repos rm . --rev v1.0", "a revision that is needed no more"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 4, 6, 7, 124)},
)
