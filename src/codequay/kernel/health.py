"""Health: a cheap round trip to every open port, and the thorough look of those that have one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from codequay.ports.op import Effect, Op
from codequay.ports.spec import Clock, PoolStats

if TYPE_CHECKING:
    import inspect

    from codequay.ports.diagnose import Finding

    from .lifecycle import Opened

State = Literal["ok", "degraded", "down"]

PING_TIMEOUT = 5.0
"""Seconds until a port that does not answer counts as down."""

_PING = Op("ping", Effect.READ, True, None, sync=False, stream=False, signature=cast("inspect.Signature", None))
_DIAGNOSE = Op("diagnose", Effect.READ, True, None, sync=False, stream=False, signature=cast("inspect.Signature", None))


@dataclass(frozen=True, slots=True)
class PortHealth:
    """One port. ``latency_ms`` is None for an adapter without ``ping``; ``detail`` says why it is not ok.

    ``pool`` are the connections that it shares with the other ports of its technology; None for one without.
    """

    port: str
    adapter: str
    state: State
    latency_ms: float | None
    detail: str = ""
    pool: PoolStats | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """All ports; ``state`` is the worst of them."""

    state: State
    ports: tuple[PortHealth, ...]

    @classmethod
    def of(cls, ports: Iterable[PortHealth]) -> Health:
        """All of them, with the worst state."""
        ports = tuple(ports)
        states = {port.state for port in ports}
        return cls("down" if "down" in states else "degraded" if "degraded" in states else "ok", ports)

    def to_json(self) -> dict[str, Any]:
        return {"state": self.state, "ports": [_to_json(port) for port in self.ports]}


async def check(opened: Sequence[Opened], latency_threshold_ms: float, clock: Clock) -> Health:
    """Ping all at once; slower than the threshold is degraded, an error or no answer is down."""
    return Health.of(await asyncio.gather(*(_one(each, latency_threshold_ms, clock) for each in opened)))


def pool_of(adapter: Any) -> PoolStats | None:
    """The connections of an adapter that tells about them (``SupportsPool``)."""
    found = getattr(adapter, "pool", None)
    return found if isinstance(found, PoolStats) else None


async def diagnose(opened: Opened) -> Sequence[Finding]:
    """The findings of the adapter's own ``diagnose``; () when it has none.

    :raises PortError: the look was not possible
    """
    look = getattr(opened.adapter, "diagnose", None)
    if look is None:
        return ()
    try:
        found: Sequence[Finding] = await look()
    except Exception as exc:
        error = opened.translator.error(exc, _DIAGNOSE)
        if error is exc:
            raise
        raise error from exc
    return found


async def _one(opened: Opened, threshold: float, clock: Clock) -> PortHealth:
    return replace(await _pinged(opened, threshold, clock), pool=pool_of(opened.adapter))


async def _pinged(opened: Opened, threshold: float, clock: Clock) -> PortHealth:
    port, adapter = opened.plan.port, opened.plan.adapter
    ping = getattr(opened.adapter, "ping", None)
    if ping is None:
        return PortHealth(port, adapter, "ok", None)
    started = clock.monotonic()
    try:
        async with asyncio.timeout(PING_TIMEOUT):
            await ping()
    except TimeoutError:
        return PortHealth(port, adapter, "down", None, f"no answer within {PING_TIMEOUT:g} s")
    except Exception as exc:  # noqa: BLE001 - whatever it is, the port is down and the others are not
        return PortHealth(port, adapter, "down", None, opened.translator.error(exc, _PING).message)
    latency = (clock.monotonic() - started) * 1000
    if latency > threshold:
        detail = f"{latency:.0f} ms, more than {threshold:g} ms"
        return PortHealth(port, adapter, "degraded", round(latency, 3), detail)
    return PortHealth(port, adapter, "ok", round(latency, 3))


def _to_json(port: PortHealth) -> dict[str, Any]:
    return {**asdict(port), "pool": port.pool._asdict() if port.pool else None}
