"""What clauses are written with: plain ``assert`` beside these, and failures that explain themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

SHOWN = 300
"""Characters of one value in a failure."""


class Failed(AssertionError):
    """The adapter broke the clause."""


class Unverified(Exception):
    """The clause cannot be tried here; the text says why."""


class NotOffered(Exception):
    """The clause speaks of an optional power that the adapter does not have; the text says which."""


@contextmanager
def raises(*expected: type[BaseException]) -> Iterator[None]:
    """The block must raise one of the types.

    :raises Failed: it raised nothing
    """
    try:
        yield
    except expected:
        return
    names = " or ".join(one.__name__ for one in expected)
    raise Failed(f"expected {names}, and nothing was raised")


class near:
    """Equal to a number within ``within``."""

    def __init__(self, value: float, within: float = 1e-6) -> None:
        self.value = value
        self.within = within

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, float)) and abs(other - self.value) <= self.within

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"{self.value} ± {self.within:g}"


def shown(value: object, limit: int = SHOWN) -> str:
    """The value for a report, at most ``limit`` characters; also one that cannot be printed."""
    if isinstance(value, (bytes, str)) and len(value) > limit:
        value = value[:limit]
    try:
        text = repr(value)
    except BaseException as exc:  # noqa: BLE001 - an adapter's own repr must not hide the failure
        text = f"<{type(value).__name__}, whose repr raises {type(exc).__name__}>"
    return text if len(text) <= limit else text[:limit] + "..."


def said(exc: BaseException) -> str:
    """The text of an exception, also of one that cannot give it."""
    try:
        return str(exc)
    except BaseException as broken:  # noqa: BLE001 - as above
        return f"<its text cannot be had: {type(broken).__name__}>"


async def assert_pages(scan: Callable[..., Awaitable[Any]], field: str, expected: Sequence[Any]) -> None:
    """``scan(after=, limit=)`` gives exactly ``expected``, page by page, at every page size from 1 to one above all."""
    for limit in range(1, len(expected) + 2):
        seen: list[Any] = []
        after = None
        for _ in range(len(expected) + 2):
            found = await scan(after=after, limit=limit)
            rows = list(getattr(found, field))
            if len(rows) > limit:
                raise Failed(f"a page of {len(rows)} {field} at limit {limit}")
            if len(rows) < limit and found.after is not None:
                raise Failed(f"a page of {len(rows)} {field} at limit {limit} says that more follow")
            seen += rows
            after = found.after
            if after is None:
                break
        if seen != list(expected):
            raise Failed(f"at limit {limit} the pages give {shown(seen)}, not {shown(expected)}")
        if after is not None:
            raise Failed(f"at limit {limit} the pages do not end")
