"""``python -m codequay.contract.worker``: runs trials in a process that an adapter may ruin.

Says ``{"ready": true}``, reads one request a line, answers one line a trial and then ``{"done": true}``. Requests and
answers go through descriptors of their own: what the adapter prints is thrown away, and what it reads is empty. After a
trial that hangs the process ends: nothing that it says could be trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Any

from codequay.kernel.certificates import adapter_hash
from codequay.kernel.registry import default_registry
from codequay.ports.errors import PortError

from .clauses import suite
from .harness import Origin
from .model import keep_nothing
from .mutants import installed
from .report import Waiver
from .runner import run_trial, told
from .verdict import Verdict

FORKED = {
    "verdict": str(Verdict.FAIL),
    "reason": "it forked the process",
    "hint": "start a new interpreter with subprocess (without preexec_fn) or asyncio.create_subprocess_exec",
}


def main() -> int:
    """Serve until the requests end."""
    keep_nothing()
    requests, answers = _own(0, "r"), _own(1, "w")
    with open(os.devnull, "r+b") as nothing:
        for fd in (0, 1, 2):
            os.dup2(nothing.fileno(), fd)
    answers.write('{"ready": true}\n')
    answers.flush()
    forked: list[bool] = []
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_parent=lambda: forked.append(True), after_in_child=lambda: os._exit(99))
    for line in requests:
        for answer in _answers(json.loads(line), forked):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
            if answer.get("poisoned"):
                os._exit(3)
        answers.write('{"done": true}\n')
        answers.flush()
    return 0


def _own(fd: int, mode: str) -> IO[str]:
    return os.fdopen(os.dup(fd), mode, encoding="utf-8")


def _answers(request: dict[str, Any], forked: list[bool]) -> Iterator[dict[str, Any]]:
    kind = request.get("kind", "trials")
    if kind == "about":
        yield _about(Origin(*request["origin"]))
    elif kind == "diff":
        yield _difference(Origin(*request["origin"]), request["examples"], request["likely"])
    else:
        yield from _trials(request, forked)


def _about(origin: Origin) -> dict[str, Any]:
    """What a report says of the adapter beside the verdicts; ``error`` when it cannot be had at all."""
    try:
        target = origin.subject(default_registry())
        waivers = [asdict(one) for one in target.harness.waivers if isinstance(one, Waiver)]
        if len(waivers) < len(target.harness.waivers):
            return _broken("waivers must be codequay.contract.Waiver objects")
        server: object = target.harness.server()
        if not isinstance(server, str):
            return _broken(f"server() gave {type(server).__name__}, not a string")
    except PortError as exc:
        return {"error": exc.message, "remedy": exc.remedy}
    except BaseException as exc:  # noqa: BLE001 - SystemExit at import is a finding, too
        return {"error": told(exc), "remedy": "importing the adapter and its harness must do nothing else"}
    announcement = default_registry().announcement(*origin.component.split(".", 1))
    hashed = adapter_hash(announcement.module)
    return {"server": server, "double": bool(target.harness.double), "waivers": waivers, "hash": hashed}


def _broken(why: str) -> dict[str, Any]:
    return {"error": f"the harness is broken: {why}", "remedy": "see docs/write-an-adapter.md"}


def _difference(origin: Origin, examples: int, likely: list[str]) -> dict[str, Any]:
    """Whether ``contract diff`` tells the saboteur from what it wraps."""
    from .diff import compare_subjects

    registry = default_registry()
    wrong = origin.subject(registry)
    right = Origin(wrong.component).subject(registry)
    found = compare_subjects(right, wrong, examples=examples, first=True, likely=likely)
    return {"differs": bool(found.differences)}


def _trials(request: dict[str, Any], forked: list[bool]) -> Iterator[dict[str, Any]]:
    origin = Origin(*request["origin"])
    known = {one.id: one for one in suite(origin.component.partition(".")[0]).trials}
    with contextlib.ExitStack() as stack:
        if "mutant" in request:
            stack.enter_context(installed(*request["mutant"]))
        target = origin.subject(default_registry())
        for trial_id in request["trials"]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = run_trial(target, known[trial_id], timeout=request["timeout"], shrink=request["shrink"])
            answer = {**outcome.to_json(), "poisoned": outcome.poisoned}
            if forked:
                forked.clear()
                answer |= FORKED
            yield answer
            if request.get("stop") and answer["verdict"] == Verdict.FAIL:
                return


if __name__ == "__main__":
    sys.exit(main())
