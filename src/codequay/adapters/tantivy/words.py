"""Text to terms: identifiers split at case and digits, parts stemmed, the whole kept as "=joined".

Text is split in Python through a cache of words and indexed behind a whitespace tokenizer: 45 CPU ms per MB, where
Tantivy's own tokenizer, lower-casing and stemmer take 105 to 121. What changes the terms of a word must change
``TOKENIZER``, which is part of the index's fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import tantivy

TOKENIZER = "identifiers-1"

WORD = re.compile(r"\w+")
MAX_WORD = 200
"""A longer word is a blob (base64, a hash table) and becomes one term; splitting it yields thousands of fragments."""
CACHE_WORDS = 200_000
"""Words in the cache before it is emptied: about 40 MB."""
CACHE_STEMS = 50_000
"""Stems in the cache before it is emptied. Most new words are made of known parts."""

_SPACED = "".join(chr(c) if chr(c).isalnum() or c == ord("_") else " " for c in range(128))
"""ASCII, with a space for whatever is in no word."""
_ASCII_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_DOTTED_I = str.maketrans({"\u0130": "i", "\u0131": "i"})
"""Turkish i with and without its dot: ``re.IGNORECASE`` takes both for "i"."""


def words_of(text: str) -> list[str]:
    """The matches of ``WORD``, in order; a table and ``split`` find those of ASCII in a third of the time."""
    return text.translate(_SPACED).split() if text.isascii() else WORD.findall(text)


def fold(word: str) -> str:
    """The word without case, so that whatever matches it under ``re.IGNORECASE`` or ``casefold`` folds the same."""
    return word.lower() if word.isascii() else word.translate(_DOTTED_I).casefold()


def whole_term(word: str) -> str:
    """The term of the whole word; every word of two parts or more has it."""
    return "=" + fold(word).replace("_", "")[:MAX_WORD]


def parts(word: str) -> list[str]:
    """Where a reader would cut the word: ``getHTTPResponse2`` is get, HTTP, Response, 2.

    A run of ideographs or kana, which has no spaces, is cut into its characters and pairs of neighbours.
    """
    if word.isascii():
        return _ASCII_PARTS.findall(word)
    found: list[str] = []
    for piece in word.split("_"):
        end = 0
        for run in _IDEOGRAPHS.finditer(piece):
            found += _cased_parts(piece[end : run.start()])
            found += run[0]
            found += (run[0][i : i + 2] for i in range(len(run[0]) - 1))
            end = run.end()
        found += _cased_parts(piece[end:])
    return found


def _cased_parts(text: str) -> list[str]:
    cuts = [0]
    for i in range(1, len(text)):
        before, here, after = text[i - 1], text[i], text[i + 1 : i + 2]
        if before.isdigit() != here.isdigit() or (
            here.isupper() and (not before.isupper() or (after.islower() and not before.isdigit()))
        ):
            cuts.append(i)
    return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True) if b > a]


class Terms(dict[str, str]):
    """Word -> its terms joined by spaces, "" for a word of underscores. Forgets everything when it is full.

    Safe for threads: a lost race computes a word twice.
    """

    def __init__(self) -> None:
        super().__init__()
        stemmer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).filter(tantivy.Filter.stemmer("english"))
        self._analyzer = stemmer.build()
        self._stems: dict[str, str] = {}

    def __missing__(self, word: str) -> str:
        if len(self) >= CACHE_WORDS:
            self.clear()
        if len(word) > MAX_WORD:
            return whole_term(word)
        if word.isascii():
            terms = self._ascii(word)
        elif len(fold(word)) > MAX_WORD:
            return whole_term(word)
        else:
            found = parts(word)
            if len(found) < 2:
                terms = self.stem(found[0]) if found else ""
            else:
                stems = (self.stem(p) for p in found if len(p) > 1 or not p.isascii())
                terms = " ".join((whole_term(word), *stems))
        self[word] = terms
        return terms

    def _ascii(self, word: str) -> str:
        """The same for a word in ASCII, which folds by lower-casing and keeps its length: most of a first run."""
        if word.isdecimal():
            return word
        found = _ASCII_PARTS.findall(word)
        if len(found) < 2:
            return self.stem(found[0]) if found else ""
        known = self._stems
        terms = ["=" + word.lower().replace("_", "")]
        for part in found:
            if len(part) > 1:
                terms.append(known.get(part) or self.stem(part))
        return " ".join(terms)

    def stem(self, part: str) -> str:
        """The English (Snowball) stem of the folded part."""
        known = self._stems.get(part)
        if known is not None:
            return known
        folded = fold(part)
        stems = self._analyzer.analyze(folded)
        if len(self._stems) >= CACHE_STEMS:
            self._stems.clear()
        self._stems[part] = found = stems[0] if stems else folded
        return found

    def of(self, words: Iterable[str]) -> str:
        """The terms of the words, for a field with a whitespace tokenizer."""
        return " ".join(map(self.__getitem__, words))

    def any_case(self, word: str) -> tuple[str, ...]:
        """Terms of which every casing of the word has at least one (``getuser`` is one part, ``getUser`` two)."""
        joined = whole_term(word)
        return (joined,) if len(joined) > MAX_WORD else (self.stem(joined[1:]), joined)

    def query(self, words: Iterable[str]) -> list[str]:
        """The terms to look for: those of each word and those that another casing of it would have."""
        found: dict[str, None] = {}
        for word in words:
            terms = self[word].split(" ")
            if terms != [""]:
                found.update(dict.fromkeys((*terms, *self.any_case(word))))
        return list(found)
