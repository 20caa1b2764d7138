"""Analysing batches in worker interpreters; a worker that dies or hangs costs one file and is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import IO

from . import memory
from .analyse import Analysed, analyse
from .chunk import Piece
from .frames import read_frame, write_frame

MOST_WORKERS = 4
"""More do not help: the stores' own work in the parent then takes longer than the scan."""
STUCK_S = 30.0
"""Seconds that a worker may take for a batch on top of its files' budgets before it counts as hung."""

Raw = tuple[str, bytes]

WORKER = (sys.executable, "-P", "-m", "codequay.indexing.worker")
"""``-P``: without it a ``re.py`` in the folder that the command runs in would be imported, and executed."""


def default_workers() -> int:
    """One fewer than the processors, 0 on a machine with one: three workers on two cores were slower than one."""
    return min(max((os.cpu_count() or 1) - 1, 0), MOST_WORKERS)


class Inline:
    """Analyses in a thread of this process: for small trees, where starting an interpreter costs more."""

    workers = 0

    def __init__(self, *, chunk_bytes: int, budget_ms: float) -> None:
        self._chunk_bytes = chunk_bytes
        self._budget_ms = budget_ms

    async def __aenter__(self) -> Inline:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def analyse(self, files: Sequence[Raw]) -> list[Analysed]:
        """The files' chunks, in order."""
        return await asyncio.to_thread(self._all, files)

    def _all(self, files: Sequence[Raw]) -> list[Analysed]:
        return [analyse(path, raw, chunk_bytes=self._chunk_bytes, budget_ms=self._budget_ms) for path, raw in files]


class WorkerLost(Exception):
    """The worker died or hung; ``reason`` is what the file that caused it is skipped for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Pool:
    """A fixed number of workers, started at first use, each with at most one batch in flight."""

    def __init__(
        self,
        workers: int,
        *,
        chunk_bytes: int,
        budget_ms: float,
        prepare: str = "",
        stuck_s: float = STUCK_S,
        command: Sequence[str] = WORKER,
    ) -> None:
        self.workers = workers
        self._options = (chunk_bytes, budget_ms, prepare)
        self._stuck_s = stuck_s
        self._command = tuple(command)
        self._threads = ThreadPoolExecutor(workers, "codequay-worker")
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers: by closing their input, or at once after an error."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
        for worker in workers:
            worker.close(kill=kind is not None)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def analyse(self, files: Sequence[Raw]) -> list[Analysed]:
        """The files' chunks, in order. A file that a worker did not survive has a reason and no codec."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._batch, files)

    def _batch(self, files: Sequence[Raw]) -> list[Analysed]:
        try:
            return self._ask(files)
        except WorkerLost as lost:
            if len(files) == 1:
                return [Analysed("", "", "", 0, [], lost.reason, "the worker that read it was replaced")]
        return [one for file in files for one in self._batch([file])]

    def _ask(self, files: Sequence[Raw]) -> list[Analysed]:
        worker = self._take()
        limit = self._stuck_s + sum(len(raw) for _, raw in files) / 1e6
        try:
            answer = worker.ask((*self._options, tuple(files)), limit)
        except WorkerLost:
            with self._lock:
                self._all.discard(worker)
            raise
        self._idle.put(worker)
        return answer

    def _take(self) -> _Worker:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if self._closed:
                raise asyncio.CancelledError
            worker = _Worker(self._command)
            self._all.add(worker)
        return worker


class _Worker:
    """One interpreter and its pipes."""

    def __init__(self, command: Sequence[str]) -> None:
        # A process group of its own: an interrupt from the terminal is for the parent, which then ends its workers.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), process_group=0
        )

    def ask(self, message: object, limit: float) -> list[Analysed]:
        """Send a batch and wait for its answer.

        :raises WorkerLost: it died, or took longer than ``limit`` seconds
        """
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        late = threading.Event()

        def hung() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(limit, hung)
        watch.daemon = True
        watch.start()
        try:
            write_frame(process.stdin, message)  # type: ignore[arg-type]
            answer = read_frame(process.stdout)  # type: ignore[arg-type]
        except (OSError, EOFError, ValueError) as exc:
            self.close(kill=True)
            raise WorkerLost("worker_stuck" if late.is_set() else "worker_died") from exc
        finally:
            watch.cancel()
        return [Analysed._make((*row[:4], [Piece._make(piece) for piece in row[4]], *row[5:])) for row in answer]

    def close(self, *, kill: bool) -> None:
        """End the process, reap it, and close the pipes: a thread that still reads then sees their end."""
        process = self._process
        if kill:
            process.kill()
        else:
            _close(process.stdin)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close(process.stdin)
        _close(process.stdout)


def _close(pipe: IO[bytes] | None) -> None:
    """Close a pipe; that the other end is gone with unread bytes does not matter."""
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()


def _environment() -> dict[str, str]:
    """The child finds this package where the parent found it."""
    above = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    known = os.environ.get("PYTHONPATH", "")
    return memory.WORKER_ENVIRONMENT | os.environ | {"PYTHONPATH": above + (os.pathsep + known if known else "")}
