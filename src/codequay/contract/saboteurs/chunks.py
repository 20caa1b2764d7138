"""Chunk stores that are wrong in one behaviour each."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codequay.ports.chunks import FileChunks, FilePage, FileRef
from codequay.ports.errors import NotIndexed, ResourceExhausted
from codequay.ports.generations import GenerationState
from codequay.ports.spec import Level

from . import Saboteur
from .generations import *  # noqa: F403 - the saboteurs that every store of generations has
from .generations import SeesEverything
from .generations_writers import *  # noqa: F403 - as above
from .generations_writers import KnowsItsOwn, LosesTheNewest, NewIdentity


class AcknowledgesTooEarly(LosesTheNewest):
    wrong = "what was sealed last is gone after a crash"
    level = Level.DURABILITY
    over = "sqlite"


class KnowsItsOwnOnly(KnowsItsOwn):
    wrong = "scan does not see what another process has sealed"
    over = "sqlite"


class AnotherStoreAtReopen(NewIdentity):
    wrong = "the store has another id when it is opened again"
    level = Level.DURABILITY
    over = "sqlite"


class GetSorted(Saboteur):
    wrong = "get answers in the order of chunk ids"

    async def get(self, refs: Sequence[Any], *, scope: Any) -> list[Any]:
        return list(await self.inner.get(sorted(refs, key=lambda ref: ref.chunk_id), scope=scope))


class GetAtAnyPath(Saboteur):
    wrong = "get gives a chunk wherever it lies"

    async def get(self, refs: Sequence[Any], *, scope: Any) -> list[Any]:
        page = await self.inner.scan(scope=scope, limit=10_000)
        where: dict[str, Any] = {}
        for file in page.files:
            for chunks in await self.inner.of_file([FileRef(file.repo_id, file.path)], scope=scope):
                where.update({one.chunk.id: one for one in chunks or ()})
        return [where.get(ref.chunk_id) for ref in refs]


class AbsentIsEmpty(Saboteur):
    wrong = "of_file gives no chunks for a file that is not there"

    async def of_file(self, files: Sequence[Any], *, scope: Any) -> list[Any]:
        return [found or [] for found in await self.inner.of_file(files, scope=scope)]


class EmptyIsAbsent(Saboteur):
    wrong = "of_file gives None for an empty file"

    async def of_file(self, files: Sequence[Any], *, scope: Any) -> list[Any]:
        return [found or None for found in await self.inner.of_file(files, scope=scope)]


class ChunksBackwards(Saboteur):
    wrong = "of_file gives the chunks by id"

    async def of_file(self, files: Sequence[Any], *, scope: Any) -> list[Any]:
        answer = await self.inner.of_file(files, scope=scope)
        return [found and sorted(found, key=lambda one: one.chunk.id, reverse=True) for found in answer]


class LastLineOff(Saboteur):
    wrong = "at does not count the last line of a chunk"

    async def at(self, locations: Sequence[Any], *, scope: Any) -> list[Any]:
        answer = await self.inner.at(locations, scope=scope)
        return [
            None if one and one.chunk.end_line == where.line > one.chunk.start_line else one
            for where, one in zip(locations, answer, strict=True)
        ]


class SmallestWins(Saboteur):
    wrong = "at takes the smallest chunk of whatever kind"

    async def at(self, locations: Sequence[Any], *, scope: Any) -> list[Any]:
        return await self._best(locations, scope, lambda c: (c.end_byte - c.start_byte, -c.start_byte, c.id))

    async def _best(self, locations: Sequence[Any], scope: Any, key: Any) -> list[Any]:
        answer: list[Any] = []
        for where in locations:
            (found,) = await self.inner.of_file([FileRef(where.repo_id, where.path)], scope=scope)
            covering = [o for o in found or () if o.chunk.start_line <= where.line <= o.chunk.end_line]
            answer.append(min(covering, key=lambda one: key(one.chunk), default=None))
        return answer


class EarlierStartWins(SmallestWins):
    wrong = "of equal chunks at takes the one that begins earlier"

    async def at(self, locations: Sequence[Any], *, scope: Any) -> list[Any]:
        from codequay.ports.chunks import CLASS_KINDS, FUNCTION_KINDS

        def key(c: Any) -> Any:
            rank = 0 if c.kind in FUNCTION_KINDS else 1 if c.kind in CLASS_KINDS else 2
            return rank, c.end_byte - c.start_byte, c.start_byte, c.id

        return await self._best(locations, scope, key)


class DefinedFoldsCase(Saboteur):
    wrong = "defined ignores case"

    async def defined(self, names: Sequence[str], *, scope: Any, limit: int) -> list[Any]:
        wide = {form for name in names for form in (name, name.lower(), name.upper(), name.capitalize(), name.title())}
        return list(await self.inner.defined(sorted(wide), scope=scope, limit=limit))


class DefinedPostFilters(SeesEverything):
    wrong = "defined cuts at the limit before it looks at the scope"

    async def defined(self, names: Sequence[str], *, scope: Any, limit: int) -> list[Any]:
        wanted = dict(scope)
        hits = await self.inner.defined(names, scope=await self.everything(scope), limit=limit)
        return [hit for hit in hits if hit.repo_id in wanted]


class DefinedIgnoresLimit(Saboteur):
    wrong = "defined gives every definition"

    async def defined(self, names: Sequence[str], *, scope: Any, limit: int) -> list[Any]:
        return list(await self.inner.defined(names, scope=scope, limit=10_000))


class TextTwice(Saboteur):
    wrong = "text joins overlapping chunks as they are"

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        held = {file.blob_id: "".join(chunk.text for chunk in file.chunks) for file in self.inner.sync._held()}
        return [held.get(blob) for blob in blob_ids]


class TextStays(Saboteur):
    wrong = "the text of what was dropped is kept"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._kept: dict[str, str | None] = {}

    async def drop(self, repo_id: str, *, generation: int) -> None:
        blobs = [file.blob_id for file in self.inner.sync._held()]
        self._kept.update(zip(blobs, await self.inner.text(blobs), strict=True))
        await self.inner.drop(repo_id, generation=generation)

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        found = await self.inner.text(blob_ids)
        return [self._kept.get(blob) if one is None else one for blob, one in zip(blob_ids, found, strict=True)]


class ForgetsWithACut(Saboteur):
    wrong = "a blob that is cut in two ways is forgotten with the first that goes"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._gone: set[str] = set()

    async def drop(self, repo_id: str, *, generation: int) -> None:
        before = self._cuts()
        await self.inner.drop(repo_id, generation=generation)
        self._gone |= {blob for blob, _ in before - self._cuts()}

    def _cuts(self) -> set[tuple[str, Any]]:
        return {(file.blob_id, file.chunks) for file in self.inner.sync._held()}

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        found = await self.inner.text(blob_ids)
        return [None if blob in self._gone else one for blob, one in zip(blob_ids, found, strict=True)]


class TextOfNothing(Saboteur):
    wrong = "text of an unknown blob is empty"

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return [found or "" for found in await self.inner.text(blob_ids)]


class OneLineEnd(Saboteur):
    wrong = "text gives every line end as a newline"

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return [found and found.replace("\r\n", "\n") for found in await self.inner.text(blob_ids)]


class AtOncePerBlob(Saboteur):
    wrong = "at finds a blob of two repositories in one of them"

    async def at(self, locations: Sequence[Any], *, scope: Any) -> list[Any]:
        first: dict[str, str] = {}
        answer = await self.inner.at(locations, scope=scope)
        return [
            one if one and first.setdefault(one.chunk.blob_id, one.repo_id) == one.repo_id else None for one in answer
        ]


class LeavesTheFirst(Saboteur):
    wrong = "a stage call that breaks leaves its first file"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> Any:
        try:
            return await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)
        except OSError:
            await self.inner.stage(repo_id, generation=generation, files=[next(iter(files))])
            raise


class StatsOfEverything(Saboteur):
    wrong = "stats counts a file once for each chunk"

    async def stats(self, *, scope: Any) -> Any:
        found = await self.inner.stats(scope=scope)
        return replace(found, files=found.chunks)


class Normalises(Saboteur):
    wrong = "texts are decomposed on the way in"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> Any:
        changed = [
            replace(f, chunks=tuple(replace(c, text=unicodedata.normalize("NFD", c.text)) for c in f.chunks))
            for f in files
        ]
        return await self.inner.stage(repo_id, generation=generation, files=changed, removed=removed)


class CountsEveryBlob(Saboteur):
    wrong = "staging what is there is counted as new"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> Any:
        result = await self.inner.stage(repo_id, generation=generation, files=files, removed=removed)
        return replace(result, blobs=len({file.blob_id for file in files}))


class TruncatesBatch(Saboteur):
    wrong = "a batch ends after its hundredth file"

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> Any:
        return await self.inner.stage(repo_id, generation=generation, files=files[:100], removed=removed)


class CutsOnce(Saboteur):
    wrong = "a blob keeps the chunks that it came with first"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._first: dict[str, FileChunks] = {}

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> Any:
        kept = [replace(f, chunks=self._first.setdefault(f.blob_id, f).chunks) for f in files]
        return await self.inner.stage(repo_id, generation=generation, files=kept, removed=removed)


class ModeOfTheBlob(Saboteur):
    wrong = "a file whose mode alone has changed is taken for unchanged"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._modes: dict[tuple[str, str, str], int] = {}

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> Any:
        kept = [replace(f, mode=self._modes.setdefault((repo_id, f.path, f.blob_id), f.mode)) for f in files]
        return await self.inner.stage(repo_id, generation=generation, files=kept, removed=removed)


class TruncatesTexts(Saboteur):
    wrong = "a text ends at 64 kB"

    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        return [found and found[:65_535] for found in await self.inner.text(blob_ids)]


class BytesTwice(Saboteur):
    wrong = "stats counts the bytes of overlapping chunks twice"

    async def stats(self, *, scope: Any) -> Any:
        found = await self.inner.stats(scope=scope)
        page = await self.inner.scan(scope=scope, limit=10_000)
        chunks = await self.inner.of_file([FileRef(one.repo_id, one.path) for one in page.files], scope=scope)
        return replace(found, bytes=sum(len(one.chunk.text.encode()) for some in chunks for one in some))


class DefinedOnce(Saboteur):
    wrong = "a definition of two chunks is found in the first"

    async def defined(self, names: Sequence[str], *, scope: Any, limit: int) -> list[Any]:
        hits = await self.inner.defined(names, scope=scope, limit=10_000)
        once = {(hit.repo_id, hit.path, hit.line, hit.name): hit for hit in reversed(hits)}
        return list(reversed(once.values()))[:limit]


class UnsealedIsAbsent(Saboteur):
    wrong = "of_file of a generation that is being staged finds no file"

    async def of_file(self, files: Sequence[Any], *, scope: Any) -> list[Any]:
        try:
            return list(await self.inner.of_file(files, scope=scope))
        except NotIndexed:
            for repo, generation in scope:
                if GenerationState(generation, False) in await self.inner.generations(repo):
                    return [None for _ in files]
            raise


class AtSeesTheNewest(Saboteur):
    wrong = "at answers from the newest sealed generation"

    async def at(self, locations: Sequence[Any], *, scope: Any) -> list[Any]:
        await self.inner.at(locations, scope=scope)
        newest = []
        for entry in scope:
            sealed = [one.generation for one in await self.inner.generations(entry[0]) if one.sealed]
            newest.append((entry[0], sealed[-1]))
        return list(await self.inner.at(locations, scope=newest))


class EmptyLastPage(Saboteur):
    wrong = "a full last page says that more follow"

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        page = await self.inner.scan(scope=scope, after=after, limit=limit)
        if len(page.files) < limit:
            return page
        return FilePage(page.files, (page.files[-1].repo_id, page.files[-1].path))


class LimitTooLow(Saboteur):
    wrong = "a limit above 1000 is refused, though more is declared"
    level = Level.CAPABILITY

    async def scan(self, *, scope: Any, after: Any = None, limit: int = 1000) -> Any:
        if limit > 1000:
            raise ResourceExhausted("too many rows")
        return await self.inner.scan(scope=scope, after=after, limit=limit)


class AsksOneByOne(Saboteur):
    wrong = "get asks the server once for each chunk"
    level = Level.BUDGET

    async def get(self, refs: Sequence[Any], *, scope: Any) -> list[Any]:
        for _ in refs:
            self.turn()
        return list(await self.inner.get(refs, scope=scope))


class ReclaimsTooMuch(SeesEverything):
    wrong = "reclaim takes a repository along"
    level = Level.CAPABILITY
    over = "sqlite"

    async def reclaim(self) -> int:
        given_back = int(await self.inner.reclaim())
        if given_back:
            for repo_id in self._seen:
                await self.inner.purge(repo_id)
        return given_back


class ReclaimsNothing(Saboteur):
    wrong = "reclaim leaves the files as they are"
    level = Level.CAPABILITY
    over = "sqlite"

    async def reclaim(self) -> int:
        return 0
