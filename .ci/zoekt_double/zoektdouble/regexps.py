"""Regular expressions in Go's syntax: parsed, and written again for Python's ``re``.

``^`` and ``$`` are line anchors, classes match newlines, ``\\d \\w \\s \\b`` know ASCII only, and there is no
look-around. The tree is kept since Zoekt treats an expression that is a literal, or a choice of literals, as words.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from functools import cache

from .folding import orbit, orbits

LAST = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]


class BadRegexp(ValueError):
    """The text does not parse; the message is Go's."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(f"error parsing regexp: {what}: `{text}`")


@dataclass(frozen=True)
class Literal:
    text: str
    fold: bool


@dataclass(frozen=True)
class Class:
    ranges: Ranges


@dataclass(frozen=True)
class Any:
    newline: bool


@dataclass(frozen=True)
class Assertion:
    python: str


@dataclass(frozen=True)
class Concat:
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Choice:
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Repeat:
    part: Tree
    least: int
    most: int | None
    greedy: bool


Tree = Literal | Class | Any | Assertion | Concat | Choice | Repeat

_PERL = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 10), (12, 13), (32, 32)),
}
_POSIX = {
    "alnum": string.ascii_letters + string.digits, "alpha": string.ascii_letters, "digit": string.digits,
    "lower": string.ascii_lowercase, "upper": string.ascii_uppercase, "punct": string.punctuation,
    "space": " \t\n\r\f\v", "blank": " \t", "xdigit": string.hexdigits,
    "word": string.ascii_letters + string.digits + "_",
}  # fmt: skip
_ESCAPED = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_ASSERTED = {"A": r"\A", "z": r"\Z", "b": r"(?a:\b)", "B": r"(?a:\B)"}


def _negated(ranges: Ranges) -> Ranges:
    found, at = [], 0
    for low, high in ranges:
        if at < low:
            found.append((at, low - 1))
        at = high + 1
    return (*found, (at, LAST)) if at <= LAST else tuple(found)


