"""Mutants that change nothing anybody can observe, each with the reason. Everything else must die."""

from __future__ import annotations

from collections.abc import Mapping

EQUIVALENT: Mapping[str, Mapping[str, str]] = {
    "cache": {
        "cache:MemoryCache._put: comparison: self._bytes > ROOM -> self._bytes >= ROOM": (
            "a room that is just full loses only what has expired, which nobody can see"
        ),
    },
    "metadata": {
        "metadata:MemoryMetadata.open_generation: constant: 1 -> 2": "a number need not be the next one",
    },
    "source": {
        "source:MemoryRepository.__init__: constant: 1 -> 2": "the numbers of writes need only differ",
        "source:MemorySource.files: constant: 0 -> 1 (#2)": "of the numbers of a file any may be the one that changes",
        "source:_git_id: constant: False -> True": "it only tells a system that forbids SHA-1 what the hash is not for",
    },
}
"""Port -> mutant id -> why it is equivalent."""
