"""The query language: a small algebra of frozen dataclasses, and a parser that never refuses.

::

    bare words        rank; none is required                 session token
    "quoted phrase"   the file must hold it                  "connection reset"
    -x                the file must not hold the word x      retry -test     -"a phrase"    -file:vendor
    repo: file:       part of the repository id, of the path file:src/net
    lang:             language                               lang:python
    sym:              the file must define the name          sym:HttpServer
    case:yes          phrases, exclusions and words as written, case included
    or ( )            alternatives and groups; ``or`` binds least

What does not parse is taken as words, with a note: a pasted traceback works. Text of several lines is all words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MAX_LENGTH = 10_000
"""Characters of a query that are read."""
MAX_DEPTH = 32
"""Nesting of parentheses; deeper ones are text."""

Field = Literal["repo", "file", "lang", "sym"]

LANGUAGE_ALIASES = {
    "py": "python", "js": "javascript", "jsx": "javascript", "node": "javascript", "ts": "typescript",
    "golang": "go", "rs": "rust", "rb": "ruby", "c++": "cpp", "cxx": "cpp", "cc": "cpp", "c#": "csharp",
    "cs": "csharp", "kt": "kotlin", "sh": "bash", "shell": "bash", "md": "markdown", "yml": "yaml",
}  # fmt: skip
"""What people type -> the language's name."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word that ranks. Inside an ``or`` with filters it must occur for its side to hold."""

    text: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """Text that must occur."""

    text: str


@dataclass(frozen=True, slots=True)
class Atom:
    """A filter on one field."""

    field: Field
    value: str


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class All:
    """Every filter among the parts holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some part holds."""

    parts: tuple[Node, ...]


