"""What Tantivy's and SQLite's exceptions mean. Pure: it judges by type and message and loads no client library."""

from __future__ import annotations

import sqlite3

from codequay.ports.errors import (
    Corrupt,
    LockBusy,
    PermissionDenied,
    PortError,
    ResourceExhausted,
    Unavailable,
    Verdict,
)

REBUILD = "remove the folder `lexical` of the index (in `.codequay`, or where --data says), then run `codequay index`"


_MEANINGS: tuple[tuple[tuple[str, ...], type[PortError], str, str], ...] = (
    (
        ("LockBusy", "database is locked", "database table is locked"),
        LockBusy,
        "another process is writing to this lexical index",
        "wait until it has finished, then try again",
    ),
    (
        ("PermissionDenied", "ReadOnlyFilesystem", "readonly database", "unable to open database file"),
        PermissionDenied,
        "the lexical index cannot be opened as it is needed here",
        "give this user write access to `.codequay`, or read access to every file in it",
    ),
    (
        ("StorageFull", "No space left", "database or disk is full", "QuotaExceeded"),
        ResourceExhausted,
        "the disk is full",
        "free some space, then run `codequay index` again",
    ),
    (
        (
            *("Data corrupt", "DataCorruption", "DoesNotExist", "IncompatibleIndex", "InvalidData", "UnexpectedEof"),
            *("failed to fill whole buffer", "malformed", "not a database", "Could not decode", "can't decode byte"),
        ),
        Corrupt,
        "the lexical index is damaged",
        REBUILD,
    ),
    (
        ("occurred in a thread", "was consumed", "writer was killed", "worker thread"),
        Unavailable,
        "the index writer has died",
        "run `codequay index` again",
    ),
)
"""Fragments of messages (Tantivy 0.27 raises ValueError and RuntimeError for everything), and what they mean."""


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on an exception that left this adapter; None when it is not one of its libraries'."""
    if isinstance(exc, PermissionError):
        return Verdict(PermissionDenied, f"not allowed: {exc.filename}", _MEANINGS[1][3])
    if not isinstance(exc, (ValueError, RuntimeError, sqlite3.Error, OSError)):
        return None
    text = str(exc)
    if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE:
        text = f"No space left beside the placements: {text}"
    for fragments, error, message, remedy in _MEANINGS:
        if any(fragment in text for fragment in fragments):
            return Verdict(error, f"{message}: {text}", remedy)
    if isinstance(exc, sqlite3.OperationalError):
        return Verdict(Unavailable, f"the placements could not be read: {text}")
    return None
