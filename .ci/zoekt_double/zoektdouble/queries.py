"""Zoekt's query language: text becomes a tree of conditions, in which case is settled and constants are folded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import regexps
from .folding import lower, orbit
from .languages import language_named


class BadQuery(ValueError):
    """The query does not parse; the message is the server's."""


@dataclass(frozen=True)
class Words:
    """Text, or a regular expression, in the name, the content, or (neither set) in one of them."""

    text: str
    tree: regexps.Tree
    name: bool = False
    content: bool = False
    match_case: bool = False

    @property
    def literal(self) -> str | None:
        """The text, when the expression is nothing but a text."""
        if self.tree == regexps.Concat(()):
            return ""
        if not isinstance(self.tree, regexps.Literal):
            return None
        # seen: of `(?i)foo` the server searches the text FOO, with regard to case
        return "".join(min(orbit(c)) for c in self.tree.text) if self.tree.fold else self.tree.text


@dataclass(frozen=True)
class Repo:
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Repos:
    """Repositories by name: what ``type:repo`` becomes."""

    names: frozenset[str]


@dataclass(frozen=True)
class Branch:
    pattern: str


@dataclass(frozen=True)
class Language:
    name: str


@dataclass(frozen=True)
class Const:
    value: bool


@dataclass(frozen=True)
class All:
    parts: tuple[Query, ...]


@dataclass(frozen=True)
class Some:
    parts: tuple[Query, ...]


@dataclass(frozen=True)
class Not:
    part: Query


@dataclass(frozen=True)
class Typed:
    kind: str
    part: Query


@dataclass(frozen=True)
class Scoped:
    """A part with a ``case:`` of its own, which one further out does not change."""

    part: Query


@dataclass(frozen=True)
class Text:
    """What words become: a text to look for in the name, or in the content."""

    text: str
    match_case: bool
    in_name: bool


@dataclass(frozen=True)
class Regexp:
    """What words become that are no text of some length; ``pattern`` is Python's."""

    pattern: str
    in_name: bool


@dataclass(frozen=True)
class Unseen:
    """A part that must hold but whose matches are not shown."""

    part: Query


Query = Words | Repo | Repos | Branch | Language | Const | All | Some | Not | Typed | Scoped | Text | Regexp | Unseen

_PREFIXES = {
    "b:": "branch", "branch:": "branch", "c:": "content", "case:": "case", "content:": "content", "f:": "file",
    "file:": "file", "lang:": "lang", "r:": "repo", "regex:": "text", "repo:": "repo", "t:": "type", "type:": "type",
    "sym:": "sym", "archived:": "archived", "fork:": "fork", "public:": "public", "meta.": "meta",
}  # fmt: skip
_KINDS = {"filematch": "filematch", "filename": "filename", "file": "filename", "repo": "repo"}
_KIND_ORDER = ("filematch", "filename", "repo")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    length: int


class _Or:
    """Stands between two alternatives until the operators are read."""


def _quoted(text: str, at: int) -> tuple[str, int]:
    found: list[str] = []
    at += 1
    while at < len(text):
        c = text[at]
        if c == '"':
            return "".join(found), at + 1
        if c == "\\":
            at += 1
            if at == len(text):
                raise BadQuery("query: missing char after \\")
            c = text[at]
        found.append(c)
        at += 1
    raise BadQuery("query: unterminated quoted string")


def _token(text: str, start: int) -> _Token | None:
    if start >= len(text):
        return None
    if text[start] == "-":
        return _Token("-", "-", 1)
    found: list[str] = []
    at, depth, spaced = start, 0, False
    while at < len(text):
        c = text[at]
        if c == '"':
            quoted, at = _quoted(text, at)
            found.append(quoted)
            continue
        if c in " \n\t":
            spaced = depth > 0
            break
        if c == ")" and not depth:
            if not "".join(found):
                found, at = [")"], at + 1
            break
        depth += (c == "(") - (c == ")")
        if c == "\\":
            at += 1
            if at == len(text):
                raise BadQuery("query: lone \\ at end")
            c += text[at]
        found.append(c)
        at += 1
    value = "".join(found)
    if not value:
        return None
    typed = text[start:at]
    if spaced and value[0] == "(":
        value = typed = "("
    kind = value if value in ("(", ")") else "or" if value == typed == "or" else "text"
    for prefix, named in _PREFIXES.items():
        if typed.startswith(prefix):
            return _Token(named, value[len(prefix) :], len(typed))
    return _Token(kind, value, len(typed))


@dataclass(frozen=True)
class _Case:
    flavour: str


