"""Scores: BM25 over the matches of a file or line, and Zoekt's own, in the absence of symbols."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from .matching import Match
from .shards import Document, Shard

K, B = 1.2, 0.75
IMPORTANT = 5
"""Times that a match in the name counts, and that those of tests, vendored and generated files are divided by."""
LINE_BYTES = 100
"""What counts as the average line."""
WORD, PART_OF_WORD = 500.0, 50.0
BASE, PART_OF_BASE = 7000.0, 4000.0
ATOMS = 400.0
FACTOR, FILE_ORDER = 10_000_000, 10.0


def _bm25(matches: Sequence[Match], length: float, *, less: bool = False) -> float:
    counts: Counter[str] = Counter()
    for match in matches:
        counts[match.term] += IMPORTANT if match.in_name else 1
    score = 0.0
    for count in counts.values():
        tf = count // IMPORTANT if less else count
        score += (K + 1.0) * tf / (K * (1.0 - B + B * length) + tf)
    return score


def file_bm25(document: Document, matches: Sequence[Match], shard: Shard) -> float:
    return _bm25(matches, len(document.content) / shard.average_length, less=bool(document.category))


def file_score(place: int, atoms: int, best_line: float, shard: Shard) -> float:
    score = (1.0 - 1.0 / atoms) * ATOMS if atoms else 0.0
    order = 1.0 - place / (len(shard.documents) + 1)
    return FACTOR * math.trunc(score + best_line) + FILE_ORDER * order


def line_bm25(document: Document, matches: Sequence[Match], line: int) -> float:
    """Of the matches on one line; those of the name have none."""
    return _bm25(matches, (line_start(document, line + 1) - line_start(document, line)) / LINE_BYTES)


def line_score(document: Document, matches: Sequence[Match]) -> float:
    return max((_word_score(document, match) for match in matches if not match.stand_in), default=0.0)


def _word_score(document: Document, match: Match) -> float:
    data = document.name.encode() if match.in_name else document.content
    start, end = match.start, match.end
    starts = start < len(data) and (start == 0 or _class(data[start - 1]) != _class(data[start]))
    ends = end > 0 and (end == len(data) or _class(data[end - 1]) != _class(data[end]))
    score = WORD if starts and ends else PART_OF_WORD if starts or ends else 0.0
    if match.in_name:
        base = data.rfind(b"/") + 1
        if start == base and end == len(data):
            score += BASE
        elif start == base or end == len(data):
            score += (BASE + PART_OF_BASE) / 2
        elif base <= start:
            score += PART_OF_BASE
    return score


def _class(byte: int) -> str:
    c = chr(byte)
    if not c.isascii():
        return "other"
    if c.isalpha():
        return "lower" if c.islower() else "upper"
    return "digit" if c.isdigit() else "space" if c in " \n" else "mark" if c in ".,;\"'" else "other"


def line_start(document: Document, line: int) -> int:
    """The byte at which a line, counted from 1, starts; the end for lines that there are not."""
    if line < 2:
        return 0
    newlines = document.newlines
    return len(document.content) if line - 2 >= len(newlines) else newlines[line - 2] + 1
