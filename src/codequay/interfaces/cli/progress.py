"""Progress on stderr: one line that is rewritten on a terminal, or JSON Lines."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codequay.indexing.indexer import Progress as Step

    from .output import Output

INTERVAL_S = 0.1
"""A terminal need not be told more often than the eye sees."""


class Progress:
    """Takes the steps of an index run and says them, at most ten times a second."""

    def __init__(self, out: Output, label: str) -> None:
        self._out = out
        self._label = label
        self._mode = out.options.progress
        if self._mode == "auto" and (out.options.quiet or not out.stderr.isatty()):
            self._mode = "off"
        self._last = 0.0
        self._shown = False

    def __call__(self, step: Step) -> None:
        done, total = step.files, step.files_total
        now = time.monotonic()
        if self._mode == "off" or (now - self._last < INTERVAL_S and done < total):
            return
        self._last = now
        if self._mode == "json":
            event = {"event": "progress", "path": self._label, "files_done": done, "files_total": total}
            print(json.dumps(event), file=self._out.stderr, flush=True)
            return
        self._shown = True
        print(f"\r\x1b[K{self._out.name(self._label)}: {done}/{total} files", end="", file=self._out.stderr, flush=True)

    def close(self) -> None:
        """Wipe the line, so that what follows starts on a clean one."""
        if self._shown:
            print("\r\x1b[K", end="", file=self._out.stderr, flush=True)