@dataclass(frozen=True)
class _Type:
    kind: str


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def list(self) -> list[Query | _Or]:
        items: list[Query | _Or | _Case | _Type] = []
        while self.at < len(self.text):
            self.skip()
            token = _token(self.text, self.at)
            if token and token.kind == ")":
                break
            if token and token.kind == "or":
                items.append(_Or())
                self.at += token.length
                continue
            item = self.item()
            if item is None:
                break
            items.append(item)
        flavours = [i.flavour for i in items if isinstance(i, _Case)]
        kinds = [i.kind for i in items if isinstance(i, _Type)]
        flavour = flavours[-1] if flavours else "auto"
        found: list[Query | _Or] = [
            i if isinstance(i, _Or) else _cased(i, flavour) for i in items if not isinstance(i, (_Case, _Type))
        ]
        if kinds:
            found = [Typed(min(kinds, key=_KIND_ORDER.index), _joined(found))]
        if flavours:
            found = [i if isinstance(i, _Or) else Scoped(i) for i in found]
        return found

    def item(self) -> Query | _Case | _Type | None:
        self.skip()
        token = _token(self.text, self.at)
        if token is None:
            return None
        self.at += token.length
        text = token.text
        if token.kind == "case":
            if text not in ("yes", "no", "auto"):
                raise BadQuery(f"query: unknown case argument {json.dumps(text)}, want {{yes,no,auto}}")
            return _Case(text)
        if token.kind == "type":
            if text not in _KINDS:
                raise BadQuery(f"query: unknown type argument {json.dumps(text)}, want {{filematch,filename,repo}}")
            return _Type(_KINDS[text])
        if token.kind == ")":
            return None
        if token.kind == "(":
            inner = self.list()
            closing = _token(self.text, self.at)
            if closing is None or closing.kind != ")":
                raise BadQuery("query: missing close paren, got token <nil>")
            self.at += closing.length
            return _joined(inner)
        if token.kind == "-":
            part = self.item()
            if part is None or isinstance(part, (_Case, _Type)):
                raise BadQuery("query: '-' operator needs an argument")
            return Not(part)
        return _atom(token.kind, text)


def _atom(kind: str, text: str) -> Query:
    if kind == "repo":
        return Repo(re.compile(regexps.python(regexps.parse(text, lines=False), fold=False)))
    if kind == "branch":
        return Branch(text)
    if kind == "lang":
        name = language_named(text)
        return Const(False) if name is None else Language(name)
    if kind in ("text", "file", "content"):
        return Words(text, regexps.parse(text), name=kind == "file", content=kind == "content")
    raise BadQuery(f"the double does not know {kind}:")


def _joined(items: list[Query | _Or]) -> Query:
    sides: list[list[Query]] = [[]]
    for item in items:
        if isinstance(item, _Or):
            if not sides[-1]:
                raise BadQuery("query: OR operator should have operand")
            sides.append([])
        else:
            sides[-1].append(item)
    if len(sides) > 1 and not sides[-1]:
        raise BadQuery("query: OR operator should have operand")
    return Some(tuple(All(tuple(side)) for side in sides))


def _cased(query: Query, flavour: str) -> Query:
    """Settle whether words are matched with regard to case, wherever no part has settled it for itself."""
    if isinstance(query, Words):
        literal = query.literal
        own = literal != lower(literal) if literal is not None else regexps.has_upper(query.tree)
        return replace(query, match_case={"yes": True, "no": False}.get(flavour, own))
    if isinstance(query, (All, Some)):
        return type(query)(tuple(_cased(part, flavour) for part in query.parts))
    if isinstance(query, (Not, Typed)):
        return replace(query, part=_cased(query.part, flavour))
    return query


def mapped(query: Query, change: Callable[[Query], Query]) -> Query:
    """The query with every part changed, innermost first."""
    if isinstance(query, (All, Some)):
        query = type(query)(tuple(mapped(part, change) for part in query.parts))
    elif isinstance(query, (Not, Typed, Scoped)):
        query = replace(query, part=mapped(query.part, change))
    return change(query)


def simplified(query: Query) -> Query:
    """Without constants inside, and without groups of one."""
    return mapped(query, _folded)


def _folded(query: Query) -> Query:
    if isinstance(query, Scoped):
        return query.part
    if isinstance(query, (Not, Typed)) and isinstance(query.part, Const):
        return Const(query.part.value != isinstance(query, Not))
    if (isinstance(query, Words) and query.literal == "") or query == Branch(""):
        return Const(True)
    if isinstance(query, (All, Some)):
        neutral = isinstance(query, All)
        if Const(not neutral) in query.parts:
            return Const(not neutral)
        parts = tuple(part for part in query.parts if part != Const(neutral))
        if len(parts) < 2:
            return parts[0] if parts else Const(neutral)
        return type(query)(parts)
    return query


def parse(text: str) -> Query:
    """:raises BadQuery, BadRegexp: the text is no query"""
    parser = _Parser(text)
    items = parser.list()
    if parser.at != len(text):
        raise BadQuery(f"query: extra tokens found at end input: {json.dumps(text[parser.at :], ensure_ascii=False)}")
    return simplified(_joined(items))
