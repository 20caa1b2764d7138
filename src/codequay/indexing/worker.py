"""``python -m codequay.indexing.worker``: reads batches of files on standard input, writes their chunks.

A separate interpreter with few imports, never a fork: threads and locks of the parent do not come along.
"""

from __future__ import annotations

import signal
import sys

from .analyse import analyse
from .frames import read_frame, write_frame


def main() -> int:
    """Serve until the parent closes the pipe.

    A batch is ``(chunk_bytes, budget_ms, ((path, bytes), ...))``, the answer a list of the fields of ``Analysed``.
    """
    # An interrupt from the terminal reaches the whole group; the parent decides, and closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            chunk_bytes, budget_ms, files = read_frame(source)
        except EOFError:
            return 0
        answer = []
        for path, raw in files:
            done = analyse(path, raw, chunk_bytes=chunk_bytes, budget_ms=budget_ms)
            answer.append((*done[:4], [tuple(piece) for piece in done.pieces], *done[5:]))
        write_frame(sink, answer)


if __name__ == "__main__":
    sys.exit(main())
