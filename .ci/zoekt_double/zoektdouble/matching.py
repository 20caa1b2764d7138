"""Which documents of a shard a query matches, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from . import regexps
from .folding import lower
from .queries import (
    All,
    Branch,
    Const,
    Language,
    Not,
    Query,
    Regexp,
    Repo,
    Repos,
    Some,
    Text,
    Typed,
    Unseen,
    Words,
    mapped,
    simplified,
)
from .shards import Document, Searchable, Shard

TRIGRAM = 3


@dataclass(frozen=True)
class Match:
    """A place where words match: bytes of the name or of the content."""

    in_name: bool
    start: int
    end: int
    term: str
    """What BM25 counts together: the words in lower case, "" for every regular expression."""
    stand_in: bool = False
    """The whole name, of a document that matches by no words: BM25 counts it, other scores do not."""


@dataclass(frozen=True)
class Found:
    """How a document matches: where, and by how many of the query's atoms."""

    matches: tuple[Match, ...]
    atoms: int


def of_shard(query: Query, shard: Shard) -> Query:
    """The query with what is the same for every document of the shard folded into it."""

    def change(part: Query) -> Query:
        if isinstance(part, Repo):
            return Const(part.pattern.search(shard.repo) is not None)
        if isinstance(part, Repos):
            return Const(shard.repo in part.names)
        if isinstance(part, Language) and part.name not in shard.languages:
            return Const(False)
        return part

    return simplified(mapped(query, change))


def search(query: Query, shard: Shard) -> Iterator[tuple[int, Document, Found]]:
    """The matching documents in order, with their places in the shard."""
    folded = of_shard(query, shard)
    if folded == Const(False):
        return
    for place, document in enumerate(shard.documents):
        found = _evaluate(folded, document, shard)
        if found is not None:
            matches = _without_overlaps(found.matches)
            if not matches:
                matches = (Match(True, 0, len(document.name.encode()), document.name, stand_in=True),)
            yield place, document, Found(matches, found.atoms)


def _evaluate(query: Query, document: Document, shard: Shard) -> Found | None:
    if isinstance(query, (All, Some)):
        found = [_evaluate(part, document, shard) for part in query.parts]
        held = [one for one in found if one is not None]
        if not held or (isinstance(query, All) and len(held) < len(found)):
            return None
        return Found(tuple(m for one in held for m in one.matches), sum(one.atoms for one in held))
    if isinstance(query, Not):
        return Found((), 0) if _evaluate(query.part, document, shard) is None else None
    if isinstance(query, (Unseen, Typed)):
        return None if _evaluate(query.part, document, shard) is None else Found((), 0)
    if isinstance(query, Words):
        if query.name == query.content:
            both = (replace(query, name=True, content=False), replace(query, name=False, content=True))
            return _evaluate(Some(both), document, shard)
        return _evaluate(_compiled(query.tree, query.literal, query.name, query.match_case), document, shard)
    if isinstance(query, (Text, Regexp)):
        text = document.searchable_name if query.in_name else document.searchable
        matches = tuple(_find_text(query, text) if isinstance(query, Text) else _find_regexp(query, text))
        return Found(matches, 1) if matches else None
    if isinstance(query, Language):
        return Found((), 1) if document.language == query.name else None
    if isinstance(query, Branch):
        holds = query.pattern == "HEAD" or query.pattern in shard.branch
        return Found((), 1) if holds else None
    return Found((), 1) if query == Const(True) else None


@cache
def _compiled(tree: regexps.Tree, literal: str | None, in_name: bool, match_case: bool) -> Query:
    """Words as the server looks for them: texts of three characters as texts, choices of such too, all else not."""
    if literal is not None:
        return _text(literal, match_case, in_name)
    plan, exact = _required(tree, in_name, match_case)
    if exact:
        return plan
    regexp = Regexp(regexps.python(tree, fold=not match_case), in_name)
    return All((regexp, Unseen(plan)))


def _text(text: str, match_case: bool, in_name: bool) -> Text | Regexp:
    if len(text) >= TRIGRAM:
        return Text(text, match_case, in_name)
    return Regexp(regexps.python(regexps.Literal(text, False), fold=not match_case), in_name)


def _required(tree: regexps.Tree, in_name: bool, match_case: bool) -> tuple[Query, bool]:
    """What texts an expression requires, and whether that is all it says."""
    anything: Query = Const(True)
    if isinstance(tree, regexps.Literal) and len(tree.text.encode()) >= TRIGRAM:
        return _text(tree.text, match_case and not tree.fold, in_name), True
    if isinstance(tree, regexps.Repeat) and tree.least:
        plan, exact = _required(tree.part, in_name, match_case)
        return plan, exact and tree.least == 1 and (tree.most is None or tree.most == 1)
    if isinstance(tree, (regexps.Concat, regexps.Choice)) and tree.parts:
        parts = [_required(part, in_name, match_case) for part in tree.parts]
        plans = tuple(plan for plan, _ in parts)
        exact = all(one for _, one in parts)
        if isinstance(tree, regexps.Concat):
            return simplified(All(plans)), exact and len(plans) == 1
        starts = [part.text[0] if isinstance(part, regexps.Literal) else "" for part in tree.parts]
        shared = any(a and a == b for a, b in pairwise(starts))  # such are one expression
        return (anything, False) if anything in plans else (Some(plans), exact and not shared)
    return anything, False


def _find_text(query: Text, text: Searchable) -> Iterator[Match]:
    term = lower(query.text)
    where, what = (text.text, query.text) if query.match_case else (text.lowered, term)
    at = where.find(what)
    while at >= 0:
        yield Match(query.in_name, text.byte(at), text.byte(at + len(what)), term)
        at = where.find(what, at + 1)


def _find_regexp(query: Regexp, text: Searchable) -> Iterator[Match]:
    last = -1
    for match in re.finditer(query.pattern, text.text):
        start, end = match.span()
        if start < end or start != last:  # an empty match next to one before is none
            yield Match(query.in_name, text.byte(start), text.byte(end), "")
        last = end


def _without_overlaps(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    """In order, those of the name first; of two that overlap the first, of two that start together the longer."""
    kept: list[Match] = []
    for match in sorted(matches, key=lambda m: (not m.in_name, m.start, -m.end)):
        if not kept or kept[-1].in_name != match.in_name or kept[-1].end <= match.start:
            kept.append(match)
    return tuple(kept)
