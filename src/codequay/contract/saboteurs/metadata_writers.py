"""Metadata stores that are wrong in fences, races, cancelled or killed calls, limits, or in what they cost."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.generations import StoreIdentity
from codequay.ports.metadata import WORKTREE, MetadataCapabilities, Publication, Published, Repo
from codequay.ports.spec import Level

from ..harness import Harness
from . import Saboteur

_STATE = ("_numbers", "sync.repos", "sync._identity")
"""Where the reference keeps what it knows."""


class _Lagging:
    """The reference's sync face, which still shows the first answer of ``published``."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._shown: list[Published] = inner.published()

    def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        return self._shown

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class SyncLags(Saboteur):
    wrong = "the sync face does not see what was published since the store was opened"

    def __init__(self, inner: Any, harness: Harness) -> None:
        super().__init__(inner, harness)
        self.sync = _Lagging(inner.sync)


class FencesAsText(Saboteur):
    wrong = "fences are compared as text: 9 is above 10"

    async def publish(self, publication: Publication) -> Published:
        fence = publication.fence
        if fence is not None and fence.fence is not None:
            text = str(fence.fence).encode().ljust(20, b"\0")
            publication = replace(publication, fence=replace(fence, fence=int.from_bytes(text, "big")))
        found: Published = await self.inner.publish(publication)
        return found


class PurgeKeepsTheOpened(Saboteur):
    wrong = "what was opened before a purge can be published once the repository is put again"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._opened: dict[str, int] = {}

    async def purge(self, repo_id: str) -> None:
        state = self.inner.sync.repos.get(repo_id)
        if state is not None and state.opened is not None:
            self._opened[repo_id] = state.opened
        await self.inner.purge(repo_id)

    async def put_repo(self, repo: Repo) -> None:
        await self.inner.put_repo(repo)
        if repo.repo_id in self._opened:
            self.inner.sync.repos[repo.repo_id].opened = self._opened.pop(repo.repo_id)


class PublishInTwoSteps(Saboteur):
    wrong = "publish looks, waits, and writes"
    level = Level.CONCURRENCY

    async def publish(self, publication: Publication) -> Published:
        history: list[Published] = await self.inner.history(publication.repo_id)
        base = history[-1].generation if history else None
        if base != publication.base:
            raise Conflict("another was published")
        await asyncio.sleep(0)
        try:
            found: Published = await self.inner.publish(publication)
        except Conflict:
            history = await self.inner.history(publication.repo_id)
            return replace(history[-1], generation=publication.generation) if history else history[0]
        return found


class LimitByOne(Saboteur):
    wrong = "at the largest limit one is missing"
    level = Level.CAPABILITY
    capabilities = MetadataCapabilities(atomic_batch=True, max_limit=1001)

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> Any:
        page = await self.inner.scan(after=after, limit=limit)
        return replace(page, repos=page.repos[:-1]) if limit == self.capabilities.max_limit else page


class OpensInTwoSteps(Saboteur):
    wrong = "open_generation looks, waits, and takes a number"
    level = Level.CONCURRENCY

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        history = await self.inner.history(repo_id)
        newest = history[-1].generation if history else None
        if newest == base:
            await asyncio.sleep(0)
            history = await self.inner.history(repo_id)
            base = history[-1].generation if history else None
        return int(await self.inner.open_generation(repo_id, base=base, above=above))


class TornPurge(Saboteur):
    wrong = "a purge that is cancelled has taken the names away and nothing else"
    level = Level.CANCELLATION

    async def purge(self, repo_id: str) -> None:
        for one in await self.inner.snapshots([repo_id]):
            await self.inner.forget(repo_id, snapshot=one.snapshot)
        await asyncio.sleep(0)
        await self.inner.purge(repo_id)


class TornPublish(Saboteur):
    wrong = "a publish that is cancelled has taken the name from the generation before"
    level = Level.CANCELLATION

    async def publish(self, publication: Publication) -> Published:
        found: Published = await self.inner.publish(publication)
        state = self.inner.sync.repos[publication.repo_id]
        shown = state.shown.pop(publication.snapshot, None)
        await asyncio.sleep(0)
        if shown is not None:
            state.shown[publication.snapshot] = shown
        return found


class BusyAfterCancel(Saboteur):
    wrong = "a call that is cancelled leaves the store busy"
    level = Level.CANCELLATION
    _busy = False

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        if self._busy:
            raise Conflict("another call is under way")
        self._busy = True
        await asyncio.sleep(0)
        await self.inner.forget(repo_id, snapshot=snapshot)
        self._busy = False


class OneStore(Saboteur):
    wrong = "every store has the same id"
    level = Level.DURABILITY

    async def identity(self) -> StoreIdentity:
        return StoreIdentity("0" * 32, "one")


class NewStoreEachTime(Saboteur):
    wrong = "the store has another id after a reopen"
    level = Level.DURABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._identity = StoreIdentity(uuid.uuid4().hex, "another")

    async def identity(self) -> StoreIdentity:
        return self._identity


class SavesAtClose(Saboteur):
    wrong = "what was acknowledged is saved when the store is closed"
    level = Level.DURABILITY
    capabilities = MetadataCapabilities(atomic_batch=True, durable=True)

    def __init__(self, inner: Any, harness: Harness) -> None:
        super().__init__(inner, harness)
        self._file = harness.folder / "saved"
        if self._file.exists():
            for place, value in zip(_STATE, pickle.loads(self._file.read_bytes()), strict=True):  # noqa: S301 - written just before
                owner, _, name = place.rpartition(".")
                setattr(attrgetter(owner)(inner) if owner else inner, name, value)
        self.at_close(self._save)

    def _save(self) -> None:
        self._file.write_bytes(pickle.dumps(attrgetter(*_STATE)(self.inner)))


class TurnPerRepository(Saboteur):
    wrong = "every repository is looked up in a turn of its own"
    level = Level.BUDGET

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        for _ in (await self.inner.scan()).repos:
            self.turn()
        return list(await self.inner.published(repo_ids, snapshot=snapshot))


class TurnPerSkippedFile(Saboteur):
    wrong = "every skipped file is written in a turn of its own"
    level = Level.BUDGET

    async def publish(self, publication: Publication) -> Published:
        for _ in publication.skipped:
            self.turn()
        found: Published = await self.inner.publish(publication)
        return found


class PublishedOfItsOwn(Saboteur):
    wrong = "published does not see what another process has published"
    level = Level.CAPABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[Any, list[Published]] = {}

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        asked = None if repo_ids is None else tuple(repo_ids), snapshot
        if asked not in self._known:
            self._known[asked] = await self.inner.published(repo_ids, snapshot=snapshot)
        return list(self._known[asked])

    def __getattribute__(self, name: str) -> Any:
        if name not in ("publish", "forget", "purge"):
            return super().__getattribute__(name)

        async def forgetting(*args: Any, **options: Any) -> Any:
            try:
                return await getattr(self.inner, name)(*args, **options)
            finally:
                self._known.clear()

        return forgetting


class HeldByOneProcess(Saboteur):
    wrong = "one process holds the store's file, and another cannot open it meanwhile"
    level = Level.CAPABILITY
    over = "sqlite"

    def __init__(self, inner: Any, harness: Harness) -> None:
        super().__init__(inner, harness)
        held = sqlite3.connect(harness.folder / "held", timeout=0, isolation_level=None)
        self.at_close(held.close)
        held.execute("BEGIN EXCLUSIVE")
