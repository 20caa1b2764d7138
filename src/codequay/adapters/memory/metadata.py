"""The reference metadata store."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from codequay.ports.errors import Conflict, FailedPrecondition, NotFound
from codequay.ports.generations import StoreIdentity
from codequay.ports.metadata import (
    WORKTREE,
    Fence,
    Publication,
    Published,
    Repo,
    RepoPage,
    SkippedFile,
    SkippedPage,
)
from codequay.ports.spec import BuildContext, Clock

FORMAT = "memory-metadata-1"


@asynccontextmanager
async def open_metadata(config: object, ctx: BuildContext) -> AsyncIterator[MemoryMetadata]:
    """An empty store; what it holds is gone when it closes."""
    yield MemoryMetadata(ctx.clock)


@dataclass(slots=True)
class _Repo:
    repo: Repo
    opened: int | None = None
    """The one generation that may be published next."""
    shown: dict[str, int] = field(default_factory=dict)
    """Snapshot -> generation."""
    kept: dict[int, tuple[Publication, Published]] = field(default_factory=dict)
    fences: dict[tuple[str, str], int] = field(default_factory=dict)
    """(lock adapter, lock store id) -> the highest fence seen."""

    @property
    def head(self) -> int | None:
        """The newest generation that is kept, whichever its snapshot."""
        return max(self.kept, default=None)


class _Reads:
    """The state, and the sync face over it."""

    def __init__(self) -> None:
        self._identity = StoreIdentity(uuid.uuid4().hex, FORMAT)
        self.repos: dict[str, _Repo] = {}
        self.lock = threading.RLock()

    def identity(self) -> StoreIdentity:
        return self._identity

    def scan(self, *, after: str | None = None, limit: int = 1000) -> RepoPage:
        with self.lock:
            rest = [state.repo for repo_id, state in sorted(self.repos.items()) if after is None or repo_id > after]
        taken = tuple(rest[:limit])
        return RepoPage(taken, taken[-1].repo_id if len(rest) > limit else None)

    def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        with self.lock:
            return [
                state.kept[state.shown[snapshot]][1]
                for repo_id, state in sorted(self.repos.items())
                if (repo_ids is None or repo_id in repo_ids) and snapshot in state.shown
            ]

    def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        with self.lock:
            return [
                state.kept[generation][1]
                for repo_id, state in sorted(self.repos.items())
                if repo_ids is None or repo_id in repo_ids
                for _, generation in sorted(state.shown.items())
            ]


class MemoryMetadata:
    """``MetadataStore`` over dictionaries. Numbers survive ``purge``: they are kept apart."""

    def __init__(self, clock: Clock) -> None:
        self.sync = _Reads()
        self._clock = clock
        self._numbers: Counter[str] = Counter()

    async def identity(self) -> StoreIdentity:
        return self.sync.identity()

    async def put_repo(self, repo: Repo) -> None:
        with self.sync.lock:
            state = self.sync.repos.setdefault(repo.repo_id, _Repo(repo))
            state.repo = repo

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> RepoPage:
        return self.sync.scan(after=after, limit=limit)

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        with self.sync.lock:
            state = self.sync.repos.get(repo_id)
            if state is None:
                raise NotFound(f"repository {repo_id!r} is unknown")
            if state.head != base:
                raise Conflict(f"generation {state.head} of {repo_id!r} is published, not {base}")
            self._numbers[repo_id] = max(self._numbers[repo_id], above) + 1
            state.opened = self._numbers[repo_id]
            return state.opened

    async def publish(self, publication: Publication) -> Published:
        with self.sync.lock:
            return self._publish(publication)

    def _publish(self, p: Publication) -> Published:
        state = self.sync.repos.get(p.repo_id)
        if state is None:
            raise Conflict(f"repository {p.repo_id!r} has been forgotten since generation {p.generation} was opened")
        kept = state.kept.get(p.generation)
        if kept is not None and _essence(kept[0]) == _essence(p):
            return kept[1]
        if state.opened != p.generation or state.head != p.base:
            raise Conflict(
                f"generation {p.generation} of {p.repo_id!r} upon {p.base} comes too late: "
                f"{state.head} is published, {state.opened} was opened last"
            )
        _raise_fence(state, p.fence)
        published = Published(
            repo_id=p.repo_id,
            generation=p.generation,
            snapshot=p.snapshot,
            revision=p.revision,
            dirty=p.dirty,
            files=p.files,
            chunks=p.chunks,
            bytes=p.bytes,
            published_at=self._clock.time(),
            stores=p.stores,
            skipped=dict(Counter(file.reason for file in _by_path(p).values())),
        )
        self._hide(state, p.snapshot)
        state.kept[p.generation] = (p, published)
        state.shown[p.snapshot] = p.generation
        state.opened = None
        return published

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        return self.sync.published(repo_ids, snapshot=snapshot)

    async def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        return self.sync.snapshots(repo_ids)

    async def history(self, repo_id: str) -> list[Published]:
        with self.sync.lock:
            state = self.sync.repos.get(repo_id)
            return [published for _, (_, published) in sorted(state.kept.items())] if state else []

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        with self.sync.lock:
            state = self.sync.repos.get(repo_id)
            if state is not None:
                self._hide(state, snapshot)

    def _hide(self, state: _Repo, snapshot: str) -> None:
        """Take the name from the generation that it shows."""
        generation = state.shown.pop(snapshot, None)
        if generation is not None:
            publication, published = state.kept[generation]
            state.kept[generation] = (publication, replace(published, hidden_at=self._clock.time()))

    async def retire(self, repo_id: str, *, generation: int) -> None:
        with self.sync.lock:
            state = self.sync.repos.get(repo_id)
            if state is None:
                return
            if generation in state.shown.values():
                raise FailedPrecondition(f"a snapshot of {repo_id!r} shows generation {generation}")
            state.kept.pop(generation, None)

    async def skipped(
        self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000
    ) -> SkippedPage:
        with self.sync.lock:
            state = self.sync.repos.get(repo_id)
            kept = state.kept.get(generation) if state else None
        files = _by_path(kept[0]) if kept else {}
        rest = [file for path, file in sorted(files.items()) if after is None or path > after]
        taken = tuple(rest[:limit])
        return SkippedPage(taken, taken[-1].path if len(rest) > limit else None)

    async def purge(self, repo_id: str) -> None:
        with self.sync.lock:
            self.sync.repos.pop(repo_id, None)


def _essence(p: Publication) -> Publication:
    """What must be equal for a publication to be the same again."""
    return replace(p, fence=None, skipped=())


def _by_path(p: Publication) -> dict[str, SkippedFile]:
    return {file.path: file for file in p.skipped}


def _raise_fence(state: _Repo, fence: Fence | None) -> None:
    if fence is None or fence.fence is None:
        return
    lock = (fence.adapter, fence.store_id)
    if fence.fence < state.fences.get(lock, fence.fence):
        raise Conflict(f"fence {fence.fence} is below {state.fences[lock]}: another writer took the lock since")
    state.fences[lock] = fence.fence
