"""How the parts are found and put together: registry, settings, plan, lifecycle; guard and translate."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import PlanError
    from .lifecycle import Ports, open_ports
    from .plan import Plan, PortPlan, make_plan
    from .registry import Registry, default_registry
    from .settings import Settings, load_settings
    from .trust import Trust

__all__ = [
    "Plan",
    "PlanError",
    "PortPlan",
    "Ports",
    "Registry",
    "Settings",
    "Trust",
    "default_registry",
    "load_settings",
    "make_plan",
    "open_ports",
]

_HOME = {
    "Plan": "plan",
    "PlanError": "errors",
    "PortPlan": "plan",
    "Ports": "lifecycle",
    "Registry": "registry",
    "Settings": "settings",
    "Trust": "trust",
    "default_registry": "registry",
    "load_settings": "settings",
    "make_plan": "plan",
    "open_ports": "lifecycle",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: a cold search needs few of them."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
