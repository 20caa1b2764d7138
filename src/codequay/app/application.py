"""A configuration that can be planned and run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .openings import READ_PORTS, Openings

if TYPE_CHECKING:
    from ..kernel.plan import Plan
    from ..kernel.registry import Registry
    from ..kernel.settings import Settings
    from .quay import Quay

ALL_PORTS = ("chunks", "lexical", "metadata", "source", "lock", "cache")


class App:
    """A configuration that can be planned and run.

    ``overrides`` maps a port to an adapter's name, an ``AdapterSpec`` or an object that serves as the adapter.
    ``data`` names the index folder; without it each path decides (see ``codequay.indexing.roots``).
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        overrides: Mapping[str, object] | None = None,
        registry: Registry | None = None,
        data: str | Path | None = None,
    ) -> None:
        if settings is None:
            from ..kernel.settings import load_settings

            settings = load_settings()
        self.settings = settings
        self._overrides = dict(overrides or {})
        self._registry = registry
        self._data = None if data is None else Path(os.path.realpath(data))

    def plan(self, ports: Iterable[str] = ALL_PORTS) -> Plan:
        """Which adapter serves each port, and why; opens nothing.

        :raises PlanError: with everything that is wrong
        """
        return self.plan_for(self.settings, ports)

    def plan_for(self, settings: Settings, ports: Iterable[str]) -> Plan:
        """The same, under other settings."""
        from ..kernel.plan import make_plan
        from ..kernel.registry import default_registry

        return make_plan(settings, self._registry or default_registry(), ports=ports, overrides=self._overrides)

    @asynccontextmanager
    async def run(self, readonly: bool = False) -> AsyncIterator[Quay]:
        """The library, open for work. Stores are opened when a path first needs them, and closed here.

        :raises PlanError: the configuration cannot be built
        """
        from ..retrieval.signals import weights_from
        from .quay import Quay

        weights = weights_from(self.settings.retrieval.weights)
        self.plan(READ_PORTS)
        async with AsyncExitStack() as stack:
            yield Quay(self.settings, Openings(self, stack, self._data), weights, readonly=readonly)
