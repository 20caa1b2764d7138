"""From a query to what the ports are asked: weighted terms, filters for the index, names to look up, and conditions.

Filters that every hit must pass go down to the index (``Where``) and to the choice of repositories; what stands
inside ``or`` is kept as a condition and checked on path, language and text above the ports.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from ..ports.lexical import AllOf, AnyOf, Literal_, Plan, Term, Where
from .query import All, Atom, Node, Not, OneOf, Phrase, Query, Word, words_of
from .words import STOP_WORDS, TOKEN, WORD, is_identifier, joined, parts, stem

MAX_TERMS = 48
"""Distinct words that rank; a pasted log has hundreds, and each costs a posting list."""
_NAME_BREAK = re.compile(r"::|\.|#|->|\\")
_CALL_TAIL = re.compile(r"(\(.*\))?[,;:]*$")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a query asks of the ports."""

    terms: tuple[Term, ...]
    stems: frozenset[str]
    """Of the words, and of neighbours written as one: "thread pool" names ``threadpool.c``."""
    words: tuple[str, ...]
    """The lower-case parts of the question's words."""
    names: tuple[str, ...]
    """Names that the question writes: looked up as definitions."""
    joined_names: frozenset[str]
    bare_name: bool
    where: Where
    repos: tuple[str, ...]
    not_repos: tuple[str, ...]
    conditions: tuple[Node, ...]
    symbols: tuple[str, ...]
    """Names of every ``sym:``."""
    phrases: tuple[str, ...]
    """Required phrases: a hit shows the chunk that holds one."""
    match_case: bool
    notes: tuple[str, ...]

    def admits_repo(self, repo_id: str) -> bool:
        """Whether ``repo:`` filters leave this repository in."""
        low = repo_id.lower()
        return all(r in low for r in self.repos) and not any(r in low for r in self.not_repos)


def prepare(query: Query, *, prefix: str = "") -> Prepared:
    """Compile a query; ``prefix`` is a folder or file that hits must lie in."""
    top = query.root.parts if isinstance(query.root, All) else (query.root,)
    filters: dict[tuple[str, bool], list[str]] = {}
    conditions: list[Node] = []
    notes = list(query.notes)
    for node in _flat(top):
        inner, negated = (node.part, True) if isinstance(node, Not) else (node, False)
        if isinstance(inner, Atom) and inner.field != "sym":
            filters.setdefault((inner.field, negated), []).append(inner.value)
        elif _filters(node):
            conditions.append(node)
    typed = words_of(query.root)
    if query.match_case and typed:
        words = tuple(Word(w) for text in typed for w in WORD.findall(text) if w.lower() not in STOP_WORDS)
        if words:
            conditions.append(OneOf(words))
    symbols = tuple(dict.fromkeys(_symbols(query.root)))
    counted = _counted([*typed, *symbols])
    if len(counted) > MAX_TERMS:
        notes.append(f"ranked by {MAX_TERMS} of {len(counted)} words")
        keep = sorted(counted, key=lambda w: (not is_identifier(w), -len(w), w))[:MAX_TERMS]
        counted = {w: counted[w] for w in counted if w in set(keep)}
    lower = tuple(dict.fromkeys(p for w in counted for p in parts(w) if len(p) > 1))
    bare = len(typed) == 1 and " " not in typed[0].strip() and not symbols
    names = _names(typed, bare=bare) if not symbols else list(symbols)
    return Prepared(
        terms=tuple(Term(w, float(n)) for w, n in counted.items()),
        stems=frozenset(map(stem, [*lower, *(a + b for a, b in pairwise(lower))])),
        words=lower,
        names=tuple(names),
        joined_names=frozenset(map(joined, names)),
        bare_name=bare or bool(symbols),
        where=Where(
            prefix=prefix,
            contains=tuple(filters.get(("file", False), ())),
            excludes=tuple(filters.get(("file", True), ())),
            languages=tuple(filters.get(("lang", False), ())),
            not_languages=tuple(filters.get(("lang", True), ())),
        ),
        repos=tuple(v.lower() for v in filters.get(("repo", False), ())),
        not_repos=tuple(v.lower() for v in filters.get(("repo", True), ())),
        conditions=tuple(conditions),
        symbols=symbols,
        phrases=tuple(node.text for node in _flat(top) if isinstance(node, Phrase)),
        match_case=query.match_case,
        notes=tuple(dict.fromkeys(notes)),
    )


def literal_plan(nodes: tuple[Node, ...], *, ignore_case: bool) -> Plan:
    """What the conditions require of a text, weakened to what an index can answer."""
    return AllOf(tuple(p for p in (_plan(n, ignore_case) for n in nodes) if p != AllOf(())))


def _plan(node: Node, ignore_case: bool) -> Plan:
    if isinstance(node, (Phrase, Word)):
        return Literal_(node.text, ignore_case)
    if isinstance(node, OneOf):
        sides = tuple(_plan(n, ignore_case) for n in node.parts)
        return AllOf(()) if AllOf(()) in sides else AnyOf(sides)
    if isinstance(node, All):
        plain = all(isinstance(n, Word) for n in node.parts)
        sides = tuple(_plan(n, ignore_case) for n in node.parts if plain or not isinstance(n, Word))
        return AnyOf(sides) if plain else AllOf(tuple(s for s in sides if s != AllOf(())))
    return AllOf(())


def _flat(nodes: tuple[Node, ...]) -> list[Node]:
    """Conjunctions inside conjunctions, opened up."""
    found: list[Node] = []
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if isinstance(node, All):
            stack.extend(reversed(node.parts))
        else:
            found.append(node)
    return found


def _filters(node: Node) -> bool:
    """Whether a node can rule a file out: anything but words and alternatives of words."""
    if isinstance(node, Word):
        return False
    if isinstance(node, (All, OneOf)):
        return any(_filters(n) for n in node.parts)
    return True


def _symbols(node: Node) -> list[str]:
    if isinstance(node, Atom):
        return [node.value] if node.field == "sym" else []
    if isinstance(node, (All, OneOf)):
        return [name for n in node.parts for name in _symbols(n)]
    if isinstance(node, Not):
        return _symbols(node.part)
    return []


def _counted(typed: list[str]) -> dict[str, int]:
    """Word -> how often it was typed, without stop words unless there is nothing else."""
    words = [w for text in typed for w in WORD.findall(text)]
    useful = [w for w in words if w.lower() not in STOP_WORDS] or words
    return dict(Counter(useful or [t for text in typed for t in TOKEN.findall(text)]))


def _names(typed: list[str], *, bare: bool) -> list[str]:
    if bare:
        whole = _CALL_TAIL.sub("", typed[0].strip())
        last = _NAME_BREAK.split(whole)[-1]
        return [n for n in dict.fromkeys((whole, last)) if n]
    return list(dict.fromkeys(w for text in typed for w in WORD.findall(text) if is_identifier(w)))[:MAX_TERMS]
