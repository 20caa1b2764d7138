"""Whether a SQLite file has been written to, as it shows from outside: for those who read it as ``immutable``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class State(NamedTuple):
    """What shows from outside whether a file has been written to."""

    inode: int
    size: int
    modified_ns: int
    log: int
    """Bytes of the log that are not in the file yet."""


def state_of(path: Path) -> State:
    """The state now; all zero when there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return State(0, 0, 0, 0)
    try:
        log = path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        log = 0
    return State(found.st_ino, found.st_size, found.st_mtime_ns, log)
