"""Does every port answer, how fast, and with which connections; also of one whose server is away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..ports.errors import Code, PortError
from .openings import AROUND_PORTS, READ_PORTS

if TYPE_CHECKING:
    from ..kernel.health import Health, PortHealth
    from .openings import Openings

_ABSENT = (Code.NOT_FOUND, Code.NOT_INDEXED)
"""Nobody has written yet: nothing is down."""


async def examine(openings: Openings, path: str, latency_threshold_ms: float) -> Health:
    """Ask every port of the index that the path means."""
    from ..kernel.health import Health

    data = await openings.folder(path)
    found = [
        *await _together(openings, data, READ_PORTS, latency_threshold_ms),
        *await _together(openings, data, AROUND_PORTS, latency_threshold_ms),
    ]
    return Health.of(found)


async def _together(openings: Openings, data: Path, names: tuple[str, ...], threshold: float) -> list[PortHealth]:
    """Ports that are opened at once, and stay open; each alone when one of them does not open."""
    try:
        ports = await openings.ports(data, "read" if names == READ_PORTS else "around")
    except PortError:
        return [await _alone(openings, data, name, threshold) for name in names]
    return [one for one in (await ports.health(threshold)).ports if one.port in names]


async def _alone(openings: Openings, data: Path, name: str, threshold: float) -> PortHealth:
    from ..kernel.health import PortHealth

    try:
        async with openings.alone(data, name) as ports:
            return next(one for one in (await ports.health(threshold)).ports if one.port == name)
    except PortError as exc:
        adapter = openings.plan_of((name,)).ports[name].adapter
        if exc.code not in _ABSENT:
            return PortHealth(name, adapter, "down", None, exc.message)
        return PortHealth(name, adapter, "degraded" if name in READ_PORTS else "ok", None, exc.message)
