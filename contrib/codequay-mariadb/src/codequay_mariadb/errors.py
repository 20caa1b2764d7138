"""What the driver's and the server's errors mean.

A MariaDB error is a number. Those below 2000 come from the server, those from 2000 on from the client's end of the
connection.
"""

from __future__ import annotations

import asyncio
import json
import ssl

from asyncmy.errors import InterfaceError, MySQLError

from codequay.ports.errors import (
    Closed,
    Corrupt,
    DeadlineExceeded,
    FingerprintMismatch,
    Internal,
    InvalidArgument,
    LockBusy,
    NotFound,
    PermissionDenied,
    PortError,
    ResourceExhausted,
    Unavailable,
    Verdict,
)

DEADLOCK = frozenset({1213, 1020})
"""The server has rolled the transaction back in favour of another: the same again, at once, mostly works."""
NO_TABLE = 1146
_UNREACHED = frozenset({2002, 2003, 2005})
_LOST = _UNREACHED | {1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2027, 2055}
"""The connection is gone: the server ends, somebody has killed it, or the network has failed."""

_AGAIN = "try again"
_UP = "check that the server runs and can be reached: its host, port and firewall"
_GRANT = "GRANT the user ALL on the database of the store; see docs.md"

_MEANINGS: dict[int, tuple[type[PortError], str, str]] = {
    **dict.fromkeys(DEADLOCK, (LockBusy, "another writer was in the way, again and again", _AGAIN)),
    **dict.fromkeys(_LOST, (Unavailable, "the connection to the server is lost", _UP)),
    **dict.fromkeys(_UNREACHED, (Unavailable, "the server cannot be reached", _UP)),
    1205: (LockBusy, "another writer holds what this call needs", "try again when it is done; or raise lock_timeout"),
    1040: (Unavailable, "the server has too many connections", "raise its max_connections, or lower ours"),
    1203: (Unavailable, "the user has too many connections", "raise max_user_connections, or lower max_connections"),
    1226: (Unavailable, "the user has used up a limit of the server", "raise the user's limits"),
    1129: (Unavailable, "the server has blocked this host after failed connections", "run FLUSH HOSTS on the server"),
    1130: (PermissionDenied, "the server lets nobody in from this host", "CREATE USER for this host"),
    1044: (PermissionDenied, "the user may not use the database", _GRANT),
    1045: (PermissionDenied, "the server refuses the user or the password", "correct user and password"),
    1698: (PermissionDenied, "the server refuses the user or the password", "correct user and password"),
    1142: (PermissionDenied, "the user lacks a right on a table", _GRANT),
    1143: (PermissionDenied, "the user lacks a right on a column", _GRANT),
    1227: (PermissionDenied, "the user lacks a right", _GRANT),
    1290: (PermissionDenied, "the server only reads", "use the server that writes, or switch its read_only off"),
    1792: (PermissionDenied, "the transaction only reads", "open the store for writing"),
    1836: (PermissionDenied, "the server only reads", "use the server that writes, or switch its read_only off"),
    1049: (NotFound, "there is no such database", "CREATE DATABASE, or correct the option database"),
    1021: (ResourceExhausted, "the server's disk is full", "free some space there and repeat the command"),
    1037: (ResourceExhausted, "the server is out of memory", "give it memory and repeat the command"),
    1041: (ResourceExhausted, "the server is out of memory", "give it memory and repeat the command"),
    1114: (ResourceExhausted, "a table of the server is full", "free some space there and repeat the command"),
    1206: (ResourceExhausted, "the server has too many row locks", "raise innodb_buffer_pool_size"),
    1153: (ResourceExhausted, "a chunk is larger than the server takes", "raise its max_allowed_packet"),
    2020: (ResourceExhausted, "a chunk is larger than the server takes", "raise its max_allowed_packet"),
    1406: (InvalidArgument, "an id, a name or a path is longer than a column", "see the limits in docs.md"),
    1264: (InvalidArgument, "a number is larger than a column", "see the limits in docs.md"),
    1366: (InvalidArgument, "a value does not fit its column", "see the limits in docs.md"),
    1146: (FingerprintMismatch, "a table of the store is missing", "codequay migrations --apply, then codequay index"),
    1054: (FingerprintMismatch, "a column of the store is missing", "codequay migrations --apply"),
    1317: (Unavailable, "somebody has killed the statement", _AGAIN),
    1969: (DeadlineExceeded, "the statement took longer than the server allows", "raise its max_statement_time"),
    1030: (Unavailable, "the server's storage failed", "look into the server's log"),
    1034: (Corrupt, "a table of the server is damaged", "run mariadb-check on the server"),
    1194: (Corrupt, "a table of the server is damaged", "run mariadb-check on the server"),
    1712: (Corrupt, "an index of the server is damaged", "run mariadb-check on the server"),
    2026: (Unavailable, "no encrypted connection could be made", "check the server's certificate, tls and ca"),
}


