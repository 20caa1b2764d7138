"""A store whose schema has a version, and steps that bring it forward.

An adapter's spec names in ``migrations`` what opens the store for this alone, whatever version it has, also one that
its port refuses. A store is otherwise migrated when it is opened for writing, as its options say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .op import Effect, op
from .spec import Capabilities, Clause, PortSpec


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a store's schema."""

    store: str
    """What it changes: a file or a database."""
    version: int
    """What it leads to; the first step makes version 1."""
    title: str
    sql: str
    """What it runs, for a person to read."""
    applied: bool


class Migratable(Protocol):
    """The steps of one store. Several ports may lie in it."""

    @op(effect=Effect.READ)
    async def migrations(self) -> list[Migration]:
        """Every step that this release knows, oldest first; nothing when there is no store yet.

        A store on a server, which somebody with the right to do it may have to make, tells all of them also then, and
        ``migrate`` makes it.

        :raises FingerprintMismatch: a newer release has migrated the store, and this one may not use it
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def migrate(self) -> list[Migration]:
        """Run those that are not applied, all or none, and return them. Two at once: the second finds nothing to do.

        :raises LockBusy: somebody else is writing
        :raises FingerprintMismatch: see ``migrations``
        """
        ...


PORT = PortSpec(
    name="migrations",
    protocol=Migratable,
    capabilities=Capabilities,
    summary="the schema of a store, and the steps that bring it forward",
    clauses=(
        Clause("MG-01", "migrations gives every step, oldest first, and whether it is applied; it changes nothing."),
        Clause("MG-02", "migrate applies what is missing, all or none, and leaves the content as it was."),
        Clause("MG-03", "A store of a newer release that this one may not use is refused."),
    ),
)
