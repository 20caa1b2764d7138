"""Caches and locks for the tests of this folder."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from codequay.adapters.redis.cache import RedisCache, open_cache
from codequay.adapters.redis.config import RedisConfig
from codequay.adapters.redis.errors import classify
from codequay.adapters.redis.lock import RedisLock, open_lock
from codequay.ports.errors import PortError, Verdict
from tests.contexts import build_context

from .server import Server

FAILURES = (PortError, RedisError, OSError, UnicodeEncodeError)


def config(server: Server | None = None, **options: Any) -> RedisConfig:
    """A deployment of its own on the server."""
    name = f"t{secrets.token_hex(6)}"
    url = {} if server is None else {"url": server.url}
    return RedisConfig(**{**url, "prefix": f"{name}:", "client_name": name, **options})


@asynccontextmanager
async def cache(config: RedisConfig) -> AsyncIterator[RedisCache]:
    async with build_context(Path("/nowhere"), readonly=True) as ctx, open_cache(config, ctx) as one:
        yield one


@asynccontextmanager
async def lock(config: RedisConfig) -> AsyncIterator[RedisLock]:
    async with build_context(Path("/nowhere"), readonly=True) as ctx, open_lock(config, ctx) as one:
        yield one


def verdict(error: BaseException) -> Verdict:
    """What a user is told of it."""
    if isinstance(error, PortError):
        return Verdict(type(error), error.message, error.remedy, error.ambiguous)
    found = classify(error)
    assert found is not None, repr(error)
    return found


async def failed(work: Any) -> Verdict:
    """How the work fails."""
    try:
        await work
    except FAILURES as exc:
        return verdict(exc)
    raise AssertionError("it did not fail")


async def soon(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
