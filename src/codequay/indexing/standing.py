"""Where a repository stands before a run: what is published, from which tree, and what each store holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from codequay.ports.chunks import ChunkStore
from codequay.ports.errors import NotIndexed
from codequay.ports.lexical import LexicalIndex
from codequay.ports.lock import Lock
from codequay.ports.metadata import MetadataStore, Published, Repo, StoreRecord
from codequay.ports.source import SourceControl, SourceRepo

from . import manifest
from .changes import Survey
from .filling import FillOptions, Target, takes_writes
from .manifest import Manifest
from .version import CHUNKER


class IndexOptions(FillOptions, Protocol):
    """What an index run reads of the settings."""

    @property
    def enable(self) -> Sequence[str]: ...
    @property
    def keep_generations(self) -> int: ...
    @property
    def refresh_files(self) -> int: ...


class IndexPorts(Protocol):
    """The ports of an index run."""

    @property
    def chunks(self) -> ChunkStore: ...
    @property
    def lexical(self) -> LexicalIndex: ...
    @property
    def metadata(self) -> MetadataStore: ...
    @property
    def source(self) -> SourceControl: ...
    @property
    def lock(self) -> Lock: ...
    def adapter_name(self, port: str, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is asked to do; see ``index_repository``."""

    repo: Repo
    found: SourceRepo
    settings: IndexOptions
    data: Path
    snapshot: str
    revision: str | None
    only: tuple[str, ...]
    fill_cold: bool

    @property
    def options(self) -> str:
        """What decides, beside the files, how they are cut."""
        return f"{CHUNKER}/{self.settings.chunk_bytes}/{self.settings.scan_budget_ms:g}"

    def fits(self, made: Manifest) -> bool:
        """Whether what was made can stay. Before a search it can: only an index run cuts anew what did not change."""
        return made.options == self.options or not self.fill_cold

    def means(self, port: str) -> bool:
        """Whether the run is about this store."""
        return not self.only or port in self.only


@dataclass(slots=True)
class Standing:
    """``shown`` is what the snapshot shows, ``newest`` the repository's last generation under whichever name: the next
    one is built upon it. ``own`` and ``base`` are their manifests, ``own`` perhaps of an older generation."""

    job: Job
    line: str
    """Id of the metadata store."""
    newest: Published | None
    shown: Published | None
    own: Manifest | None
    base: Manifest | None
    targets: list[Target] = field(default_factory=list)

    @property
    def exact(self) -> Manifest | None:
        """What the snapshot shows, when that is known and can stay."""
        if self.own is None or self.shown is None or self.own.generation != self.shown.generation:
            return None
        return self.own if self.job.fits(self.own) else None

    @property
    def priors(self) -> list[Manifest]:
        """The manifests that tell what a file's bytes were cut into."""
        return [one for one in (self.own, self.base) if one is not None and self.job.fits(one)]

    @property
    def inherited(self) -> Manifest | None:
        """The manifest of the newest generation, when what that was made with holds for the next one."""
        return self.base if self.base is not None and self.job.fits(self.base) else None

    def held(self) -> bool:
        """Whether all stores that the run is about hold what is shown."""
        shown = self.shown
        return shown is not None and all(
            one.holds(shown, self.job.data) for one in self.targets if self.job.means(one.port)
        )

    def joinable(self, ports: IndexPorts) -> Target | None:
        """The lexical index of this machine, where it alone lacks what is shown and another machine's holds that.

        Not where the files were cut otherwise before: then they are cut anew.
        """
        shown, job = self.shown, self.job
        here = {one.port: one for one in self.targets}
        if shown is None or here.keys() != {"chunks", "lexical"} or not job.means("lexical"):
            return None
        lexical = here["lexical"]
        if lexical.holds(shown, job.data) or not here["chunks"].holds(shown, job.data):
            return None
        if max(lexical.sealed, default=0) > shown.generation:  # a generation is begun above what is there
            return None
        if not is_apart(ports.lexical, ports.metadata) or not kept_elsewhere(shown, lexical.record):
            return None
        return lexical if job.fill_cold and (self.own is None or job.fits(self.own)) else None

    def refuse_to_fill(self) -> None:
        """
        :raises NotIndexed: bringing the snapshot up to date would take more than the files that changed
        """
        if self.newest is None:
            raise NotIndexed(f"{self.job.repo.repo_id} has no index", remedy=self._remedy)
        cold = [one.port for one in self.targets if one.base is None]
        if cold:
            raise NotIndexed(f"the {' and the '.join(cold)} store must be filled first", remedy=self._remedy)
        if self.base is None:
            what = f"it is not known what the index of {self.job.repo.repo_id} was made from"
            raise NotIndexed(what, remedy=self._remedy)

    def refuse_to_catch_up(self, seen: Survey) -> None:
        """Called after ``recall``, for a store that was swapped out and is back.

        :raises NotIndexed: more files have changed meanwhile than somebody waits for
        """
        for one in self.targets:
            if self.newest is None or one.base == self.newest.generation:
                continue
            count = len(seen.fresh) + len(one.gone(seen.known))
            count += sum(one.wants(path, entry) for path, entry in seen.known.items())
            if count > self.job.settings.refresh_files:
                raise NotIndexed(f"the {one.port} store is behind by {count} files", remedy=self._remedy)

    @property
    def _remedy(self) -> str:
        return f"codequay index {self.job.found.root}"

    async def recall(self) -> None:
        """Fill in what each store holds: the newest generation's manifest says it, else the store itself."""
        base = self.inherited
        for one in self.targets:
            if one.base is None:
                continue
            one.trusted = base is not None and base.since <= one.base
            if base is not None and base.generation == one.base:
                one.held = base.entries
            else:
                await one.recall(self.job.repo.repo_id)

    def choose(self, seen: Survey) -> tuple[list[Target], list[str]]:
        """The stores to write: those that the run is about, and those that need nothing but to be carried along.

        And lines about those that are left out.
        """
        chosen: list[Target] = []
        notes: list[str] = []
        for one in self.targets:
            if not self.job.means(one.port) and (
                one.base is None
                or seen.fresh
                or one.gone(seen.known)
                or any(one.wants(path, entry) for path, entry in seen.known.items())
            ):
                notes.append(f"the {one.port} store was left out and is behind: codequay index fills it")
            else:
                chosen.append(one)
        return chosen, notes


