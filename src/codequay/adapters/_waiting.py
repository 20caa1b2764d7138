"""Waiting for a lock of a server: who waits in this process, and until when."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Waiters:
    """Who waits for one key in this process, in order; the first one alone asks the server."""

    def __init__(self) -> None:
        self.line: deque[asyncio.Event] = deque()
        self.news = asyncio.Event()


async def either(news: asyncio.Event, seconds: float) -> None:
    """Return at the news, or after ``seconds``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
