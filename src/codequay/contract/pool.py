"""Workers: each a process that runs trials, replaced when an adapter has ruined it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .clauses import Trial
from .crash import environment, python
from .harness import Origin
from .verdict import Outcome, Verdict

T = TypeVar("T")

SILENT_S = 5.0
"""Seconds beyond a trial's own timeout after which its process is given up; fewer where the timeout is short."""
STARTS_S = 60.0
"""Seconds that a process gets to import the kit, on a machine that is busy. No adapter has a part in it."""
ENDS_S = 0.2
"""Seconds that a process gets to end by itself."""
MOST_RUINED = 3
"""Processes that one adapter may ruin in a row; what it was not tried with then is unverified."""


class Silent(Exception):
    """A worker said nothing for too long: the adapter blocks the whole interpreter."""


class Worker:
    """One process. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()

    def run(
        self, origin: Origin, trials: Sequence[Trial], *, timeout: float, stop: bool = False, **more: Any
    ) -> list[Outcome]:
        """The outcomes in order, failing histories as they were found. ``stop``: no further than the first failure.

        ``more`` names a mutant.
        """
        return list(self.each(origin, trials, timeout=timeout, stop=stop, shrink=False, **more))

    def each(
        self,
        origin: Origin,
        trials: Sequence[Trial],
        *,
        timeout: float,
        stop: bool = False,
        shrink: bool = True,
        **more: Any,
    ) -> Iterator[Outcome]:
        """The same, as they come, failing histories made short. Exhaust it before the next call."""
        left = list(trials)
        ruined = 0
        while left and ruined < MOST_RUINED:
            asked = [trial.id for trial in left]
            self._send({"origin": origin, "trials": asked, "timeout": timeout, "stop": stop, "shrink": shrink, **more})
            outcome, poisoned = None, False
            for outcome, poisoned in self._outcomes(left, timeout):
                left.pop(0)
                ruined = ruined + 1 if poisoned else 0
                yield outcome
            if poisoned:
                self._ended()
            if stop and outcome is not None and outcome.verdict is Verdict.FAIL:
                return
        for trial in left:
            yield _not_tried(trial)

    def ask(self, timeout: float, **request: Any) -> dict[str, Any]:
        """The one answer to a request of another kind; ``error`` when the process did not survive it."""
        self._send(request)
        try:
            found = self._answer(timeout)
        except Silent:
            self._ended()
            return {"error": f"it did not answer within {timeout:g} s", "remedy": "it must not block the interpreter"}
        if found is None:
            return {"error": self._ended(), "remedy": "an adapter must not end the process"}
        self._answer(timeout)
        return found

    def close(self) -> None:
        """End the process."""
        self._ended()

    def _outcomes(self, trials: list[Trial], timeout: float) -> Iterator[tuple[Outcome, bool]]:
        """Outcomes of one request, each with whether the process cannot be used any more."""
        for trial in list(trials):
            try:
                answer = self._answer(trial.patience * timeout + min(SILENT_S, 2 * timeout))
            except Silent:
                hint = "an adapter must not block the interpreter"
                reason = f"it did not end within {trial.patience * timeout:g} s, and nothing else ran meanwhile"
                yield failed(trial, reason, hint), True
                return
            if answer is None:
                yield failed(trial, self._ended(), "an adapter must not end the process"), True
                return
            if answer.get("done"):
                return
            poisoned = bool(answer.pop("poisoned", False))
            yield Outcome.from_json(answer), poisoned
            if poisoned:
                return
        with contextlib.suppress(Silent):
            if (self._answer(timeout) or {}).get("done"):
                return
        self._ended()

    def _send(self, request: dict[str, Any]) -> None:
        line = json.dumps(request) + "\n"
        for _ in range(2):  # One that has ended since the last request is replaced.
            process = self._process or self._start()
            if process is None:
                continue
            try:
                if process.stdin is not None:
                    process.stdin.write(line)
                    process.stdin.flush()
                return
            except OSError:
                self._ended()

    def _start(self) -> subprocess.Popen[str] | None:
        """A process that is ready for requests; None when it ended before that."""
        process = subprocess.Popen(
            python("codequay.contract.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment(),
        )
        lines: queue.Queue[str | None] = queue.Queue()

        def pump() -> None:
            with contextlib.suppress(OSError, ValueError), process.stdout as out:  # type: ignore[union-attr]
                for line in out:
                    lines.put(line)
            lines.put(None)

        threading.Thread(target=pump, daemon=True, name="contract-pump").start()
        self._process, self._lines = process, lines
        with contextlib.suppress(Silent):
            if self._answer(STARTS_S) is not None:
                return process
        self._ended()
        return None

    def _answer(self, timeout: float) -> dict[str, Any] | None:
        """The next line; None when the process has ended.

        :raises Silent: it says nothing
        """
        if self._process is None:
            return None
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise Silent from None
        return None if line is None else dict(json.loads(line))

    def _ended(self) -> str:
        """Make sure that the process has ended; how it did."""
        process, self._process = self._process, None
        if process is None:
            return "the process could not be started"
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            status = process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "the process said nothing more"
        if status < 0:
            return f"the process was ended by signal {-status}"
        return f"the process ended with status {status}"


def failed(trial: Trial, reason: str, hint: str) -> Outcome:
    """A failure that was found outside of the trial."""
    clause = trial.clause
    return Outcome(trial.id, clause.level, clause.text, Verdict.FAIL, 0.0, reason, hint)


def _not_tried(trial: Trial) -> Outcome:
    clause = trial.clause
    reason = f"not tried: {MOST_RUINED} trials before it hung or ended the process, one after the other"
    return Outcome(trial.id, clause.level, clause.text, Verdict.UNVERIFIED, 0.0, reason)


def in_parallel(jobs: Sequence[Callable[[Worker], T]], workers: int) -> list[T]:
    """Every job with a worker of its own, ``workers`` at a time; results in the order of the jobs."""
    idle: queue.Queue[Worker] = queue.Queue()
    made = [Worker() for _ in range(workers)]
    for worker in made:
        idle.put(worker)

    def one(job: Callable[[Worker], T]) -> T:
        worker = idle.get()
        try:
            return job(worker)
        finally:
            idle.put(worker)

    try:
        with ThreadPoolExecutor(workers, thread_name_prefix="contract-pool") as pool:
            return list(pool.map(one, jobs))
    finally:
        for worker in made:
            worker.close()
