"""What redis-py's exceptions mean."""

from __future__ import annotations

from redis import exceptions as redis

from codequay.ports.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    PermissionDenied,
    PortError,
    ResourceExhausted,
    Unavailable,
    Verdict,
)


class Unreachable(redis.ConnectionError):
    """There is no connection to the server: nothing was sent."""


class Closed(Unreachable):
    """The port was closed while the call waited: nothing was sent."""

    def __init__(self) -> None:
        super().__init__("it was closed meanwhile")


class PoolExhausted(redis.ConnectionError):
    """Every connection is in use: nothing was sent."""


_START = "start the server, or correct adapters.redis.url"
_CLUSTER = "the server is part of a cluster"
_SINGLE = "use a single server, or a primary behind Sentinel (sentinel://)"
_TLS = "correct ca_file, cert_file and key_file in [adapters.redis]"
_MEMORY = "raise maxmemory, or purge the cache"
_PRIMARY = "point adapters.redis.url at the primary, or name it by sentinel://"
_RIGHTS = "docs.md lists the rights it needs"
_BY_TYPE: tuple[tuple[type[Exception], type[PortError], str, str], ...] = (
    (PoolExhausted, Unavailable, "", "raise adapters.redis.max_pool, or do less at once"),
    (redis.NoPermissionError, PermissionDenied, "the ACL user may not do this", _RIGHTS),
    (
        redis.AuthenticationError,
        PermissionDenied,
        "the server refuses the user or password",
        "correct username and password in [adapters.redis]",
    ),
    (redis.BusyLoadingError, Unavailable, "the server is still loading its data", "try again in a moment"),
    (redis.ReadOnlyError, FailedPrecondition, "the server is a read-only replica", _PRIMARY),
    (redis.OutOfMemoryError, ResourceExhausted, "the server is out of memory", _MEMORY),
    (redis.MovedError, FailedPrecondition, _CLUSTER, _SINGLE),
    (redis.ClusterDownError, FailedPrecondition, _CLUSTER, _SINGLE),
    (redis.ClusterCrossSlotError, FailedPrecondition, _CLUSTER, _SINGLE),
    (redis.DataError, InvalidArgument, "", ""),
    (UnicodeEncodeError, InvalidArgument, "", ""),
)
"""Kind, verdict, what happened ("": what the exception says), remedy."""
_BY_WORD: tuple[tuple[str, type[PortError], str, str], ...] = (
    # before 7.0 what a script meets is told as the script's error
    ("OOM command not allowed", ResourceExhausted, "the server is out of memory", _MEMORY),
    ("-READONLY", FailedPrecondition, "the server is a read-only replica", _PRIMARY),
    ("can't run this command", PermissionDenied, "the ACL user may not do this", _RIGHTS),
    ("MISCONF", ResourceExhausted, "the server cannot write to its disk", "free some space on the server"),
    ("NOREPLICAS", Unavailable, "too few replicas are in reach of the server", "try again later"),
    ("MASTERDOWN", Unavailable, "the replica has lost its primary", "try again later"),
    ("previous master is now a slave", Unavailable, "the server is a replica now", "try again in a moment"),
    ("unknown command", FailedPrecondition, "the server is too old", "use Redis 6.2 or later, or Valkey"),
    ("DB index is out of range", FailedPrecondition, "the server has no such database", "correct adapters.redis.url"),
    ("max number of clients", ResourceExhausted, "the server takes no more connections", "raise its maxclients"),
    ("CERTIFICATE_VERIFY_FAILED", FailedPrecondition, "the server's certificate is not trusted", _TLS),
    ("CERTIFICATE_REQUIRED", FailedPrecondition, "the server asks for a certificate", _TLS),
    ("WRONG_VERSION_NUMBER", FailedPrecondition, "the server does not speak TLS", "write redis://, not rediss://"),
)


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on an exception of this adapter; None for anybody else's.

    A connection that is lost, or a deadline that passes, after a write was sent is ``ambiguous``: the server may have
    applied it.
    """
    if isinstance(exc, TimeoutError):
        return Verdict(DeadlineExceeded, "the server did not answer in time", _START, ambiguous=True)
    if not isinstance(exc, (redis.RedisError, UnicodeEncodeError)):
        return None
    text = str(exc)
    for kind, error, message, remedy in _BY_TYPE:
        if isinstance(exc, kind):
            return Verdict(error, message or text, remedy)
    for word, error, message, remedy in _BY_WORD:
        if word in text:
            return Verdict(error, message, remedy)
    if isinstance(exc, Unreachable):
        return Verdict(Unavailable, f"the server is not reachable: {text}", _START)
    if isinstance(exc, redis.TimeoutError):
        return Verdict(DeadlineExceeded, "the server did not answer in time", _START, ambiguous=True)
    if isinstance(exc, redis.ConnectionError):
        return Verdict(Unavailable, f"the connection to the server was lost: {text}", _START, ambiguous=True)
    return Verdict(Internal, f"Redis: {text}")
