"""Keep a long run's memory small: glibc otherwise keeps what many threads have freed."""

from __future__ import annotations

import sys

ARENAS = 1
"""Heaps for all threads. glibc makes eight per processor, and each keeps the most it ever held."""
LARGE = 262_144
"""Bytes from which a block is mapped, and goes back to the system when it is freed; also the free space at the end of
a heap that is kept. Left alone, glibc raises both to the largest block freed so far: Tantivy's are a megabyte."""

owned = False
"""Whether the process is there for codequay alone, so that its allocator may be tuned; the command line says so."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of malloc.h."""

WORKER_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": str(ARENAS),
    "MALLOC_MMAP_THRESHOLD_": str(LARGE),
    "MALLOC_TRIM_THRESHOLD_": str(LARGE),
}
"""The same for a process that is started; other systems and libraries do not look at it."""


def save() -> None:
    """From now on give back what is freed. Nothing happens without glibc, or in a program that embeds the library.

    It costs some processor time: ``bench.index_speed`` prints both, the peak and the time.
    """
    if sys.platform != "linux" or not owned:
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, ARENAS)
        mallopt(_MMAP_THRESHOLD, LARGE)
        mallopt(_TRIM_THRESHOLD, LARGE)
