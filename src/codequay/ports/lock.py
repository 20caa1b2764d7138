"""A lock: a lease with a fencing token.

A lease is a promise with an end: its holder must extend it before ``ttl`` seconds are over, or somebody else may take
it. Because a paused holder cannot know that in time, a lease carries a **fence**: a number that rises at each
acquisition of its key, which the guarded store compares (here: ``metadata.publish``). A lock that does not exclude
(``NoOpLock``) declares ``exclusive=False`` and serves where the store's compare-and-set is protection enough.

**Time** is that of ``ctx.clock``: ``monotonic()`` to measure, ``await sleep(s)`` to wait. It is one time for all
processes of a machine until that is started anew, and a lock that reaches as far may write it down for the others,
beside something that names the start (``codequay.ports.process``). A lock whose server keeps the
time declares the shortest ttl that the server can tell apart as ``min_ttl``, above a millisecond. What is promised
"within a second" may also be polled for.

A lock is not re-entrant: who holds a key and asks again is refused like anybody else. A lease that this lock never gave
counts as one that has ended.

**Without ``exclusive``** a lock may give a key to many at once. ``acquire`` then answers a lease, also while others
have one; ``extend`` and ``release`` of a lease that has not ended say yes; ``holder`` may answer None and ``wait_lost``
may never return.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .errors import InvalidArgument
from .faults import FaultClauses
from .generations import StoreIdentity
from .op import Effect, op
from .spec import Capabilities, Clause, Level, PortSpec


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease. ``token`` names this acquisition and is not repeated; ``ttl`` in seconds, as it was asked for.

    It has ended as soon as ``ttl`` seconds have passed since it was acquired or last extended, whether or not anybody
    takes the key then. ``fence`` is exactly None when the adapter declares ``fenced=False``. A lease is known by key
    and token: what ``acquire`` gave and what ``extend`` gave later name the same one.
    """

    key: str
    token: str
    fence: int | None
    ttl: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key: the ``owner`` that ``acquire`` was given (else a text that names the process, such as host and
    pid), and seconds until the lease ends, more than 0."""

    owner: str
    expires_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LockCapabilities(Capabilities):
    """What a lock declares."""

    exclusive: bool = False
    """At most one holder of a key at a time, among all that ``reach`` names: tasks of one opening, or processes."""
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
    """Leases by key. Keys are compared as they are: no folding of case or accents, no prefixes, no trimming."""

    @op(effect=Effect.READ)
    async def identity(self) -> StoreIdentity:
        """Which lock this is: fences of one ``store_id`` are comparable (LK-16).

        The same at each call. A lock whose fences begin anew, for one because its store was made anew, has another
        ``store_id``. ``fingerprint`` names the format of the store.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=False)
    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        """Take the key for ``ttl`` seconds from the taking on; wait up to ``wait`` seconds for it (0: do not wait;
        ``inf``: for ever).

        None when somebody else holds it and the wait is over (LK-01, LK-02). Who waits gets the key within a second
        of its release or its end; in which order is not promised. A cancelled waiter leaves nothing behind (LK-07).
        ``owner`` is a text for ``holder``, of up to 512 printable characters.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        """Let the lease end ``ttl`` seconds from now, be that later or sooner than before.

        Gives the lease with the new ``ttl``; key, token and fence stay.

        :raises Conflict: the lease has ended or was released, whether or not anybody took the key since (LK-04)
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def release(self, lease: Lease) -> bool:
        """Give the key back. False when this lease no longer held it; nobody else's lease is touched (LK-05)."""
        ...

    @op(effect=Effect.READ)
    async def holder(self, key: str) -> Holder | None:
        """Who holds the key; None when nobody does (LK-17)."""
        ...

    @op(effect=Effect.READ)
    async def wait_lost(self, lease: Lease) -> None:
        """Return within a second of the lease's end, by time, release or replacement; at once when it has ended before
        (LK-08). The lost signal."""
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
    _owner(owner)
    if not wait >= 0:
        raise InvalidArgument(f"wait must be 0 or more seconds, not {wait!r}")


