"""What asyncpg's and the server's errors mean.

A server's error is known by its SQLSTATE: five characters, of which the first two name the class.
"""

from __future__ import annotations

import ssl

import asyncpg

from codequay.ports.errors import (
    Closed,
    Corrupt,
    DeadlineExceeded,
    FailedPrecondition,
    FingerprintMismatch,
    Internal,
    InvalidArgument,
    LockBusy,
    PermissionDenied,
    PortError,
    ResourceExhausted,
    Unavailable,
    Verdict,
)

AGAIN = frozenset({"40P01", "40001"})
"""The server has given the transaction up in favour of another: the same again mostly works."""
NO_TABLE = frozenset({"42P01", "3F000"})
"""The table, or the schema that it lies in, is not there."""
NO_PRIVILEGE = "42501"
_FAREWELLS = frozenset({"25P03", "25P04", "57P01", "57P02", "57P04", "57P05"})
"""The server ends the session: it shuts down, drops the database, or has waited or worked too long."""

_RETRY = "try again"
_UP = "check that the server runs and can be reached: adapters.postgres.dsn"
_TLS = "check sslmode and sslrootcert in [adapters.postgres] and in its dsn, and the server's certificate"
_APPLY = "codequay migrations --apply"
_GRANT = "let codequay doctor name the missing privilege, and GRANT it; see docs.md"
_ROOM = "free some space on the server and repeat the command: nothing is half done"

_POOLER = (
    FailedPrecondition,
    "a pooler in transaction mode stands between",
    "set adapters.postgres.statement_cache_size = 0",
)
_OLD = (FailedPrecondition, "the server is too old", "codequay needs PostgreSQL 13 or later")
_UNKNOWN_SETTING = (
    FailedPrecondition,
    "the dsn has a parameter that the server does not know",
    "correct adapters.postgres.dsn: see docs.md for its parameters",
)
_OURS = ("plan_cache_mode", "jit")
"""Settings that each session gets from us."""
_POOLERS_STATE = "08P01"
_POOLER_SAYS = {
    "startup parameter": "26000",
    "authentication failed": "28P01",
    "no such user": "28P01",
    "no such database": "3D000",
    "does not exist": "3D000",
    "no more connections": "53300",
}
"""pgbouncer before 1.21 tells all of these by one state; which one the server would have given."""

_BY_STATE: dict[str, tuple[type[PortError], str, str]] = {
    **dict.fromkeys(AGAIN, (LockBusy, "another writer was in the way, again and again", _RETRY)),
    **dict.fromkeys(("26000", "42P05"), _POOLER),
    **dict.fromkeys(NO_TABLE, (FingerprintMismatch, "a table of the store is missing", _APPLY)),
    "55P03": (
        LockBusy,
        "another process writes to this repository",
        "try again when it is done; or raise lock_timeout",
    ),
    "57014": (DeadlineExceeded, "the statement took longer than it may", "raise adapters.postgres.statement_timeout"),
    "28000": (PermissionDenied, "the server lets nobody in this way", "correct user, host and sslmode, or pg_hba.conf"),
    "28P01": (
        PermissionDenied,
        "the server refuses the user or the password",
        "correct user and password in [adapters.postgres]; PGPASSWORD and ~/.pgpass are not read",
    ),
    NO_PRIVILEGE: (PermissionDenied, "the role lacks a privilege", _GRANT),
    "3D000": (
        FailedPrecondition,
        "there is no such database",
        "CREATE DATABASE, or correct adapters.postgres.dsn",
    ),
    "25006": (
        FailedPrecondition,
        "the server is a read-only replica, or read-only by its settings",
        "point adapters.postgres.dsn at the primary",
    ),
    **dict.fromkeys(
        ("25P03", "25P04"),
        (Unavailable, "the server has ended a transaction that stood still or took too long", _RETRY),
    ),
    "42703": (FingerprintMismatch, "a column of the store is missing", _APPLY),
    "53100": (ResourceExhausted, "the server's disk is full", _ROOM),
    "53200": (ResourceExhausted, "the server is out of memory", "give it memory and repeat the command"),
    "53300": (
        Unavailable,
        "the server has no free connection",
        "raise its max_connections, lower adapters.postgres.max_pool, or put a pooler between",
    ),
    "54000": (InvalidArgument, "a value is larger than PostgreSQL takes", "see the limits in docs.md"),
    "22021": (
        InvalidArgument,
        "an id or a path holds a character that PostgreSQL cannot store, such as NUL",
        "leave it out",
    ),
    "22P05": (InvalidArgument, "text holds a character that the server's encoding lacks", "use a database in UTF8"),
    "22003": (InvalidArgument, "a number is larger than its column", "see the limits in docs.md"),
    "0A000": _OLD,
    "42704": _OLD,
    "XX001": (Corrupt, "the server's data is damaged", "look into the server's log, and restore from a backup"),
    "XX002": (Corrupt, "an index of the server is damaged", "REINDEX it"),
}
_BY_CLASS: dict[str, tuple[type[PortError], str, str]] = {
    "08": (Unavailable, "the connection to the server is lost", _UP),
    "23": (Corrupt, "the store's rows contradict each other", "purge the repository and index it again"),
    "53": (ResourceExhausted, "the server lacks a resource", _ROOM),
    "54": (InvalidArgument, "a value is larger than PostgreSQL takes", "see the limits in docs.md"),
    "57": (Unavailable, "the server is starting or shutting down", "try again in a moment"),
    "58": (ResourceExhausted, "the server cannot use its files", "look into the server's log"),
}


