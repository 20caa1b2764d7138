"""What the exceptions of httpx, SQLite and the indexer mean. Pure: it judges by type name and message."""

from __future__ import annotations

import sqlite3

from codequay.ports.errors import (
    Corrupt,
    DeadlineExceeded,
    FailedPrecondition,
    LockBusy,
    NotIndexed,
    PermissionDenied,
    PortError,
    ResourceExhausted,
    Unavailable,
    Verdict,
)

REBUILD = "remove the folder `zoekt` of the index (in `.codequay`, or where --data says), then run `codequay index`"
START = "start `zoekt-webserver -rpc -index INDEX_DIR -listen HOST:PORT`, or correct adapters.zoekt.url"
GET = (
    "build it: go install github.com/sourcegraph/zoekt/cmd/...@latest; then put it on PATH or name it in"
    ' adapters.zoekt.indexer. Without Zoekt: ports.lexical = "tantivy"'
)

_SQLITE: tuple[tuple[tuple[str, ...], type[PortError], str, str], ...] = (
    (
        ("database is locked", "database table is locked"),
        LockBusy,
        "another process is writing to the spool",
        "wait until it has finished, then try again",
    ),
    (
        ("readonly database", "unable to open database file"),
        PermissionDenied,
        "the spool cannot be opened as it is needed here",
        "give this user write access to `.codequay`",
    ),
    (
        ("database or disk is full",),
        ResourceExhausted,
        "the disk is full",
        "free some space, then run `codequay index` again",
    ),
    (("malformed", "not a database"), Corrupt, "the spool is damaged", REBUILD),
)


def missing_indexer(program: str) -> FailedPrecondition:
    """The program is not there, or cannot be run."""
    return FailedPrecondition(f"there is no program {program}", remedy=GET)


def not_indexed(repo_id: str, generation: int) -> NotIndexed:
    """A scope that this store does not show."""
    return NotIndexed(
        f"generation {generation} of {repo_id!r} is not indexed in this store", remedy="codequay index PATH"
    )


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on an exception that left this adapter; None when it is not one of its libraries'."""
    if isinstance(exc, TimeoutError):
        return Verdict(DeadlineExceeded, "Zoekt did not answer in time", START)
    if isinstance(exc, PermissionError):
        return Verdict(PermissionDenied, f"not allowed: {exc.filename}", "give this user access to it")
    if isinstance(exc, OSError) and exc.errno in (28, 122):  # ENOSPC, EDQUOT
        return Verdict(ResourceExhausted, "the disk is full", "free some space, then run `codequay index` again")
    text = str(exc)
    if isinstance(exc, sqlite3.Error):
        for fragments, error, message, remedy in _SQLITE:
            if any(fragment in text for fragment in fragments):
                return Verdict(error, f"{message}: {text}", remedy)
        return Verdict(Unavailable, f"the spool could not be read: {text}")
    if type(exc).__module__.partition(".")[0] not in ("httpx", "httpcore"):
        return None
    name = type(exc).__name__
    if name == "PoolTimeout":
        return Verdict(Unavailable, "every connection to Zoekt is in use", "ask for less at once")
    if "Timeout" in name:
        return Verdict(DeadlineExceeded, "Zoekt did not answer in time", START)
    if name in ("InvalidURL", "UnsupportedProtocol"):
        return Verdict(FailedPrecondition, f"no such address: {text}", "correct adapters.zoekt.url")
    return Verdict(Unavailable, f"Zoekt is not reachable: {text or name}", START)
