"""Scores of chunks for an index that ranks whole files only: BM25 over the stored chunks of its best files.

Frequencies are counted in these files: a word that few of them have weighs more than one that most have, also where
the index itself (Zoekt) takes every word for equally rare. What is counted, and with which shares, is what the embedded
index counts of a chunk and of a file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ..ports.chunks import FileRef, PlacedChunk
from ..ports.generations import Scope, ScopeEntry
from ..ports.lexical import RankHit, RankPlace, Term
from .signals import PathTable
from .words import WORD, joined, parts, stem

K1, B = 1.2, 0.75
"""Of BM25, as everywhere."""
DEFINED, NAMED, FOLDER, BODY = 0.5, 0.5, 0.4, 0.05
"""What a file's definitions, name, folders and distinct words count beside its best chunk, which counts 1."""
ENOUGH = 8
"""Occurrences in a chunk that are counted: BM25 gives the eighth 2 % more than the seventh."""
KEPT_CHARACTERS = 32_000_000
"""Text that is kept for the next search; then it is read anew."""
_TAIL = re.compile(r"[^\W\d_A-Z]*")


class Pool:
    """Chunks that were read for their scores, of a store that stays open.

    What a generation shows of a file never changes, and no number is given twice (MD-03), so none is ever wrong.
    """

    def __init__(self) -> None:
        self._chunks: dict[ScopeEntry, dict[str, list[PlacedChunk]]] = {}
        self._characters = 0

    def known(self, files: Iterable[FileRef], scope: Scope) -> dict[FileRef, list[PlacedChunk]]:
        """Those of the files that are here."""
        of_repo = {entry.repo_id: self._chunks.get(entry, {}) for entry in scope}
        found = {}
        for file in files:
            chunks = of_repo[file.repo_id].get(file.path)
            if chunks is not None:
                found[file] = chunks
        return found

    def keep(self, files: Mapping[FileRef, list[PlacedChunk]], scope: Scope) -> None:
        """Remember what the scope shows of some files."""
        size = sum(len(placed.chunk.text) for chunks in files.values() for placed in chunks)
        if self._characters + size > KEPT_CHARACTERS:
            self._chunks, self._characters = {}, 0
        if size > KEPT_CHARACTERS:
            return
        self._characters += size
        entries = {entry.repo_id: entry for entry in scope}
        for file, chunks in files.items():
            self._chunks.setdefault(entries[file.repo_id], {})[file.path] = chunks


@dataclass(slots=True)
class _Field:
    """Documents of one kind: what each holds of the question, how often, and how long it is."""

    share: float
    held: list[Mapping[str, int]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, held: Mapping[str, int], length: int) -> None:
        self.held.append(held)
        self.lengths.append(length)

    def scores(self, weights: Mapping[str, float]) -> list[float]:
        """Of each document; 0.0 for one that holds nothing of the question."""
        total = len(self.held)
        mean = sum(self.lengths) / (total or 1) or 1.0
        frequency = Counter(key for held in self.held for key in held)
        factor = {
            key: self.share * weights[key] * (K1 + 1) * math.log1p((total - n + 0.5) / (n + 0.5))
            for key, n in frequency.items()
        }
        found = []
        for held, length in zip(self.held, self.lengths, strict=True):
            norm = K1 * (1 - B + B * length / mean)
            found.append(sum(factor[key] * count / (count + norm) for key, count in held.items()))
        return found


