"""Text to terms: identifiers split at case and digits, parts stemmed, the whole kept as "=joined".

Text is split in Python through a cache of words and indexed behind a whitespace tokenizer: 45 CPU ms per MB, where
Tantivy's own tokenizer, lower-casing and stemmer take 105 to 121. What changes the terms of a word must change
``TOKENIZER``, which is part of the index's fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterable

import tantivy

from codequay.adapters._words import ASCII_PARTS, fold, parts

TOKENIZER = "identifiers-1"

MAX_WORD = 200
"""A longer word is a blob (base64, a hash table) and becomes one term; splitting it yields thousands of fragments."""
CACHE_WORDS = 200_000
"""Words in the cache before it is emptied: about 40 MB."""
CACHE_STEMS = 50_000
"""Stems in the cache before it is emptied. Most new words are made of known parts."""


def whole_term(word: str) -> str:
    """The term of the whole word; every word of two parts or more has it."""
    return "=" + fold(word).replace("_", "")[:MAX_WORD]


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
        found = ASCII_PARTS.findall(word)
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
