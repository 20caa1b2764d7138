"""The versions of the stores of an index, and the steps that bring them forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ports.errors import NotIndexed

if TYPE_CHECKING:
    from ..ports.migrations import Migratable, Migration
    from ..ports.spec import Reach
    from .openings import Openings


@dataclass(frozen=True, slots=True)
class MigrationsRequest:
    """The steps of the index that holds ``path``. ``apply`` runs those that are pending."""

    path: str = "."
    apply: bool = False


@dataclass(frozen=True, slots=True)
class StoreMigrations:
    """One store: the ports that lie in it, its version, and every step that this release knows, oldest first.

    The version is 0 while there is nothing yet.
    """

    store: str
    adapter: str
    reach: Reach
    ports: tuple[str, ...]
    version: int
    migrations: tuple[Migration, ...]


@dataclass(frozen=True, slots=True)
class MigrationsAnswer:
    """The stores that exist. ``applied`` were run now."""

    data: str
    stores: tuple[StoreMigrations, ...]
    applied: tuple[Migration, ...] = ()

    @property
    def pending(self) -> tuple[Migration, ...]:
        return tuple(step for one in self.stores for step in one.migrations if not step.applied)


async def examine(openings: Openings, request: MigrationsRequest) -> MigrationsAnswer:
    """List the steps, and run the pending ones if asked to; store by store, each whole or not at all.

    Before anything is indexed there may be stores on servers already, or they are to be made now.

    :raises NotIndexed: the place has no index, and no server is configured
    :raises FingerprintMismatch: a newer release has migrated a store, and this one may not use it
    """
    from ..kernel.lifecycle import open_ports
    from ..kernel.migrations import migrations_plan

    data = await openings.folder(request.path)
    remote = not data.is_dir()
    whole = openings.plan()
    plan, sharing = migrations_plan(whole, remote=remote)
    if not plan.ports:
        raise NotIndexed(f"{request.path} has no index", remedy=f"codequay index {request.path}")
    stores: list[StoreMigrations] = []
    applied: list[Migration] = []
    async with open_ports(plan, data=data, readonly=remote or not request.apply) as ports:
        for port, together in sharing.items():
            store: Migratable = ports.get(port)
            if request.apply:
                applied += await store.migrate()
            steps = await store.migrations()
            spec = whole.ports[port].spec
            if steps and spec is not None:
                version = max((step.version for step in steps if step.applied), default=0)
                reach = spec.capabilities.reach
                stores.append(StoreMigrations(steps[0].store, spec.name, reach, together, version, tuple(steps)))
    return MigrationsAnswer(str(data), tuple(stores), tuple(applied))
