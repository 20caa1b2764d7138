"""A lock: a lease with a fencing token.

A lease is a promise with an end: its holder must extend it before ``ttl`` seconds are over, or somebody else may take
it. Because a paused holder cannot know that in time, a lease carries a **fence**: a number that rises at each
acquisition of its key, which the guarded store compares (here: ``metadata.publish``). A lock that does not exclude
(``NoOpLock``) declares ``exclusive=False`` and serves where the store's compare-and-set is protection enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .errors import InvalidArgument
from .generations import StoreIdentity
from .op import Effect, op
from .spec import Capabilities, Clause, Level, PortSpec


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease. ``token`` names this acquisition and is not repeated; ``ttl`` in seconds.

    ``fence`` is exactly None when the adapter declares ``fenced=False``.
    """

    key: str
    token: str
    fence: int | None
    ttl: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key: a text for people (host and pid) and seconds until it expires."""

    owner: str
    expires_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LockCapabilities(Capabilities):
    """What a lock declares."""

    exclusive: bool = False
    """At most one holder of a key at a time."""
    fenced: bool = False
    """Leases carry a rising fence."""
    min_ttl: float = 0.001
    """Shortest ttl in seconds; more than a millisecond when a server keeps the time."""


@dataclass(frozen=True, slots=True)
class LockNeeds:
    """What a service asks of a lock at plan time."""

    exclusive: bool = False
    fenced: bool = False


class Lock(Protocol):
    """Leases by key."""

    @op(effect=Effect.READ)
    async def identity(self) -> StoreIdentity:
        """Which lock this is: fences of one id are comparable."""
        ...

    @op(effect=Effect.WRITE, idempotent=False)
    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        """Take the key for ``ttl`` seconds; wait up to ``wait`` seconds for it (0: do not wait; ``inf``: for ever).

        None when somebody else holds it and the wait is over (LK-01, LK-02). A cancelled waiter leaves nothing
        behind (LK-07).
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        """Hold on for ``ttl`` seconds from now; the fence stays.

        :raises Conflict: the lease has expired or was released, whether or not anybody took it since (LK-04)
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def release(self, lease: Lease) -> bool:
        """Give the key back. False when this lease no longer held it; nobody else's lease is touched (LK-05)."""
        ...

    @op(effect=Effect.READ)
    async def holder(self, key: str) -> Holder | None:
        """Who holds the key; None when nobody does."""
        ...

    @op(effect=Effect.READ)
    async def wait_lost(self, lease: Lease) -> None:
        """Return when the lease no longer holds: expired, released or replaced (LK-08). The lost signal."""
        ...


def _key(key: str) -> None:
    if not isinstance(key, str) or not key or len(key) > 512 or not key.isprintable():
        raise InvalidArgument(f"a lock key must be a printable, non-empty string, not {key!r}")


def _ttl(caps: LockCapabilities, ttl: float) -> None:
    if not caps.min_ttl <= ttl <= 86_400:
        raise InvalidArgument(f"ttl must be from {caps.min_ttl} to 86400 seconds, not {ttl!r}")


def _acquire(caps: LockCapabilities, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> None:
    _key(key)
    _ttl(caps, ttl)
    if not wait >= 0:
        raise InvalidArgument(f"wait must be 0 or more seconds, not {wait!r}")


def _extend(caps: LockCapabilities, lease: Lease, *, ttl: float) -> None:
    _ttl(caps, ttl)


def _holder(caps: LockCapabilities, key: str) -> None:
    _key(key)


PORT = PortSpec(
    name="lock",
    protocol=Lock,
    capabilities=LockCapabilities,
    summary="leases with fencing tokens",
    checks={"acquire": _acquire, "extend": _extend, "holder": _holder},
    clauses=(
        Clause("LK-01", "At most one task holds a key at a time.", Level.CAPABILITY),
        Clause(
            "LK-02",
            "acquire without wait answers None at once while another holds; with wait it gets its turn.",
            Level.CAPABILITY,
        ),
        Clause(
            "LK-03", "A lease that is not extended expires after its ttl, and the key can be taken.", Level.CAPABILITY
        ),
        Clause("LK-04", "extend of an expired or released lease raises Conflict.", Level.CAPABILITY),
        Clause("LK-05", "release by another than the holder answers False and frees nothing.", Level.CAPABILITY),
        Clause("LK-06", "The fence rises strictly at each acquisition of a key; it is exactly None when not fenced."),
        Clause("LK-07", "A cancelled waiter leaves nothing behind.", Level.CANCELLATION),
        Clause("LK-08", "wait_lost returns when the lease is released, expired or replaced.", Level.CAPABILITY),
        Clause("LK-09", "Keys do not touch each other."),
        Clause("LK-10", "A free key is taken at once, and release answers True."),
    ),
)
