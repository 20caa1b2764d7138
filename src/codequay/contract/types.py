"""Whether what an operation gave is of the type that the port's page says.

A tuple where a list is promised, or a row of a client library where a dataclass is, works until the day when another
adapter takes its place. The kit looks at every answer of every call, also inside of lists and dataclasses.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from .expect import shown

_EACH = (list, set, frozenset, collections.abc.Sequence, collections.abc.Set, collections.abc.Collection)
_PAIRS = (dict, collections.abc.Mapping)


@lru_cache(maxsize=256)
def promised(protocol: type, operation: str) -> Any:
    """The annotated answer of an operation; for a stream that of one item. ``Any`` when nothing is said."""
    hint = get_type_hints(getattr(protocol, operation)).get("return", Any)
    if get_origin(hint) in (collections.abc.AsyncIterator, collections.abc.AsyncGenerator):
        return get_args(hint)[0]
    return hint


def misfit(value: object, hint: Any) -> str:
    """What is wrong with the type of the value, "" when nothing is. An operation that promises nothing may give it."""
    return "" if hint is type(None) else _misfit(value, hint, "the answer")


def _misfit(value: object, hint: Any, where: str) -> str:
    if hint is Any or isinstance(hint, TypeVar):
        return ""
    if hint is None or hint is type(None):
        return "" if value is None else _said(value, "None", where)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _of_union(value, get_args(hint), hint, where)
    if origin is Literal:
        return "" if value in get_args(hint) else _said(value, str(hint), where)
    if isinstance(origin, type):
        return _of_generic(value, origin, get_args(hint), hint, where)
    if not isinstance(hint, type) or getattr(hint, "_is_protocol", False) or is_typeddict(hint):
        return ""
    return _of_class(value, hint, where)


def _of_union(value: object, options: tuple[Any, ...], hint: Any, where: str) -> str:
    found = [_misfit(value, option, where) for option in options]
    if not all(found):
        return ""
    near = [
        text for option, text in zip(options, found, strict=True) if isinstance(option, type) and _is(value, option)
    ]
    return near[0] if near else _said(value, str(hint), where)


def _of_generic(value: object, origin: type, args: tuple[Any, ...], hint: Any, where: str) -> str:
    if not isinstance(value, origin) or (origin is not str and isinstance(value, (str, bytes)) and origin in _EACH):
        return _said(value, str(hint), where)
    if isinstance(value, tuple) and origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return _first(_misfit(one, args[0], f"{where}[{i}]") for i, one in enumerate(value))
        if len(args) != len(value):
            return _said(value, str(hint), where)
        return _first(_misfit(one, arg, f"{where}[{i}]") for i, (one, arg) in enumerate(zip(value, args, strict=True)))
    if isinstance(value, collections.abc.Mapping) and origin in _PAIRS:
        return _first(
            _misfit(key, args[0], f"a key of {where}") or _misfit(one, args[1], f"{where}[{shown(key)}]")
            for key, one in value.items()
        )
    if isinstance(value, collections.abc.Collection) and origin in _EACH:
        return _first(_misfit(one, args[0], f"{where}[{i}]") for i, one in enumerate(value))
    return ""


def _of_class(value: object, hint: type, where: str) -> str:
    if not _is(value, hint):
        return _said(value, hint.__name__, where)
    if is_dataclass(hint):
        actual: Any = type(value)
        return _first(check(getattr(value, name), f"{where}.{name}") for name, check in _fields(actual))
    if issubclass(hint, tuple) and hasattr(hint, "_fields"):
        hints = get_type_hints(hint)
        return _first(_misfit(getattr(value, name), hints[name], f"{where}.{name}") for name in hint._fields)
    return ""


def _is(value: object, hint: type) -> bool:
    if isinstance(value, bool) and hint in (int, float):
        return False
    return isinstance(value, (int, float)) if hint is float else isinstance(value, hint)


@cache
def _fields(cls: type) -> tuple[tuple[str, Callable[[object, str], str]], ...]:
    if not is_dataclass(cls):
        return ()
    hints = get_type_hints(cls)

    def check(hint: Any) -> Callable[[object, str], str]:
        return lambda value, where: _misfit(value, hint, where)

    return tuple((one.name, check(hints.get(one.name, Any))) for one in fields(cls))


def _first(found: collections.abc.Iterable[str]) -> str:
    return next((one for one in found if one), "")


def _said(value: object, wanted: str, where: str) -> str:
    return f"{where} is {type(value).__name__} {shown(value)}; the page says {wanted}"
