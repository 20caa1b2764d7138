"""Filling the lexical index of this machine with a generation that another machine has published.

Metadata and chunks on a server are seen by every machine, an index on disk by one. To publish the same tree anew would
leave the other machine's index behind, and the two would take turns. So where the tree holds just what is published,
the index here is filled from the chunk store under the number that is there, and nothing is published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import cast

from codequay.ports.chunks import PlacedFile
from codequay.ports.errors import Conflict, NotIndexed, PortError
from codequay.ports.failpoint import reach
from codequay.ports.generations import ScopeEntry
from codequay.ports.held import HeldLock
from codequay.ports.lexical import LexFile, LexicalIndex, LexRef
from codequay.ports.metadata import Published

from .changes import FILES_PER_BATCH, Survey, against, survey
from .compaction import stored_files
from .filling import PAGE, Filling, Progress, Target
from .manifest import UNREAD, Entry, Manifest
from .standing import IndexPorts, Job

_SKIPPED_PAGE = 1000


@dataclass(slots=True)
class Joining:
    """One attempt. ``shown`` is the generation, ``lexical`` the index that lacks it, ``own`` the manifest of what this
    machine indexed last: by it files are known that need not be read."""

    ports: IndexPorts
    job: Job
    lease: HeldLock
    shown: Published
    lexical: Target
    line: str
    own: Manifest | None = None
    progress: Callable[[Progress], None] | None = None
    placed: list[PlacedFile] = field(default_factory=list)

    async def join(self, commit: str) -> Manifest | None:
        """Fill the index; the manifest of what it holds now. None when the tree holds something else, or the chunk
        store or the index cannot take part: then nothing was changed.

        :param commit: what HEAD or the revision names now
        """
        if self.shown.revision != commit:
            return None
        try:
            held = await self._published()
            entries = await self._same(held, commit)
            if entries is None:
                return None
            return await self._fill(replace(held, entries=entries))
        except (Conflict, NotIndexed):
            self.lease.check()  # its loss is a Conflict too, and ends the run
            return None

    async def _published(self) -> Manifest:
        """What the generation holds, as the chunk store and the metadata have it."""
        job, shown = self.job, self.shown
        entries: dict[str, Entry] = {}
        after: tuple[str, str] | None = None
        while True:
            page = await self.ports.chunks.scan(scope=self._scope, after=after, limit=PAGE)
            self.placed += page.files
            after = page.after
            if after is None:
                break
        for file in self.placed:
            entries[file.path] = Entry(0, 0, 0, 0, file.mode, file.blob_id, file.chunks)
        last: str | None = None
        while True:
            said = await self.ports.metadata.skipped(
                shown.repo_id, generation=shown.generation, after=last, limit=_SKIPPED_PAGE
            )
            for one in said.files:
                known = entries.get(one.path, Entry(0, 0, 0, 0, UNREAD, ""))
                entries[one.path] = known._replace(reason=one.reason, detail=one.detail)
            last = said.after
            if last is None:
                break
        root, number = job.found.root, shown.generation
        return Manifest(shown.repo_id, job.snapshot, number, self.line, root, job.options, number, entries)

    async def _same(self, held: Manifest, commit: str) -> dict[str, Entry] | None:
        """The tree's files, when they are what is published. A file that was skipped for what it holds is analysed
        again, because nobody has noted its bytes."""
        job, number = self.job, self.shown.generation
        revision = commit if job.revision is not None else None
        source, root = self.ports.source, job.found.root
        priors = [held] if self.own is None else [self.own, held]
        listed = await source.files(root, revision=revision)
        seen = await survey(source, listed, root=root, revision=revision, priors=priors, settings=job.settings)
        unsure = {file.path for file in seen.fresh}
        changes = against(seen, held, number)
        if changes.removed or unsure.symmetric_difference(changes.changed):
            return None
        if any((known := held.get(path)) is None or known.indexed for path in unsure):
            return None
        filling = Filling(
            source, job.repo.repo_id, (), settings=job.settings, begin=_nothing, check=self.lease.check, progress=None
        )
        await filling.fill(seen)
        met = Survey(root, revision, filling.entries, ())
        return None if len(against(met, held, number)) else filling.entries

    async def _fill(self, held: Manifest) -> Manifest:
        """Stage every file, seal, and note it."""
        store, number, repo_id = cast(LexicalIndex, self.lexical.store), self.shown.generation, self.shown.repo_id
        entries = dict(held.entries)
        total, done, read = sum(entries[one.path].size for one in self.placed), 0, 0
        await store.begin(repo_id, generation=number, base=None)
        try:
            async for files in self._files(entries):
                self.lease.check()
                await store.stage(repo_id, generation=number, files=files)
                for file in files:
                    size = file.spans[-1].end_byte if file.spans else 0
                    entries[file.path] = entries[file.path]._replace(chunks=len(file.spans), bytes=size)
                    read += entries[file.path].size
                done += len(files)
                if self.progress is not None:
                    self.progress(Progress(done, len(self.placed), read, total))
            await self.lease.extend()
            await store.seal(repo_id, generation=number)
            reach("index.joined")
        except BaseException:
            await asyncio.shield(self._drop(store))
            raise
        return replace(held, entries=entries)

    async def _drop(self, store: LexicalIndex) -> None:
        with suppress(PortError):
            await store.drop(self.shown.repo_id, generation=self.shown.generation)

    async def _files(self, entries: Mapping[str, Entry]) -> AsyncIterator[Sequence[LexFile]]:
        """The generation's files with their texts, in batches of at most ``batch_bytes``, or one file."""
        size, batch = 0, list[LexRef]()
        for one in self.placed:
            ref = LexRef(one.repo_id, self.shown.generation, one.path, one.blob_id, one.language, one.mode)
            more = entries[one.path].size
            if batch and (size + more > self.job.settings.batch_bytes or len(batch) == FILES_PER_BATCH):
                yield await self._read(batch)
                size, batch = 0, []
            size += more
            batch.append(ref)
        if batch:
            yield await self._read(batch)

    async def _read(self, refs: Sequence[LexRef]) -> list[LexFile]:
        """
        :raises NotIndexed: the chunk store holds the generation no longer
        """
        files = [file for file in await stored_files(self.ports.chunks, refs) if file is not None]
        if len(files) < len(refs):
            raise NotIndexed(f"the chunk store does not hold generation {self.shown.generation} any more")
        return files

    @property
    def _scope(self) -> tuple[ScopeEntry, ...]:
        return (ScopeEntry(self.shown.repo_id, self.shown.generation),)


async def _nothing() -> int:
    raise RuntimeError("files that are analysed for comparison are not staged")
