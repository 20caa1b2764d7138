"""``codequay watch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import exit_codes
from .command import Argument, Command, Invocation, Option

if TYPE_CHECKING:
    from codequay.app import Quay, WatchRequest


def run(call: Invocation) -> int:
    from codequay.app import WatchRequest

    from . import runtime

    values = call.values
    request = WatchRequest(values["PATH"], values.get("settle", 200), bool(values.get("poll")))
    settings = runtime.settings(call, request.path)
    runtime.ask(call, settings, lambda quay: _follow(call, quay, request), readonly=False)
    return exit_codes.OK


async def _follow(call: Invocation, quay: Quay, request: WatchRequest) -> None:
    from contextlib import aclosing

    from . import reports

    async with aclosing(quay.watch(request)) as events:
        async for event in events:
            reports.watched(call.out, event)


COMMAND = Command(
    name="watch",
    summary="keep the index current while files change",
    run=run,
    arguments=(Argument("PATH", "a path inside the repository (default: here)", default="."),),
    options=(
        Option(("--settle",), "index when nothing has changed for MS milliseconds (default: 200)", "MS", number=True),
        Option(("--poll",), "look at the files instead of waiting to be told; for disks that tell nothing"),
    ),
    examples=(
        ("codequay watch", "until it is interrupted"),
        ("codequay watch --format jsonl", "an object per run, for programs"),
    ),
    exits={0: "the reader of its output has gone"} | {code: exit_codes.MEANING[code] for code in (2, 3, 130, 143)},
    notes=(
        "It needs the extra watch: pip install 'codequay[watch]'.\n"
        "Searches are fresh without it; with it they need not look for changes to index."
    ),
)
