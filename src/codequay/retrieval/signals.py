"""Ranking signals: small functions of a path, a question and a definition, and the weights that join them.

Every weight is a round number. Coordinate search over 20 weights on some 200 questions gained nothing on held-out
repositories (study of the development set: tuned .858 across halves, round numbers .864), so none is tuned.
The gains quoted below are in NDCG@10, from leaving the signal out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from ..ports.chunks import CLASS_KINDS
from ..ports.errors import ConfigError
from .words import WORD, joined, parts, stem


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the signals; those that add are shares of the best lexical score in the answer."""

    definition: float = 0.5
    """The chunk defines a name that the question writes (symbol questions lose .037 without it)."""
    bare_name: float = 2.0
    """Factor on ``definition`` when the question is nothing but one name."""
    stem: float = 0.3
    """Share of the file name's words that the question names (with ``folder``: .0165)."""
    folder: float = 0.3
    """Share of the question's words that the folder's name shows."""
    test: float = 0.4
    """Factor on tests; with the next four: .013, architecture .037."""
    auxiliary: float = 0.5
    """Factor on examples, documentation, benchmarks, scripts."""
    compat: float = 0.5
    """Factor on compatibility, legacy and vendored code."""
    barrel: float = 0.7
    """Factor on files that only pass names on: ``__init__.py``, ``index.ts``, ``package-info.java``."""
    declarations: float = 0.7
    """Factor on ``.d.ts``."""
    header: float = 0.85
    """Factor on a header whose implementation is in the answer as well."""
    decay: float = 0.3
    """Factor per further chunk of one file (.072: the largest of all)."""


def weights_from(values: Mapping[str, float]) -> Weights:
    """The defaults with some weights replaced.

    :raises ConfigError: a name that is no weight
    """
    names = [f.name for f in fields(Weights)]
    for name in values:
        if name not in names:
            raise ConfigError(
                f"there is no ranking weight {name!r}",
                at=f"retrieval.weights.{name}",
                remedy=f"one of: {', '.join(names)}",
            )
    return Weights(**{name: float(value) for name, value in values.items()})


_TEST = re.compile(
    r"(^|/)(tests?|__tests__|spec|specs|testing|testdata|test_suite|fixtures?|mocks?)(/|$)"
    r"|(^|/)(test_[^/]*|[^/]*(_test|_spec|\.test|\.spec|Tests?|Spec|Suite)\.[a-z]+)$"
    r"|(^|/)(test|tests)\.[a-z]+$|conftest\.py$"
)
_AUXILIARY = re.compile(
    r"(^|/)(examples?|_examples?|docs?_src|docs?|samples?|demos?|benchmarks?|bench|benches|scripts?|tools?)(/|$)"
)
_COMPAT = re.compile(r"(^|/)(compat|_compat|legacy|deprecated|vendor|third_party)(/|$)")
_BARRELS = frozenset({"__init__.py", "package-info.java", "index.ts", "index.js"})
_GENERIC = frozenset({"mod", "index", "__init__", "package-info", "lib"})
"""File names that stand for their folder."""
_LAYOUT = frozenset({"src", "lib"})
_HEADERS = (".h", ".hpp")
HEADER = "."
"""Marks a header: no stem or beginning of a word has this form."""
_IMPLEMENTATIONS = (".c", ".cc", ".cpp")
_TYPE_KINDS = CLASS_KINDS | {"namespace"}
FUNCTION_SHARE = 0.6
"""What a definition counts that is no type: of one name, the type is what people mean."""
SAME_STEM = 1.0
"""Added to a definition in the file that carries its name."""
MIN_PREFIX = 3
"""Characters that a question's word and a folder's word must share to count, unless they are equal."""
_CACHE_SIZE = 50_000


class PathSignals(NamedTuple):
    """What a path says, whatever the question. ``header_of`` is the path without ending when it is a header.

    ``folder_starts`` are the beginnings of the folder's words: where none is that of a question's word,
    ``folder_coverage`` is 0.
    """

    penalty: float
    marks: frozenset[str]
    """Stems, beginnings and ``HEADER``: to a question that has none of them the path says no more than its penalty."""
    stems: frozenset[str]
    name: str
    folder: tuple[str, ...]
    folder_starts: frozenset[str]
    header_of: str


class PathTable(dict[str, PathSignals]):
    """Path -> its signals under one set of weights: computed once each, at most ``_CACHE_SIZE`` kept."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._weights = weights

    def __missing__(self, path: str) -> PathSignals:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        found = self[path] = path_signals(path, self._weights)
        return found


def path_signals(path: str, weights: Weights) -> PathSignals:
    """Penalty, stems and folder words of a path."""
    folder, _, base = path.rpartition("/")
    dot = base.rfind(".")
    name = base[:dot] if dot > 0 else base
    if name in _GENERIC:
        above = [part for part in folder.split("/") if part and part not in _LAYOUT]
        name = above[-1] if above else name
    words = tuple(dict.fromkeys(p for w in WORD.findall(folder.rpartition("/")[2]) for p in parts(w)))
    stems = frozenset(stem(p) for w in WORD.findall(name) for p in parts(w))
    starts = frozenset(word[:MIN_PREFIX] for word in words)
    return PathSignals(
        penalty=_penalty(path, base, weights),
        marks=stems.union(starts, (HEADER,) if base.endswith(_HEADERS) else ()),
        stems=stems,
        name=joined(name),
        folder=words,
        folder_starts=starts,
        header_of=path[: path.rfind(".")].replace("-inl", "") if base.endswith(_HEADERS) else "",
    )


def _penalty(path: str, base: str, weights: Weights) -> float:
    factor = 1.0
    if _TEST.search(path):
        factor *= weights.test
    if _AUXILIARY.search(path):
        factor *= weights.auxiliary
    if _COMPAT.search(path):
        factor *= weights.compat
    if base.endswith(".d.ts"):
        factor *= weights.declarations
    if base in _BARRELS:
        factor *= weights.barrel
    return factor


def implementation_stems(paths: Collection[str]) -> frozenset[str]:
    """Paths of C and C++ implementations without their ending."""
    return frozenset(path[: path.rfind(".")] for path in paths if path.endswith(_IMPLEMENTATIONS))


def stem_coverage(signals: PathSignals, stems: Collection[str]) -> float:
    """Share of the file name's words that the question names, by stem."""
    return len(signals.stems.intersection(stems)) / len(signals.stems) if signals.stems else 0.0


def folder_coverage(signals: PathSignals, words: Collection[str]) -> float:
    """Share of the question's words of which one is the beginning of a folder word, or the reverse."""
    found = 0
    for word in words:
        for part in signals.folder:
            if word == part or (
                (part.startswith(word) or word.startswith(part)) and min(len(word), len(part)) >= MIN_PREFIX
            ):
                found += 1
                break
    return found / len(words) if found else 0.0


def definition_share(kind: str) -> float:
    """How much a definition of this kind counts: types more than functions."""
    return 1.0 if kind in _TYPE_KINDS else FUNCTION_SHARE
