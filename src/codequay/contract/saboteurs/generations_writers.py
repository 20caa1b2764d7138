"""Stores of generations that are wrong when calls meet, are cut or are counted, or the process dies."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.errors import NotIndexed, ResourceExhausted
from codequay.ports.generations import GenerationState, ScopeEntry, StageResult, StoreIdentity
from codequay.ports.spec import Level

from . import Saboteur


class SealsTooEarly(Saboteur):
    wrong = "a generation is listed as sealed before it can be read"
    level = Level.CONCURRENCY

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._early: set[tuple[str, int]] = set()

    async def seal(self, repo_id: str, *, generation: int) -> None:
        self._early.add((repo_id, generation))
        try:
            for _ in range(4):
                await asyncio.sleep(0)
            await self.inner.seal(repo_id, generation=generation)
        finally:
            self._early.discard((repo_id, generation))

    async def generations(self, repo_id: str) -> list[GenerationState]:
        found = await self.inner.generations(repo_id)
        return [replace(one, sealed=one.sealed or (repo_id, one.generation) in self._early) for one in found]


class LosesStageCalls(Saboteur):
    wrong = "of stage calls made at once only the first counts"
    level = Level.CONCURRENCY

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._staging: set[str] = set()

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        if repo_id in self._staging:
            return StageResult(0, len(files))
        self._staging.add(repo_id)
        try:
            await asyncio.sleep(0)
            return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)
        finally:
            self._staging.discard(repo_id)


class BeginsUnasked(Saboteur):
    wrong = "stage looks whether its generation is there, and then stages into the one that is there later"
    level = Level.CONCURRENCY

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        known = [one.generation for one in await self.inner.generations(repo_id) if not one.sealed]
        await asyncio.sleep(0)
        later = [one.generation for one in await self.inner.generations(repo_id) if not one.sealed]
        if generation in known and later:
            generation = later[0]
        return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)


class ReadsInTwoSteps(Saboteur):
    """Without a snapshot. A subclass names it."""

    async def later(self, scope: Any) -> list[ScopeEntry]:
        """The scope, less what is gone since it was found to be readable."""
        await self.inner.stats(scope=scope)
        for _ in range(2):
            await asyncio.sleep(0)
        found = [ScopeEntry(*entry) for entry in scope]
        return [e for e in found if GenerationState(e.generation, True) in await self.inner.generations(e.repo_id)]


class ScansInTwoSteps(ReadsInTwoSteps):
    wrong = "scan finds that its generations are there, and then reads of those that are there later"
    level = Level.CONCURRENCY

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        return await self.inner.scan(scope=await self.later(scope), after=after, limit=limit)


class CountsInTwoSteps(ReadsInTwoSteps):
    wrong = "stats finds that its generations are there, and then counts those that are there later"
    level = Level.CONCURRENCY

    async def stats(self, *, scope: Any) -> Any:
        return await self.inner.stats(scope=await self.later(scope))


class TornBatch(Saboteur):
    wrong = "a batch is staged file by file, so that a cancelled one is half there"
    level = Level.CANCELLATION

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        result = await self.inner.stage(repo_id, generation=generation, files=(), removed=removed)
        for file in files:
            await asyncio.sleep(0)
            result = await self.inner.stage(repo_id, generation=generation, files=[file])
        return result


class LeavesTasks(Saboteur):
    wrong = "a cancelled stage goes on in the background"
    level = Level.CANCELLATION

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        async def later() -> Any:
            await asyncio.sleep(30)

        task = asyncio.create_task(later(), name="still at it")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        task.cancel()
        return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)


class TornDrop(Saboteur):
    wrong = "drop deletes the files, and then the generation"
    level = Level.CANCELLATION

    async def drop(self, repo_id: str, *, generation: int) -> None:
        held = self.inner.sync._repos.get(repo_id, {}).get(generation)
        if held is not None:
            held.files.clear()
        await asyncio.sleep(0)
        await self.inner.drop(repo_id, generation=generation)


class LeaksConnections(Saboteur):
    wrong = "a cancelled read does not give its connection back"
    level = Level.CANCELLATION

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lost = False

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        if self._lost:
            raise ResourceExhausted("no connection is left")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._lost = True
            raise
        return await self.inner.scan(scope=scope, after=after, limit=limit)


class CopiesTheBase(Saboteur):
    wrong = "begin carries the base over file by file"
    level = Level.BUDGET

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self.inner.begin(repo_id, generation=generation, base=base)
        if base is not None:
            for _ in (await self.inner.scan(scope=[ScopeEntry(repo_id, base)], limit=10_000)).files:
                self.turn()


class StagesOneByOne(Saboteur):
    wrong = "stage asks the server once for each file"
    level = Level.BUDGET

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        for _ in files:
            self.turn()
        return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)


class LosesTheNewest(Saboteur):
    """Over a durable store. A subclass names it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        open_ = self.harness.folder / "open"
        self._crashed = open_.exists()
        open_.touch()
        self.at_close(open_.unlink)

    async def generations(self, repo_id: str) -> list[GenerationState]:
        found: list[GenerationState] = await self.inner.generations(repo_id)
        if self._crashed and found:
            self._crashed = False
            await self.inner.drop(repo_id, generation=found[-1].generation)
            return found[:-1]
        return found


class NewIdentity(Saboteur):
    """Over a durable store. A subclass names it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._id = uuid.uuid4().hex

    async def identity(self) -> StoreIdentity:
        found: StoreIdentity = await self.inner.identity()
        return replace(found, store_id=self._id)


class KnowsItsOwn(Saboteur):
    """It looks up once which generations are sealed, and again when its own process has written."""

    level = Level.CAPABILITY

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._sealed: dict[str, set[int]] = {}
        self._writing = 0

    async def scan(self, *, scope: Sequence[ScopeEntry], after: Any = None, limit: int = 1000) -> Any:
        for repo_id, generation in [] if self._writing else scope:
            sealed = self._sealed
            if repo_id not in sealed:
                sealed[repo_id] = {one.generation for one in await self.inner.generations(repo_id) if one.sealed}
            if generation not in sealed[repo_id]:
                raise NotIndexed(f"generation {generation} of {repo_id!r} is not sealed here")
        return await self.inner.scan(scope=scope, after=after, limit=limit)

    def __getattribute__(self, name: str) -> Any:
        if name not in ("begin", "seal", "drop", "purge"):
            return super().__getattribute__(name)

        async def forgetting(*args: Any, **options: Any) -> Any:
            self._writing += 1
            try:
                return await getattr(self.inner, name)(*args, **options)
            finally:
                self._writing -= 1
                self._sealed = {}

        return forgetting
