"""Letter case as Zoekt sees it: simple lower case for substrings, orbits of simple folding for regular expressions."""

from __future__ import annotations

from functools import cache


def lower(text: str) -> str:
    """Each character's simple lower case; as long as ``text``."""
    if text.isascii():
        return text.lower()
    return "".join(_lower_one(c) for c in text)


def _lower_one(c: str) -> str:
    low = c.lower()
    return low if len(low) == 1 else "i"  # İ alone has a longer lower case


@cache
def orbits() -> dict[str, str]:
    """Of each character with others that are equal to it without regard to case: all of them, sorted."""
    groups: dict[str, list[str]] = {}
    for code in range(0x1E944):
        c = chr(code)
        for folded in (c.casefold(), c.lower(), c):
            if len(folded) == 1:
                groups.setdefault(folded, []).append(c)
                break
    return {c: "".join(sorted(group)) for group in groups.values() if len(group) > 1 for c in group}


def orbit(c: str) -> str:
    if c.isascii() and c not in "kKsS":
        return c.upper() + c.lower() if c.isalpha() else c
    return orbits().get(c, c)
