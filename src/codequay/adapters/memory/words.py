"""How the reference index splits text: identifiers, and their parts at case, underscore and digit boundaries."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"\w+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_CASE = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])")


def words(text: str) -> list[str]:
    """Each identifier in lower case, followed by its parts when it has more than one."""
    found: list[str] = []
    for whole in _IDENTIFIER.findall(text):
        parts = [part for run in _PARTS.findall(whole) for part in _CASE.split(run)]
        found.append(whole.lower())
        if len(parts) > 1 or parts != [whole]:
            found += [low for part in parts if (low := part.lower()) != whole.lower()]
    return found
