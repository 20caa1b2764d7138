"""A batch at its declared limit, without the memory and the printing of as many different items."""

from __future__ import annotations

from typing import Any


class Many(tuple[Any, ...]):
    """One item many times over, and others after it, printed in a few words."""

    others: tuple[Any, ...]

    def __new__(cls, item: Any, times: int, *others: Any) -> Many:
        made = super().__new__(cls, (item,) * times + others)
        made.others = others
        return made

    def __repr__(self) -> str:
        many = f"({self[0]!r},) * {len(self) - len(self.others)}"
        return f"({many} + {self.others!r})" if self.others else many
