"""The connection on which the server tells what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from codequay.ports.errors import SecretError

from .connection import Client
from .errors import Closed

BEAT_S = 5.0
"""After so long a silence the server is asked whether it is still there; after two it counts as gone."""
RECONNECT_S = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Pauses before the connection is opened again; the last one repeats."""


class Listener:
    """Listens to one channel, from ``start`` until ``close``.

    ``told`` hears every message, and None when some may have been missed: each time that the connection was lost and
    is there again.
    """

    def __init__(self, client: Client, channel: str, told: Callable[[bytes | None], None]) -> None:
        self._client = client
        self._pool = client.connections
        self._channel = channel
        self._told = told
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Return when the server has the subscription.

        :raises RedisError, TimeoutError, SecretError: it could not be had; the next call tries anew
        :raises Closed: the listener was closed
        """
        async with self._starting:
            if self._task is None or self._task.done():
                connection = await self._client.logged_in(self._subscribe)
                if self._closed:
                    await self._drop(connection)
                    raise Closed
                self._task = asyncio.create_task(self._listen(connection), name="codequay redis listener")

    async def _subscribe(self) -> Any:
        try:
            async with asyncio.timeout(self._client.timeout):
                connection = await self._pool.get_connection()
                try:
                    await connection.send_command("SUBSCRIBE", self._channel)
                    await connection.read_response()
                except BaseException:
                    await self._drop(connection)
                    raise
                return connection
        except (RedisConnectionError, RedisTimeoutError, OSError) as exc:
            raise self._client.unreachable(exc) from exc.__cause__

    async def _listen(self, connection: Any) -> None:
        while True:
            try:
                await self._hear(connection)
            except (RedisError, OSError):
                pass  # the connection is lost: the next one says so
            finally:
                await self._drop(connection)
            connection = await self._again()
            self._told(None)

    async def _hear(self, connection: Any) -> None:
        """Pass on what comes, until the connection is lost."""
        asked = False
        while True:
            # None: nothing came. A read that was given up leaves the connection as it was.
            said = await connection.read_response(timeout=BEAT_S, disconnect_on_error=False)
            if said is None:
                if asked:
                    raise RedisConnectionError("the server does not answer")
                async with asyncio.timeout(BEAT_S):
                    await connection.send_command("PING", check_health=False)
                asked = True
                continue
            asked = False
            if said[0] == b"message":
                self._told(said[2])

    async def _again(self) -> Any:
        tries = 0
        while True:
            await asyncio.sleep(RECONNECT_S[min(tries, len(RECONNECT_S) - 1)])
            tries += 1
            try:
                return await self._client.logged_in(self._subscribe)
            except (RedisError, OSError, SecretError):
                continue

    async def _drop(self, connection: Any) -> None:
        """A subscribed connection serves for nothing else."""
        await connection.disconnect(nowait=True)
        await self._pool.release(connection)

    async def close(self) -> None:
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
