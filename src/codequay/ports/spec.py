"""What the kernel must know of a port and of an adapter before it imports either's implementation."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class Level(StrEnum):
    """Levels of the contract kit."""

    CORE = "core"
    CAPABILITY = "capability"
    CONCURRENCY = "concurrency"
    CANCELLATION = "cancellation"
    DURABILITY = "durability"
    FAULTS = "faults"
    BUDGET = "budget"


Version = tuple[int, int]
"""Major and minor version of a contract."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of a contract. Ids are never reused.

    :raises ValueError: ``since`` is not written like "1.2"
    """

    id: str
    text: str
    level: Level = Level.CORE
    since: str = "1.0"
    """Version of the port's contract that brought it. Until the next one it is advisory (``PortSpec.advisory``)."""

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.since):
            raise ValueError(f'{self.id}: since is a version like "1.2", not {self.since!r}')

    @property
    def since_version(self) -> Version:
        """``since`` as numbers: 1.10 is later than 1.9."""
        major, _, minor = self.since.partition(".")
        return int(major), int(minor)


_VERSION = re.compile(r"(?:[1-9][0-9]*)\.(?:0|[1-9][0-9]*)", re.ASCII)


Reach = Literal["process", "host", "network"]
"""Who sees one instance of a store: this process, this machine, or whoever reaches the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What every adapter declares. Declared means the kit proves it; undeclared means the guard refuses it."""

    reach: Reach = "process"
    """Who sees one instance. Beyond ``process`` several processes have it open at once, readers and writers."""
    durable: bool = False
    """An acknowledged write survives the death of the process."""
    atomic_batch: bool = False
    """A batch is applied as a whole or not at all."""
    max_batch: int = 100_000
    """Items that one call takes."""
    visibility: Literal["immediate", "eventual"] = "immediate"
    """Whether an acknowledged write is seen by the next read."""
    visibility_max_s: float = 0.0
    """Upper bound in seconds when eventual."""

    def to_json(self) -> dict[str, Any]:
        """Field name -> JSON value, for plan, status and docs."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Fallback(NamedTuple):
    """How an operation that came with a minor version is answered for an adapter that was written before it."""

    operation: str
    """An older operation, which is given the same arguments."""
    meaning: Callable[[Any], Any]
    """From its answer to that of the newer one."""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A port: its Protocol, capabilities, argument checks and contract.

    ``checks`` maps an operation to a function of ``(capabilities, *the operation's arguments)`` that raises
    ``InvalidArgument`` or ``Unsupported``; the guard calls it before the adapter. ``fallbacks`` maps an operation that
    came with a minor version to what stands in for it where an adapter, or its sync face, has no method that fits it.

    :raises ValueError: a clause is of a later version than the port's, or two have one id
    """

    name: str
    protocol: type
    capabilities: type[Capabilities]
    summary: str
    clauses: tuple[Clause, ...]
    checks: Mapping[str, Callable[..., None]] = field(default_factory=dict)
    version: Version = (1, 0)
    fallbacks: Mapping[str, Fallback] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for one in self.clauses:
            if one.id in seen:
                raise ValueError(f"{self.name} has two clauses {one.id}")
            if one.since_version > self.version:
                raise ValueError(f"{one.id} is of contract {one.since}, and {self.name} is at {self.contract}")
            seen.add(one.id)

    @property
    def contract(self) -> str:
        """``version`` as it is written: "1.1"."""
        return f"{self.version[0]}.{self.version[1]}"

    def advisory(self, clause: Clause) -> bool:
        """Whether the clause came with this very minor version: adapters have until the next one to keep it.

        What came with a major version ("2.0") counts at once: no adapter of the earlier one is taken for it.
        """
        return clause.since_version == self.version and self.version[1] > 0

    def digest(self) -> str:
        """Changes with the page's version, operations, capabilities or clauses: what a certificate speaks of.

        ``since`` is part of it: under another one the same outcomes may give another verdict.
        """
        from .op import operations

        said = [f"{self.name} {self.contract}"]
        said += [f"{op.name}{op.signature}{op.effect}" for op in operations(self.protocol).values()]
        said += [f"{f.name}: {f.type}" for f in fields(self.capabilities)]
        said += [f"{c.id} {c.since} {c.level} {c.text}" for c in self.clauses]
        return hashlib.blake2b("\n".join(said).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Requirement:
    """A module that an adapter imports and the extra that brings it ("" when it is a default requirement)."""

    module: str
    extra: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """An adapter, announced by an entry point; import-light, everything heavy behind a dotted name.

    ``factory`` names ``open(config, ctx) -> async context manager of the port``; ``config`` names a pydantic
    model with ``extra="forbid"``; ``classify`` names ``(exc) -> Verdict | None``. ``narrow`` names
    ``(config) -> Capabilities``, when options change what the adapter can do; ``migrations`` what opens the store as
    ``Migratable``, in the way of ``factory``.
    """

    port: str
    name: str
    factory: str
    capabilities: Capabilities
    summary: str
    config: str = "codequay.ports.config:NoConfig"
    classify: str = ""
    narrow: str = ""
    migrations: str = ""
    contract: str = ">=1.0,<2"
    requires: tuple[Requirement, ...] = ()
    needs: tuple[str, ...] = ()
    """Ports that must be open before this one."""
    stability: Literal["stable", "beta", "alpha"] = "beta"
    docs: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Clock(Protocol):
    """Time, so that the kit can advance it."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)


class BuildContext(Protocol):
    """What the kernel hands to an adapter's factory. Third parties have what ours have."""

    @property
    def data(self) -> Path:
        """Folder for embedded stores. It may not exist yet; a reader must not create it."""
        ...

    @property
    def readonly(self) -> bool:
        """True when the command only reads: open without creating, migrating or locking.

        Where there is no store yet, the factory or the first read raises ``NotIndexed``, or reads show nothing: callers
        treat these alike.
        """
        ...

    @property
    def instance(self) -> str:
        """The configured instance of the technology ("sqlite", "pg_archive")."""
        ...

    @property
    def clock(self) -> Clock: ...

    async def shared(self, key: str, open: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """One resource per (instance, key) for all ports; opened once, closed by the kernel, last in first out."""
        ...

    async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
        """Run blocking work in a bounded pool of threads. A cancelled caller returns after ``fn`` has ended."""
        ...


@runtime_checkable
class SupportsReload(Protocol):
    """Optional power of a ``BuildContext``, which the kernel's has: secrets that are changed while a store is open."""

    def reload(self) -> Any:
        """The adapter's options once more, with every ``env:NAME`` and ``file:PATH`` looked up now; None when there are
        none to look up. For a login that was refused.

        :raises SecretError: a reference cannot be looked up
        """
        ...


class SyncReads(Protocol):
    """Optional power: the port's ``sync`` operations without await, safe from any thread.

    Without it the kernel awaits the async face.
    """

    @property
    def sync(self) -> Any:
        """An object with the same methods, synchronous."""
        ...


class SupportsPing(Protocol):
    """Optional power: a cheap round trip. Without it ``health()`` reports ``ok`` after open."""

    async def ping(self) -> None: ...


class PoolStats(NamedTuple):
    """The connections of one technology now."""

    size: int
    """Connections that are open or being opened."""
    active: int
    """Those in use."""
    free: int
    """Those that nobody uses."""
    waiting: int
    """Calls that wait for one."""
    utilisation: float
    """Active ones by the most there may be: 0.0 to 1.0."""


class SupportsPool(Protocol):
    """Optional power: tell about the connections that the ports of this instance share."""

    @property
    def pool(self) -> PoolStats: ...


Opener = Callable[[Any, BuildContext], AbstractAsyncContextManager[Any]]
Classifier = Callable[[BaseException], Any]
AsyncThunk = Callable[[], Awaitable[Any]]
