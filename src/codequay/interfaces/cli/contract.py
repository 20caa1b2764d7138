"""``codequay contract``: check an adapter, measure the kit, list clauses, compare two adapters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from codequay.ports import PORTS
from codequay.ports.errors import MissingExtra

from . import exit_codes
from .command import Argument, Command, Invocation, Option
from .parse import did_you_mean, usage_error

if TYPE_CHECKING:
    from codequay.contract.report import Report
    from codequay.contract.verdict import Outcome

FAILED, UNVERIFIED = 1, 4


def run(call: Invocation) -> int:
    name = call.values["ACTION"]
    action = ACTIONS.get(name)
    if action is None:
        near = did_you_mean(name, tuple(ACTIONS))
        remedy = (f"did you mean {near}? " if near else "") + f"one of: {', '.join(ACTIONS)}"
        raise usage_error(f"contract cannot {name}", command="contract", remedy=remedy)
    for option in COMMAND.options:
        if option.name in call.values and option.name not in action.options:
            takes = ", ".join(f"--{one}" for one in action.options) or "no option of its own"
            raise usage_error(f"{name} has no {option.flags[0]}", command=f"contract {name}", remedy=f"it has {takes}")
    need_kit()
    if not __debug__:
        message = "the kit is written with assert, and Python runs without it"
        raise usage_error(message, command=f"contract {name}", remedy="unset PYTHONOPTIMIZE, and run Python without -O")
    return action.run(call)


def need_kit() -> None:
    """The kit can be imported.

    :raises MissingExtra: its one requirement is not installed
    """
    from importlib.util import find_spec

    if find_spec("hypothesis") is None:
        raise MissingExtra(
            "the contract kit needs hypothesis, which is not installed",
            component="contract",
            remedy="pip install 'codequay[contract]'",
        )


def _check(call: Invocation) -> int:
    from codequay.contract.check import check
    from codequay.contract.pytest import told
    from codequay.contract.report import LATER
    from codequay.contract.runner import TIMEOUT_S
    from codequay.ports.spec import Level

    component = _component(call.values["NAME"], "check")
    levels, required = _levels(call, "level"), _levels(call, "require")
    for option in ("report", "junit"):
        _writable(call, option)
    report = check(
        component,
        clauses=call.values.get("clause", ()),
        levels=[Level(one) for one in levels],
        seed=call.values.get("seed", 0),
        timeout=float(call.values.get("timeout", TIMEOUT_S)),
        strict=bool(call.values.get("strict")),
        told=lambda outcome: _told(call, outcome),
    )
    found = report.to_json()
    _write(call, "report", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _write(call, "junit", report.junit() + "\n")
    if call.out.options.format == "text":
        if report.advisory:
            call.out.data(f"advisory, {LATER}:\n")
        for one in report.advisory:
            call.out.data(told(one) + "\n")
        counts = ", ".join(f"{n} {verdict}" for verdict, n in report.counts().items())
        call.out.data(f"{component}: {report.verdict} ({counts}), contract {report.contract}, seed {report.seed}")
    else:
        call.out.json(found)
    return _code(call, report, required)


def _code(call: Invocation, report: Report, required: list[str]) -> int:
    """1 when something failed; 4 when something could not be tried, or a required level was not."""
    from codequay.contract.verdict import Verdict

    if report.verdict is Verdict.FAIL:
        return FAILED
    tried = {str(one.level) for one in report.outcomes if one.verdict in (Verdict.PASS, Verdict.WAIVED)}
    missing = [level for level in required if level not in tried]
    if missing:
        call.out.note(f"required and not tried: {', '.join(missing)}")
    idle = all(one.verdict is Verdict.NA for one in report.outcomes)
    if idle:
        call.out.note("no clause was tried")
    unverified = missing or idle or report.verdict is Verdict.UNVERIFIED
    return UNVERIFIED if unverified else exit_codes.OK


def _told(call: Invocation, outcome: Outcome) -> None:
    """One trial as it ends: what is wrong in full, what is right under -v."""
    from codequay.contract.pytest import told
    from codequay.contract.verdict import Verdict

    if call.out.options.format == "jsonl":
        call.out.json(outcome.to_json())
    elif call.out.options.format == "text":
        if outcome.verdict in (Verdict.FAIL, Verdict.UNVERIFIED):
            call.out.data(told(outcome) + "\n")
        elif call.out.options.verbose:
            call.out.data(f"{outcome.verdict:10} {outcome.clause}")
    call.out.stdout.flush()


def _selftest(call: Invocation) -> int:
    name = call.values["NAME"]
    ports = [_port(name, "selftest")] if name else list(PORTS)
    _writable(call, "report")
    one = _matrix if call.values.get("matrix") else _measure
    found = {port: one(call, port) for port in ports}
    answer = {"ports": {port: said for port, (said, _) in found.items()}}
    _write(call, "report", json.dumps(answer, indent=1) + "\n")
    if call.out.options.format != "text":
        call.out.json(answer)
    return exit_codes.OK if all(strong for _, strong in found.values()) else FAILED


def _measure(call: Invocation, port: str) -> tuple[dict[str, Any], bool]:
    """What became of the port's broken adapters, and whether that is strong."""
    from codequay.contract.selftest import measure

    found = measure(port)
    if call.out.options.format == "text":
        out = call.out
        out.data(
            f"{port}: {found.killed_saboteurs} of {found.saboteurs} saboteurs, {found.killed_mutants} of "
            f"{found.mutants - found.equivalent} mutants ({found.equivalent} equivalent) in {found.seconds:.0f} s"
        )
        for what, names in (
            ("the reference itself fails", found.reference),
            ("survived", found.survivors),
            ("fails more than half of the clauses", found.too_broken),
            ("not seen by diff", found.missed_by_diff),
        ):
            for name in names:
                out.data(f"  {what}: {name}")
        if out.options.verbose:
            for name in found.out_of_reach:
                out.data(f"  out of the reach of diff: {name}")
        out.stdout.flush()
    return found.to_json(), found.strong


