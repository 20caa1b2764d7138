"""Which process is in the way of a write."""

from __future__ import annotations

import os
from pathlib import Path

from codequay.ports.errors import LockBusy
from codequay.ports.process import is_paused

_WRITE_LOCK_BYTE = 120
"""The byte of the ``-shm`` file that a writer locks (sqlite.org/walformat.html)."""


def busy(database: Path) -> LockBusy:
    """The error of a write that another process is in the way of, by its number where the system says it."""
    pid = _writer_of(database)
    if pid is None or pid == os.getpid():
        return LockBusy("another process is writing to the index", remedy="try again when it is done")
    details = {"pid": pid}
    if is_paused(pid):
        return LockBusy(
            f"process {pid}, which is paused, is writing to the index",
            remedy=f"let it go on (kill -CONT {pid}) or end it (kill -KILL {pid}), then try again",
            details=details,
        )
    return LockBusy(f"process {pid} is writing to the index", remedy="try again when it is done", details=details)


def _writer_of(database: Path) -> int | None:
    """Who holds the write lock of a database in WAL mode; None where the kernel keeps no list of locks.

    Asking by ``fcntl`` would need a descriptor of the file, and to close it would drop this process's own locks.
    """
    try:
        inode = str(os.stat(f"{database}-shm").st_ino)
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        # 1: POSIX  ADVISORY  WRITE 4711 fe:00:10471632 120 121
        _, kind, *rest = line.split()
        if kind != "POSIX" or rest[1] != "WRITE" or rest[3].rpartition(":")[2] != inode:
            continue
        if int(rest[4]) <= _WRITE_LOCK_BYTE and (rest[5] == "EOF" or int(rest[5]) >= _WRITE_LOCK_BYTE):
            return int(rest[2]) if int(rest[2]) > 0 else None
    return None
