"""Redis: cache and fenced leases on one server. Specs only; see ``docs.md``."""

from codequay.ports.cache import CacheCapabilities
from codequay.ports.lock import LockCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

__all__ = ["CACHE", "LOCK"]

_CONFIG = "codequay.adapters.redis.config:RedisConfig"
_CLASSIFY = "codequay.adapters.redis.errors:classify"
_DOCS = "codequay.adapters.redis:docs.md"
_REQUIRES = (Requirement("redis", extra="redis"),)
_EXTRA = {"auto": "url"}
"""A port that is ``auto`` takes this adapter when its address is set."""

CACHE = AdapterSpec(
    port="cache",
    name="redis",
    factory="codequay.adapters.redis.cache:open_cache",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=CacheCapabilities(reach="network", atomic_batch=True, min_ttl=0.05, script=True),
    requires=_REQUIRES,
    summary="a cache on Redis, shared by every process that reaches the server",
    docs=_DOCS,
    extra=_EXTRA,
)

LOCK = AdapterSpec(
    port="lock",
    name="redis",
    factory="codequay.adapters.redis.lock:open_lock",
    config=_CONFIG,
    classify=_CLASSIFY,
    capabilities=LockCapabilities(reach="network", exclusive=True, fenced=True, min_ttl=0.05),
    requires=_REQUIRES,
    summary="fenced leases on Redis, for every process that reaches the server",
    docs=_DOCS,
    extra=_EXTRA,
)