def _matrix(call: Invocation, port: str) -> tuple[dict[str, Any], bool]:
    """How many broken adapters each clause catches, run alone; and whether each catches one."""
    from codequay.contract.selftest import matrix

    rows = matrix(port)
    if call.out.options.format == "text":
        for row in rows:
            alone = f", {len(row.alone)} that no other clause catches" if row.alone else ""
            call.out.data(f"{row.clause}  {row.caught}{alone}" if row.caught else f"{row.clause}  catches nothing")
        call.out.stdout.flush()
    clauses = {row.clause: {"caught": row.caught, "alone": list(row.alone)} for row in rows}
    return {"clauses": clauses}, all(row.caught for row in rows)


def _list(call: Invocation) -> int:
    from codequay.contract.clauses import suite

    found = suite(_port(call.values["NAME"], "list"))
    clauses = [
        {
            "clause": clause.id,
            "level": str(clause.level),
            "since": clause.since,
            "advisory": found.port.advisory(clause),
            "text": clause.text,
            "trials": [trial.name for trial in found.trials if trial.clause.id == clause.id],
            "hint": next((t.hint for t in found.trials if t.clause.id == clause.id and t.hint), ""),
        }
        for clause in found.port.clauses
    ]
    out = call.out
    if out.options.format == "json":
        port = found.port
        out.json({"port": port.name, "contract": port.contract, "digest": port.digest(), "clauses": clauses})
        return exit_codes.OK
    for one in clauses:
        if out.options.format == "jsonl":
            out.json(one)
        else:
            new = f" (since {one['since']}: advisory)" if one["advisory"] else ""
            out.data(f"{one['clause']}  {one['level']:12} {one['text']}{new}")
            if out.options.verbose and one["hint"]:
                out.data(f"  hint: {one['hint']}")
    return exit_codes.OK


def _diff(call: Invocation) -> int:
    from codequay.contract.diff import compare

    left, right = (call.values.get(side) for side in ("from", "to"))
    if not left or not right or call.values["NAME"]:
        remedy = "for example: codequay contract diff --from chunks.sqlite --to chunks.memory"
        raise usage_error("diff wants --from and --to, and nothing else", command="contract diff", remedy=remedy)
    found = compare(_component(left, "diff"), _component(right, "diff"), seed_=call.values.get("seed", 0))
    if call.out.options.format == "text":
        counts = ", ".join(f"{n} {op}" for op, n in sorted(found.operations.items()))
        call.out.data(f"{found.left} and {found.right}: {found.histories} histories, seed {found.seed} ({counts})")
        for one in found.differences:
            call.out.data(
                f"they differ at {one.step}:\n  {one.left}: {one.answers[0]}\n  {one.right}: {one.answers[1]}"
            )
            call.out.data(one.history)
        if not found.differences:
            call.out.data("no difference")
    else:
        call.out.json(found.to_json())
    return FAILED if found.differences else exit_codes.OK


