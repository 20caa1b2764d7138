"""Tantivy's writer lock, who holds it, and who may read."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import tantivy

from codequay.ports.errors import LockBusy
from codequay.ports.process import is_paused

from .index import open_index
from .segments import META

LOCK = ".tantivy-writer.lock"


def open_writer(path: Path, heap: int) -> tantivy.IndexWriter:
    """A writer with one thread and ``heap`` bytes. Tantivy locks a file and leaves it empty: here it names the holder.

    :raises LockBusy: another process has it
    """
    index = open_index(path)
    lock = path / LOCK
    try:
        writer = index.writer(heap, 1)
    except ValueError as exc:
        if "LockBusy" not in str(exc):
            raise
        raise _busy(lock) from exc
    with suppress(OSError):  # Windows lets nobody write to a locked file
        lock.write_text(f"{os.getpid()} {socket.gethostname()}\n")
    return writer


def share(path: Path) -> None:
    """Let those read ``meta.json`` who may read the other files: Tantivy gives it to its owner alone."""
    with suppress(OSError):  # another user's file: that user has shared it
        (path / META).chmod((path / LOCK).stat().st_mode & 0o666)


def _busy(lock: Path) -> LockBusy:
    """The error that names who holds the lock, as far as the file says."""
    try:
        pid, host = lock.read_text().split()
    except (OSError, ValueError):
        return LockBusy("another process is writing to this lexical index", remedy="wait until it has ended")
    if host != socket.gethostname():
        return LockBusy(f"process {pid} on {host} is writing to this lexical index", remedy="wait until it has ended")
    details = {"pid": int(pid), "host": host}
    if is_paused(int(pid)):
        return LockBusy(
            f"process {pid}, which is paused, is writing to this lexical index",
            remedy=f"let it go on (kill -CONT {pid}) or end it (kill -KILL {pid}), then try again",
            details=details,
        )
    return LockBusy(
        f"process {pid} is writing to this lexical index",
        remedy=f"wait until it has ended, or end it (kill {pid}); then try again",
        details=details,
    )
