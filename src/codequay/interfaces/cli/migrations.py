"""``codequay migrations``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import exit_codes
from .command import Argument, Command, Invocation, Option

if TYPE_CHECKING:
    from codequay.app import MigrationsAnswer

    from .output import Output


def run(call: Invocation) -> int:
    from codequay.app import MigrationsRequest

    from . import runtime

    request = MigrationsRequest(call.values["PATH"], apply=bool(call.values.get("apply")))
    settings = runtime.settings(call, request.path)
    answer = runtime.ask(call, settings, lambda quay: quay.migrations(request), readonly=not request.apply)
    _print(call.out, answer, sql=bool(call.values.get("sql")))
    return exit_codes.OK


def _print(out: Output, answer: MigrationsAnswer, *, sql: bool) -> None:
    from . import render

    if out.options.format != "text":
        out.json(render.to_json(answer))
        return
    rows = [("STORE", "PORTS", "VERSION", "STATE", "WHAT")]
    now = {(step.store, step.version) for step in answer.applied}
    for store in answer.stores:
        for step in store.migrations:
            state = "applied" if step.applied else "pending"
            if (step.store, step.version) in now:
                state = "applied now"
            rows.append((step.store, " ".join(store.ports), str(step.version), state, step.title))
            if sql:
                by_hand = store.reach == "network" and not step.applied
                out.data(f"-- {step.store} {step.version}, {state}: {step.title}\n{_statements(step.sql, by_hand)}\n")
    if not sql:
        render.table(out, rows)
    if answer.pending:
        out.note(
            "pending steps run now with: codequay migrations --apply; "
            "where migrations = auto, also when the index is next written"
        )


def _statements(sql: str, by_hand: bool) -> str:
    """What nobody has to run is a comment, so that the whole may be given to a server's own client."""
    return sql if by_hand else "\n".join(f"-- {line}" for line in sql.splitlines())


COMMAND = Command(
    name="migrations",
    summary="the versions of the stores, and the steps that bring an older index forward",
    run=run,
    arguments=(Argument("PATH", "a path inside the repository (default: here)", default="."),),
    options=(
        Option(("--apply",), "run the pending steps now"),
        Option(("--sql",), "print what each step runs; in comments what is applied, or of a file of this machine"),
    ),
    examples=(
        ("codequay migrations", "what has been applied to the index here, and what is pending"),
        ("codequay migrations --sql | psql DSN", "by somebody who may make tables on the server"),
        ("codequay migrations --apply", 'where adapters.postgres.migrations = "check"'),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3, 4, 6, 7, 124)},
    notes=(
        "Steps go forward only, each store's in one transaction. An index of an older release can be read before it\n"
        "is migrated; what a newer release has made is used as far as it says that it may be, else refused."
    ),
)
