"""A cache: bytes by key, perhaps with a time to live.

A cache must not lie: what it gives back is what was last stored under that key, and never after its time. It forgets
before that time only where it declares a ``room``. Keys are compared as they are: no folding of case or accents, no
prefixes, no trimming. With ``reach="process"`` two openings may share what they hold, or have each their own.

**Time** is that of ``ctx.clock``: ``time()``, where values outlive the process, else ``monotonic()``. A value is gone
as soon as its ttl has passed. A cache whose server keeps the time declares the shortest ttl that the server can tell
apart as ``min_ttl``, above a millisecond.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import InvalidArgument
from .faults import FaultClauses
from .generations import check_batch, check_limit
from .op import Effect, op
from .spec import Capabilities, Clause, Fallback, Level, PortSpec

NO_EXPIRY = -1.0
"""``ttl`` of a key that never expires (after Redis)."""
ABSENT = -2.0
"""``ttl`` of a key that is not there (after Redis)."""


LEAST_BATCH = 20
"""Items that every cache takes in one call: ``max_batch`` is not below."""
LEAST_VALUE = 128 * 1024
"""Bytes of a value that every cache takes."""
LEAST_ROOM = 1_000_000
"""Bytes that every cache with a ``room`` keeps."""
LARGEST_KEY = 4096
"""Bytes of a key of 1024 characters, at most."""
LEAST_LIMIT = 1000
"""Keys of a page that every cache gives: the default of ``scan``."""


@dataclass(frozen=True, slots=True)
class KeyPage:
    """One page of ``scan``, ordered by key. ``after`` is the last key when more follow, else None."""

    keys: tuple[str, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCapabilities(Capabilities):
    """What a cache declares; ``max_batch`` is at least ``LEAST_BATCH``."""

    max_value: int = 512 * 1024 * 1024
    """Largest value in bytes, at least ``LEAST_VALUE``."""
    room: int | None = None
    """Bytes of keys (UTF-8) and values together that are kept. While all of them fit, none is forgotten before its
    time; then the cache forgets whichever it likes but the one stored last, until they fit. None: it never forgets.
    At least ``LEAST_ROOM``, and at least ``max_value`` and a key together, so that the one stored last always fits."""
    min_ttl: float = 0.001
    """Shortest ttl in seconds; more than a millisecond when a server keeps the time."""
    max_limit: int = 10_000
    """Largest ``limit`` of ``scan``, at least ``LEAST_LIMIT``."""
    script: bool = False
    """Offers ``SupportsScript``; else the guard refuses ``eval`` (``Unsupported``)."""


class Cache(Protocol):
    """Bytes with a time to live. An empty batch is no error and does nothing."""

    @op(effect=Effect.READ, sync=True)
    async def get(self, key: str) -> bytes | None:
        """The value, or None (CA-01)."""
        ...

    @op(effect=Effect.READ, batch="keys", sync=True)
    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values, aligned with the keys (CA-02). A key may be asked for twice."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def exists(self, key: str) -> bool:
        """Whether a value is there, be it empty (CA-25).

        The next call may find it gone: to use the value, ``get`` it; to store one only where none is, ``add``.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Store the value, replacing value and time to live; ``ttl=None`` never expires (CA-01, CA-03)."""
        ...

    @op(effect=Effect.WRITE, idempotent=False)
    async def add(self, key: str, value: bytes, *, ttl: float | None = None) -> bool:
        """Store only if the key is absent; exactly one of several callers gets True (CA-04).

        Where False is the answer, value and time to live stay as they were.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True, batch="items")
    async def set_many(self, items: Mapping[str, bytes], *, ttl: float | None = None) -> None:
        """Store all of them, as ``set`` would. With ``atomic_batch`` nobody sees a part of them, else somebody may."""
        ...

    @op(effect=Effect.WRITE, idempotent=True, batch="keys")
    async def delete(self, keys: Sequence[str]) -> int:
        """Forget the keys; how many different ones were there (CA-05)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def ttl(self, key: str) -> float:
        """Seconds left, more than 0; ``NO_EXPIRY`` (-1) without an end, ``ABSENT`` (-2) without the key (CA-06)."""
        ...

    @op(effect=Effect.READ)
    async def scan(self, *, prefix: str = "", after: str | None = None, limit: int = 1000) -> KeyPage:
        """Keys with the prefix, ordered by code point, those above ``after``, at most ``limit`` of them (CA-07)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def purge(self, prefix: str = "") -> None:
        """Forget every key with the prefix."""
        ...

    @op(effect=Effect.READ, stream=True)
    def invalidations(self) -> AsyncIterator[str]:
        """Keys that were set, added, deleted or purged from the first step of the iterator on, by whomever the store
        reaches, the listener included (CA-08).

        Each comes within a second; a key may come more than once, and the order is not promised. A key that was not
        written does not come, nor one whose time was merely over; a delete or purge that finds nothing is no write,
        nor is an ``add`` that answers False. It goes on until the iterator is closed.
        """
        ...


