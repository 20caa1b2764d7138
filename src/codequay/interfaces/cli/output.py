"""Where a command's output goes: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from .command import Globals

# C0 without tab and newline, DEL, C1, and the marks that reorder text (Trojan Source, CVE-2021-42574).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LINE_BREAK = re.compile("[\n\r\x0b\x0c\x85\u2028\u2029]")

_STYLES = {"path": "35", "line": "32", "error": "1;31", "dim": "2", "bold": "1"}


def _visible(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


class Output:
    """Two streams and what may be written to them: colours and escapes depend on whether stdout is a terminal."""

    def __init__(self, options: Globals, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.options = options
        self.command = "codequay"
        self._noted: set[str] = set()
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.tty = self.stdout.isatty()
        self.colour = self.tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._ascii = "utf" not in (self.stdout.encoding or "").lower()

    def text(self, text: str) -> str:
        """Indexed text as it may be shown: control characters are made visible on a terminal."""
        return _CONTROL.sub(_visible, text) if self.tty else text

    def name(self, name: str) -> str:
        """A path or symbol on one line, whatever it holds."""
        return self.text(_LINE_BREAK.sub(_visible, name))

    def style(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour else text

    def data(self, line: str) -> None:
        """One line of the answer."""
        print(line, file=self.stdout)

    def json(self, value: Mapping[str, Any]) -> None:
        """One object: indented under ``--format json``, on one line under ``jsonl``."""
        indent = 2 if self.options.format == "json" else None
        print(json.dumps(value, ensure_ascii=self._ascii, indent=indent), file=self.stdout)

    def note(self, text: str) -> None:
        """Something to know that is no part of the answer; said once."""
        if not self.options.quiet and text not in self._noted:
            self._noted.add(text)
            self.err(f"note: {text}")

    def detail(self, text: str) -> None:
        """A note under ``-v``."""
        if self.options.verbose:
            self.err(text)

    def err(self, text: str) -> None:
        print(_CONTROL.sub(_visible, text), file=self.stderr, flush=True)
