"""Text to words, and a question's words to what Zoekt is asked and how its answer is checked.

Zoekt finds substrings. Whether a document holds a word, or a part of one, is decided here, by a list of the words that
a text has: each part folded and stemmed, and words of several parts whole as ``=word``. What changes that list must
change ``TOKENIZER``, which is part of the fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from codequay.adapters._words import WORD, fold, parts, words_of
from codequay.ports.lexical import Term

TOKENIZER = "identifiers-z1"

MAX_WORD = 200
"""A longer word is a blob (base64, a hash table) and is known by its beginning only."""
CACHE_WORDS = 100_000
TRIGRAM = 3
"""Zoekt's index is of three characters; what is shorter it looks for by a regular expression."""

ODD = re.compile("[\u00df\u0130\u0131\u0149\u017f\u01f0\u1e96-\u1e9a\u1e9e\u212a\ufb00-\ufb06]")
"""Characters beyond ASCII that are equal to some of ASCII without regard to case. Zoekt folds these otherwise, so a
text that has one is judged here, whatever Zoekt says."""

_SUFFIXES = {
    **dict.fromkeys(("izations", "ization"), "iz"),
    **dict.fromkeys(("ations", "ation", "ators", "ator", "ating", "ated", "ates", "ate"), "at"),
    **dict.fromkeys(("ies", "ied", "y"), "i"),
    **dict.fromkeys(("ments", "ment", "ings", "ing", "ers", "er", "ors", "or", "ed", "es", "s", "e"), ""),
    **dict.fromkeys(("ions", "ion"), ""),
}
"""Endings, and what takes their place in the stem."""
_MIN_STEM = {"ions": 5, "ion": 5}
_MIN = 3


def _stemmed(word: str) -> tuple[str, str]:
    """A beginning of the folded word that its inflected forms share, as Zoekt needs it, and the stem by which they are
    known: ``retry`` and ``retries`` are "retri", which "retr" is not."""
    if word.isascii() and not word.endswith("ss"):
        for suffix, put in _SUFFIXES.items():
            if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM.get(suffix, _MIN):
                start = word[: -len(suffix)]
                return (start if put == "i" else start + put), start + put
    return word, word


def stem(word: str) -> str:
    """A folded word without its most common English ending."""
    return _stemmed(word)[1]


def _whole(word: str) -> str:
    return "=" + fold(word)[:MAX_WORD]


@lru_cache(CACHE_WORDS)
def _entries(word: str) -> tuple[str, ...]:
    """What the list of a text has of one of its words."""
    if len(word) > MAX_WORD:
        return (_whole(word),)
    found = parts(word)
    if len(found) < 2:
        return tuple(stem(fold(part)) for part in found)
    return (_whole(word), *(stem(fold(part)) for part in found if len(part) > 1 or not part.isascii()))


def vocabulary(text: str) -> frozenset[str]:
    """The distinct words of a text."""
    words = words_of(text)
    found: set[str] = set()
    for word in set(words):
        found.update(_entries(word))
    return frozenset(found)


@dataclass(slots=True)
class Key:
    """One thing that Zoekt counts for a question: the text or regular expression that it looks for, and by what the
    list of a text tells that it is there as a word or a part of one."""

    text: str
    pattern: bool
    """``text`` is a regular expression."""
    weight: float = 0.0
    probes: set[str] = field(default_factory=set)

    @property
    def merged(self) -> bool:
        """Zoekt counts all regular expressions of a question as one word."""
        return self.pattern or len(self.text) < TRIGRAM


def keys_of(terms: Sequence[Term]) -> list[Key]:
    """What to look for; the weights of equal keys add up."""
    found: dict[str, Key] = {}
    for text, weight in terms:
        seen: set[str] = set()
        for word in WORD.findall(text):
            for asked, pattern, probes in _asked(word):
                key = found.get(asked)
                if key is None:
                    key = found[asked] = Key(asked, pattern)
                key.probes.update(probes)
                if asked not in seen:
                    seen.add(asked)
                    key.weight += weight
    return list(found.values())


@lru_cache(10_000)
def _asked(word: str) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """Of one word of a question: (text, whether it is a regular expression, probes) of each key."""
    if len(word) > MAX_WORD:
        return ((*_look(word[:MAX_WORD].strip("_")), (_whole(word),)),)
    cut = parts(word)
    useful = [part for part in cut if len(part) > 1 or not part.isascii()] if len(cut) > 1 else cut
    whole = _whole(word)
    joined = (whole, stem(whole[1:].replace("_", "")))
    if not useful:
        return ((*_look(word), joined),) if cut else ()
    return tuple((*_look(part), (stem(fold(part)), *joined)) for part in useful)


def _look(part: str) -> tuple[str, bool]:
    """What Zoekt is to look for so that it finds every casing and ending of the part."""
    if part.isascii():
        return _stemmed(part.lower())[0], False
    if all(c.isascii() or all(v.lower() == c.lower() for v in _variants(c)) for c in part):
        return part.lower(), False
    return "".join(c if c.isascii() else f"[{''.join(_variants(c))}]" for c in part), True


@lru_cache(1000)
def _variants(char: str) -> tuple[str, ...]:
    """The characters that differ from this one in case alone."""
    wanted = char.casefold()
    return tuple(c for c in map(chr, _cased()) if c.casefold() == wanted) or (char,)


@lru_cache(1)
def _cased() -> tuple[int, ...]:
    """Every character beyond ASCII that has a case."""
    return tuple(c for c in range(0x80, 0x20000) if chr(c).casefold() != chr(c) or chr(c).upper() != chr(c))


class Words(Protocol):
    """The words that a text has."""

    def isdisjoint(self, probes: Iterable[str], /) -> bool: ...


def held(keys: Iterable[Key], words: Words) -> list[Key]:
    """The keys of which a text with these words has one."""
    return [key for key in keys if not words.isdisjoint(key.probes)]
