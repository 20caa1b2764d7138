"""Who restarts a server must be alone with it, among all processes that try adapters on it.

A server is known by the command that restarts it. Without one nobody restarts it, and nobody waits.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO


@contextmanager
def using(command: str, *, alone: bool) -> Iterator[None]:
    """Use the server that ``command`` restarts, with others or ``alone``. Who wants to be alone is let in first."""
    if not command or sys.platform == "win32":
        yield
        return
    import fcntl

    with _file(command, "gate") as gate, _file(command, "room") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def _file(command: str, what: str) -> IO[bytes]:
    name = blake2b(command.encode(), digest_size=8).hexdigest()
    path = Path(tempfile.gettempdir()) / f"codequay-server-{name}-{os.getuid()}.{what}"
    return path.open("ab")
