"""``python -m codequay.indexing.worker``: reads batches of files on standard input, writes their chunks.

A separate interpreter with few imports, never a fork: threads and locks of the parent do not come along.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import lru_cache
from importlib import import_module

from .analyse import Prepare, analyse
from .frames import read_frame, write_frame


@lru_cache
def named(dotted: str) -> Prepare:
    """The function of ``module:function``."""
    module, _, function = dotted.partition(":")
    found: Prepare = getattr(import_module(module), function)
    return found


def main() -> int:
    """Serve until the parent closes the pipe.

    A batch is ``(chunk_bytes, budget_ms, prepare, ((path, bytes), ...))``, the answer a list of the fields of
    ``Analysed``; ``prepare`` is the dotted name of the lexical index's function, or "".
    """
    # Where there are no process groups an interrupt reaches workers too; the parent decides, and closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            chunk_bytes, budget_ms, dotted, files = read_frame(source)
        except EOFError:
            return 0
        answer = []
        prepare = named(dotted) if dotted else None
        for path, raw in files:
            done = analyse(path, raw, chunk_bytes=chunk_bytes, budget_ms=budget_ms, prepare=prepare)
            answer.append((*done[:4], [tuple(piece) for piece in done.pieces], *done[5:]))
        try:
            write_frame(sink, answer)
        except BrokenPipeError:
            # The parent has died. Python flushes stdout once more at exit: let that succeed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sink.fileno())
            return 0


if __name__ == "__main__":
    sys.exit(main())
