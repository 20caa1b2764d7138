"""What writers do to each port, and what must be there afterwards."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from codequay.ports.chunks import Chunk, ChunkStore, FileChunks
from codequay.ports.errors import Conflict
from codequay.ports.generations import ScopeEntry
from codequay.ports.lock import Lease, Lock
from codequay.ports.metadata import MetadataStore, Publication, Repo

from .storm import WRITERS, Story

LEASE_S = 600.0
"""Longer than any test."""


class Indexers:
    """Each adds one file to a repository of its own, in a generation upon the last one that was acknowledged."""

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks

    async def write(self, writer: int, n: int) -> None:
        repo = f"repo{writer}"
        await self._chunks.begin(repo, generation=n, base=n - 1 or None)
        await self._chunks.stage(repo, generation=n, files=[_file(writer, n)])
        await self._chunks.seal(repo, generation=n)

    async def check(self, story: Story) -> None:
        for writer in range(WRITERS):
            last = story.last(writer)
            found = await self._chunks.scan(scope=[ScopeEntry(f"repo{writer}", last)])
            assert {one.path for one in found.files} == {f"{n}.py" for n in range(1, last + 1)}
            texts = await self._chunks.text([f"{writer} {n}" for n in range(1, last + 1)])
            assert texts == [f"# {writer} {n}\n" for n in range(1, last + 1)]


def _file(writer: int, n: int) -> FileChunks:
    text, blob = f"# {writer} {n}\n", f"{writer} {n}"
    return FileChunks(f"{n}.py", blob, "python", 0o100644, (Chunk(blob, blob, "python", 0, len(text), 1, 1, text),))


class Publishers:
    """Each publishes one generation of its repository after the other."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._wanted: dict[tuple[int, int], Publication] = {}
        self._newest: dict[int, int | None] = dict.fromkeys(range(WRITERS))

    async def write(self, writer: int, n: int) -> None:
        repo = f"repo{writer}"
        if n == 1:
            await self._metadata.put_repo(Repo(repo, "folder", "/nowhere", repo))
        made = self._wanted.get((writer, n))
        if made is None:
            made = await self._open(writer, n, repo)
        # The same publication again after an error: it answers as the first time, had that been applied.
        await self._metadata.publish(made)
        self._newest[writer] = made.generation

    async def _open(self, writer: int, n: int, repo: str) -> Publication:
        base = self._newest[writer]
        number = await self._metadata.open_generation(repo, base=base)
        made = self._wanted[writer, n] = Publication(repo, number, base, revision=f"{writer} {n}", files=n)
        return made

    async def check(self, story: Story) -> None:
        for writer in range(WRITERS):
            last = self._wanted[writer, story.last(writer)]
            (shown,) = await self._metadata.published([f"repo{writer}"])
            assert shown.generation >= last.generation
            kept = {one.generation: one for one in await self._metadata.history(f"repo{writer}")}
            for (one, n), made in self._wanted.items():
                if one == writer and (one, n) in set(story.acknowledged):
                    assert kept[made.generation].revision == f"{writer} {n}"


@dataclass
class Holders:
    """Each takes one key after the other for itself and keeps it, and in between one that all of them want."""

    lock: Lock
    held: dict[tuple[int, int], Lease] = field(default_factory=dict)
    shared: list[tuple[int, int, int]] = field(default_factory=list)
    """When the key was asked for and had, counted, and the fence."""
    _count: itertools.count[int] = field(default_factory=itertools.count)

    async def write(self, writer: int, n: int) -> None:
        if (writer, n) not in self.held:
            lease = await self.lock.acquire(f"{writer} {n}", ttl=LEASE_S, owner=f"{writer}")
            if lease is None:
                # An earlier try was applied, and its answer lost: its token is not ours to know.
                holder = await self.lock.holder(f"{writer} {n}")
                assert holder is not None and holder.owner == f"{writer}"
            else:
                self.held[writer, n] = lease
        asked = next(self._count)
        lease = await self.lock.acquire("shared", ttl=0.5, wait=2.0)
        if lease is not None:
            assert lease.fence is not None
            self.shared.append((asked, next(self._count), lease.fence))
            await self.lock.release(lease)

    def check_fences(self) -> None:
        """Who asked after another one had the key has the higher fence: across every death of the server."""
        assert len(self.shared) > WRITERS
        for _, had, fence in self.shared:
            assert all(later > fence for asked, _, later in self.shared if asked > had)

    async def check(self, *, kept: bool) -> int:
        """Leases that are there. ``kept``: the server forgets nothing, so all of them are."""
        found = await asyncio.gather(*map(self._extended, self.held.values()))
        assert not kept or all(found)
        return sum(found)

    async def _extended(self, lease: Lease) -> bool:
        try:
            return (await self.lock.extend(lease, ttl=LEASE_S)).fence == lease.fence
        except Conflict:
            return False
