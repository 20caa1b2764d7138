"""The stores of a plan, to be opened for their migrations alone, whatever version they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codequay.ports.migrations import PORT
from codequay.ports.spec import Capabilities

from .plan import Plan, PortPlan


def migrations_plan(plan: Plan, *, remote: bool = False) -> tuple[Plan, Mapping[str, tuple[str, ...]]]:
    """A plan whose faces are ``Migratable``, and for each of its ports those that lie in the same store.

    Adapters that announce no migrations are left out, and so is each but the first port of a store. ``remote``: so are
    those that lie on this machine.
    """
    stores: dict[tuple[str, str], list[str]] = {}
    chosen: dict[str, PortPlan] = {}
    for port, one in plan.ports.items():
        spec = one.spec
        if spec is None or not spec.migrations or (remote and spec.capabilities.reach != "network"):
            continue
        stores.setdefault((one.instance, spec.migrations), []).append(port)
        chosen[port] = replace(
            one,
            port_spec=PORT,
            capabilities=Capabilities(),
            spec=replace(spec, factory=spec.migrations, needs=()),
            layers={},
        )
    sharing = {ports[0]: tuple(ports) for ports in stores.values()}
    return replace(plan, ports={port: chosen[port] for port in sharing}, plugins=None), sharing
