"""Adapters of the port cache that open, work and close as a test wants, and what happened to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from codequay.kernel import Ports, default_registry, load_settings, make_plan, open_ports
from codequay.ports.cache import CacheCapabilities
from codequay.ports.errors import Unavailable, Verdict
from codequay.ports.spec import AdapterSpec

Opening = Callable[[Any, Any], AbstractAsyncContextManager[Any]]
events: list[str] = []
opening: dict[str, Opening] = {}
"""What the specs below open, by adapter name: set by each test."""


def open_one(config: Any, ctx: Any) -> AbstractAsyncContextManager[Any]:
    return opening["one"](config, ctx)


def open_two(config: Any, ctx: Any) -> AbstractAsyncContextManager[Any]:
    return opening["two"](config, ctx)


def classify(exc: BaseException) -> Verdict | None:
    return Verdict(Unavailable, "the shelf is gone") if isinstance(exc, ConnectionError) else None


def spec(name: str, **more: Any) -> AdapterSpec:
    return AdapterSpec(
        port="cache",
        name=name,
        factory=f"tests.kernel.shelves:open_{name}",
        classify="tests.kernel.shelves:classify",
        capabilities=CacheCapabilities(**more),
        summary="a test double",
    )


class Shelf:
    """A whole cache whose ``get`` does what a test wants."""

    def __init__(self, get: Callable[[str], bytes | None] = lambda key: None) -> None:
        self._get = get

    async def get(self, key: str) -> bytes | None:
        return self._get(key)

    async def get_many(self, keys: Any) -> list[bytes | None]:
        return [self._get(key) for key in keys]

    async def exists(self, key: str) -> bool:
        return self._get(key) is not None

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        self._get(key)

    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        return True

    async def set_many(self, items: Any, *, ttl: float | None = None) -> None: ...

    async def delete(self, keys: Any) -> int:
        return 0

    async def ttl(self, key: str) -> float:
        return -2.0

    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> Any: ...

    async def purge(self, prefix: str = "") -> None: ...

    async def invalidations(self) -> AsyncIterator[str]:
        try:
            yield "a"
            raise ConnectionError
        finally:
            events.append("invalidations closed")


@asynccontextmanager
async def opened(tmp_path: Path, override: object, *sets: str) -> AsyncIterator[Ports]:
    settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=sets)
    plan = make_plan(settings, default_registry(), ports=["cache"], overrides={"cache": override})
    async with open_ports(plan, data=tmp_path / "data", readonly=True) as ports:
        yield ports


def failing(exc: BaseException) -> Callable[[str], bytes | None]:
    def get(key: str) -> bytes | None:
        raise exc

    return get


@asynccontextmanager
async def holding(adapter: object) -> AsyncIterator[object]:
    events.append("open")
    yield adapter
    events.append("close")