class SupportsScript(Protocol):
    """Optional power: run a server-side script. The guard offers ``eval`` for every cache, and raises ``Unsupported``
    where ``script`` is not declared (CA-18)."""

    async def eval(self, script: str, keys: Sequence[str], args: Sequence[bytes | str | int]) -> Any:
        """What the script gives. Language and answers are the server's."""
        ...


def _key(key: str) -> None:
    _text("a cache key", key)
    if not key or len(key) > 1024:
        raise InvalidArgument(f"a cache key must have 1 to 1024 characters, not {len(key)}")


def _text(what: str, text: str) -> None:
    """NUL ends a text for some stores, and half a surrogate pair has no UTF-8."""
    halves = isinstance(text, str) and not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)
    if type(text) is not str or "\0" in text or halves:
        raise InvalidArgument(f"{what} must be a string without NUL and lone surrogates, not {text!r}")


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
    _text("prefix", prefix)
    if after is not None:
        _text("after", after)


def _purge(caps: CacheCapabilities, prefix: str = "") -> None:
    _text("prefix", prefix)


FAULTS = FaultClauses("CA-20", "CA-21", "CA-22", "CA-23", "CA-24")
PORT = PortSpec(
    version=(1, 2),
    name="cache",
    protocol=Cache,
    capabilities=CacheCapabilities,
    summary="bytes with a time to live",
    checks={
        "get": _get,
        "get_many": _keys,
        "exists": _get,
        "set": _set,
        "add": _set,
        "set_many": _set_many,
        "delete": _keys,
        "ttl": _get,
        "scan": _scan,
        "purge": _purge,
    },
    fallbacks={"exists": Fallback("ttl", lambda left: left != ABSENT)},
    clauses=(
        Clause("CA-01", "get gives the last value stored under exactly that key, or None."),
        Clause("CA-02", "get_many answers in the order asked."),
        Clause("CA-03", "A value is gone after its ttl; set without ttl removes an earlier one."),
        Clause("CA-04", "add stores only where nothing is; one of many concurrent callers wins."),
        Clause("CA-05", "delete counts what was there and touches no other key."),
        Clause("CA-06", "ttl is -1 without an end, -2 without the key, else the seconds left, more than 0."),
        Clause("CA-07", "scan is complete, ordered and limited to the prefix."),
        Clause("CA-08", "invalidations yields each key written after it was first stepped, and no other."),
        Clause("CA-09", "Empty values, all byte values and non-ASCII keys come back unchanged."),
        Clause("CA-10", "What was acknowledged survives a reopen, also one that only reads.", Level.CAPABILITY),
        Clause("CA-11", "Some order of concurrent calls explains their answers.", Level.CONCURRENCY),
        Clause(
            "CA-12",
            "A call that is cancelled at any point is applied whole or not at all, and the next call works.",
            Level.CANCELLATION,
        ),
        Clause("CA-13", "What was acknowledged survives the death of the process.", Level.DURABILITY),
        Clause(
            "CA-14",
            "While keys and values fit the declared room, none is forgotten; never more is kept, and the one stored"
            " last is.",
            Level.CAPABILITY,
        ),
        Clause(
            "CA-15",
            "What one opening writes, every other within reach reads at once, and hears of.",
            Level.CAPABILITY,
        ),
        Clause(
            "CA-16",
            "A call on one key takes a constant number of turns, and a batch, scan or purge no more for ten times as"
            " many keys, max_batch aside.",
            Level.BUDGET,
        ),
        Clause(
            "CA-17",
            "Keys of up to 1024 characters, values, batches, pages and ttls within the declared limits, which are not"
            " below the page's least, are taken as they are; others are refused (InvalidArgument).",
        ),
        Clause("CA-18", "eval is refused (Unsupported) unless script is declared, and is there when it is."),
        Clause("CA-19", "The sync face, where there is one, answers the same."),
        *FAULTS.clauses(since="1.1"),
        Clause(
            "CA-25",
            "exists is true while a value is there under exactly that key, be it empty, and asking changes nothing.",
            since="1.2",
        ),
        Clause("CA-26", "exists takes a constant number of turns.", Level.BUDGET, since="1.2"),
    ),
)
