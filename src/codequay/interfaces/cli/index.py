"""``codequay index``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import exit_codes
from .command import Argument, Command, Invocation, Option

if TYPE_CHECKING:
    from codequay.app import IndexAnswer


def run(call: Invocation) -> int:
    from . import render

    codes: list[int] = []
    only = tuple(port.strip() for port in call.values.get("only", "").split(",") if port.strip())
    for path in call.values["PATH"]:
        try:
            render.index(call.out, one(call, path, rev=call.values.get("rev"), only=only))
        except BrokenPipeError:
            raise
        except Exception as exc:  # noqa: BLE001 - one place that fails must not stop the others
            render.error(call.out, exc)
            codes.append(exit_codes.exit_code(exc))
    return exit_codes.combine(codes)


def one(call: Invocation, path: str, *, rev: str | None = None, only: tuple[str, ...] = ()) -> IndexAnswer:
    """Index one place, with the settings that hold there."""
    from codequay.app import IndexRequest

    from . import runtime
    from .progress import Progress

    settings = runtime.settings(call, path)
    request = IndexRequest(path, rev, only)
    progress = Progress(call.out, path)
    try:
        return runtime.ask(call, settings, lambda quay: quay.index(request, progress=progress), readonly=False)
    finally:
        progress.close()


COMMAND = Command(
    name="index",
    summary="read a repository or folder and make it searchable",
    run=run,
    arguments=(Argument("PATH", "a path inside the repository (default: here)", default=".", many=True),),
    options=(
        Option(("--rev",), "index this revision (branch, tag, commit) instead of the working tree", metavar="REV"),
        Option(("--only",), "fill these stores only: chunks, lexical", metavar="PORT,..."),
    ),
    examples=(
        ("codequay index", "the repository that you stand in"),
        ("codequay index ~/src/django ~/src/flask", "several; one that fails does not stop the others"),
        ("codequay index --rev v2.1", "a tag, beside the working tree; what both share is stored once"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 6, 7, 124, 130, 143)},
    notes="The index lies in .codequay/ at the top of the repository. Nothing of the repository's is executed.",
)
