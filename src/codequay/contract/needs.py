"""What a clause asks of the declared capabilities before it speaks of an adapter."""

from __future__ import annotations

from codequay.ports.spec import Capabilities


def durable(capabilities: Capabilities) -> bool:
    """Acknowledged writes survive the process."""
    return capabilities.durable


def shared(capabilities: Capabilities) -> bool:
    """Several processes use one instance, and each reads what another has just written."""
    return capabilities.reach != "process" and capabilities.visibility == "immediate"
