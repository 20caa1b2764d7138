"""Stores of generations that are wrong in one behaviour each; used for chunks and for lexical."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.errors import Conflict, FailedPrecondition, NotIndexed
from codequay.ports.generations import GenerationState, ScopeEntry, StageResult, StoreIdentity
from codequay.ports.spec import Level

from . import Saboteur


class SameIdentity(Saboteur):
    wrong = "every store has the same id"
    level = Level.DURABILITY

    async def identity(self) -> StoreIdentity:
        found: StoreIdentity = await self.inner.identity()
        return replace(found, store_id="store")


class BaseForgotten(Saboteur):
    wrong = "a generation starts empty whatever its base"

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        if base is not None and GenerationState(base, True) not in await self.inner.generations(repo_id):
            raise NotIndexed(f"no generation {base}")
        await self.inner.begin(repo_id, generation=generation, base=None)


class UnknownBaseIsEmpty(Saboteur):
    wrong = "begin upon a base that is not there starts from nothing"

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        try:
            await self.inner.begin(repo_id, generation=generation, base=base)
        except NotIndexed:
            await self.inner.begin(repo_id, generation=generation, base=None)


class BeginsOnTop(Saboteur):
    wrong = "begin again keeps what was staged before"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._begun: set[tuple[str, int]] = set()

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        if (repo_id, generation) not in self._begun:
            self._begun.add((repo_id, generation))
            await self.inner.begin(repo_id, generation=generation, base=base)


class OlderWriterGoesOn(Saboteur):
    wrong = "stage into a generation that a newer writer dropped is swallowed"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        try:
            return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)
        except Conflict:
            return None


class SealsAnything(Saboteur):
    wrong = "seal of a generation that was not begun is silent"

    async def seal(self, repo_id: str, *, generation: int) -> None:
        try:
            await self.inner.seal(repo_id, generation=generation)
        except Conflict:
            return


class SealsOnce(Saboteur):
    wrong = "seal again is refused"

    async def seal(self, repo_id: str, *, generation: int) -> None:
        if GenerationState(generation, True) in await self.inner.generations(repo_id):
            raise FailedPrecondition("sealed already")
        await self.inner.seal(repo_id, generation=generation)


class DropsOnce(Saboteur):
    wrong = "drop of an unknown generation is refused"

    async def drop(self, repo_id: str, *, generation: int) -> None:
        if all(one.generation != generation for one in await self.inner.generations(repo_id)):
            raise FailedPrecondition("no such generation")
        await self.inner.drop(repo_id, generation=generation)


class DropsOlderToo(Saboteur):
    wrong = "drop takes the older generations along"

    async def drop(self, repo_id: str, *, generation: int) -> None:
        for one in await self.inner.generations(repo_id):
            if one.generation <= generation:
                await self.inner.drop(repo_id, generation=one.generation)


class DropsNothing(Saboteur):
    wrong = "drop only says that it dropped"

    async def drop(self, repo_id: str, *, generation: int) -> None:
        await asyncio.sleep(0)


class DropsUndo(Saboteur):
    wrong = "what a dropped generation removed is there again in those after it"

    async def drop(self, repo_id: str, *, generation: int) -> None:
        states = self.inner.sync._repos.get(repo_id, {})
        older = [number for number in states if number < generation]
        if generation in states and older:
            left = states[generation].files
            back = {path: file for path, file in states[max(older)].files.items() if path not in left}
            for number, state in states.items():
                if number > generation:
                    state.files = back | state.files
        await self.inner.drop(repo_id, generation=generation)


class BeginsUponItself(Saboteur):
    wrong = "begin of a generation that is sealed starts from what it holds"

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        old = self.inner.sync._repos.get(repo_id, {}).get(generation)
        await self.inner.begin(repo_id, generation=generation, base=base)
        if old is not None and old.sealed:
            self.inner.sync._repos[repo_id][generation].files.update(old.files)


class SupersedesAtOnce(Saboteur):
    wrong = "seal drops the generation before"

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self.inner.seal(repo_id, generation=generation)
        for one in await self.inner.generations(repo_id):
            if one.generation < generation:
                await self.inner.drop(repo_id, generation=one.generation)


class PurgesByPrefix(Saboteur):
    wrong = "purge takes every repository whose id begins so"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: set[str] = set()

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        self._seen.add(repo_id)
        await self.inner.begin(repo_id, generation=generation, base=base)

    async def purge(self, repo_id: str) -> None:
        for one in self._seen:
            if self._takes(one, repo_id):
                await self.inner.purge(one)

    def _takes(self, one: str, repo_id: str) -> bool:
        return one.startswith(repo_id)


class PurgesTheNewest(Saboteur):
    wrong = "purge forgets only the newest generation"

    async def purge(self, repo_id: str) -> None:
        newest = max((one.generation for one in await self.inner.generations(repo_id)), default=0)
        await self.inner.drop(repo_id, generation=newest)


class UnsealedIsReadable(Saboteur):
    wrong = "scan of a generation that is not sealed is empty"

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        try:
            return await self.inner.scan(scope=scope, after=after, limit=limit)
        except NotIndexed:
            return await self.inner.scan(scope=(), after=after, limit=limit)


class IgnoresRemoved(Saboteur):
    wrong = "removed paths stay"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        return await self.inner.stage(repo_id, generation=generation, files=files)


class RemovesByPrefix(Saboteur):
    wrong = "removing a file removes the folder of that name"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        states = [one.generation for one in await self.inner.generations(repo_id) if one.sealed]
        gone = list(removed)
        if removed and states:
            page = await self.inner.scan(scope=[ScopeEntry(repo_id, states[-1])], limit=1000)
            gone += [one.path for one in page.files if one.path.startswith(tuple(f"{path}/" for path in removed))]
        return await self.inner.stage(repo_id, generation=generation, files=files, removed=gone)


class FirstOfEqualPaths(Saboteur):
    wrong = "of equal paths in a batch the first wins"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        first = {file.path: file for file in reversed(files)}
        return await self.inner.stage(repo_id, generation=generation, files=list(first.values()), removed=removed)


class RemovesWhatItStages(Saboteur):
    wrong = "a path both removed and staged is removed"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        kept = [file for file in files if file.path not in removed]
        return await self.inner.stage(repo_id, generation=generation, files=kept, removed=removed)


class PurgesAnyCase(PurgesByPrefix):
    wrong = "purge takes the repositories whose id differs in case alone"

    def _takes(self, one: str, repo_id: str) -> bool:
        return one.casefold() == repo_id.casefold()


class TrimsPaths(Saboteur):
    wrong = "blanks at the end of a path are cut off"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        trimmed = [replace(file, path=file.path.rstrip(" ") or file.path) for file in files]
        return await self.inner.stage(repo_id, generation=generation, files=trimmed, removed=removed)


class WrapsNumbers(Saboteur):
    wrong = "generations are kept in 32 bits"

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        if generation >= 2**32:
            raise Conflict(f"generation {generation % 2**32} is not above the newest")
        await self.inner.begin(repo_id, generation=generation, base=base)


class SealsWhatIsSealedAnew(Saboteur):
    wrong = "a sealed generation takes more files"

    async def stage(self, repo_id: str, *, generation: int, files: Sequence[Any], removed: Sequence[str] = ()) -> Any:
        held = self.inner.sync._repos.get(repo_id, {}).get(generation)
        if held is not None and held.sealed:
            held.files.update({file.path: file for file in files})
            return StageResult(0, len(files))
        return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)


class SyncFaceIsEmpty(Saboteur):
    wrong = "the synchronous face shows nothing"

    @property
    def sync(self) -> Any:
        return _EmptyReads(self.inner.sync)


class _EmptyReads:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        return self._inner.scan(scope=(), after=after, limit=limit)


class SeesEverything(Saboteur):
    """Knows which repositories there are. A subclass is wrong."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: set[str] = set()

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self.inner.begin(repo_id, generation=generation, base=base)
        self._seen.add(repo_id)

    async def everything(self, scope: Any) -> list[ScopeEntry]:
        """The scope, and every other repository at its newest sealed generation."""
        entries = [ScopeEntry(*entry) for entry in scope]
        for repo_id in self._seen - {entry.repo_id for entry in entries}:
            sealed = [one.generation for one in await self.inner.generations(repo_id) if one.sealed]
            entries += [ScopeEntry(repo_id, number) for number in sealed[-1:]]
        return entries


class ScanIgnoresLimit(Saboteur):
    wrong = "scan gives everything at once"

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        return await self.inner.scan(scope=scope, after=after, limit=10_000)


class ScanAtTheWrongPlace(Saboteur):
    wrong = "scan goes on with the key that it ended with"

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        if after is None:
            return await self.inner.scan(scope=scope, limit=limit)
        page = await self.inner.scan(scope=scope, limit=10_000)
        files = [one for one in page.files if (one.repo_id, one.path) >= after]
        more = len(files) > limit
        return replace(
            page, files=tuple(files[:limit]), after=(files[limit - 1].repo_id, files[limit - 1].path) if more else None
        )


class ScanMixesRepositories(SeesEverything):
    wrong = "an empty scope shows everything"

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        entries = scope or await self.everything(scope)
        return await self.inner.scan(scope=entries, after=after, limit=limit)
