"""One index run: lease, comparison, generation, batches into the stores, seal, publish, drop what is old.

No store knows which generation is current, so a crash or a cancellation anywhere leaves the published one whole; the
next run throws the unfinished one away. Each store is brought from what it holds to what the tree holds, so one that
was swapped in is filled and the others take the changes only. A generation is begun when there is something to write.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from codequay.ports.errors import Conflict, InvalidArgument, NotFound, PortError, ResourceExhausted
from codequay.ports.failpoint import reach
from codequay.ports.held import HeldLock
from codequay.ports.metadata import WORKTREE, Fence, Publication, Published, Repo, SkippedFile
from codequay.ports.source import SourceRepo

from . import compaction, filled, garbage, manifest
from .changes import Changes, Survey, against, survey
from .filling import Filling, Progress, Target
from .garbage import READABLE_S
from .joining import Joining
from .lease import repository_lease
from .manifest import Entry, Manifest
from .standing import IndexOptions, IndexPorts, Job, Standing, is_apart, kept_elsewhere, stand

__all__ = ["IndexOptions", "IndexPorts", "IndexReport", "Progress", "index_repository"]

CLEAN_EVERY = 8
"""Runs before a search leave superseded generations to be dropped by one run in so many: dropping takes a commit."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run did. ``bytes`` counts decoded text; ``changed_blobs`` were new to the chunk store, ``blobs`` to each.

    ``changed_files`` and ``removed_files`` differ from what the snapshot showed before. When there was nothing to do
    ``generation`` is the one that was published before.
    """

    generation: int
    files: int
    chunks: int
    changed_blobs: int
    skipped: Mapping[str, int]
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()
    snapshot: str = WORKTREE
    changed_files: int = 0
    removed_files: int = 0
    blobs: Mapping[str, int] = field(default_factory=dict)


async def index_repository(
    ports: IndexPorts,
    *,
    repo: Repo,
    found: SourceRepo,
    settings: IndexOptions,
    data: Path,
    snapshot: str = WORKTREE,
    revision: str | None = None,
    only: Sequence[str] = (),
    changes: Changes | None = None,
    compact: bool = True,
    fill_cold: bool = True,
    wait: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
    readable_s: float = READABLE_S,
) -> IndexReport:
    """Bring the snapshot to what the tree at ``found.root`` holds, or what ``revision`` held, and publish it.

    :param repo: as it is to be remembered; its root is the main work tree also when a linked one is indexed
    :param only: stores to bring up to date; another one is carried along when it has nothing to change, else left out
    :param changes: what ``compare`` has just found, so that the tree is not listed again
    :param compact: also drop old generations, and write a store anew when too much of it is dead
    :param fill_cold: False before a search: then neither the first index nor a store that lacks it is made, and a store
        that was swapped out and is back is brought along when few files have changed meanwhile
    :param wait: seconds to wait for another writer
    :raises LockBusy: another process indexes the repository
    :raises NotIndexed: ``fill_cold`` is False and there is something to fill
    :raises NotFound: the tree vanished while it was read; nothing is changed
    :raises Conflict: another process published first, or the lease was lost; nothing is changed
    """
    started = time.perf_counter()
    unknown = [port for port in only if port not in settings.enable]
    if unknown:
        raise InvalidArgument(
            f"{', '.join(unknown)} cannot be indexed", remedy=f"name some of {', '.join(settings.enable)}"
        )
    job = Job(repo, found, settings, data, snapshot, revision, tuple(only), fill_cold)
    async with repository_lease(ports.lock, repo.repo_id, wait=wait) as lease:
        run = _Run(ports, job, lease, progress)
        try:
            report = await run.perform(changes)
        except BaseException as exc:
            await asyncio.shield(run.abandon())
            if isinstance(exc, Conflict):
                exc.remedy = exc.remedy or "run it again: another process was indexing too, and published instead"
            raise
        if compact or report.generation % CLEAN_EVERY == 0:
            await run.tidy(readable_s, write_anew=compact)
    return replace(report, seconds=time.perf_counter() - started, notes=tuple(run.notes))


class _Run:
    """One run under the repository's lease."""

    def __init__(
        self, ports: IndexPorts, job: Job, lease: HeldLock, progress: Callable[[Progress], None] | None
    ) -> None:
        self.notes: list[str] = []
        self._ports = ports
        self._job = job
        self._id = job.repo.repo_id
        self._lease = lease
        self._progress = progress
        self._base: Published | None = None
        self._targets: list[Target] = []
        self._generation = 0
        self._flipping = False

    async def perform(self, changes: Changes | None) -> IndexReport:
        """Compare, fill, publish."""
        job = self._job
        if job.fill_cold:
            await self._ports.metadata.put_repo(job.repo)
        standing = await stand(self._ports, job)
        if not job.fill_cold:
            standing.refuse_to_fill()
        self._base = standing.newest
        commit = job.found.head
        if job.revision is not None:
            commit = await self._ports.source.resolve(job.found.root, job.revision)
        joined = await self._join(standing, commit)
        if joined is not None:
            return joined
        if changes is not None and changes.generation in _generations(standing.shown, standing.newest):
            seen = changes.survey
        else:
            seen = await self._look(commit if job.revision is not None else None, standing.priors)
        moved = job.fill_cold and standing.shown is not None and standing.shown.revision != commit
        if not moved and self._is_same(standing, seen):
            return self._unchanged(standing, seen)
        await standing.recall()
        if not job.fill_cold:
            standing.refuse_to_catch_up(seen)
        self._targets, self.notes = standing.choose(seen)
        filling = Filling(
            self._ports.source,
            self._id,
            self._targets,
            settings=job.settings,
            begin=self._begin,
            check=self._lease.check,
            progress=self._progress,
        )
        await filling.fill(seen)
        await self._still_there(filling.entries)
        met = replace(seen, known=filling.entries, fresh=(), renewed=len(filling.entries))
        if not moved and not self._generation and self._is_same(standing, met):
            return self._unchanged(standing, met)
        await self._publish(commit, seen.root, filling.entries, standing)
        return self._report(standing.exact, filling.entries)

    async def _join(self, standing: Standing, commit: str) -> IndexReport | None:
        """What another machine has published, filled into the index here; None where that cannot be."""
        shown, lexical = standing.shown, standing.joinable(self._ports)
        if shown is None or lexical is None:
            return None
        joining = Joining(
            self._ports, self._job, self._lease, shown, lexical, standing.line, standing.own, self._progress
        )
        made = await joining.join(commit)
        if made is None:
            return None
        data = self._job.data
        if self._written(lambda: manifest.prepare(data, made)):
            self._written(lambda: manifest.install(data, self._id, self._job.snapshot))
        try:
            filled.note(data, shown, lexical.record, kept=lexical.sealed)
        except OSError as exc:
            raise ResourceExhausted(
                f"it could not be noted that the index holds generation {shown.generation}: {exc}"
            ) from exc
        self.notes.append(f"generation {shown.generation} is another machine's: only the words were indexed here")
        return _as_before(shown)

    async def _look(self, commit: str | None, priors: Sequence[Manifest]) -> Survey:
        job = self._job
        root = job.found.root
        listed = await self._ports.source.files(root, revision=commit)
        return await survey(
            self._ports.source,
            listed,
            root=root,
            revision=commit,
            priors=priors,
            settings=job.settings,
            retry=job.fill_cold,
        )

    def _is_same(self, standing: Standing, seen: Survey) -> bool:
        """Whether the tree is what the snapshot shows, and the stores hold it."""
        exact = standing.exact
        return exact is not None and standing.held() and not len(against(seen, exact, exact.generation))

    def _unchanged(self, standing: Standing, seen: Survey) -> IndexReport:
        """Nothing is published. Where files' numbers have changed they are kept, so that no file is read again."""
        shown, exact = standing.shown, standing.exact
        if shown is None or exact is None:
            raise RuntimeError("an unchanged tree has a manifest")
        if seen.renewed:
            made = replace(exact, root=seen.root, entries=seen.known)
            if self._written(lambda: manifest.prepare(self._job.data, made)):
                self._written(lambda: manifest.install(self._job.data, self._id, self._job.snapshot))
        return _as_before(shown)

    async def _begin(self) -> int:
        """The run's generation, begun in every store at the first call."""
        if not self._generation:
            base = self._base.generation if self._base else None
            known = [await one.store.generations(self._id) for one in self._targets]
            above = max((state.generation for states in known for state in states), default=0)
            self._generation = await self._ports.metadata.open_generation(self._id, base=base, above=above)
            for one in self._targets:
                await one.store.begin(self._id, generation=self._generation, base=one.base)
        return self._generation

    async def _still_there(self, entries: Mapping[str, Entry]) -> None:
        """
        :raises NotFound: the tree itself has vanished, and not only files in it
        """
        root = self._job.found.root
        if any(entry.reason == "vanished" for entry in entries.values()):
            again = await self._ports.source.describe(root)
            if again.root != root:
                raise NotFound(f"{root} vanished while it was read", remedy="index it again")

    async def _publish(self, commit: str, root: str, entries: dict[str, Entry], standing: Standing) -> None:
        """Seal, then flip. The manifest is prepared before and put in force after."""
        job = self._job
        generation = await self._begin()
        self._lease.check()
        await asyncio.gather(*(self._seal(one) for one in self._targets))
        inherited = standing.inherited
        options, since = (inherited.options, inherited.since) if inherited else (job.options, generation)
        made = Manifest(self._id, job.snapshot, generation, standing.line, root, options, since, entries)
        prepared = self._written(lambda: manifest.prepare(job.data, made))
        lock_id = await self._ports.lock.identity()
        files, chunks, size = _counts(entries)
        await self._lease.extend()
        reach("index.flip")
        self._flipping = True
        await self._ports.metadata.publish(
            Publication(
                repo_id=self._id,
                generation=generation,
                base=self._base.generation if self._base else None,
                snapshot=job.snapshot,
                revision=commit,
                files=files,
                chunks=chunks,
                bytes=size,
                stores=tuple(one.record for one in self._targets),
                skipped=tuple(
                    SkippedFile(path, entry.reason, entry.detail)
                    for path, entry in sorted(entries.items())
                    if entry.reason
                ),
                fence=Fence(self._ports.adapter_name("lock"), lock_id.store_id, self._lease.fence),
            )
        )
        reach("index.published")
        self._tell_of_others(standing)
        if prepared:
            self._written(lambda: manifest.install(job.data, self._id, job.snapshot))

    def _tell_of_others(self, standing: Standing) -> None:
        """Which other machine's index the flip has left behind."""
        for one in self._targets:
            apart = is_apart(one.store, self._ports.metadata)
            if apart and standing.shown is not None and kept_elsewhere(standing.shown, one.record):
                self.notes.append(
                    f"the {one.port} store of another machine, or index folder, held generation"
                    f" {standing.shown.generation} and is behind now: run codequay index there too"
                )

    async def _seal(self, one: Target) -> None:
        await one.store.seal(self._id, generation=self._generation)
        reach("index.sealed")

    def _written(self, write: Callable[[], None]) -> bool:
        """Whether the manifest could be written. Without it the next run is slower, and nothing else."""
        try:
            write()
        except OSError as exc:
            self.notes.append(f"the manifest could not be written, so the next run reads every file: {exc.strerror}")
            return False
        return True

    def _report(self, before: Manifest | None, entries: Mapping[str, Entry]) -> IndexReport:
        held = before.entries if before is not None else {}
        changed = sum((old := held.get(path)) is None or not one.same_content(old) for path, one in entries.items())
        blobs = {one.port: one.blobs for one in self._targets}
        files, chunks, size = _counts(entries)
        return IndexReport(
            generation=self._generation,
            files=files,
            chunks=chunks,
            bytes=size,
            changed_blobs=blobs.get("chunks", next(iter(blobs.values()), 0)),
            skipped=dict(Counter(entry.reason for entry in entries.values() if entry.reason)),
            seconds=0.0,
            snapshot=self._job.snapshot,
            changed_files=changed,
            removed_files=len(held.keys() - entries.keys()),
            blobs=blobs,
        )

    async def abandon(self) -> None:
        """Drop what a failed run has staged, so that no store keeps its writer open for it.

        Not once the flip was asked for: it may have happened.
        """
        if self._generation and not self._flipping:
            for one in self._targets:
                with suppress(PortError):
                    await one.store.drop(self._id, generation=self._generation)

    async def tidy(self, readable_s: float, *, write_anew: bool) -> None:
        """Drop what was superseded long enough ago, and what is dead. The run has succeeded: a failure is noted."""
        keep = self._job.settings.keep_generations
        try:
            await self._lease.extend()
            found = await garbage.find(self._ports, self._id, keep=keep, readable_s=readable_s)
            await garbage.delete(self._ports, self._id, found)
        except PortError as exc:
            self.notes.append(f"old generations were not dropped: {exc.message}")
            return
        try:
            if write_anew and await compaction.compaction_due(self._ports):
                await compaction.compact(self._ports)
        except PortError as exc:
            self.notes.append(f"the lexical index was not compacted: {exc.message}")


def _as_before(shown: Published) -> IndexReport:
    """The report of a run that published nothing."""
    return IndexReport(
        generation=shown.generation,
        files=shown.files,
        chunks=shown.chunks,
        changed_blobs=0,
        skipped=dict(shown.skipped),
        bytes=shown.bytes,
        seconds=0.0,
        snapshot=shown.snapshot,
    )


def _generations(*published: Published | None) -> set[int]:
    return {one.generation for one in published if one is not None}


def _counts(entries: Mapping[str, Entry]) -> tuple[int, int, int]:
    """Files, chunks and bytes of text that are indexed."""
    indexed = [entry for entry in entries.values() if entry.indexed]
    return len(indexed), sum(entry.chunks for entry in indexed), sum(entry.bytes for entry in indexed)
