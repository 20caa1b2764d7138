"""``LexicalIndex`` over a Zoekt server: the spool says what is visible and holds what, Zoekt finds and scores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from codequay.adapters._placements import rebuild
from codequay.ports.errors import Corrupt, Unavailable, Unsupported
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.lexical import (
    LexFile,
    LexicalIndex,
    LexPage,
    LexStats,
    Placed,
    Plan,
    RankHit,
    RankPlace,
    Term,
    Unit,
    Where,
)
from codequay.ports.spec import BuildContext

from . import queries
from .client import VERSION, Answer, Client, decoded
from .config import ZoektConfig
from .errors import REBUILD, not_indexed
from .ranking import Scale
from .spool import FILE, Reader, Shown, create
from .words import keys_of
from .writing import Staging

if TYPE_CHECKING:
    from codequay.ports.diagnose import Finding

T = TypeVar("T")

INLINE = 64
"""Files to read from the spool that are not worth a hop to a thread."""


@asynccontextmanager
async def open_lexical(config: ZoektConfig, ctx: BuildContext) -> AsyncIterator[LexicalIndex]:
    """The index of ``ctx.data/zoekt`` and its server, or one that somebody else fills.

    :raises NotFound: it is not there and the context is read-only
    :raises FingerprintMismatch: another version of the spool or its words has built it
    """
    if config.mode == "external":
        from .external import ExternalLexical

        client = Client(config.url, config.timeout)
        try:
            yield ExternalLexical(config, client)
        finally:
            await client.close()
        return
    root = ctx.data / "zoekt"
    reader = await ctx.run_sync(_open, root, config, ctx.readonly)
    client = Client(config.url, config.timeout)
    lexical = ZoektLexical(root, config, ctx, reader, client)
    try:
        yield lexical
    finally:
        try:
            await ctx.run_sync(lexical.close)
        finally:
            await client.close()


def _open(root: Path, config: ZoektConfig, readonly: bool) -> Reader:
    path = root / FILE
    if not readonly:
        root.mkdir(parents=True, exist_ok=True)
        create(path, config.busy_timeout)
    return Reader(path, readonly=readonly, timeout=config.busy_timeout)


class ZoektLexical:
    """The index that this package fills."""

    def __init__(self, root: Path, config: ZoektConfig, ctx: BuildContext, reader: Reader, client: Client) -> None:
        self.client = client
        self._root = root
        self._config = config
        self._reader = reader
        self._run = ctx.run_sync
        self._staging = Staging(root, config, ctx, client)

    def close(self) -> None:
        try:
            self._staging.close()
        finally:
            self._reader.close()

    async def ping(self) -> None:
        await self.client.ping()

    async def identity(self) -> StoreIdentity:
        return self._reader.identity

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return await self._run(self._reader.generations, repo_id)

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        await self._staging.begin(repo_id, generation, base)

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        return await self._staging.stage(repo_id, generation, files, removed)

    async def seal(self, repo_id: str, *, generation: int) -> None:
        await self._staging.seal(repo_id, generation)

    async def drop(self, repo_id: str, *, generation: int) -> None:
        await self._staging.forget(repo_id, generation)

    async def purge(self, repo_id: str) -> None:
        await self._staging.forget(repo_id, None)

    async def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        if unit != "file":
            raise Unsupported("Zoekt ranks files: chunks are scored from their stored text")
        shown = self._reader.known().scope(scope)
        keys = keys_of(terms)
        if not keys or not shown:
            return []
        scale = Scale(keys)
        if not any(one.shards for one in shown):
            return self._whole(shown, await self._hits(shown, None, scale, k, where))
        query = " ".join(filter(None, (_repositories(shown), queries.any_key(keys), queries.paths(where))))
        limit = scale.first(k)
        hits: list[RankHit] = []
        while limit:
            answer = await self._ask(shown, partial(self.client.ranked, query, limit))
            hits = await self._hits(shown, answer, scale, k, where)
            last = answer.files[-1].score if answer.files else 0.0
            limit = scale.more(limit, len(answer.files), last, hits, k)
        return self._whole(shown, hits)

    async def _hits(
        self, shown: Sequence[Shown], answer: Answer | None, scale: Scale, k: int, where: Where | None
    ) -> list[RankHit]:
        """The k best of an answer, and of the files that Zoekt may not know."""
        unread = [one for one in shown if one.odd is None]
        if unread:
            await self._run(lambda: [self._reader.odd(one) for one in unread])
        hits = await self._found(shown, answer, scale, where) if answer else []
        odd = [(entry, one) for one in shown for entry in one.odd or ()]
        if odd:
            seen = {hit.place.file for hit in hits}
            for entry, one in odd:
                place = entry.place
                if place.file in seen or (where and not where.admits(place.file.path, place.language)):
                    continue
                score = scale.alone(entry, one)
                if score:
                    hits.append(RankHit(place, score))
        hits.sort(key=_order)
        return hits[:k]

    async def _found(self, shown: Sequence[Shown], answer: Answer, scale: Scale, where: Where | None) -> list[RankHit]:
        """The files of an answer that hold a word of the question and pass the filters."""
        by_origin = _by_origin(shown, answer)
        entries = {raw: one.entries for raw, one in by_origin.items()}
        missing: dict[bytes, list[bytes]] = {}
        for name, repository, _ in answer.files:
            if name not in entries[repository]:
                missing.setdefault(repository, []).append(name)
        for repository, names in missing.items():
            read = partial(self._reader.entries, by_origin[repository], names)
            found = read() if len(names) <= INLINE else await self._run(read)
            # the reader may have begun to remember anew, without what was known before
            entries[repository] = found if found is entries[repository] else {**entries[repository], **found}
        hits = []
        for name, repository, score in answer.files:
            entry = entries[repository][name]
            if entry is None or (where and not where.admits(entry.place.file.path, entry.place.language)):
                continue
            own = scale.of(entry.words, score)
            if own:
                hits.append(RankHit(entry.place, own))
        return hits

    async def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        shown = self._reader.known().scope(scope)
        if not shown:
            return []
        required = queries.required(plan)
        answer = None
        if isinstance(required, str) and any(one.shards for one in shown):
            asked = " ".join(filter(None, (required, queries.paths(where))))
            query = f"{_repositories(shown)} (type:file {asked})"
            answer = await self._ask(shown, partial(self.client.names, query))
        return self._whole(shown, await self._run(self._placed, shown, answer, required is True, where))

    def _placed(self, shown: Sequence[Shown], answer: Answer | None, every: bool, where: Where | None) -> list[Placed]:
        """The files of an answer, or every one, and those that Zoekt may not know, by place."""
        names: dict[str, set[str]] = {one.zoekt: set() for one in shown}
        if answer:
            by_origin = _by_origin(shown, answer)
            for file, path in zip(answer.files, decoded([file.name for file in answer.files]), strict=True):
                names[by_origin[file.repository].zoekt].add(path)
        found: list[Placed] = []
        for one in sorted(shown, key=attrgetter("repo_id")):
            wanted = names[one.zoekt]
            if not every:
                wanted.update(entry.place.file.path for entry in self._reader.odd(one))
            found += [
                file
                for path, file in self._reader.placed(one).items()
                if (every or path in wanted) and (not where or where.admits(path, file.language))
            ]
        return found

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        return await self._run(self._scan, scope, after or ("", ""), limit)

    def _scan(self, scope: Scope, start: tuple[str, str], limit: int) -> LexPage:
        shown = self._reader.known().scope(scope)
        files: list[Placed] = []
        for one in sorted(shown, key=attrgetter("repo_id")):
            if one.repo_id < start[0]:
                continue
            above = start[1] if one.repo_id == start[0] else ""
            files += self._reader.page(one, above, limit + 1 - len(files))
            if len(files) > limit:
                last = files[limit - 1]
                return self._whole(shown, LexPage(tuple(files[:limit]), (last.repo_id, last.path)))
        return self._whole(shown, LexPage(tuple(files), None))

    async def stats(self, *, scope: Scope) -> LexStats:
        return await self._run(self._stats, scope)

    def _stats(self, scope: Scope) -> LexStats:
        shown = self._reader.known().scope(scope)
        counts = [self._reader.counts(one.number, one.generation) for one in shown]
        return self._whole(shown, LexStats(sum(f for f, _ in counts), sum(c for _, c in counts), 0.0))

    async def _ask(self, shown: Sequence[Shown], ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """An answer for which every shard of these generations was looked into.

        :raises Corrupt: the server does not have them
        """
        due = sum(one.shards for one in shown)
        for _ in range(2):
            answer = await ask()
            if answer.shards == due:
                return answer
            self._unchanged(shown)
            await self._look_for(shown)
        raise Unavailable("the server is loading its shards", remedy="try again in a moment")

    async def _look_for(self, shown: Sequence[Shown]) -> None:
        """
        :raises Corrupt: the server does not list what these generations consist of
        """
        listed = {one.name: one for one in await self.client.listed(_repositories(shown))}
        for one in shown:
            there = listed.get(one.zoekt)
            if one.shards and (there is None or (there.version, there.shards) != (one.version, one.shards)):
                raise Corrupt(
                    f"the server at {self.client.url} has {'other' if there else 'no'} shards of {one.zoekt!r}",
                    remedy=f"see that it serves {self._config.index_dir}; if the shards are lost: "
                    + rebuild(self._root),
                )

    def _unchanged(self, shown: Sequence[Shown]) -> None:
        """
        :raises NotIndexed: a generation was dropped meanwhile, or made anew
        """
        sealed = self._reader.known().sealed
        for one in shown:
            if sealed.get((one.repo_id, one.generation)) is not one:
                raise not_indexed(one.repo_id, one.generation)

    def _whole(self, shown: Sequence[Shown], answer: T) -> T:
        """The answer, which several looks have given: whole unless its scope has changed meanwhile."""
        self._unchanged(shown)
        return answer

    async def diagnose(self) -> list[Finding]:
        from .diagnose import diagnose

        return await diagnose(self._config, self._reader, self.client, self._run)


def _repositories(shown: Sequence[Shown]) -> str:
    return queries.repositories([one.zoekt for one in shown if one.shards])


def _by_origin(shown: Sequence[Shown], answer: Answer) -> dict[bytes, Shown]:
    """The generations by what an answer calls them.

    :raises Corrupt: it is of other shards
    """
    found = {}
    for raw in {file.repository for file in answer.files}:
        zoekt, version = decoded(raw.split(VERSION))
        one = next((one for one in shown if (one.zoekt, one.version) == (zoekt, version)), None)
        if one is None:
            raise Corrupt(
                f"the server has other shards of {zoekt!r}, of version {version}",
                remedy="set adapters.zoekt.namespace, so that indexes that share a server do not meet; then: "
                + REBUILD,
            )
        found[raw] = one
    return found


def _order(hit: RankHit) -> tuple[float, RankPlace]:
    return -hit.score, hit.place
