"""A batch at its declared limit, without the memory and the printing of as many different items."""

from __future__ import annotations

from typing import Any


class Many(tuple[Any, ...]):
    """One item many times over, printed in a few words."""

    def __new__(cls, item: Any, times: int) -> Many:
        return super().__new__(cls, (item,) * times)

    def __repr__(self) -> str:
        return f"({self[0]!r},) * {len(self)}"
