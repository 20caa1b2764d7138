"""``codequay gc``."""

from __future__ import annotations

from . import exit_codes
from .command import Argument, Command, Invocation, Option


def run(call: Invocation) -> int:
    from codequay.app import GcRequest

    from . import reports, runtime

    request = GcRequest(call.values["PATH"], bool(call.values.get("dry_run")))
    settings = runtime.settings(call, request.path)
    answer = runtime.ask(call, settings, lambda quay: quay.gc(request), readonly=request.dry_run)
    reports.gc(call.out, answer)
    return exit_codes.LOCK_BUSY if any(one.skipped for one in answer.repos) else exit_codes.OK


COMMAND = Command(
    name="gc",
    summary="delete what nothing shows any more, and compact the index",
    run=run,
    arguments=(Argument("PATH", "a path inside the index (default: here)", default="."),),
    options=(Option(("--dry-run",), "only say what would be deleted"),),
    examples=(
        ("codequay gc --dry-run", "what would go"),
        ("codequay gc", "let it go"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 4, 6, 7, 124, 130, 143)},
    notes=(
        "Kept are: what is searched, revisions and linked work trees that were indexed, the newest\n"
        "index.keep_generations generations, and whatever was superseded less than ten minutes ago.\n"
        "A repository that is being indexed is left alone, and the exit code is 7."
    ),
)
