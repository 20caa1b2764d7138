"""The log of index runs: ``runs.jsonl`` in the index folder, a line when a run starts and one when it ends.

A run that was killed has no second line, and is told from one that goes on by whether its process lives. The log is
best effort: when it cannot be written the run goes on. A line is one write to a file opened for appending, so that
processes do not mix theirs; at 256 kB the file becomes ``runs.1.jsonl``, replacing an earlier one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ports.errors import PortError
from ..ports.process import Process, this_process

if TYPE_CHECKING:
    from .reports import RunReport

FILE = "runs.jsonl"
OLD = "runs.1.jsonl"
MAX_BYTES = 256_000
"""Some 700 runs in each of the two files."""


class Recording:
    """A run in progress; what it is told is written when it ends."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def tell(self, **facts: str | int) -> None:
        """What the run found out: fields of ``RunReport``."""
        self.facts.update(facts)


@contextmanager
def recorded(data: Path, kind: str, path: str) -> Iterator[Recording]:
    """Log the block as one run on ``path``; its error, if any, passes through."""
    run, recording, started = os.urandom(6).hex(), Recording(), time.perf_counter()
    _write(data, {"run": run, "at": time.time(), "kind": kind, "path": path, "process": astuple(this_process())})
    outcome: dict[str, Any] = {"state": "ok"}
    try:
        yield recording
    except PortError as exc:
        outcome = {"state": "failed", "error": str(exc.code), "message": exc.message}
        raise
    except Exception as exc:
        outcome = {"state": "failed", "error": type(exc).__name__, "message": str(exc)}
        raise
    except BaseException:
        outcome = {"state": "interrupted"}
        raise
    finally:
        seconds = round(time.perf_counter() - started, 3)
        _write(data, {"run": run, "seconds": seconds, **recording.facts, **outcome})


def read(data: Path, *, limit: int) -> tuple[RunReport, ...]:
    """The latest runs, newest first. Lines that are torn or of another version are passed over."""
    from .reports import RunReport

    runs: dict[str, RunReport] = {}
    unended: dict[str, Process] = {}
    for line in _lines(data):
        with suppress(ValueError, TypeError, KeyError):
            said = dict(json.loads(line))
            run = said.pop("run")
            process = said.pop("process", None)
            if process is not None:
                started = Process(*process)
                runs[run] = RunReport(run=run, state="running", pid=started.pid, **said)
                unended[run] = started
            elif run in runs:
                unended.pop(run, None)
                runs[run] = replace(runs[run], **said)
    latest = sorted(runs.values(), key=lambda one: one.at, reverse=True)[:limit]
    here = this_process()
    return tuple(
        replace(one, state="killed") if one.run in unended and _gone(unended[one.run], here) else one for one in latest
    )


def _gone(process: Process, here: Process) -> bool:
    return here.rebooted(process) or here.sees_dead(process)


def _lines(data: Path) -> Iterator[str]:
    for name in (OLD, FILE):
        with suppress(OSError), open(data / name, encoding="utf-8", errors="replace") as file:
            yield from file


def _write(data: Path, event: Mapping[str, Any]) -> None:
    line = json.dumps(event, ensure_ascii=True).encode() + b"\n"
    path = data / FILE
    with suppress(OSError):
        with suppress(FileNotFoundError):
            if os.path.getsize(path) + len(line) > MAX_BYTES:
                os.replace(path, data / OLD)
        with open(path, "a+b", buffering=0) as file:
            # a line that was torn by a full disk must not spoil this one
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            torn = size > 0 and file.read(1) != b"\n"
            file.write(b"\n" + line if torn else line)
