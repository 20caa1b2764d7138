"""Definitions of a text, without a parser: in time linear in its length, and within a budget."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from .patterns import KINDS, RULES, Rule

BLOCK = 65_536
"""Bytes between two looks at the clock; a block ends at a line break."""

_LAST_NAME = re.compile(rb"(?:~|operator[^\w\s]{1,3}|)[A-Za-z_~]\w*$|operator\W{1,3}$")
_BODY = re.compile(rb"[{;]")
_BODY_WITHIN = 400
"""How far a C signature may reach until its brace."""
_NOT_NAMES = frozenset(
    b"if for while switch return else do sizeof catch defined new throw function elif foreach super this constructor_"
    b" using lock with assert print".split()
)
_NESTED_IS_METHOD = frozenset(
    {"python", "ruby", "php", "kotlin", "swift", "scala", "rust", "dart", "groovy", "csharp", "solidity"}
)


class Found(NamedTuple):
    """A definition: where its line starts (bytes), where the name lies (bytes), name, kind."""

    start: int
    at: int
    name: str
    kind: str


def scan(data: bytes, language: str, *, budget_s: float) -> list[Found] | None:
    """The definitions by position; None when the budget is used up.

    :param data: the text in UTF-8
    :param budget_s: seconds of processor-bound work
    """
    rules = RULES.get(language)
    if not rules:
        return []
    deadline = time.perf_counter() + budget_s
    nested = "method" if language in _NESTED_IS_METHOD else "function"
    text = b"\n" + data
    found: list[Found] = []
    start, end = 0, len(text)
    while start < end:
        stop = text.find(b"\n", start + BLOCK)
        stop = end if stop < 0 else stop
        for rule in rules:
            _apply(rule, text, start, stop, nested, found)
            if time.perf_counter() > deadline:
                return None
        start = stop
    found.sort()
    return [one for i, one in enumerate(found) if not i or one.at != found[i - 1].at]


def _apply(rule: Rule, text: bytes, start: int, stop: int, nested: str, found: list[Found]) -> None:
    """Offsets are of the text with one line break put before it, so a line starts where its break lies."""
    for match in rule.pattern.finditer(text, start, stop):
        if rule.call:
            name = _called(rule.call, match, text)
            if not name:
                continue
            kind = rule.kind
            at = match.end("head") - len(match["head"]) + max(match["head"].rfind(name), 0) - 1
        else:
            name = match["name"]
            kind = rule.kind or _kind(match["kw"], bool(match[1]), nested)
            at = match.start("name") - 1
            if kind == "section":
                name = name.strip(b" \t#\r")
        if name:
            found.append(Found(match.start(), at, name.decode("utf-8", "replace"), kind))


def _kind(keyword: bytes, indented: bool, nested: str) -> str:
    kind = KINDS.get(keyword) or KINDS.get(keyword.lower()) or KINDS.get(keyword.split(b" ", 1)[0], "function")
    return nested if indented and kind == "function" else kind


def _called(style: str, match: re.Match[bytes], text: bytes) -> bytes:
    """The name that a signature in the manner of C defines; b"" when the line only calls or declares."""
    tail = match["tail"].rstrip()
    if style in ("java", "js"):
        name = match["name"]
        if name in _NOT_NAMES:
            return b""
        if style == "java":
            return name if not tail.endswith(b"+") else b""
        opens = tail.endswith(b"{") and b")" in tail and b"=>" not in tail and b"function" not in tail
        return name if opens or (tail.endswith((b"{}", b"{ }")) and b"=>" not in tail) else b""
    head = match["head"].rstrip()
    last = _LAST_NAME.search(head[-80:])
    if last is None or last[0] in _NOT_NAMES:
        return b""
    if style == "cpp":
        opens = tail.endswith((b"{", b"}")) and not (b"[" in tail and b"](" in tail) and b"})" not in tail
        return last[0] if opens and (len(head.split()) > 1 or tail.endswith(b"{")) else b""
    if tail.endswith(b";"):
        return b""
    at = match.end("tail")
    body = b"{" in tail or ((b := _BODY.search(text, at, at + _BODY_WITHIN)) is not None and b[0] == b"{")
    return last[0] if body else b""