async def stand(ports: IndexPorts, job: Job) -> Standing:
    """Look up where the repository stands; the stores' content comes later, with ``recall``."""
    repo_id = job.repo.repo_id
    history = await ports.metadata.history(repo_id)
    newest = history[-1] if history else None
    shown = next(iter(await ports.metadata.published([repo_id], snapshot=job.snapshot)), None)
    line = (await ports.metadata.identity()).store_id

    def loaded(snapshot: str, of: Published | None) -> Manifest | None:
        return manifest.load(job.data, repo_id, snapshot, line=line, generation=of.generation if of else None)

    own = loaded(job.snapshot, shown)
    base = None
    if newest is not None:
        base = own
        if own is None or own.generation != newest.generation:
            base = loaded(newest.snapshot, newest)
            base = base if base is not None and base.generation == newest.generation else None
    return Standing(job, line, newest, shown, own, base, await _targets(ports, job, history))


async def _targets(ports: IndexPorts, job: Job, history: Sequence[Published]) -> list[Target]:
    """Every enabled store, each upon the newest generation that it holds and that was published with it."""
    stores: dict[str, ChunkStore | LexicalIndex] = {"chunks": ports.chunks, "lexical": ports.lexical}
    targets = []
    for port, store in stores.items():
        if port not in job.settings.enable or not takes_writes(store):
            continue
        identity = await store.identity()
        record = StoreRecord(port, ports.adapter_name(port), identity.store_id, f"{identity.fingerprint}+{CHUNKER}")
        sealed = frozenset(state.generation for state in await store.generations(job.repo.repo_id) if state.sealed)
        target = Target(port, store, record, sealed)
        target.base = next((one.generation for one in reversed(history) if target.holds(one, job.data)), None)
        targets.append(target)
    return targets


def is_apart(store: object, metadata: object) -> bool:
    """Whether the store is this machine's while other machines see the metadata too."""
    reaches = [getattr(getattr(one, "capabilities", None), "reach", "process") for one in (store, metadata)]
    return reaches[0] != "network" and reaches[1] == "network"


def kept_elsewhere(one: Published, store: StoreRecord) -> bool:
    """Whether the generation was published with a store like this one, which was another."""
    alike = [record for record in one.stores if (record.port, record.adapter) == (store.port, store.adapter)]
    return any(record.fingerprint == store.fingerprint and record.store_id != store.store_id for record in alike)