def _owner(owner: str) -> None:
    if not isinstance(owner, str) or len(owner) > 512 or (owner and not owner.isprintable()):
        raise InvalidArgument(f"the owner must be up to 512 printable characters, not {owner!r}")


def _extend(caps: LockCapabilities, lease: Lease, *, ttl: float) -> None:
    _ttl(caps, ttl)


def _holder(caps: LockCapabilities, key: str) -> None:
    _key(key)


FAULTS = FaultClauses("LK-21", "LK-22", "LK-23", "LK-24", "LK-25")
FENCE = "LK-26"
PORT = PortSpec(
    version=(1, 1),
    name="lock",
    protocol=Lock,
    capabilities=LockCapabilities,
    summary="leases with fencing tokens",
    checks={"acquire": _acquire, "extend": _extend, "holder": _holder},
    clauses=(
        Clause("LK-01", "At most one task holds a key at a time.", Level.CAPABILITY),
        Clause(
            "LK-02",
            "acquire without wait answers None at once while another holds; with wait it gets its turn, or None when"
            " the wait is over.",
            Level.CAPABILITY,
        ),
        Clause(
            "LK-03",
            "A lease that is not extended has ended once its ttl has passed, not sooner, and the key can be taken.",
            Level.CAPABILITY,
        ),
        Clause("LK-04", "extend of an expired or released lease raises Conflict.", Level.CAPABILITY),
        Clause("LK-05", "release by another than the holder answers False and frees nothing.", Level.CAPABILITY),
        Clause("LK-06", "The fence rises strictly at each acquisition of a key; it is exactly None when not fenced."),
        Clause("LK-07", "A cancelled waiter or listener leaves nothing behind.", Level.CANCELLATION),
        Clause("LK-08", "wait_lost returns when the lease is released, expired or replaced.", Level.CAPABILITY),
        Clause("LK-09", "Keys do not touch each other."),
        Clause("LK-10", "A free key is taken at once; its lease is extended, and release answers True."),
        Clause("LK-11", "Some order of concurrent calls explains their answers.", Level.CONCURRENCY),
        Clause(
            "LK-12",
            "An acquire that is cancelled at any point holds nothing, or what it holds ends with its ttl.",
            Level.CANCELLATION,
        ),
        Clause(
            "LK-13", "At most one process holds a key, and the fence rises from process to process.", Level.DURABILITY
        ),
        Clause(
            "LK-14",
            "A holder that was paused beyond its ttl has lost: another takes the key with a higher fence; resumed, it"
            " hears the lost signal, its extend raises Conflict, its release answers False.",
            Level.DURABILITY,
        ),
        Clause(
            "LK-15",
            "The lease of a process that was killed ends with its ttl at the latest; its fence is not given again.",
            Level.DURABILITY,
        ),
        Clause("LK-16", "identity is the same at each call, and fences of one store_id are one rising line."),
        Clause("LK-17", "holder names the owner and the seconds left.", Level.CAPABILITY),
        Clause(
            "LK-18",
            "Keys of up to 512 printable characters and ttls from min_ttl to a day are taken as they are; others are"
            " refused (InvalidArgument).",
        ),
        Clause(
            "LK-19",
            "identity, acquire without wait, extend, release and holder each take a constant number of turns, however"
            " many keys are held.",
            Level.BUDGET,
        ),
        Clause(
            "LK-20",
            "Without exclusive, acquire gives a lease of its own also while others hold the key.",
            Level.CAPABILITY,
        ),
        *FAULTS.clauses(since="1.1"),
        Clause(
            FENCE,
            "No restart of the server lets a fence fall, whether or not it remembers the leases: fences of one store_id"
            " rise.",
            Level.FAULTS,
            since="1.1",
        ),
    ),
)
