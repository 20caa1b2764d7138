"""``codequay status``."""

from __future__ import annotations

from . import exit_codes
from .command import Argument, Command, Invocation, Option


def run(call: Invocation) -> int:
    from codequay.app import RunsRequest, StatusRequest

    from . import reports, runtime

    values = call.values
    path = values["PATH"]
    settings = runtime.settings(call, path)
    if values.get("runs"):
        asked = RunsRequest(path, values.get("limit", 20))
        reports.runs(call.out, runtime.ask(call, settings, lambda quay: quay.runs(asked)))
        return exit_codes.OK
    request = StatusRequest(path, bool(values.get("pending")), bool(values.get("skipped")))
    answer = runtime.ask(call, settings, lambda quay: quay.status(request))
    reports.status(call.out, answer)
    return exit_codes.INCOMPLETE if any(repo.cold for repo in answer.repos) else exit_codes.OK


COMMAND = Command(
    name="status",
    summary="what is indexed, what has changed since, what was skipped and why",
    run=run,
    arguments=(Argument("PATH", "a path inside the repository, or one file (default: here)", default="."),),
    options=(
        Option(("--pending",), "list the files that changed since"),
        Option(("--skipped",), "list the files that were skipped, and why"),
        Option(("--runs",), "the latest index runs instead, newest first"),
        Option(("-n", "--limit"), "at most N runs (default: 20)", metavar="N", number=True),
    ),
    examples=(
        ("codequay status", "of the repository that you stand in"),
        ("codequay status src/app.py", "what became of one file"),
        ("codequay status --skipped", "the files that cannot be found, with the reason"),
        ("codequay status --runs", "when it was indexed, how long it took, what failed"),
        ("codequay status --format json", "for programs"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 4, 6, 124)},
)
