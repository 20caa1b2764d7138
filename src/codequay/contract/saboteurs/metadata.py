"""Metadata stores that are wrong in one behaviour each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.errors import Conflict, FailedPrecondition, NotFound
from codequay.ports.metadata import WORKTREE, Publication, Published, Repo

from . import Saboteur
from .metadata_writers import (
    BusyAfterCancel,
    FencesAsText,
    HeldByOneProcess,
    LimitByOne,
    NewStoreEachTime,
    OneStore,
    OpensInTwoSteps,
    PublishedOfItsOwn,
    PublishInTwoSteps,
    PurgeKeepsTheOpened,
    SavesAtClose,
    SyncLags,
    TornPublish,
    TornPurge,
    TurnPerRepository,
    TurnPerSkippedFile,
)

__all__ = [
    "BusyAfterCancel",
    "FencesAsText",
    "HeldByOneProcess",
    "LimitByOne",
    "NewStoreEachTime",
    "OneStore",
    "OpensInTwoSteps",
    "PublishInTwoSteps",
    "PublishedOfItsOwn",
    "PurgeKeepsTheOpened",
    "TornPublish",
    "TornPurge",
    "SavesAtClose",
    "SyncLags",
    "TurnPerRepository",
    "TurnPerSkippedFile",
]


class FirstRepoStays(Saboteur):
    wrong = "put_repo does not replace what it knows"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: set[str] = set()

    async def put_repo(self, repo: Repo) -> None:
        if repo.repo_id not in self._known:
            self._known.add(repo.repo_id)
            await self.inner.put_repo(repo)


class ForgetsOnPut(Saboteur):
    wrong = "put_repo forgets what was published"

    async def put_repo(self, repo: Repo) -> None:
        await self.inner.purge(repo.repo_id)
        await self.inner.put_repo(repo)


class ScanIgnoresLimit(Saboteur):
    wrong = "scan gives everything at once"

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> Any:
        return await self.inner.scan(after=after, limit=10_000)


class ScanRepeats(Saboteur):
    wrong = "scan goes on with the repository that it ended with"

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> Any:
        page = await self.inner.scan(limit=10_000)
        repos = [repo for repo in page.repos if after is None or repo.repo_id >= after]
        return replace(page, repos=tuple(repos[:limit]), after=repos[limit - 1].repo_id if len(repos) > limit else None)


class NumbersFromPublished(Saboteur):
    wrong = "an abandoned number is given again"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._off: dict[tuple[str, int], int] = {}

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        real = int(await self.inner.open_generation(repo_id, base=base, above=above))
        shown = (base or 0) + 1
        self._off[repo_id, shown] = real
        return shown

    async def publish(self, publication: Publication) -> Published:
        real = self._off.get((publication.repo_id, publication.generation), publication.generation)
        found: Published = await self.inner.publish(replace(publication, generation=real))
        return replace(found, generation=publication.generation)


class NumbersAfterPurge(Saboteur):
    wrong = "numbers begin again after purge"

    async def purge(self, repo_id: str) -> None:
        await self.inner.purge(repo_id)
        self.inner._numbers.pop(repo_id, None)


class UnknownRepoOpens(Saboteur):
    wrong = "a generation of an unknown repository can be opened"

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        try:
            return int(await self.inner.open_generation(repo_id, base=base, above=above))
        except NotFound:
            return 1


class AnyBaseOpens(Saboteur):
    wrong = "open_generation takes any base"

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        history = await self.inner.history(repo_id)
        newest = history[-1].generation if history else None
        return int(await self.inner.open_generation(repo_id, base=newest, above=above))


class LastPublisherWins(Saboteur):
    wrong = "publish does not compare"

    async def publish(self, publication: Publication) -> Published:
        try:
            found: Published = await self.inner.publish(publication)
        except Conflict:
            history = await self.inner.history(publication.repo_id)
            base = history[-1].generation if history else None
            number = await self.inner.open_generation(publication.repo_id, base=base)
            found = await self.inner.publish(replace(publication, generation=number, base=base, fence=None))
        return found


class ConflictIsSilent(Saboteur):
    wrong = "a publish that is refused says nothing"

    async def publish(self, publication: Publication) -> Any:
        try:
            return await self.inner.publish(publication)
        except Conflict:
            return None


class IgnoresFence(Saboteur):
    wrong = "the fence is not looked at"

    async def publish(self, publication: Publication) -> Published:
        found: Published = await self.inner.publish(replace(publication, fence=None))
        return found


class FenceOfAnyLock(Saboteur):
    wrong = "fences of different locks are compared"

    async def publish(self, publication: Publication) -> Published:
        fence = publication.fence
        if fence is not None:
            publication = replace(publication, fence=replace(fence, adapter="one", store_id="one"))
        found: Published = await self.inner.publish(publication)
        return found


class PublishOnce(Saboteur):
    wrong = "publish repeated is refused"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._done: set[tuple[str, int]] = set()

    async def publish(self, publication: Publication) -> Published:
        key = publication.repo_id, publication.generation
        if key in self._done:
            raise Conflict("published already")
        found: Published = await self.inner.publish(publication)
        self._done.add(key)
        return found


class OneNameOnly(Saboteur):
    wrong = "every snapshot has the same name"

    async def publish(self, publication: Publication) -> Published:
        found: Published = await self.inner.publish(replace(publication, snapshot=WORKTREE))
        return found


class PublishedLater(Saboteur):
    wrong = "what is published is seen one publish later"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._before: list[Published] = []
        self._now: list[Published] = []

    async def publish(self, publication: Publication) -> Published:
        found: Published = await self.inner.publish(publication)
        self._before, self._now = self._now, list(await self.inner.published())
        return found

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        real = list(await self.inner.published(repo_ids, snapshot=snapshot))
        return [one for one in real if one in self._before] if snapshot == WORKTREE else real


class LosesStores(Saboteur):
    wrong = "which stores hold a generation is not kept"

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        return [replace(one, stores=()) for one in await self.inner.published(repo_ids, snapshot=snapshot)]


class HistoryOfOne(Saboteur):
    wrong = "history gives the newest generation only"

    async def history(self, repo_id: str) -> list[Published]:
        return list(await self.inner.history(repo_id))[-1:]


class NewestFirst(Saboteur):
    wrong = "history gives the newest first"

    async def history(self, repo_id: str) -> list[Published]:
        return list(reversed(await self.inner.history(repo_id)))


class RetiresShown(Saboteur):
    wrong = "retire of a shown generation is silent"

    async def retire(self, repo_id: str, *, generation: int) -> None:
        try:
            await self.inner.retire(repo_id, generation=generation)
        except FailedPrecondition:
            return


class RetiresNothing(Saboteur):
    wrong = "retire only says so"

    async def retire(self, repo_id: str, *, generation: int) -> None:
        if any(one.generation == generation for one in await self.inner.published([repo_id])):
            raise FailedPrecondition("it is shown")


class LosesDetails(Saboteur):
    wrong = "skipped forgets details"

    async def skipped(self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000) -> Any:
        page = await self.inner.skipped(repo_id, generation=generation, after=after, limit=limit)
        return replace(page, files=tuple(file._replace(detail="") for file in page.files))


class SkippedWithoutCase(Saboteur):
    wrong = "skipped files are ordered without regard to case"

    async def skipped(self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000) -> Any:
        page = await self.inner.skipped(repo_id, generation=generation, limit=10_000)
        files = sorted(page.files, key=lambda file: file.path.lower())
        paths = [file.path for file in files]
        rest = files[paths.index(after) + 1 :] if after in paths else files
        return replace(page, files=tuple(rest[:limit]), after=rest[limit - 1].path if len(rest) > limit else None)


class RetiredLeavesSkipped(Saboteur):
    wrong = "the skipped files of a retired generation are still given"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left: dict[tuple[str, int], Any] = {}

    async def retire(self, repo_id: str, *, generation: int) -> None:
        left = await self.inner.skipped(repo_id, generation=generation)
        await self.inner.retire(repo_id, generation=generation)
        self._left.setdefault((repo_id, generation), left)

    async def skipped(self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000) -> Any:
        found = await self.inner.skipped(repo_id, generation=generation, after=after, limit=limit)
        return self._left.get((repo_id, generation), found)


class SkippedIgnoresLimit(Saboteur):
    wrong = "skipped gives everything at once"

    async def skipped(self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000) -> Any:
        return await self.inner.skipped(repo_id, generation=generation, after=after, limit=10_000)


class PurgesByPrefix(Saboteur):
    wrong = "purge takes every repository whose id begins so"

    async def purge(self, repo_id: str) -> None:
        for repo in (await self.inner.scan(limit=10_000)).repos:
            if repo.repo_id.startswith(repo_id):
                await self.inner.purge(repo.repo_id)
        await self.inner.purge(repo_id)


class ForgetsEveryName(Saboteur):
    wrong = "forget takes every name of the repository away"

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        for one in await self.inner.snapshots([repo_id]):
            await self.inner.forget(repo_id, snapshot=one.snapshot)


class ForgetsNothing(Saboteur):
    wrong = "forget only says so"

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        await asyncio.sleep(0)


class ForgetsTheKnown(Saboteur):
    wrong = "forget of an unknown repository is an error"

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        if all(repo.repo_id != repo_id for repo in (await self.inner.scan(limit=10_000)).repos):
            raise NotFound(f"no repository {repo_id}")
        await self.inner.forget(repo_id, snapshot=snapshot)


class SnapshotsOfTheWorktree(Saboteur):
    wrong = "snapshots leaves out the other names"

    async def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        return [one for one in await self.inner.snapshots(repo_ids) if one.snapshot == WORKTREE]


class OrderWithoutCase(Saboteur):
    wrong = "repositories are ordered without regard to case"

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> Any:
        page = await self.inner.scan(limit=10_000)
        repos = sorted(page.repos, key=lambda repo: repo.repo_id.lower())
        ids = [repo.repo_id for repo in repos]
        rest = repos[ids.index(after) + 1 :] if after in ids else repos
        return replace(page, repos=tuple(rest[:limit]), after=rest[limit - 1].repo_id if len(rest) > limit else None)


class PublishedByPrefix(Saboteur):
    wrong = "published gives every repository whose id begins so"

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        found = list(await self.inner.published(snapshot=snapshot))
        return [one for one in found if repo_ids is None or one.repo_id.startswith(tuple(repo_ids))]


class NoneIsAll(Saboteur):
    wrong = "snapshots of no repository are those of all"

    async def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        return list(await self.inner.snapshots(repo_ids or None))


class IgnoresAbove(Saboteur):
    wrong = "what other stores know of numbers is ignored"

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        return int(await self.inner.open_generation(repo_id, base=base))


class RetiredIsPublishedAgain(Saboteur):
    wrong = "what was retired can be published again"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[tuple[str, int], Publication] = {}

    async def publish(self, publication: Publication) -> Published:
        key = publication.repo_id, publication.generation
        try:
            found: Published = await self.inner.publish(publication)
        except Conflict:
            if self._known.get(key) != publication:
                raise
            state = self.inner.sync.repos.get(publication.repo_id)
            if state is None or state.head != publication.base:
                raise
            state.opened = publication.generation
            found = await self.inner.publish(publication)
        self._known[key] = publication
        return found


class FencesSurvivePurge(Saboteur):
    wrong = "the fences of a purged repository are remembered"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: dict[tuple[str, str, str], int] = {}

    async def publish(self, publication: Publication) -> Published:
        found: Published = await self.inner.publish(publication)
        fence = publication.fence
        if fence is not None and fence.fence is not None:
            lock = publication.repo_id, fence.adapter, fence.store_id
            if fence.fence < self._seen.get(lock, 0):
                raise Conflict("a lower fence")
            self._seen[lock] = fence.fence
        return found


class HiddenNow(Saboteur):
    wrong = "hidden_at is the time of asking"

    async def history(self, repo_id: str) -> list[Published]:
        now = self.harness.clock.time()
        found = await self.inner.history(repo_id)
        return [one if one.hidden_at is None else replace(one, hidden_at=now) for one in found]


class HiddenByAnyName(Saboteur):
    wrong = "a generation counts as hidden when any newer one is published"

    async def history(self, repo_id: str) -> list[Published]:
        found = list(await self.inner.history(repo_id))
        return [replace(one, hidden_at=one.hidden_at or one.published_at) for one in found[:-1]] + found[-1:]


class CountsEveryEntry(Saboteur):
    wrong = "a skipped file that is named twice is counted twice"

    async def publish(self, publication: Publication) -> Published:
        found: Published = await self.inner.publish(publication)
        reasons = [file.reason for file in publication.skipped]
        return replace(found, skipped={reason: reasons.count(reason) for reason in reasons})
