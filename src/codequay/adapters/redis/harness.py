"""How the contract kit opens the adapters: every trial under a prefix of its own, on the server of the tests.

``CODEQUAY_TEST_REDIS_URL`` (``redis://HOST:PORT/DB``) names it, ``CODEQUAY_TEST_REDIS_PASSWORD`` its password.
``CODEQUAY_TEST_REDIS_RESTART`` is a command that kills and starts it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from codequay.contract import Harness, Unverified

from .cache import open_cache
from .config import RedisConfig
from .connection import Login, connections
from .lock import open_lock

URL = "CODEQUAY_TEST_REDIS_URL"
PASSWORD = "CODEQUAY_TEST_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
GONE_S = 2.0
"""Seconds that the server gets to notice that a connection was closed."""


class RedisHarness(Harness):
    """What both ports share."""

    restarts = "CODEQUAY_TEST_REDIS_RESTART"
    factory: Callable[[RedisConfig, Any], AbstractAsyncContextManager[Any]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._opened: list[Any] = []
        parts = urlsplit(os.environ.get(URL, ""))
        if parts.scheme in ("redis", "rediss"):
            self.endpoint = (parts.hostname or "127.0.0.1", parts.port or 6379)

    @property
    def name(self) -> str:
        """Several processes may run trials at once; a trial's folder is its own, also in the child of a trial."""
        return "ct" + blake2b(f"{self.namespace} {self.folder}".encode(), digest_size=8).hexdigest()

    def options(self) -> dict[str, Any]:
        options = server_options()
        if self.endpoint is not None:
            parts = urlsplit(options["url"])
            login, at, _ = parts.netloc.rpartition("@")
            host, port = self.endpoint
            options["url"] = urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{port}"))
        limits = {} if self.timeout is None else {"timeout": self.timeout, "connect_timeout": self.timeout}
        return {**options, **limits, "prefix": f"{self.name}:", "client_name": self.name}

    async def open(self) -> Any:
        await _administer(lambda redis: redis.ping())
        return await self.reopen()

    async def reopen(self, *, readonly: bool = False) -> Any:
        config = RedisConfig(**self.options())
        store = await self.enter(type(self).factory(config, await self.context(readonly=readonly)))
        self._opened.append(store)
        return store

    async def turns(self) -> int:
        return sum(store.client.trips for store in self._opened)

    async def leftovers(self) -> list[str]:
        """Connections that are still open. Keys are no leftovers: the server keeps what it was given."""
        deadline = time.monotonic() + GONE_S
        while (left := await self._connections()) and time.monotonic() < deadline:  # noqa: ASYNC110 - there
            await asyncio.sleep(0.01)
        return [f"connection {one['id']} ({one['cmd']})" for one in left]

    async def _connections(self) -> list[dict[str, str]]:
        every: list[dict[str, str]] = await _administer(lambda redis: redis.client_list())
        return [one for one in every if one["name"] == self.name]

    async def discard(self) -> None:
        async def forget(redis: Redis) -> None:
            keys = [key async for key in redis.scan_iter(match=f"{self.name}:*", count=1000)]
            for start in range(0, len(keys), 1000):
                await redis.unlink(*keys[start : start + 1000])

        await _administer(forget)

    @classmethod
    def server(cls) -> str:
        """``Redis 7.0.15``; "" when there is none."""

        def ask() -> str:
            try:
                return str(asyncio.run(_administer(lambda redis: redis.info("server")))["redis_version"])
            except Unverified:
                return ""

        with ThreadPoolExecutor(1, thread_name_prefix="contract-server") as thread:
            version = thread.submit(ask).result()
        return f"Redis {version}" if version else ""


class RedisCacheHarness(RedisHarness):
    port = "cache"
    adapter = "redis"
    factory = staticmethod(open_cache)


class RedisLockHarness(RedisHarness):
    port = "lock"
    adapter = "redis"
    factory = staticmethod(open_lock)


def server_options() -> dict[str, Any]:
    """The adapter's options for the server of the tests.

    :raises Unverified: none is named
    """
    url = os.environ.get(URL, "")
    if not url:
        raise Unverified(f"no server: set {URL}=redis://HOST:PORT/DB")
    password = os.environ.get(PASSWORD, "")
    return {"url": url, **({"password": password} if password else {})}


async def _administer(work: Callable[[Redis], Awaitable[Any]]) -> Any:
    """Something on a connection of its own.

    :raises Unverified: the server cannot be reached
    """
    config = RedisConfig(**server_options(), max_pool=2)
    redis = Redis.from_pool(connections(config, Login(config, None)))
    try:
        return await work(redis)
    except (RedisError, OSError) as exc:
        raise Unverified(f"the server named by {URL} cannot be reached: {exc}") from exc
    finally:
        await redis.aclose()
