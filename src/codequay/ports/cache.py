"""A cache: bytes by key, perhaps with a time to live.

A cache may forget; it must not lie: what it gives back is what was last stored under that key, and never after its
time. Keys are compared as they are, without folding or prefixes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import InvalidArgument
from .generations import check_batch, check_limit
from .op import Effect, op
from .spec import Capabilities, Clause, Level, PortSpec

NO_EXPIRY = -1.0
"""``ttl`` of a key that never expires (after Redis)."""
ABSENT = -2.0
"""``ttl`` of a key that is not there (after Redis)."""


@dataclass(frozen=True, slots=True)
class KeyPage:
    """One page of ``scan``, ordered by key."""

    keys: tuple[str, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCapabilities(Capabilities):
    """What a cache declares."""

    max_value: int = 512 * 1024 * 1024
    """Largest value in bytes."""
    min_ttl: float = 0.001
    """Shortest ttl in seconds."""
    max_limit: int = 10_000
    """Largest ``limit`` of ``scan``."""
    script: bool = False
    """Offers ``SupportsScript``."""


class Cache(Protocol):
    """Bytes with a time to live."""

    @op(effect=Effect.READ, sync=True)
    async def get(self, key: str) -> bytes | None:
        """The value, or None (CA-01)."""
        ...

    @op(effect=Effect.READ, batch="keys", sync=True)
    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values, aligned with the keys (CA-02)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Store the value, replacing value and time to live; ``ttl=None`` never expires (CA-01, CA-03)."""
        ...

    @op(effect=Effect.WRITE, idempotent=False)
    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        """Store only if the key is absent; exactly one of several callers gets True (CA-04)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True, batch="items")
    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        """Store all of them."""
        ...

    @op(effect=Effect.WRITE, idempotent=True, batch="keys")
    async def delete(self, keys: Sequence[str]) -> int:
        """Forget the keys; how many were there (CA-05)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def ttl(self, key: str) -> float:
        """Seconds left; ``NO_EXPIRY`` (-1) without an end, ``ABSENT`` (-2) without the key (CA-06)."""
        ...

    @op(effect=Effect.READ)
    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        """Keys with the prefix, ordered, in pages (CA-07)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def purge(self, prefix: str = "") -> None:
        """Forget every key with the prefix."""
        ...

    @op(effect=Effect.READ, stream=True)
    def invalidations(self) -> AsyncIterator[str]:
        """Keys that were set or deleted from the first step of the iterator on, within this store's reach (CA-08)."""
        ...


class SupportsScript(Protocol):
    """Optional power: run a server-side script. Without it the guard raises ``Unsupported``."""

    async def eval(self, script: str, keys: Sequence[str], args: Sequence[bytes | str | int]) -> Any: ...


def _key(key: str) -> None:
    if type(key) is not str or not key or len(key) > 1024 or "\0" in key:
        raise InvalidArgument(f"a cache key must be a string of 1 to 1024 characters without NUL, not {key!r}")


def _get(caps: CacheCapabilities, key: str) -> None:
    _key(key)


def _keys(caps: CacheCapabilities, keys: Sequence[str]) -> None:
    check_batch("keys", keys, caps.max_batch)
    for key in keys:
        _key(key)


def _value(caps: CacheCapabilities, key: str, value: bytes, ttl: float | None) -> None:
    _key(key)
    if not isinstance(value, bytes):
        raise InvalidArgument(f"a cache value must be bytes, not {type(value).__name__}")
    if len(value) > caps.max_value:
        raise InvalidArgument(f"a value of {len(value)} bytes is above this cache's {caps.max_value}")
    if ttl is not None and not caps.min_ttl <= ttl <= 10 * 366 * 86_400:
        raise InvalidArgument(f"ttl must be None or from {caps.min_ttl} seconds to ten years, not {ttl!r}")


def _set(caps: CacheCapabilities, key: str, value: bytes, *, ttl: float | None = None) -> None:
    _value(caps, key, value, ttl)


def _set_many(caps: CacheCapabilities, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
    if len(items) > caps.max_batch:
        raise InvalidArgument(f"items has {len(items)} items; this adapter takes {caps.max_batch} a call")
    for key, value in items.items():
        _value(caps, key, value, ttl)


def _scan(caps: CacheCapabilities, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> None:
    check_limit("limit", limit, caps.max_limit)


PORT = PortSpec(
    name="cache",
    protocol=Cache,
    capabilities=CacheCapabilities,
    summary="bytes with a time to live",
    checks={
        "get": _get,
        "get_many": _keys,
        "set": _set,
        "add": _set,
        "set_many": _set_many,
        "delete": _keys,
        "ttl": _get,
        "scan": _scan,
    },
    clauses=(
        Clause("CA-01", "get gives the last value stored under exactly that key, or None."),
        Clause("CA-02", "get_many answers in the order asked."),
        Clause("CA-03", "A value is gone after its ttl; set without ttl removes an earlier one."),
        Clause("CA-04", "add stores only where nothing is; one of many concurrent callers wins."),
        Clause("CA-05", "delete counts what was there and touches no other key."),
        Clause("CA-06", "ttl is -1 without an end, -2 without the key, else the seconds left."),
        Clause("CA-07", "scan is complete, ordered and limited to the prefix."),
        Clause("CA-08", "invalidations yields each key set or deleted after it was first stepped."),
        Clause("CA-09", "Empty values, all byte values and non-ASCII keys come back unchanged."),
        Clause("CA-10", "What was acknowledged survives a reopen.", Level.CAPABILITY),
    ),
)