def _merged(ranges: list[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def _folded(ranges: Ranges) -> Ranges:
    def holds(c: str) -> bool:
        return any(low <= ord(c) <= high for low, high in ranges)

    more = [(ord(c), ord(c)) for group in set(orbits().values()) if any(map(holds, group)) for c in group]
    return _merged([*ranges, *more])


@cache
def _category(name: str) -> Ranges:
    return _merged([(c, c) for c in range(LAST + 1) if unicodedata.category(chr(c)).startswith(name)])


class _Parser:
    def __init__(self, text: str, flags: str) -> None:
        self.text = text
        self.at = 0
        self.flags = frozenset(flags)

    def peek(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def take(self, what: str) -> bool:
        if self.peek(what):
            self.at += len(what)
            return True
        return False

    def choice(self, depth: int) -> Tree:
        before = self.flags
        sides = [self.sequence(depth)]
        while self.take("|"):
            sides.append(self.sequence(depth))
        self.flags = before
        return sides[0] if len(sides) == 1 else Choice(tuple(sides))

    def sequence(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while self.at < len(self.text) and not self.peek("|"):
            if self.peek(")"):
                if not depth:
                    raise BadRegexp("unexpected )", self.text)
                break
            parts.extend(self.repeated(self.atom(depth)))
        merged: list[Tree] = []
        for part in parts:
            last = merged[-1] if merged else None
            if isinstance(part, Literal) and isinstance(last, Literal) and part.fold == last.fold:
                merged[-1] = Literal(last.text + part.text, part.fold)
            else:
                merged.append(part)
        return merged[0] if len(merged) == 1 else Concat(tuple(merged))

    def repeated(self, atom: Tree | None) -> list[Tree]:
        if atom is None:
            return []
        previous = ""
        while True:
            start = self.at
            bounds = re.compile(r"\{(\d+)(,(\d*))?\}").match(self.text, self.at)
            if self.take("*"):
                least, most = 0, None
            elif self.take("+"):
                least, most = 1, None
            elif self.take("?"):
                least, most = 0, 1
            elif bounds:
                self.at = bounds.end()
                least = int(bounds[1])
                most = (int(bounds[3]) if bounds[3] else None) if bounds[2] else least
                if max(least, most or 0) > 1000 or (most is not None and most < least):
                    raise BadRegexp("invalid repeat count", bounds[0])
            else:
                return [atom]
            greedy = not self.take("?")
            operator = self.text[start : self.at]
            if previous:
                raise BadRegexp("invalid nested repetition operator", previous + operator)
            previous = operator
            atom = Repeat(atom, least, most, greedy != ("U" in self.flags))

    def atom(self, depth: int) -> Tree | None:
        c = self.text[self.at]
        self.at += 1
        if c == "(":
            return self.group(depth)
        if c == "[":
            return self.bracket()
        if c == ".":
            return Any("s" in self.flags)
        if c == "^":
            return Assertion("(?m:^)" if "m" in self.flags else r"\A")
        if c == "$":
            return Assertion("(?m:$)" if "m" in self.flags else r"\Z")
        if c in "*+?":
            raise BadRegexp("missing argument to repetition operator", c)
        if c == "\\":
            return self.escape()
        return Literal(c, "i" in self.flags and orbit(c) != c)

    def group(self, depth: int) -> Tree | None:
        before = self.flags
        opened = re.compile(r"\?(P?<\w+>|([imsU]*)(?:-([imsU]+))?([:)]))").match(self.text, self.at)
        if self.peek("?") and not opened:
            raise BadRegexp("invalid or unsupported Perl syntax", self.text[self.at - 1 : self.at + 2])
        if opened:
            self.at = opened.end()
            if opened[4]:
                self.flags = (self.flags | set(opened[2])) - set(opened[3] or "")
            if opened[4] == ")":
                return None
        inner = self.choice(depth + 1)
        if not self.take(")"):
            raise BadRegexp("missing closing )", self.text)
        self.flags = before
        return inner

    def escape(self) -> Tree:
        if self.at >= len(self.text):
            raise BadRegexp("trailing backslash at end of expression", "")
        c = self.text[self.at]
        if c in _ASSERTED:
            self.at += 1
            return Assertion(_ASSERTED[c])
        if c == "Q":
            end = self.text.find("\\E", self.at)
            quoted = self.text[self.at + 1 : end if end >= 0 else None]
            self.at = end + 2 if end >= 0 else len(self.text)
            return Literal(quoted, "i" in self.flags)
        ranges = self.perl()
        if ranges is not None:
            return Class(ranges)
        c = self.single()
        return Literal(c, "i" in self.flags and orbit(c) != c)

    def perl(self) -> Ranges | None:
        """A class named by one letter, after its backslash."""
        c = self.text[self.at]
        if c.lower() in _PERL:
            self.at += 1
            ranges = _PERL[c.lower()]
            return ranges if c.islower() else _negated(ranges)
        if c in "pP":
            named = re.compile(r"[pP](?:\{(\^?)(\w+)\}|(\w))").match(self.text, self.at)
            if not named:
                raise BadRegexp("invalid character class range", self.text[self.at - 1 :])
            self.at = named.end()
            ranges = _category(named[2] or named[3])
            return _negated(ranges) if (c == "P") != bool(named[1]) else ranges
        return None

    def single(self) -> str:
        """One character, after its backslash."""
        code = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))").match(self.text, self.at)
        if code:
            self.at = code.end()
            return chr(int(code[1] or code[2], 16))
        c = self.text[self.at]
        self.at += 1
        if c in _ESCAPED:
            return _ESCAPED[c]
        if c.isascii() and not c.isalnum() and c != "_":
            return c
        raise BadRegexp("invalid escape sequence", "\\" + c)

    def bracket(self) -> Tree:
        start = self.at - 1
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self.peek("]"):
            if self.at >= len(self.text):
                raise BadRegexp("missing closing ]", self.text[start:])
            first = False
            ranges.extend(self.element(start))
        self.at += 1
        merged = _merged(ranges)
        if "i" in self.flags:
            merged = _folded(merged)
        if not negated and len(merged) == 1 and merged[0][0] == merged[0][1]:
            return Literal(chr(merged[0][0]), False)
        return Class(_negated(merged) if negated else merged)

    def element(self, start: int) -> Ranges:
        posix = re.compile(r"\[:(\^?)(\w+):\]").match(self.text, self.at)
        if posix and posix[2] in _POSIX:
            self.at = posix.end()
            ranges = _merged([(ord(c), ord(c)) for c in _POSIX[posix[2]]])
            return _negated(ranges) if posix[1] else ranges
        low = self.end_point()
        if isinstance(low, tuple):
            return low
        if self.peek("-") and not self.text.startswith("]", self.at + 1):
            begun = self.at
            self.at += 1
            if self.at >= len(self.text):
                raise BadRegexp("missing closing ]", self.text[start:])
            high = self.end_point()
            if isinstance(high, tuple) or high < low:
                raise BadRegexp("invalid character class range", low + self.text[begun : self.at])
            return ((ord(low), ord(high)),)
        return ((ord(low), ord(low)),)

    def end_point(self) -> str | Ranges:
        c = self.text[self.at]
        self.at += 1
        if c != "\\":
            return c
        if self.at >= len(self.text):
            raise BadRegexp("trailing backslash at end of expression", "")
        ranges = self.perl()
        return self.single() if ranges is None else ranges


def parse(text: str, *, lines: bool = True) -> Tree:
    """With ``lines``, ``^`` and ``$`` hold at every line.

    :raises BadRegexp: the text is no expression
    """
    return _Parser(text, "m" if lines else "").choice(0)


def has_upper(tree: Tree) -> bool:
    """Whether the expression names an upper-case ASCII letter: then it is matched with regard to case."""
    if isinstance(tree, Literal):
        return any("A" <= c <= "Z" for c in tree.text) or (tree.fold and any(orbit(c) != c for c in tree.text))
    if isinstance(tree, Class):
        return any(65 <= code <= 90 for both in tree.ranges for code in both)
    if isinstance(tree, (Concat, Choice)):
        return any(map(has_upper, tree.parts))
    return isinstance(tree, Repeat) and has_upper(tree.part)


def python(tree: Tree, *, fold: bool) -> str:
    """The expression for ``re``, in which nothing depends on flags."""
    if not fold:
        return _python(tree, fold=False)
    # seen: what an expression starts with is compared as ASCII where it can be, all else in full
    parts = list(tree.parts) if isinstance(tree, Concat) else [tree]
    if parts and isinstance(parts[0], Literal):
        alike = ["".join(filter(str.isascii, orbit(c))) or orbit(c) for c in parts[0].text]
        start = "".join(f"[{re.escape(group)}]" for group in alike)
        return start + _python(Concat(tuple(parts[1:])), fold=True)
    return _python(tree, fold=True)


def _python(tree: Tree, *, fold: bool) -> str:
    if isinstance(tree, Literal):
        if not (fold or tree.fold):
            return re.escape(tree.text)
        return "".join(re.escape(c) if orbit(c) == c else f"[{orbit(c)}]" for c in tree.text)
    if isinstance(tree, Class):
        ranges = tree.ranges
        if fold and len(ranges) > 1 and ranges[0][0] == 0 and ranges[-1][1] == LAST:
            ranges = _negated(_folded(_negated(ranges)))  # seen: what looks negated is folded before it is negated
        elif fold:
            ranges = _folded(ranges)
        return "[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]" if ranges else r"(?!)"
    if isinstance(tree, Any):
        return r"[\x00-\U0010ffff]" if tree.newline else r"[^\n]"
    if isinstance(tree, Assertion):
        return tree.python
    if isinstance(tree, Concat):
        return "".join(f"(?:{_python(part, fold=fold)})" for part in tree.parts)
    if isinstance(tree, Choice):
        return "|".join(f"(?:{_python(part, fold=fold)})" for part in tree.parts)
    most = "" if tree.most is None else tree.most
    return f"(?:{_python(tree.part, fold=fold)}){{{tree.least},{most}}}{'' if tree.greedy else '?'}"
