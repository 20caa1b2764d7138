"""How a file is opened: by whom it can be changed, and what can be read where nothing may be written."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from codequay.adapters._files import State, state_of
from codequay.ports.errors import NotFound, PermissionDenied

from .errors import code_of


@dataclass(frozen=True, slots=True)
class Way:
    """How to open a file for reading. ``still`` is its state when nobody could be writing and SQLite was told so;
    what is read then counts only while the state stays. ``touching`` makes files beside it."""

    uri: str
    touching: bool = False
    still: State | None = None


def writable_uri(path: Path, *, create: bool = False) -> str:
    return _uri(path, "rwc" if create else "rw")


def way_to_read(path: Path, *, touching: bool = True) -> Way:
    """How to read the file without changing it.

    A file in WAL mode needs ``-wal`` and ``-shm`` beside it. Where the folder is writable a read-write connection
    with ``query_only`` makes them and takes them away again. Elsewhere, and when that fails (``touching`` false: the
    disk is full), ``mode=ro`` works if they are there. When they are not, nobody is writing and the file is whole:
    ``immutable``.

    :raises NotFound: there is none
    :raises PermissionDenied: it may not be read, or its log may not
    :raises sqlite3.OperationalError: the disk is full, and the file has a log
    """
    if not state_of(path).size:
        raise NotFound(f"there is no index at {path}", remedy="index again: codequay index")
    if not os.access(path, os.R_OK):
        raise PermissionDenied(f"{path} may not be read", remedy="check its owner and mode")
    if touching and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return Way(writable_uri(path), touching=True)
    uri = _uri(path, "ro")
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as probe:
            probe.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        return Way(uri)
    except sqlite3.OperationalError as exc:
        still = state_of(path)
        if still.log and code_of(exc) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if still.log:
            raise PermissionDenied(
                f"{path} has an unfinished log, which cannot be read without writing beside it",
                remedy="open it once where its folder is writable: codequay status",
            ) from exc
        return Way(f"{uri}&immutable=1", still=still)


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(os.fspath(path.absolute()))}?mode={mode}"