class _Question:
    """The stems to look for, each as a part of a word, and identifiers of several parts, whole."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.weights: dict[str, float] = {}
        self._stems: dict[str, None] = {}
        self._wholes: dict[str, tuple[str, ...]] = {}
        for text, weight in terms:
            for word in WORD.findall(text) or [text]:
                cut = parts(word) or [word.lower()]
                useful = [part for part in cut if len(part) > 1] or cut
                for key in dict.fromkeys(map(stem, useful)):
                    self.weights[key] = self.weights.get(key, 0.0) + weight
                    self._stems[key] = None
                if len(cut) > 1:
                    whole = "=" + joined(word)
                    self.weights[whole] = self.weights.get(whole, 0.0) + weight
                    self._wholes[whole] = (joined(word), "_".join(cut))

    def count(self, text: str) -> dict[str, int]:
        """How often the text holds each key; only those that it holds."""
        low = text.lower()
        cased = text if len(text) == len(low) else low
        found = {}
        for key in self._stems:
            if key in low and (count := _count_stem(key, low, cased)):
                found[key] = count
        for whole, forms in self._wholes.items():
            if count := sum(low.count(form) for form in forms):
                found[whole] = count
        return found

    def of_names(self, names: Iterable[str]) -> tuple[dict[str, int], int]:
        """The same of words given one by one, and how many parts they have."""
        found: dict[str, int] = {}
        length = 0
        for name in names:
            keys = _keys_of(name)
            length += len(keys)
            for key in keys:
                if key in self.weights:
                    found[key] = found.get(key, 0) + 1
        return found, length


@lru_cache(100_000)
def _keys_of(name: str) -> tuple[str, ...]:
    """What a name is found by."""
    cut = parts(name)
    stems = tuple(map(stem, cut))
    return (*stems, "=" + joined(name)) if len(cut) > 1 else stems


def _count_stem(key: str, low: str, cased: str) -> int:
    count = 0
    at = low.find(key)
    while at >= 0 and count < ENOUGH:
        end = at + len(key)
        if key.isascii():
            before, first = cased[at - 1 : at], cased[at]
            starts = not before.isalpha() or (
                first.isupper() and (not before.isupper() or cased[at + 1 : at + 2].islower())
            )
            if starts:
                tail = _TAIL.match(cased, end)
                end = tail.end() if tail else end
                count += stem(low[at:end]) == key
        else:
            count += 1
        at = low.find(key, end)
    return count


def rescored(
    terms: Sequence[Term], files: Sequence[tuple[FileRef, Sequence[PlacedChunk]]], paths: PathTable
) -> tuple[list[RankHit], list[RankHit]]:
    """The chunks, and the files, that hold something of the question, best first, ties by place."""
    question = _Question(terms)
    bodies = _Field(1.0)
    fields = [_Field(share) for share in (DEFINED, NAMED, FOLDER, BODY)]
    chunk_places: list[RankPlace] = []
    file_places: list[RankPlace] = []
    for file, chunks in files:
        distinct: dict[str, int] = {}
        size = 0
        names: set[str] = set()
        for placed in chunks:
            chunk = placed.chunk
            held = question.count(chunk.text)
            bodies.add(held, len(chunk.text))
            chunk_places.append(RankPlace(file, chunk.start_line, chunk.id, chunk.end_line, chunk.language))
            distinct.update(dict.fromkeys(held, 1))
            size += len(chunk.text)
            names.update(one.name for one in chunk.definitions)
        file_places.append(RankPlace(file, 0, "", 0, chunks[0].chunk.language if chunks else ""))
        stems = paths[file.path].stems
        fields[0].add(*question.of_names(sorted(names)))
        fields[1].add({key: 1 for key in stems if key in question.weights}, len(stems))
        fields[2].add(*question.of_names(WORD.findall(file.path.rpartition("/")[0])))
        fields[3].add(distinct, size)
    scores = [one.scores(question.weights) for one in fields]
    whole = [sum(parts) for parts in zip(*scores, strict=True)]
    return _hits(chunk_places, bodies.scores(question.weights)), _hits(file_places, whole)


def _hits(places: Sequence[RankPlace], scores: Sequence[float]) -> list[RankHit]:
    hits = [RankHit(place, score) for place, score in zip(places, scores, strict=True) if score > 0]
    return sorted(hits, key=lambda hit: (-hit.score, hit.place))
