"""Another try, where that can help and can do no harm.

An error is tried again when its category is TRANSIENT, no inner layer has used its tries up, and the operation is
idempotent or the error says that nothing was applied. ``retry_after`` is honoured; one beyond ``max`` ends the tries.
A budget bounds the load that tries add when everything fails: each first call earns a share of a try.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from codequay.ports.errors import Category, PortError
from codequay.ports.op import Op

from .base import Call, Target, number, seconds, table, whole

RESERVE = 10.0
"""Tries that may be saved up: short failures of a quiet process are tried again in full (Finagle's minimum)."""


@dataclass(frozen=True, slots=True)
class Config:
    """``attempts`` in all, full jitter below ``base * 2**n`` and ``max`` seconds, ``budget`` tries per call."""

    attempts: int = 3
    base: float = 0.05
    max: float = 2.0
    budget: float = 0.1

    @classmethod
    def parse(cls, value: object) -> Config:
        """From ``3`` or ``{attempts = 3, base = "50ms", max = "2s", budget = 0.1}``.

        :raises ValueError: an option is unknown or out of bounds
        """
        options = table(value, "attempts", ("attempts", "base", "max", "budget"))
        default = cls()
        return cls(
            attempts=whole(options.get("attempts", default.attempts), 1, 100),
            base=seconds(options.get("base", default.base)),
            max=seconds(options.get("max", default.max)),
            budget=number(options.get("budget", default.budget), 0, 10),
        )


class Retry:
    """One budget for all operations of the port."""

    __slots__ = ("_config", "_saved", "_target")

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._saved = RESERVE

    def wrap(self, op: Op, call: Call) -> Call:
        config = self._config

        async def retry(*args: Any, **kwargs: Any) -> Any:
            self._saved = min(RESERVE, self._saved + config.budget)
            for attempt in range(1, config.attempts + 1):
                try:
                    return await call(*args, **kwargs)
                except PortError as error:
                    if error.category is not Category.TRANSIENT or error.exhausted:
                        raise
                    if error.ambiguous and not op.idempotent:
                        raise
                    wait = error.retry_after or 0.0
                    if attempt == config.attempts or wait > config.max or self._saved < 1:
                        error.exhausted = True
                        error.details["attempts"] = attempt
                        raise
                self._saved -= 1
                jitter = random.uniform(0, min(config.max, config.base * 2 ** (attempt - 1)))
                await self._target.clock.sleep(max(wait, jitter))
            raise AssertionError("unreachable: the last attempt returns or raises")

        return retry


def build(config: Config, target: Target) -> Retry:
    return Retry(config, target)
