"""What the core needs of the world: one file per port. Standard library only.

Import names from the port's own module (``codequay.ports.chunks``); ``PORTS`` maps a port's name to that module.
"""

__all__ = ["PORTS"]

PORTS: dict[str, str] = {
    name: f"codequay.ports.{name}" for name in ("chunks", "lexical", "metadata", "source", "lock", "cache")
}
"""Port name -> module with ``PORT``; plugins may add to the registry's copy, never to this one."""
