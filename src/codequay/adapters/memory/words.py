"""How the reference index splits text: identifiers, and their parts at case, underscore and digit boundaries."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"\w+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_CASE = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])")


def words(text: str) -> set[str]:
    """Each identifier and its parts, in lower case."""
    found: set[str] = set()
    for whole in _IDENTIFIER.findall(text):
        parts = [part for run in _PARTS.findall(whole) for part in _CASE.split(run)]
        found.update(part.lower() for part in [whole, *parts])
    return found
