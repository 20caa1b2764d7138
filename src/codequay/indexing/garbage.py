"""What nothing shows any more: superseded and abandoned generations, and repositories that were removed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from codequay.ports.chunks import ChunkStore
from codequay.ports.failpoint import reach
from codequay.ports.lexical import LexicalIndex
from codequay.ports.metadata import MetadataStore

from .filling import takes_writes

READABLE_S = 600.0
"""Seconds for which a superseded generation stays readable, for requests that began before the flip."""


class Stores(Protocol):
    """The ports that hold generations, and the one that knows which are shown."""

    @property
    def chunks(self) -> ChunkStore: ...
    @property
    def lexical(self) -> LexicalIndex: ...
    @property
    def metadata(self) -> MetadataStore: ...


@dataclass(frozen=True, slots=True)
class Garbage:
    """What may go: by store the generations to drop, and those that the metadata may retire."""

    drop: Mapping[str, tuple[int, ...]]
    retire: tuple[int, ...]

    @property
    def generations(self) -> tuple[int, ...]:
        return tuple(sorted({*self.retire, *(one for held in self.drop.values() for one in held)}))


def _stores(ports: Stores) -> dict[str, ChunkStore | LexicalIndex]:
    stores: dict[str, ChunkStore | LexicalIndex] = {"chunks": ports.chunks, "lexical": ports.lexical}
    return {port: store for port, store in stores.items() if takes_writes(store)}


async def find(ports: Stores, repo_id: str, *, keep: int, readable_s: float = READABLE_S) -> Garbage:
    """The generations of a repository that may go.

    Kept are: what a name shows, the newest ``keep`` (at least one: the next run builds upon it), and what lost its
    name less than ``readable_s`` ago. Call it under the repository's lease: what is being staged counts as abandoned.
    """
    history = await ports.metadata.history(repo_id)
    kept = {one.generation for one in history[-max(1, keep) :]}
    now = time.time()
    kept |= {one.generation for one in history if one.hidden_at is None or now - one.hidden_at < readable_s}
    drop: dict[str, tuple[int, ...]] = {}
    for port, store in _stores(ports).items():
        held = [state.generation for state in await store.generations(repo_id)]
        drop[port] = tuple(generation for generation in held if generation not in kept)
    return Garbage(drop, tuple(one.generation for one in history if one.generation not in kept))


async def delete(ports: Stores, repo_id: str, garbage: Garbage) -> None:
    """Drop it in the stores, then retire it: killed between, the next run finds it again."""
    for port, store in _stores(ports).items():
        for generation in garbage.drop[port]:
            reach("index.cleanup")
            await store.drop(repo_id, generation=generation)
    for generation in garbage.retire:
        reach("index.cleanup")
        await ports.metadata.retire(repo_id, generation=generation)


async def purge(ports: Stores, repo_id: str) -> None:
    """Delete everything of a repository, metadata last: killed between, it is still known and purged again."""
    for store in _stores(ports).values():
        reach("index.cleanup")
        await store.purge(repo_id)
    reach("index.cleanup")
    await ports.metadata.purge(repo_id)
