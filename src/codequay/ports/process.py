"""Which process this is, and whether another one still lives: what leases and logs remember of their writers."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_ENDED = frozenset("ZXx")
"""States of a process that runs no more and only waits to be reaped."""
_PAUSED = frozenset("Tt")


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from every other one as far as the system lets us.

    ``boot`` names the run of the kernel, ``space`` the pid namespace (containers of one machine have their own),
    ``started`` the time of start in ticks of the kernel, by which a number that was given again is told. Each is ""
    where the system does not say: on macOS and Windows.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: str

    def same_machine(self, other: Process) -> bool:
        """Whether both were started since one start of one machine, so that its monotonic clock serves both."""
        return self.boot == other.boot and (bool(self.boot) or self.host == other.host)

    def rebooted(self, other: Process) -> bool:
        """Whether the other is of the same machine, before or after it was started anew."""
        return self.host == other.host and self.boot != other.boot and bool(self.boot and other.boot)

    def sees_dead(self, other: Process) -> bool:
        """Whether the other is surely gone. False when that cannot be known from here."""
        if not self.same_machine(other) or self.space != other.space or os.name == "nt":
            return False
        try:
            os.kill(other.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is there, and not ours
            pass
        state, started = _stat(other.pid)
        return state in _ENDED or bool(started and other.started and started != other.started)


def this_process() -> Process:
    """The calling process."""
    pid = os.getpid()
    return Process(socket.gethostname(), _boot(), _space(), pid, _stat(pid)[1])


def is_paused(pid: int) -> bool:
    """Whether a process of this machine is stopped by a signal or a debugger; False when that is not told."""
    return _stat(pid)[0] in _PAUSED


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """State and start of a process; "" when they cannot be read (fields 3 and 22 of proc(5)'s ``stat``)."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "", ""
    # The name stands in parentheses and may hold spaces and parentheses itself.
    fields = content.rpartition(b")")[2].split()
    return fields[0].decode(), fields[19].decode()
