"""Words of code and of questions: identifiers, their parts, stop words, and a light stemmer.

The lexical adapters tokenise for themselves; this is what the ranking signals above the port use to compare a
question with a path.
"""

from __future__ import annotations

import re
from functools import lru_cache

WORD = re.compile(r"[^\W\d]\w*")
"""An identifier or a natural word."""
TOKEN = re.compile(r"\w+")
"""Also numbers: used for a question that has no word."""
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_A-Za-z]+")
_COMPOUND = re.compile(r"[a-z][A-Z]|[A-Z]{2,}[a-z]|[^_]_[^_]")

_STOP = """
a an and are as at be by do does for from has have how if in into is it its not of on onto or that the then their this
to via was what when where which who why will with without using used use uses
"""
STOP_WORDS = frozenset(_STOP.split())
"""Words that a question about code carries and that tell nothing."""

_SUFFIXES = (
    *("izations", "ization", "ations", "ation", "ators", "ator", "ating", "ated", "ates", "ate"),
    *("ments", "ment", "ings", "ing", "ions", "ion", "ers", "er", "ors", "or", "ies", "ied", "ed", "es", "s", "y", "e"),
)
_MIN_STEM = 3


def parts(word: str) -> list[str]:
    """The lower-case parts of an identifier: ``getHTTPSession_id`` -> get, http, session, id."""
    return [p.lower() for p in _PART.findall(word)]


def is_identifier(word: str) -> bool:
    """Whether a word is written as only code writes it: camelCase, an acronym with a tail, or snake_case."""
    return _COMPOUND.search(word) is not None


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A lower-case word without its most common English ending.

    Cruder than Snowball, and without a dependency: both sides of a comparison pass through it, so that it only has
    to bring "routing", "router" and "routes" together.
    """
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM and not (suffix == "s" and word[-2] == "s"):
            word = word[: -len(suffix)]
            if len(word) > _MIN_STEM and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            return word
    return word


def joined(word: str) -> str:
    """A name without case and underscores, so that ``HttpServer`` equals ``http_server``."""
    return word.replace("_", "").lower()
