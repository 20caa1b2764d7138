"""A lock that excludes nobody, for stores whose compare-and-set is protection enough."""

from codequay.ports.lock import LockCapabilities
from codequay.ports.spec import AdapterSpec

__all__ = ["LOCK"]

LOCK = AdapterSpec(
    port="lock",
    name="noop",
    factory="codequay.adapters.noop.lock:open_lock",
    capabilities=LockCapabilities(exclusive=False, fenced=False),
    summary="excludes nobody; two writers waste work and never mix",
    docs="codequay.adapters.noop:docs.md",
)
