"""``.codequayignore``: patterns in the manner of ``.gitignore``, read from the top of the repository.

Supported: ``*``, ``?`` and ``[...]`` within a name, ``**`` as a whole part, a leading or inner ``/`` (from the top),
a trailing ``/`` (folders only), ``!`` (not ignored after all; not below an ignored folder), ``#`` comments and ``\\``.
Not supported: files of that name further down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

NAME = ".codequayignore"
MOST_PATTERNS = 1000
LONGEST = 500
"""A hostile file of patterns stays cheap: what lies beyond is not read."""


class _Pattern(NamedTuple):
    parts: tuple[re.Pattern[str] | None, ...]
    """One per part of the path; None stands for ``**``."""
    folder: bool
    negated: bool


class Ignore:
    """Decides by path; a folder's decision holds for what is below it."""

    def __init__(self, text: str) -> None:
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        self._patterns = [_compile(line) for line in lines[:MOST_PATTERNS] if len(line) <= LONGEST]
        self._folders: dict[str, bool] = {"": False}

    def ignored(self, path: str) -> bool:
        """Whether a file is left out."""
        if not self._patterns:
            return False
        return self._folder(path.rpartition("/")[0]) or self._decide(path, folder=False)

    def _folder(self, path: str) -> bool:
        known = self._folders.get(path)
        if known is None:
            known = self._folder(path.rpartition("/")[0]) or self._decide(path, folder=True)
            self._folders[path] = known
        return known

    def _decide(self, path: str, *, folder: bool) -> bool:
        parts = path.split("/")
        for pattern in reversed(self._patterns):
            if (folder or not pattern.folder) and _matches(pattern.parts, parts):
                return not pattern.negated
        return False


def _compile(line: str) -> _Pattern:
    line = line.rstrip()
    negated = line.startswith("!")
    line = line[1:] if negated else line.removeprefix("\\") if line[:2] in ("\\!", "\\#") else line
    folder = line.endswith("/")
    names = line.strip("/").split("/")
    if "/" not in line.rstrip("/"):
        names.insert(0, "**")
    return _Pattern(tuple(None if name == "**" else _name(name) for name in names), folder, negated)


def _name(glob: str) -> re.Pattern[str]:
    """A part as an expression without backtracking between its stars: the first fit of each piece is as good as any."""
    pieces = [_piece(piece) for piece in re.split(r"\*+", glob)]
    if len(pieces) == 1:
        return re.compile(pieces[0], re.S)
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
    return re.compile(f"{pieces[0]}{middle}.*{pieces[-1]}", re.S)


def _piece(glob: str) -> str:
    out, i = "", 0
    while i < len(glob):
        end = glob.find("]", i + 2)
        if glob[i] == "[" and end > 0:
            inner = glob[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            inner = "^" + inner[1:] if inner.startswith("!") else inner
            try:
                re.compile(f"[{inner}]")
                out += f"[{inner}]"
            except re.error:
                out += re.escape(glob[i : end + 1])
            i = end + 1
            continue
        if glob[i] == "\\" and i + 1 < len(glob):
            i += 1
            out += re.escape(glob[i])
        else:
            out += "." if glob[i] == "?" else re.escape(glob[i])
        i += 1
    return out


def _matches(pattern: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    """Whether the pattern fits all the parts: back only to the last ``**``, so at most parts times patterns steps."""
    i = j = 0
    star = mark = -1
    while j < len(parts):
        now = pattern[i] if i < len(pattern) else None
        if i < len(pattern) and now is None:
            star, mark = i, j
            i += 1
        elif now is not None and now.fullmatch(parts[j]):
            i, j = i + 1, j + 1
        elif star >= 0:
            mark += 1
            i, j = star + 1, mark
        else:
            return False
    return all(rest is None for rest in pattern[i:])