class CommitLost(Exception):
    """The connection went while the server was to commit: it may have, or not."""


class NoConnection(Exception):
    """Every connection of this process was in use for too long."""


class PoolClosed(Exception):
    """A call after close."""


class Damaged(Exception):
    """Rows that do not fit each other."""


def number_of(exc: BaseException) -> int:
    """The error's number; 0 when it has none."""
    first = exc.args[0] if isinstance(exc, MySQLError) and exc.args else 0
    return first if isinstance(first, int) else 0


def is_lost(exc: BaseException) -> bool:
    """Whether the connection can be of no more use."""
    return isinstance(exc, (OSError, EOFError, InterfaceError)) or number_of(exc) in _LOST


def is_stale(exc: BaseException) -> bool:
    """Whether the connection was gone before the server could hear anything of this call. A slow server is not that."""
    return is_lost(exc) and "timeout" not in str(exc)


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on an exception of this adapter; None for anybody else's. The password is in none of them."""
    if isinstance(exc, CommitLost):
        return Verdict(Unavailable, "the connection was lost during commit", _UP, ambiguous=True)
    if isinstance(exc, NoConnection):
        return Verdict(Unavailable, str(exc), "raise max_connections, or ask less at once")
    if isinstance(exc, PoolClosed):
        return Verdict(Closed, "the store is closed")
    if isinstance(exc, (Damaged, UnicodeDecodeError, json.JSONDecodeError)):
        return Verdict(Corrupt, f"the store's rows are damaged: {exc}", "purge the repository and index it again")
    if isinstance(exc, UnicodeEncodeError):
        return Verdict(InvalidArgument, "text that UTF-8 cannot hold", "replace lone surrogates first")
    if isinstance(exc, ssl.SSLError):
        return Verdict(Unavailable, f"no encrypted connection could be made: {exc}", "check tls and ca")
    if isinstance(exc, MySQLError):
        return _of_server(exc)
    if isinstance(exc, asyncio.TimeoutError):
        return Verdict(DeadlineExceeded, "the server did not answer in time", _UP)
    if isinstance(exc, (ConnectionError, EOFError)):
        return Verdict(Unavailable, "the connection to the server is lost", _UP)
    return None


def _of_server(exc: MySQLError) -> Verdict:
    number = number_of(exc)
    said = str(exc.args[1]) if len(exc.args) > 1 else str(exc)
    if number == 2013 and "timeout" in said:
        return Verdict(DeadlineExceeded, "the server did not answer in time", "raise the option timeout")
    if number == 2003 and "SSL" in said:
        number = 2026
    found = _MEANINGS.get(number)
    if found is None and isinstance(exc, InterfaceError):
        found = _MEANINGS[2006]
    if found is None:
        return Verdict(Internal, f"MariaDB {number}: {said}")
    error, message, remedy = found
    return Verdict(error, f"{message} (MariaDB {number}: {said})", remedy)