class WriteLost(Exception):
    """Nobody knows whether a write was applied: its commit was sent, and not answered."""


class NoConnection(Exception):
    """Every connection of this process was in use for too long."""


class PoolClosed(Exception):
    """A call after close."""


class OtherLoop(Exception):
    """A call from an event loop that the pool is not of."""


class Damaged(Exception):
    """Rows that do not fit each other."""


FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, PortError)
"""What a call to the server may raise, timeouts included. A ``PortError``: a file that the options name is missing."""


def state_of(exc: BaseException) -> str:
    """The SQLSTATE; "" of an exception without one."""
    state = str(getattr(exc, "sqlstate", None) or "")
    if state == _POOLERS_STATE:
        said = str(exc)
        return next((meant for words, meant in _POOLER_SAYS.items() if words in said), state)
    return state


def is_refused(exc: BaseException) -> bool:
    """Whether the server, or a pooler, did not take the user or the password."""
    return state_of(exc)[:2] == "28"


def is_lost(exc: BaseException) -> bool:
    """Whether the connection can be of no more use."""
    if isinstance(exc, TimeoutError):
        return False
    if isinstance(exc, asyncpg.InterfaceError):
        return "connection is closed" in str(exc) or "closing" in str(exc)
    if isinstance(exc, asyncpg.InternalClientError):
        return True  # asyncpg met what it had not expected, such as the server's farewell before our next statement
    return isinstance(exc, OSError) or state_of(exc)[:2] == "08" or state_of(exc) in _FAREWELLS


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on an exception of this adapter; None for anybody else's. No secret is in any of them."""
    if isinstance(exc, WriteLost):
        return Verdict(Unavailable, "the connection was lost while the write was committed", _UP, ambiguous=True)
    if isinstance(exc, NoConnection):
        return Verdict(Unavailable, str(exc), "raise adapters.postgres.max_pool, or ask less at once")
    if isinstance(exc, PoolClosed):
        return Verdict(Closed, "the store is closed")
    if isinstance(exc, OtherLoop):
        return Verdict(FailedPrecondition, "the store was opened in another event loop", "open it in each loop")
    if isinstance(exc, Damaged):
        return Verdict(Corrupt, f"the store's rows are damaged: {exc}", "purge the repository and index it again")
    if isinstance(exc, UnicodeDecodeError):
        return Verdict(Corrupt, "stored text is not UTF-8", "purge the repository and index it again")
    if isinstance(exc, UnicodeEncodeError):
        return Verdict(InvalidArgument, "text that UTF-8 cannot hold", "replace lone surrogates first")
    if isinstance(exc, ssl.SSLError) or (isinstance(exc, OSError) and "SSL" in str(exc)):
        return Verdict(FailedPrecondition, f"no encrypted connection could be made: {exc}", _TLS)
    if isinstance(exc, asyncpg.PostgresError):
        return _of_server(exc)
    if isinstance(exc, asyncpg.TargetServerAttributeNotMatched):
        return Verdict(
            Unavailable,
            "none of the servers is what target_session_attrs asks for",
            "check that the primary runs, or correct target_session_attrs in adapters.postgres.dsn",
        )
    if isinstance(exc, asyncpg.exceptions.ClientConfigurationError):
        return Verdict(FailedPrecondition, f"asyncpg cannot use the dsn: {exc}", "correct adapters.postgres.dsn")
    if isinstance(exc, asyncpg.DataError):
        return Verdict(InvalidArgument, "a value that PostgreSQL cannot hold", "replace lone surrogates first")
    if isinstance(exc, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return _of_client(exc)
    if isinstance(exc, TimeoutError):
        return Verdict(DeadlineExceeded, "the server did not answer in time", _UP)
    if isinstance(exc, OSError):
        return Verdict(Unavailable, f"the server cannot be reached: {exc}", _UP)
    return None


def _of_server(exc: asyncpg.PostgresError) -> Verdict:
    state, said = state_of(exc), str(exc)
    if state == "28000" and "no pg_hba.conf entry" not in said:
        state = "28P01"
    found = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if found is _OLD and "configuration parameter" in said and not any(f'"{name}"' in said for name in _OURS):
        found = _UNKNOWN_SETTING
    if found is None:
        return Verdict(Internal, f"PostgreSQL {exc.sqlstate}: {said}")
    error, message, remedy = found
    return Verdict(error, f"{message} (PostgreSQL {exc.sqlstate}: {said})", remedy)


def _of_client(exc: Exception) -> Verdict:
    said = str(exc)
    if "password" in said.lower() or "authentication" in said.lower():
        return Verdict(PermissionDenied, f"the server and this client share no way to log in: {said}", "correct it")
    if is_lost(exc):
        return Verdict(Unavailable, "the connection to the server is lost", _UP)
    return Verdict(Internal, f"asyncpg: {said}")
