"""A second process with the same store open, which a trial drives, pauses and kills.

The child is made from the harness, like that of ``codequay.contract.crash``: its author writes nothing for it. It has a
clock of its own, which begins where the trial's stands and moves when it is told to.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from codequay.kernel.registry import default_registry
from codequay.ports.errors import PortError
from codequay.ports.process import is_paused

from .case import Case
from .clock import ManualClock
from .crash import environment, python
from .expect import Failed, Unverified
from .harness import Origin
from .history import History

READY = -1
"""Number of the answer that says that the store is open."""
ADVANCE = "advance the clock"
ANSWER_S = 8.0
"""Seconds until a silent child is given up; less than a trial has."""


Request = tuple[int, str, tuple[Any, ...], dict[str, Any]]
"""Number, operation, arguments and options of a call."""
Answer = tuple[int, Any, tuple[type[Exception], str] | None]
"""Number, value, and None or the error as its class and text: not every exception can be pickled."""


class Elsewhere:
    """A store in another process. Operations are called on ``store``; several may be under way."""

    def __init__(self, process: subprocess.Popen[bytes], case: Case) -> None:
        self._process = process
        self._case = case
        self._loop = asyncio.get_running_loop()
        self._numbers = 0
        self._closing = False
        self._waiting: dict[int, asyncio.Future[Any]] = {READY: self._loop.create_future()}
        self._thread = threading.Thread(target=self._listen, daemon=True, name="contract-elsewhere")
        self._thread.start()

    @property
    def store(self) -> Any:
        """The store's operations."""
        return _Operations(self)

    async def advance(self, seconds: float) -> None:
        """Move the clock over there. A server's clock needs none of it."""
        await self.call(ADVANCE, seconds)

    async def call(self, op: str, *args: Any, **options: Any) -> Any:
        self._numbers += 1
        answer = self._waiting[self._numbers] = self._loop.create_future()
        if op != ADVANCE:
            self._case.note(f"in process {self._process.pid}: {op}{args!r} {options!r}")
        _send(self._process.stdin, (self._numbers, op, args, options))
        return await answer

    async def ready(self) -> None:
        """Return when the store over there is open.

        :raises Unverified: it cannot be opened twice
        """
        await asyncio.wait_for(asyncio.shield(self._waiting[READY]), ANSWER_S)

    async def pause(self) -> None:
        """SIGSTOP: from here on it does nothing, and does not know that time passes."""
        self._case.note(f"process {self._process.pid} is paused")
        self._process.send_signal(signal.SIGSTOP)
        await asyncio.to_thread(_until_paused, self._process.pid)

    def resume(self) -> None:
        """SIGCONT."""
        self._case.note(f"process {self._process.pid} goes on")
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL: it ends without a chance to say good-bye."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    async def close(self) -> None:
        """End the process, however it is, and the thread that listens to it. Calls under way are cancelled."""
        self._closing = True
        await self.kill()
        await asyncio.to_thread(self._thread.join)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        for waiting in self._waiting.values():
            waiting.cancel()

    def _listen(self) -> None:
        """On a thread of its own: hand answers to those who wait for them."""
        while True:
            answer: Answer
            try:
                answer = pickle.load(self._process.stdout)  # type: ignore[arg-type]  # noqa: S301 - our child's
            except (EOFError, OSError, pickle.UnpicklingError):
                answer = READY, None, (Failed, "the process with the second opening has ended")
            if self._closing:
                return
            with suppress(RuntimeError):  # the loop may be closed by now
                self._loop.call_soon_threadsafe(self._take, answer)
            if answer[0] == READY and answer[2] is not None:
                return

    def _take(self, answer: Answer) -> None:
        number, value, error = answer
        ended = number == READY and error is not None
        for one in list(self._waiting) if ended else [number]:
            waiting = self._waiting.pop(one)
            if waiting.done():
                continue
            if error is None:
                waiting.set_result(value)
            else:
                kind, said = error
                waiting.set_exception(kind(said))


class _Operations:
    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere

    def __getattr__(self, op: str) -> Any:
        return partial(self._elsewhere.call, op)


@asynccontextmanager
async def elsewhere(case: Case) -> AsyncIterator[Elsewhere]:
    """A process that has opened what the case has opened before.

    :raises Unverified: the harness cannot reopen, or this system cannot pause a process
    """
    if not hasattr(signal, "SIGSTOP"):
        raise Unverified("this system cannot pause a process")
    async with case.open():  # the harness can, or says so here and not in the child
        pass
    other = Elsewhere(await asyncio.to_thread(_started, case), case)
    try:
        await other.ready()
        yield other
    finally:
        await other.close()


def _started(case: Case) -> subprocess.Popen[bytes]:
    harness = case.harness
    now = repr(case.clock.monotonic())
    origin = json.dumps(case.subject.origin)
    return subprocess.Popen(
        python("codequay.contract.processes", origin, str(harness.folder), harness.namespace, now),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )


def _until_paused(pid: int) -> None:
    """A signal is not an answer: wait until it has done its work, where the system tells."""
    if sys.platform == "linux":
        while not is_paused(pid):
            time.sleep(0.001)


def _send(pipe: Any, message: Request | Answer) -> None:
    try:
        pickle.dump(message, pipe)
        pipe.flush()
    except OSError as exc:
        raise Failed("the process with the second opening has ended") from exc


# -- the child ----------------------------------------------------------------------------------------------------


async def _serve(requests: BinaryIO, answers: BinaryIO, origin: str, folder: str, namespace: str, now: str) -> None:
    from .clauses import suite

    target = Origin(*json.loads(origin)).subject(default_registry())
    port = suite(target.port).port
    clock = ManualClock(float(now))
    harness = target.harness(target.spec, namespace, Path(folder), clock)
    case = Case(target, port, harness, History(port), clock, opened=True)
    loop = asyncio.get_running_loop()
    incoming: asyncio.Queue[Request] = asyncio.Queue()

    def listen() -> None:
        while True:
            try:
                request = pickle.load(requests)  # noqa: S301 - from the process that started this one
            except EOFError:
                os._exit(0)
            loop.call_soon_threadsafe(incoming.put_nowait, request)

    async def answer(store: Any, request: Request) -> None:
        number, op, args, options = request
        value: Any = None
        error: tuple[type[Exception], str] | None = None
        try:
            if op == ADVANCE:
                await clock.advance(*args)
            else:
                value = await getattr(store, op)(*args, **options)
        except PortError as exc:
            error = type(exc), exc.message
        except Exception as exc:  # noqa: BLE001 - the trial is told, and fails
            error = Failed, f"{op} in another process: {type(exc).__name__}: {exc}"
        _send(answers, (number, value, error))

    threading.Thread(target=listen, daemon=True, name="contract-requests").start()
    running: set[asyncio.Task[None]] = set()
    try:
        async with case.open() as store:
            _send(answers, (READY, None, None))
            while True:
                task = asyncio.create_task(answer(store, await incoming.get()))
                running.add(task)
                task.add_done_callback(running.discard)
    except Unverified as exc:
        _send(answers, (READY, None, (Unverified, str(exc))))
    except Exception as exc:  # noqa: BLE001 - the trial is told, and fails
        _send(answers, (READY, None, (Failed, f"opened a second time: {type(exc).__name__}: {exc}")))


def main() -> None:
    """Serve until standard input ends. What the adapter prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asyncio.run(_serve(sys.stdin.buffer, answers, *sys.argv[1:]))


if __name__ == "__main__":
    main()
