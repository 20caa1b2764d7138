"""The running library: one method per request."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from ..indexing.roots import new_data, repo_id
from ..ports.errors import FailedPrecondition, InvalidArgument, NotIndexed, PortError
from .anchoring import Anchor, Anchors
from .elsewhere import covered
from .freshness import Freshness, Outlook, unlooked
from .messages import (
    MAX_LIMIT,
    REFRESH,
    Coverage,
    Hit,
    IndexAnswer,
    IndexRequest,
    RepoFreshness,
    SearchAnswer,
    SearchRequest,
    ShowAnswer,
    ShowRequest,
)
from .openings import Openings, Where, revision_name, worktree_name
from .upkeep import Upkeep
from .writing import IndexPorts, logged

if TYPE_CHECKING:
    from ..indexing.indexer import Progress
    from ..kernel.health import Health
    from ..kernel.lifecycle import Ports
    from ..kernel.settings import Settings
    from ..ports.held import DistributedLock
    from ..ports.metadata import Published
    from ..retrieval.engine import Found, Result
    from ..retrieval.scope import Place, View
    from ..retrieval.signals import PathTable
    from ..retrieval.steps import Steps
    from .reports import WatchEvent, WatchRequest


class Quay(Upkeep):
    """The running library. Made by ``App.run``; its methods may be called concurrently."""

    def __init__(self, settings: Settings, openings: Openings, weights: Any, *, readonly: bool) -> None:
        from ..retrieval.signals import PathTable

        super().__init__(settings, openings, readonly=readonly)
        self._weights = weights
        self._paths: PathTable = PathTable(weights)
        self._freshness = Freshness(openings, settings, readonly=readonly)
        self._anchors = Anchors(openings, max_bytes=settings.index.max_file_bytes)

    async def index(
        self, request: IndexRequest | str = ".", *, progress: Callable[[Progress], None] | None = None
    ) -> IndexAnswer:
        """Index the repository that the path lies in, or the folder when it lies in none.

        :raises NotFound: there is no such revision
        :raises PortError: permission, a full disk, a lock that somebody else holds
        """
        from ..indexing.indexer import index_repository
        from ..ports.metadata import Repo

        if isinstance(request, str):
            request = IndexRequest(request)
        if self._readonly:
            raise InvalidArgument("this App runs readonly and cannot index", remedy="App.run(readonly=False)")
        path, data = self._openings.locate(request.path)
        found, source = await self._openings.describe(path)
        if data is None:
            data = new_data(path, found)
        ports = await self._openings.ports(data, "write")
        name = repo_id(found, data, name=self._settings.index.name, create=True)
        run = index_repository(
            IndexPorts(ports, source),
            repo=Repo(name, found.main_root, found.origin, source.adapter_name("source")),
            found=found,
            settings=self._settings.index,
            data=ports.data,
            snapshot=worktree_name(found) if request.rev is None else revision_name(request.rev),
            revision=request.rev,
            only=request.only,
            progress=progress,
        )
        report = await logged(data, "index", found.root, name, run)
        return IndexAnswer(
            repo=name,
            generation=report.generation,
            files=report.files,
            chunks=report.chunks,
            changed_blobs=report.changed_blobs,
            skipped=report.skipped,
            bytes=report.bytes,
            seconds=report.seconds,
            root=found.root,
            data=str(data),
            notes=tuple(report.notes),
            snapshot=report.snapshot,
            changed_files=report.changed_files,
            removed_files=report.removed_files,
        )

    async def search(self, request: SearchRequest | str) -> SearchAnswer:
        """Hits for a query, best first, with what the answer rests on.

        :raises NotIndexed: the place has no index, or a configured store does not hold it
        """
        from ..retrieval.prepare import prepare
        from ..retrieval.query import parse

        started = perf_counter()
        if isinstance(request, str):
            request = SearchRequest(request)
        self._check(request)
        query = parse(request.query, literal=request.literal)
        where = await self._where(request.path, request.rev)
        opened = perf_counter()
        asked = prepare(query)
        look = request.refresh != "never"
        outlook = Outlook()
        if look:
            outlook = await self._freshness.look(where, request.refresh, rev=request.rev, admits=asked.admits_repo)
        looked = perf_counter()
        ports = where.ports
        view, result = await self._openings.run(ports, self._search_steps(ports, where.place, request, asked))
        if not look:
            outlook = unlooked(view, where, request.rev)
        anchors = await self._anchors.of(outlook, [found.placed for found in result.hits])
        hits = tuple(map(_hit, result.hits, anchors))
        notes = [*asked.notes, *outlook.notes]
        if view.unheld:
            notes.append(f"not searched, as only another machine or index folder has them: {', '.join(view.unheld)}")
        if not view.published:
            notes.append("no indexed repository fits repo:")
        elif not (asked.terms or asked.conditions or asked.where):
            notes.append("the query names nothing to look for")
        freshness = [_freshness(p, outlook) for p in view.published]
        stale = sum(1 for hit in hits if hit.stale)
        if stale and not outlook.notes:
            notes.append(f"{stale} of the hits are stale: their text has changed since; run: {where.place.remedy}")
        if request.check_head:
            freshness = await self._with_heads(ports, freshness)
        coverage = _coverage(view, outlook, where)
        lexical, told = await covered(self._openings, where, view, coverage)
        notes += told
        timing = {
            "open": (opened - started) * 1000,
            "refresh": (looked - opened) * 1000,
            **result.timing,
            "total": (perf_counter() - started) * 1000,
        }
        return SearchAnswer(
            hits=hits,
            freshness=tuple(freshness),
            coverage={"lexical": lexical, "symbol": coverage},
            truncated=result.more,
            timing_ms={name: round(ms, 3) for name, ms in timing.items()},
            notes=tuple(notes),
        )

    def _check(self, request: SearchRequest) -> None:
        """
        :raises InvalidArgument: the request is out of range
        :raises FailedPrecondition: an arm that a search needs is switched off
        """
        if type(request.limit) is not int or not 1 <= request.limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit must be from 1 to {MAX_LIMIT}, not {request.limit!r}")
        if request.unit not in ("file", "chunk", "symbol"):
            raise InvalidArgument(f"unit must be file, chunk or symbol, not {request.unit!r}")
        _check_refresh(request.refresh)
        off = [port for port in ("chunks", "lexical") if port not in self._settings.index.enable]
        if off:
            raise FailedPrecondition(
                f"index.enable leaves out {' and '.join(off)}, and a search needs it",
                at=self._settings.origin("index.enable"),
                remedy="add it to index.enable, then codequay index",
            )

    def _search_steps(
        self, ports: Ports, place: Place, request: SearchRequest, asked: Any
    ) -> Steps[tuple[View, Result]]:
        from ..ports.lexical import LexicalCapabilities
        from ..retrieval import engine
        from ..retrieval.scope import resolve

        capabilities = cast(LexicalCapabilities, ports.capabilities("lexical"))
        stores = self._openings.stores(ports)
        view = (yield from resolve(place, stores)).only(asked.admits_repo)
        if view.prefix:
            asked = replace(asked, where=replace(asked.where, prefix=view.prefix))
        plan = engine.Plan(
            asked=asked,
            scope=view.scope,
            unit=request.unit,
            limit=request.limit,
            weights=self._weights,
            paths=self._paths,
            rank_chunks="chunk" in capabilities.units,
            pool=stores.pool,
        )
        result = yield from engine.search(plan)
        return view, result

    async def show(self, request: ShowRequest | str) -> ShowAnswer:
        """A file as indexed, or the chunk that covers a line.

        :raises NotFound: the index has no such file, or the file no such line
        """
        from ..retrieval import reading

        if isinstance(request, str):
            request = ShowRequest(request)
        if request.line is not None and (type(request.line) is not int or request.line < 1):
            raise InvalidArgument(f"lines count from 1, not {request.line!r}")
        _check_refresh(request.refresh)
        on_disk = _on_disk(request.path)
        where = await self._where(request.path if on_disk else ".", request.rev)
        outlook = Outlook()
        if request.refresh != "never":
            with suppress(NotIndexed):  # asked from beside the repositories of the index: one of them may have it
                outlook = await self._freshness.look(where, request.refresh, rev=request.rev)
        file = where.stored(on_disk) or request.path
        everywhere = replace(where.place, path="")
        stores = self._openings.stores(where.ports)
        view, shown = await self._openings.run(where.ports, reading.show(everywhere, stores, file, request.line))
        if request.refresh == "never":
            outlook = unlooked(view, where, request.rev)
        answer = ShowAnswer(
            repo=shown.repo_id,
            path=shown.path,
            start_line=shown.start_line,
            end_line=shown.end_line,
            language=shown.language,
            kind=shown.kind,
            symbol=shown.symbol,
            text=shown.text,
            generation=shown.generation,
            snapshot=shown.snapshot,
            notes=outlook.notes,
        )
        return await self._anchors.shown(outlook, answer, request.line)

    def watch(self, request: WatchRequest | str = ".") -> AsyncGenerator[WatchEvent, None]:
        """Index now and whenever the tree has changed, until the iterator is closed; an event for each run that
        changed something or failed.

        :raises MissingExtra: watchfiles is not installed
        """
        from .reports import WatchRequest
        from .watching import watch

        return watch(self, self._openings, WatchRequest(request) if isinstance(request, str) else request)

    async def lock(self, name: str, *, ttl: float = 30.0, path: str = ".") -> DistributedLock:
        """A lock of the caller's own, by whichever adapter is configured, beside those of the index.

        ``ttl`` in seconds: after it the name is free when its holder is gone; while it is held it is extended.

        :raises PortError: the lock cannot be opened
        """
        from ..ports.held import DistributedLock

        if self._readonly:
            raise InvalidArgument("this App runs readonly and takes no locks", remedy="App.run(readonly=False)")
        data = await self._openings.folder(path)
        return DistributedLock((await self._openings.ports(data, "lock")).lock, f"app:{name}", ttl=ttl)

    async def health(self, latency_threshold_ms: float = 100, path: str = ".") -> Health:
        """Port -> ``ok``, ``degraded`` or ``down`` with its latency and its connections, for the index of a path.

        A server that is away is ``down`` and no error; a store that holds nothing yet is ``degraded``.
        """
        from .health import examine

        return await examine(self._openings, path, latency_threshold_ms)

    async def _where(self, path: str, rev: str | None) -> Where:
        where = await self._openings.where(path, rev=rev)
        return where if rev is None else await self._freshness.named(where, rev)

    async def _with_heads(self, ports: Ports, freshness: list[RepoFreshness]) -> list[RepoFreshness]:
        """The same, with the commit that HEAD names now; None where the checkout is gone."""
        page = await ports.metadata.scan(limit=10_000)
        roots = {repo.repo_id: repo.root for repo in page.repos}
        checked = []
        for one in freshness:
            try:
                found, _ = await self._openings.describe(roots[one.repo])
            except (PortError, KeyError):
                checked.append(one)
            else:
                checked.append(replace(one, head=found.head))
        return checked


def _check_refresh(refresh: str) -> None:
    if refresh not in REFRESH:
        raise InvalidArgument(f"refresh must be one of {', '.join(REFRESH)}, not {refresh!r}")


def _freshness(one: Published, outlook: Outlook) -> RepoFreshness:
    return RepoFreshness(
        one.repo_id,
        one.generation,
        one.revision,
        dirty=one.dirty,
        snapshot=one.snapshot,
        pending=outlook.pending(one.repo_id),
    )


def _coverage(view: View, outlook: Outlook, where: Where) -> Coverage:
    """How much of the trees the answer knows. Skipped files do not make it partial."""
    pending = sum(outlook.pending(p.repo_id) or 0 for p in view.published)
    files = {
        "indexed": sum(p.files for p in view.published),
        "pending": pending,
        "skipped": sum(sum(p.skipped.values()) for p in view.published),
    }
    return Coverage("partial", files, where.place.remedy) if pending else Coverage("complete", files)


def _on_disk(path: str) -> str:
    """The resolved path, "" when nothing is there."""
    return os.path.realpath(path) if os.path.exists(path) else ""


def _hit(found: Found, anchor: Anchor) -> Hit:
    chunk, by = found.placed.chunk, anchor.by
    return Hit(
        id=chunk.id,
        repo=found.placed.repo_id,
        path=found.placed.path,
        start_line=chunk.start_line + by,
        end_line=chunk.end_line + by,
        score=round(found.score, 4),
        symbol=found.symbol,
        kind=chunk.kind,
        language=chunk.language,
        text=chunk.text,
        signals=found.signals,
        line=found.line + by if found.line else 0,
        stale=anchor.stale,
        also=() if anchor.alone else found.also,
    )