Node = Word | Phrase | Atom | Not | All | OneOf


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. ``notes`` say what was taken otherwise than typed."""

    root: Node
    text: str
    match_case: bool = False
    notes: tuple[str, ...] = ()


def words_of(node: Node) -> list[str]:
    """The text of every word and phrase that is not excluded, in the order typed."""
    found: list[str] = []
    stack = [node]
    while stack:
        at = stack.pop()
        if isinstance(at, (Word, Phrase)):
            found.append(at.text)
        elif isinstance(at, (All, OneOf)):
            stack.extend(reversed(at.parts))
    return found


def parse(text: str, *, literal: bool = False) -> Query:
    """The query that ``text`` means. Total: every string has an answer. Time is linear in its length."""
    notes: list[str] = []
    if len(text) > MAX_LENGTH:
        notes.append(f"the query is longer than {MAX_LENGTH} characters; the rest was left out")
        text = text[:MAX_LENGTH]
    text = text.strip()
    if literal or "\n" in text:
        if not literal:
            notes.append("text of several lines was taken as words")
        return Query(_plain(text), text, notes=tuple(notes))
    parser = _Parser(text, notes)
    root = parser.run()
    if not parser.positive and parser.negative:
        notes.append("a query needs something to look for; its exclusions were taken as words")
        root = _plain(text)
    return Query(root, text, parser.match_case, tuple(dict.fromkeys(notes)))


def _plain(text: str) -> All:
    return All(tuple(Word(w) for w in text.split()))


_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s|\)|$)')
_ATOM = re.compile(r"(repo|file|lang|sym|case):(?!:|//|\s|$)")
_BARE = re.compile(r"\S+")
_NEGATABLE = re.compile(r'-(?=["(]|[^\W\d])')
_ESCAPE = re.compile(r'\\(["\\])')


class _Group:
    """A level of parentheses under construction: alternatives, the last of them still growing."""

    def __init__(self, negated: bool = False) -> None:
        self.negated = negated
        self.sides: list[list[Node]] = [[]]

    def add(self, node: Node) -> None:
        self.sides[-1].append(node)

    def node(self) -> Node:
        sides = [_join(side) for side in self.sides if side]
        return sides[0] if len(sides) == 1 else OneOf(tuple(sides)) if sides else All(())


def _join(nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else All(tuple(nodes))


class _Parser:
    def __init__(self, text: str, notes: list[str]) -> None:
        self.text = text
        self.notes = notes
        self.match_case = False
        self.positive = 0
        self.negative = 0
        self.at = 0
        self.stack = [_Group()]

    def run(self) -> Node:
        text = self.text
        while True:
            space = _SPACE.match(text, self.at)
            self.at = space.end() if space else self.at
            if self.at >= len(text):
                break
            self._token()
        if len(self.stack) > 1:
            self.notes.append("a parenthesis that is not closed was closed at the end")
            while len(self.stack) > 1:
                self._close()
        root = self.stack[0].node()
        return root if isinstance(root, (All, OneOf)) else All((root,))

    def _token(self) -> None:
        text = self.text
        negated = _NEGATABLE.match(text, self.at) is not None
        at = self.at + negated
        if text[at] == "(" and len(self.stack) <= MAX_DEPTH:
            self.stack.append(_Group(negated))
            self.at = at + 1
            return
        if text[at] == ")" and len(self.stack) > 1:
            self._close()
            self.at = at + 1
            return
        if text[at] == '"':
            quoted = _QUOTED.match(text, at)
            if quoted:
                self.at = quoted.end()
                self._add_phrase(_unescape(quoted[1]), negated)
                return
            self.notes.append("a quotation mark without its partner was taken as part of a word")
        atom = _ATOM.match(text, at)
        if atom:
            self._atom(atom[1], atom.end(), at, negated)
            return
        self._word(at, negated)

    def _bare(self, at: int) -> str:
        """The run of non-space from ``at``, without the parentheses at its end that close a group."""
        run = _BARE.match(self.text, at)
        word = run[0] if run else ""
        if len(self.stack) > 1:
            surplus = min(word.count(")") - word.count("("), len(self.stack) - 1, len(word) - len(word.rstrip(")")))
            if surplus > 0:
                word = word[:-surplus]
        return word

    def _word(self, at: int, negated: bool) -> None:
        word = self._bare(at)
        if not word:
            self._close()
            self.at = at + 1
            return
        self.at = at + len(word)
        if word in ("or", "OR") and not negated:
            if self.stack[-1].sides[-1]:
                self.stack[-1].sides.append([])
            return
        self._add(Word(word), negated)

    def _atom(self, field: str, start: int, at: int, negated: bool) -> None:
        quoted = _QUOTED.match(self.text, start)
        value = _unescape(quoted[1]).strip() if quoted else self._bare(start)
        end = quoted.end() if quoted else start + len(value)
        if field == "case":
            if value not in ("yes", "no", "auto") or negated:
                self.notes.append(f"case:{value} is not case:yes or case:no; it was taken as a word")
                self._word(at, negated)
                return
            self.match_case = value == "yes"
        elif not value:
            self.notes.append(f"{field}: without a value was taken as a word")
            self._word(at, negated)
            return
        elif field == "lang":
            low = value.lower()
            self._add(Atom("lang", LANGUAGE_ALIASES.get(low, low)), negated)
        elif field == "repo":
            self._add(Atom("repo", value), negated)
        elif field == "file":
            self._add(Atom("file", value), negated)
        else:
            self._add(Atom("sym", value), negated)
        self.at = end

    def _add_phrase(self, phrase: str, negated: bool) -> None:
        if phrase.strip():
            self._add(Phrase(phrase), negated)

    def _add(self, node: Node, negated: bool) -> None:
        if negated or any(group.negated for group in self.stack):
            self.negative += 1
        else:
            self.positive += 1
        self.stack[-1].add(Not(node) if negated else node)

    def _close(self) -> None:
        group = self.stack.pop()
        node = group.node()
        if node != All(()):
            self.stack[-1].add(Not(node) if group.negated else node)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)
