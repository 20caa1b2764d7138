"""The shape of a layer, and how its options are read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from codequay.ports.op import Op
from codequay.ports.spec import Clock

Call = Callable[..., Awaitable[Any]]


class Target(NamedTuple):
    """What a layer is put around."""

    port: str
    adapter: str
    clock: Clock


class Layer(Protocol):
    """Wraps each operation of one port, once, when the port is opened. Streams are not wrapped."""

    def wrap(self, op: Op, call: Call) -> Call: ...


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: object) -> float:
    """A duration: a number of seconds, or text such as "50ms", "2s", "1.5m", "1h".

    :raises ValueError: it is none, or not above 0
    """
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found:
            value = float(found[1]) * _SECONDS[found[2] or "s"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f'must be a duration above 0 such as "50ms" or "2s", not {value!r}')
    return float(value)


def number(value: object, low: float, high: float) -> float:
    """A number within bounds, also as text.

    :raises ValueError: it is none
    """
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else low - 1
    except (ValueError, OverflowError):
        found = low - 1
    if not low <= found <= high:
        raise ValueError(f"must be a number from {low:g} to {high:g}, not {value!r}")
    return found


def whole(value: object, low: int, high: int) -> int:
    """A whole number within bounds, also as text.

    :raises ValueError: it is none
    """
    found = number(value, low, high)
    if found != int(found):
        raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
    return int(found)


def table(value: object, scalar: str, known: tuple[str, ...]) -> dict[str, object]:
    """A layer's options: a table, or a bare value that stands for the option ``scalar``.

    :raises ValueError: the table has an unknown option
    """
    if not isinstance(value, dict):
        return {} if value is True or value == "true" else {scalar: value}
    for name in value:
        if name not in known:
            raise ValueError(f'has no option "{name}"; it has {", ".join(known)}')
    return dict(value)
