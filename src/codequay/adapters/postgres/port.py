"""What each port on the server offers beside its own operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codequay.ports.generations import StoreIdentity
from codequay.ports.spec import PoolStats

from .migrations import Store

if TYPE_CHECKING:
    from codequay.ports.diagnose import Finding


class ServerPort:
    """One port of a store."""

    component = ""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._pool = store.pool
        self._schema = store.pool.schema

    @property
    def pool(self) -> PoolStats:
        """The connections that all ports of this instance share."""
        return self._pool.stats

    async def ping(self) -> None:
        await self._pool.read("SELECT 1")

    async def diagnose(self) -> list[Finding]:
        from . import diagnose

        return await diagnose.look(self.store, self.component)

    async def identity(self) -> StoreIdentity:
        return await self.store.identity()
