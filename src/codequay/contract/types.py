"""Whether what an operation gave is of the type that the port's page says.

A tuple where a list is promised, or a row of a client library where a dataclass is, works until the day when another
adapter takes its place. The kit looks at every answer of every call, also inside of lists and dataclasses: what is to
be looked at is worked out once for each type, and where something lies is put into words only when it is wrong.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from .expect import shown

_EACH = (list, set, frozenset, collections.abc.Sequence, collections.abc.Set, collections.abc.Collection)
_PAIRS = (dict, collections.abc.Mapping)
_KEY = "a key of "


class _Wrong(NamedTuple):
    """A part of an answer, what it should be, and the way to it from inside out: ``.name``, ``[0]`` or ``_KEY``."""

    value: object
    wanted: str
    way: tuple[str, ...] = ()

    def within(self, step: str) -> _Wrong:
        return self._replace(way=(*self.way, step))


_Check = Callable[[object], _Wrong | None]


@lru_cache(maxsize=256)
def promised(protocol: type, operation: str) -> Any:
    """The annotated answer of an operation; for a stream that of one item. ``Any`` when nothing is said."""
    hint = get_type_hints(getattr(protocol, operation)).get("return", Any)
    if get_origin(hint) in (collections.abc.AsyncIterator, collections.abc.AsyncGenerator):
        return get_args(hint)[0]
    return hint


def misfit(value: object, hint: Any) -> str:
    """What is wrong with the type of the value, "" when nothing is. An operation that promises nothing may give it."""
    wrong = None if hint is type(None) else _check(hint)(value)
    if wrong is None:
        return ""
    where = "the answer"
    for step in reversed(wrong.way):
        where = f"{step}{where}" if step is _KEY else f"{where}{step}"
    return f"{where} is {type(wrong.value).__name__} {shown(wrong.value)}; the page says {wrong.wanted}"


@cache
def _check(hint: Any) -> _Check:
    if hint is Any or isinstance(hint, TypeVar):
        return _anything
    if hint is None or hint is type(None):
        return lambda value: None if value is None else _Wrong(value, "None")
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _of_union(args, str(hint))
    if origin is Literal:
        return lambda value: None if value in args else _Wrong(value, str(hint))
    if isinstance(origin, type):
        return _of_generic(origin, args, str(hint))
    if not isinstance(hint, type) or getattr(hint, "_is_protocol", False) or is_typeddict(hint):
        return _anything
    return _of_class(hint)


def _anything(value: object) -> None:
    """Nothing is said of it."""


def _of_union(options: tuple[Any, ...], said: str) -> _Check:
    checks = [(option, _check(option)) for option in options]

    def check(value: object) -> _Wrong | None:
        near = None
        for option, one in checks:
            wrong = one(value)
            if wrong is None:
                return None
            if near is None and isinstance(option, type) and _is(value, option):
                near = wrong
        return near or _Wrong(value, said)

    return check


def _of_generic(origin: type, args: tuple[Any, ...], said: str) -> _Check:
    parts = [_anything if arg is Ellipsis else _check(arg) for arg in args]
    inside: _Check = _anything
    if origin is tuple:
        alike = len(args) == 2 and args[1] is Ellipsis
        inside = _each(parts[0]) if alike else _one_by_one(parts, said)
    elif origin in _PAIRS:
        inside = _pairs(*parts)
    elif origin in _EACH:
        inside = _each(parts[0])

    def check(value: object) -> _Wrong | None:
        if not isinstance(value, origin) or (isinstance(value, (str, bytes)) and origin in _EACH):
            return _Wrong(value, said)
        return inside(value)

    return check


def _each(check: _Check) -> _Check:
    def each(value: Any) -> _Wrong | None:
        for i, one in enumerate(value):
            if (wrong := check(one)) is not None:
                return wrong.within(f"[{i}]")
        return None

    return each


def _one_by_one(checks: list[_Check], said: str) -> _Check:
    def one_by_one(value: Any) -> _Wrong | None:
        if len(value) != len(checks):
            return _Wrong(value, said)
        for i, (one, check) in enumerate(zip(value, checks, strict=True)):
            if (wrong := check(one)) is not None:
                return wrong.within(f"[{i}]")
        return None

    return one_by_one


def _pairs(of_key: _Check, of_value: _Check) -> _Check:
    def pairs(value: Any) -> _Wrong | None:
        for key, one in value.items():
            if (wrong := of_key(key)) is not None:
                return wrong.within(_KEY)
            if (wrong := of_value(one)) is not None:
                return wrong.within(f"[{shown(key)}]")
        return None

    return pairs


def _of_class(hint: type) -> _Check:
    has_fields = is_dataclass(hint) or (issubclass(hint, tuple) and hasattr(hint, "_fields"))

    def check(value: object) -> _Wrong | None:
        if not _is(value, hint):
            return _Wrong(value, hint.__name__)
        if has_fields:
            for name, one in _fields(type(value) if is_dataclass(hint) else hint):
                if (wrong := one(getattr(value, name))) is not None:
                    return wrong.within(f".{name}")
        return None

    return check


def _is(value: object, hint: type) -> bool:
    if isinstance(value, bool) and hint in (int, float):
        return False
    return isinstance(value, (int, float)) if hint is float else isinstance(value, hint)


@cache
def _fields(cls: Any) -> tuple[tuple[str, _Check], ...]:
    """The fields of a dataclass or a named tuple, each with what looks at it."""
    hints = get_type_hints(cls)
    names = [one.name for one in fields(cls)] if is_dataclass(cls) else cls._fields
    return tuple((name, _check(hints.get(name, Any))) for name in names)
