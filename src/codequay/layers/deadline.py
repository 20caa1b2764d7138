"""The total deadline of a call, retries included."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from codequay.ports.errors import DeadlineExceeded
from codequay.ports.op import Effect, Op

from .base import Call, Target, seconds, table


@dataclass(frozen=True, slots=True)
class Config:
    """``seconds`` per call."""

    seconds: float = 30.0

    @classmethod
    def parse(cls, value: object) -> Config:
        """From ``"2s"`` or ``{seconds = 2}``.

        :raises ValueError: it is neither
        """
        options = table(value, "seconds", ("seconds",))
        return cls(seconds(options["seconds"])) if "seconds" in options else cls()


@dataclass(frozen=True, slots=True)
class Deadline:
    """Cancels the call when its time is over. A write that is cut off may have been applied."""

    config: Config
    target: Target

    def wrap(self, op: Op, call: Call) -> Call:
        limit = self.config.seconds

        async def deadline(*args: Any, **kwargs: Any) -> Any:
            timer = asyncio.timeout(limit)
            try:
                async with timer:
                    return await call(*args, **kwargs)
            except TimeoutError as exc:
                if not timer.expired():
                    raise
                raise DeadlineExceeded(
                    f"{op.name} took longer than {limit:g} s",
                    component=f"{self.target.port}.{self.target.adapter}",
                    ambiguous=op.effect is Effect.WRITE,
                    exhausted=True,
                    remedy=f"raise ports.{self.target.port}.layers.deadline, or look at what is slow: codequay status",
                ) from exc

        return deadline


def build(config: Config, target: Target) -> Deadline:
    return Deadline(config, target)
