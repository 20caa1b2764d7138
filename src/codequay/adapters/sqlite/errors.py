"""What SQLite's and zlib's exceptions mean."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from codequay.adapters._schema import MIGRATE
from codequay.ports.errors import (
    Corrupt,
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

_MISSING = ("no such column", "no such table", "table ")
_UNDECODABLE = "Could not decode to UTF-8"
_DELETE = "delete the file and index again: codequay index"

_BY_CODE: dict[int, tuple[type[PortError], str, str]] = {
    sqlite3.SQLITE_BUSY: (LockBusy, "another process is writing to the index", "try again when it is done"),
    sqlite3.SQLITE_LOCKED: (LockBusy, "another connection is using the index", "try again"),
    sqlite3.SQLITE_PROTOCOL: (LockBusy, "the index is locked by too many processes at once", "try again"),
    sqlite3.SQLITE_FULL: (ResourceExhausted, "the disk is full", "free some space and repeat the command"),
    sqlite3.SQLITE_NOMEM: (ResourceExhausted, "SQLite ran out of memory", "free some memory and repeat the command"),
    sqlite3.SQLITE_READONLY: (PermissionDenied, "the index cannot be written", "make its folder writable"),
    sqlite3.SQLITE_PERM: (PermissionDenied, "the index may not be opened", "check the owner and mode of its folder"),
    sqlite3.SQLITE_AUTH: (PermissionDenied, "the index may not be opened", "check the owner and mode of its folder"),
    sqlite3.SQLITE_CANTOPEN: (
        PermissionDenied,
        "the index cannot be opened",
        "check that its folder exists and that you may read and write it",
    ),
    sqlite3.SQLITE_CORRUPT: (Corrupt, "the index file is damaged", _DELETE),
    sqlite3.SQLITE_NOTADB: (Corrupt, "the index file is not a SQLite database", _DELETE),
    sqlite3.SQLITE_IOERR: (Unavailable, "the disk failed to read or write the index", "check the disk and try again"),
    sqlite3.SQLITE_INTERRUPT: (Unavailable, "the statement was interrupted", "try again"),
    sqlite3.SQLITE_TOOBIG: (InvalidArgument, "the value is larger than SQLite takes", "store it in smaller parts"),
}


class Damaged(sqlite3.DatabaseError):
    """Rows that do not fit each other. SQLite's pages carry no checksum: not every damage shows in its tree."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def code_of(exc: BaseException) -> int:
    """SQLite's primary result code; -1 for an exception that it did not raise, or that the module itself raised."""
    code = getattr(exc, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on an exception of this adapter; None for anybody else's.

    No write is ambiguous: the transaction has ended before the exception leaves the connection.
    """
    if isinstance(exc, zlib.error):
        return Verdict(Corrupt, f"stored text is damaged: {exc}", _DELETE)
    if isinstance(exc, UnicodeDecodeError):
        return Verdict(Corrupt, f"stored text is damaged: {exc}", _DELETE)
    if isinstance(exc, UnicodeError):
        return Verdict(InvalidArgument, f"text that UTF-8 cannot hold: {exc}", "replace lone surrogates first")
    if not isinstance(exc, sqlite3.Error):
        return None
    code = getattr(exc, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_ERROR and str(exc).startswith(_MISSING):
        return Verdict(FingerprintMismatch, f"the index lacks what this release needs: {exc}", MIGRATE)
    if str(exc).startswith(_UNDECODABLE):
        return Verdict(Corrupt, f"stored text is damaged: {exc}", _DELETE)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        code = sqlite3.SQLITE_FULL
    found = None if code is None else _BY_CODE.get(code & 0xFF)
    if found is None:
        return Verdict(Internal, f"SQLite: {exc}")
    error, message, remedy = found
    return Verdict(error, f"{message} ({exc})", remedy)


def named(exc: Exception, path: Path, rebuild: str) -> Exception:
    """The exception; when the file is the matter, its meaning, with the path or with who is writing to it.

    ``rebuild`` says what to do about a damaged file; it has a place for the ``path``.
    """
    if code_of(exc) == sqlite3.SQLITE_BUSY:
        from .busy import busy

        return busy(path)
    verdict = classify(exc)
    if verdict is None or verdict.error not in (Corrupt, PermissionDenied):
        return exc
    remedy = rebuild.format(path=path) if verdict.error is Corrupt else verdict.remedy
    return verdict.error(f"{path}: {verdict.message}", remedy=remedy)
