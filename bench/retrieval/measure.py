"""Metrics of one question: binary relevance, each target counts at the first hit that covers it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

DEPTH = 10
HIT_DEPTH = 5


class Target(NamedTuple):
    """A file, or some of its lines, that answers a question; without lines the whole file does."""

    path: str
    start_line: int | None = None
    end_line: int | None = None


class Shown(NamedTuple):
    """A hit: path and lines."""

    path: str
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics of one question, or the mean of ``count`` of them."""

    ndcg: float
    mrr: float
    hit: float
    recall: float
    count: int = 1


def score(hits: Sequence[Shown], targets: Sequence[Target]) -> Scores:
    """NDCG@10, reciprocal rank, Hit@5 and Recall@10. Two targets that one hit covers count once."""
    gains = [0] * DEPTH
    found = 0
    for target in targets:
        rank = next((i for i, hit in enumerate(hits[:DEPTH]) if covers(hit, target)), None)
        if rank is not None:
            gains[rank] = 1
            found += 1
    ideal = sum(1 / math.log2(i + 2) for i in range(min(DEPTH, len(targets))))
    first = next((i for i, gain in enumerate(gains) if gain), None)
    return Scores(
        ndcg=sum(gain / math.log2(i + 2) for i, gain in enumerate(gains)) / ideal,
        mrr=0.0 if first is None else 1 / (first + 1),
        hit=float(first is not None and first < HIT_DEPTH),
        recall=found / len(targets),
    )


def covers(hit: Shown, target: Target) -> bool:
    """Whether a hit lies in the target's file and meets its lines."""
    if hit.path != target.path:
        return False
    if target.start_line is None or target.end_line is None:
        return True
    return hit.start_line <= target.end_line and hit.end_line >= target.start_line


def mean(scores: Sequence[Scores]) -> Scores:
    """The mean of each metric."""
    n = len(scores) or 1
    return Scores(
        ndcg=sum(s.ndcg for s in scores) / n,
        mrr=sum(s.mrr for s in scores) / n,
        hit=sum(s.hit for s in scores) / n,
        recall=sum(s.recall for s in scores) / n,
        count=sum(s.count for s in scores),
    )