class Action(NamedTuple):
    """What ``contract`` can do, and the options that it reads."""

    run: Callable[[Invocation], int]
    options: tuple[str, ...] = ()


ACTIONS: Mapping[str, Action] = {
    "check": Action(_check, ("clause", "level", "require", "seed", "timeout", "strict", "report", "junit")),
    "selftest": Action(_selftest, ("matrix", "report")),
    "list": Action(_list),
    "diff": Action(_diff, ("from", "to", "seed")),
}


def _port(name: str, action: str) -> str:
    if name not in PORTS:
        near = did_you_mean(name or "", tuple(PORTS))
        remedy = (f"did you mean {near}? " if near else "") + f"one of: {', '.join(PORTS)}"
        message = f"no port is named {name!r}" if name else "a port is missing"
        raise usage_error(message, command=f"contract {action}", remedy=remedy)
    return name


def _component(name: str, action: str) -> str:
    port, dot, adapter = name.partition(".")
    if not dot or not adapter:
        message = f"{name!r} is no adapter's name" if name else "an adapter is missing"
        remedy = "name PORT.ADAPTER, for example chunks.sqlite; codequay adapters lists them"
        raise usage_error(message, command=f"contract {action}", remedy=remedy)
    return f"{_port(port, action)}.{adapter}"


def _levels(call: Invocation, option: str) -> list[str]:
    from codequay.ports.spec import Level

    asked = [one.strip() for one in str(call.values.get(option) or "").split(",") if one.strip()]
    known = [str(level) for level in Level]
    for one in asked:
        if one not in known:
            near = did_you_mean(one, known)
            remedy = (f"did you mean {near}? " if near else "") + f"one of: {', '.join(known)}"
            raise usage_error(f"no level is named {one!r}", command="contract check", remedy=remedy)
    return asked


def _writable(call: Invocation, option: str) -> None:
    """Refuse a file that cannot be written before minutes are spent on what it is to hold."""
    name = call.values.get(option)
    if not name:
        return
    file = Path(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("a").close()
    except OSError as exc:
        message = f"--{option} {name} cannot be written: {exc.strerror}"
        raise usage_error(message, command="contract", remedy="name a file in a folder of yours") from exc


def _write(call: Invocation, option: str, text: str) -> None:
    name = call.values.get(option)
    if name:
        Path(name).write_text(text, encoding="utf-8")


COMMAND = Command(
    name="contract",
    summary="prove that an adapter keeps its port's contract",
    run=run,
    arguments=(
        Argument("ACTION", "check, selftest, list or diff", required=True),
        Argument("NAME", "check: PORT.ADAPTER; selftest: a port (default: all); list: a port", default=""),
    ),
    options=(
        Option(("--clause",), "check: this clause only; may be repeated", metavar="ID", repeat=True),
        Option(("--level",), "check: these levels only", metavar="L,..."),
        Option(("--require",), "check: exit 4 unless a clause of each level was tried and held", metavar="L,..."),
        Option(("--seed",), "check, diff: of the generated histories (default: 0)", metavar="N", number=True, least=0),
        Option(("--timeout",), "check: seconds for one trial (default: 30)", metavar="S", number=True),
        Option(("--strict",), "check: advisory clauses, those new in the port's latest minor version, count too"),
        Option(("--report",), "check: write the certificate here; selftest: the measurements", metavar="FILE"),
        Option(("--junit",), "check: write the trials here, as JUnit XML", metavar="FILE"),
        Option(("--matrix",), "selftest: every clause over every broken adapter: what each catches; takes minutes"),
        Option(("--from",), "diff: the adapter that runs now", metavar="PORT.A"),
        Option(("--to",), "diff: the adapter that takes its place", metavar="PORT.B"),
    ),
    examples=(
        ("codequay contract check chunks.sqlite", "every clause, over the adapter as it is installed"),
        ("codequay contract check chunks.mystore --report certificate.json", "and write the certificate"),
        ("codequay contract list lock", "what an adapter of the port must keep to"),
        ("codequay contract diff --from lock.memory --to lock.sqlite", "what can be told apart"),
        ("codequay contract selftest lock", "how strong the clauses of a port are"),
    ),
    exits={
        0: "it holds",
        1: "a clause failed that is not advisory, two adapters differ, or the clauses are too weak",
        2: exit_codes.MEANING[2],
        4: "something could not be tried",
    },
    notes="The kit needs hypothesis: pip install 'codequay[contract]'.",
)
