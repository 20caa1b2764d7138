"""From Zoekt's scores to ours: what a document holds as a word decides whether it counts, and what weights it adds.

Zoekt adds up, for each word of the question that it finds as a substring, a share that saturates with its frequency
and falls with the length of the file (BM25 with a constant idf), and knows no weights. So its score is divided by the
words that it has counted and multiplied by the weights of those that are really held.
"""

from __future__ import annotations

from collections.abc import Sequence

from codequay.ports.lexical import RankHit

from .client import UNLIMITED
from .spool import Entry, Shown
from .words import Key, Words, held

EDGE = 1e-6
"""What each held word adds by itself, in shares: where Zoekt rounds a frequency down to nothing, as in tests and
generated files, the words still count."""
OVERFETCH = 32
"""Files asked for beyond k at first: room for those that hold a word as a substring only, and for ties at the cut."""
GROWTH = 4
"""How many times more where words have different weights, of which Zoekt knows nothing."""
_K1, _B = 1.2, 0.75


class Scale:
    """The weights of one question, which has at least one key."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys
        weights = [key.weight for key in keys]
        merged = sum(key.weight for key in keys if key.merged)
        self._edge = EDGE * sum(weights)
        self._even = min(weights) == max(weights) and sum(key.merged for key in keys) < 2
        self._most = max([merged, *(key.weight for key in keys if not key.merged)])

    def first(self, k: int) -> int:
        """How many files to ask Zoekt for at first."""
        return (k + k // 4 + OVERFETCH) * (1 if self._even else GROWTH)

    def more(self, asked: int, given: int, last: float, hits: Sequence[RankHit], k: int) -> int:
        """How many files to ask for next; 0 when the k best are known.

        ``given`` files came of those ``asked`` for, the last with the score ``last``; ``hits`` are what they gave, in
        order. The third time every file is asked for, so a search takes three exchanges at most.
        """
        if given < asked:
            return 0
        if len(hits) >= k and hits[k - 1].score > self._most * last + self._edge:
            return 0
        if asked > self.first(k):
            return UNLIMITED
        return asked * GROWTH if len(hits) >= k else asked * max(2, 2 * k // (len(hits) + 1))

    def of(self, words: Words, score: float) -> float:
        """The score of a document with these words; 0.0 when it holds none of the question's."""
        found = held(self._keys, words)
        return self._score(found, score) if found else 0.0

    def alone(self, entry: Entry, shown: Shown) -> float:
        """The score of a document that Zoekt does not know: as if it had each of its words once."""
        found = held(self._keys, entry.words)
        if not found:
            return 0.0
        share = (_K1 + 1) / (_K1 * (1 - _B + _B * entry.size / shown.mean) + 1)
        return self._score(found, share * _counted(found))

    def _score(self, found: Sequence[Key], score: float) -> float:
        if self._even:
            return self._most * (score + EDGE * len(found))
        weight = sum(key.weight for key in found)
        return weight * (score / _counted(found) + EDGE)


def _counted(found: Sequence[Key]) -> int:
    """As how many words Zoekt counts the keys."""
    plain = sum(not key.merged for key in found)
    return plain + (plain < len(found))
