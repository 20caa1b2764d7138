"""Reads that are asked for in one turn of the loop, as one exchange."""

from __future__ import annotations

import asyncio
from functools import partial

from .connection import Client
from .errors import Closed


class Reads:
    """The first reader of a turn waits until the turn is over. If it is alone then, it sends ``GET`` itself; otherwise
    all of them are answered by one ``MGET``, which none of them can cancel for the others.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._joined: dict[str, list[asyncio.Future[bytes | None]]] | None = None
        self._flying: set[asyncio.Task[list[bytes | None]]] = set()

    async def get(self, key: str) -> bytes | None:
        if self._joined is not None:
            return await self._join(self._joined, key)
        joined = self._joined = {}
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._joined = None
            if joined:
                self._send(joined)
            raise
        self._joined = None
        if not joined:
            alone: bytes | None = await self._client.command("GET", key)
            return alone
        found = self._join(joined, key)
        self._send(joined)
        return await found

    async def close(self) -> None:
        """Give up what is under way; who waits for it is told."""
        for task in self._flying:
            task.cancel()
        if self._flying:
            await asyncio.wait(self._flying)

    @staticmethod
    def _join(joined: dict[str, list[asyncio.Future[bytes | None]]], key: str) -> asyncio.Future[bytes | None]:
        found: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        joined.setdefault(key, []).append(found)
        return found

    def _send(self, joined: dict[str, list[asyncio.Future[bytes | None]]]) -> None:
        task = asyncio.create_task(self._client.command("MGET", *joined))
        self._flying.add(task)
        task.add_done_callback(partial(self._tell, joined))

    def _tell(
        self, joined: dict[str, list[asyncio.Future[bytes | None]]], task: asyncio.Task[list[bytes | None]]
    ) -> None:
        """Hand out the values, or why there are none, to whoever still waits."""
        self._flying.discard(task)
        failure = Closed() if task.cancelled() else task.exception()
        values = [None] * len(joined) if failure is not None else task.result()
        for futures, value in zip(joined.values(), values, strict=True):
            for future in futures:
                if future.done():
                    continue
                if failure is not None:
                    future.set_exception(failure)
                else:
                    future.set_result(value)
