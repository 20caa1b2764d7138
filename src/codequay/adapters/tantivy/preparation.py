"""From a file to the terms of its documents: most of the work of staging, done in the workers where there are any."""

from __future__ import annotations

from codequay.adapters._words import WORD, words_of
from codequay.ports.lexical import LexFile

from .words import Terms

GENERIC_STEMS = frozenset({"mod", "index", "__init__", "package-info", "lib"})
"""File names that say nothing: their folder's name stands for them."""
_SOURCE_FOLDERS = frozenset({"", "src", "lib"})

Prepared = tuple[tuple[str, ...], str, str, str, str]
"""Terms of each chunk; of the names that the file defines, of its stem, of its folder, and of its distinct words."""

_terms: list[Terms] = []


def prepare(file: LexFile) -> Prepared:
    """See ``LexicalCapabilities.prepare``. The words of a process are kept for its next file."""
    if not _terms:
        _terms.append(Terms())
    return terms_of(file, _terms[0])


def terms_of(file: LexFile, terms: Terms) -> Prepared:
    """The terms of a file's documents, each joined by spaces."""
    words: set[str] = set()
    chunks = []
    for text in chunk_texts(file):
        found = words_of(text)
        words.update(found)
        chunks.append(terms.of(found))
    if not _whole(file):
        words = set(words_of(file.text))
    folder, _, name = file.path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    if stem in GENERIC_STEMS:
        stem = next((p for p in reversed(folder.split("/")) if p not in _SOURCE_FOLDERS), stem)
    return (
        tuple(chunks),
        terms.of(WORD.findall(" ".join(d.name for d in file.definitions))),
        terms.of(WORD.findall(stem)),
        terms.of(WORD.findall(folder)),
        terms.of(words),
    )


def chunk_texts(file: LexFile) -> list[str]:
    """The text of each span, whose offsets count bytes of UTF-8."""
    if file.text.isascii():
        return [file.text[s.start_byte : s.end_byte] for s in file.spans]
    raw = file.text.encode(errors="replace")
    return [raw[s.start_byte : s.end_byte].decode(errors="replace") for s in file.spans]


def _whole(file: LexFile) -> bool:
    """Whether the spans hold every word of the text whole: they tile it and are cut at line ends."""
    texts = chunk_texts(file) if not file.text.isascii() else None
    at = 0
    for n, span in enumerate(file.spans):
        last = texts[n][-1:] if texts is not None else file.text[span.end_byte - 1 : span.end_byte]
        if span.start_byte != at or (last != "\n" and n + 1 < len(file.spans)):
            return False
        at = span.end_byte
    return at == (len(file.text) if texts is None else len(file.text.encode(errors="replace")))
