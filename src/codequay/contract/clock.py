"""A clock that the kit moves, so that a ttl of an hour is tested in a millisecond."""

from __future__ import annotations

import asyncio

SETTLE_STEPS = 20
"""Turns of the loop that woken tasks get before time is said to have passed."""


class ManualClock:
    """A clock that moves only by ``advance``; sleepers wake when it passes their time."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.step = 0.0
        """Seconds that pass at each look at it: what looks twice in one call sees two times."""

    def monotonic(self) -> float:
        self._now += self.step
        return self._now

    def time(self) -> float:
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = (self._now + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, seconds: float) -> None:
        """Move time on by ``seconds`` and let every woken task run."""
        self._now += seconds
        for due, future in self._sleepers:
            if due <= self._now and not future.done():
                future.set_result(None)
        await settle()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(SETTLE_STEPS):
        await asyncio.sleep(0)
