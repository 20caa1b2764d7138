"""The running library: one method per request."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from ..indexing.roots import FOLDER, new_data, repo_id
from ..ports.errors import FailedPrecondition, InvalidArgument, PortError
from .messages import (
    MAX_LIMIT,
    Coverage,
    Hit,
    IndexAnswer,
    IndexRequest,
    RepoFreshness,
    RepoStatus,
    SearchAnswer,
    SearchRequest,
    ShowAnswer,
    ShowRequest,
    StatusAnswer,
    StatusRequest,
)
from .openings import READ_PORTS, Openings

if TYPE_CHECKING:
    from ..indexing.indexer import Progress
    from ..kernel.health import Health
    from ..kernel.lifecycle import Ports
    from ..kernel.settings import Settings
    from ..retrieval.engine import Found, Result
    from ..retrieval.scope import Place, View
    from ..retrieval.signals import PathTable
    from ..retrieval.steps import Steps


class Quay:
    """The running library. Made by ``App.run``; its methods may be called concurrently."""

    def __init__(self, settings: Settings, openings: Openings, weights: Any, *, readonly: bool) -> None:
        from ..retrieval.signals import PathTable

        self._settings = settings
        self._openings = openings
        self._weights = weights
        self._paths: PathTable = PathTable(weights)
        self._readonly = readonly

    async def index(
        self, request: IndexRequest | str = ".", *, progress: Callable[[Progress], None] | None = None
    ) -> IndexAnswer:
        """Index the repository that the path lies in, or the folder when it lies in none.

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
        report = await index_repository(
            _IndexPorts(ports, source),
            repo=Repo(name, found.root, found.origin, source.adapter_name("source")),
            found=found,
            settings=self._settings.index,
            progress=progress,
        )
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
        if type(request.limit) is not int or not 1 <= request.limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit must be from 1 to {MAX_LIMIT}, not {request.limit!r}")
        if request.unit not in ("file", "chunk", "symbol"):
            raise InvalidArgument(f"unit must be file, chunk or symbol, not {request.unit!r}")
        off = [port for port in ("chunks", "lexical") if port not in self._settings.index.enable]
        if off:
            raise FailedPrecondition(
                f"index.enable leaves out {' and '.join(off)}, and a search needs it",
                at=self._settings.origin("index.enable"),
                remedy="add it to index.enable, then codequay index",
            )
        query = parse(request.query, literal=request.literal)
        ports, place = await self._openings.reader(request.path)
        parsed = perf_counter()
        asked = prepare(query)
        view, result = await self._openings.run(ports, self._search_steps(ports, place, request, asked))
        notes = list(asked.notes)
        if not view.published:
            notes.append("no indexed repository fits repo:")
        elif not (asked.terms or asked.conditions or asked.where):
            notes.append("the query names nothing to look for")
        freshness = [RepoFreshness(p.repo_id, p.generation, p.revision, dirty=p.dirty) for p in view.published]
        if request.check_head:
            freshness = await self._with_heads(ports, freshness)
        files = {
            "indexed": sum(p.files for p in view.published),
            "pending": 0,
            "skipped": sum(sum(p.skipped.values()) for p in view.published),
        }
        timing = {"open": (parsed - started) * 1000, **result.timing, "total": (perf_counter() - started) * 1000}
        return SearchAnswer(
            hits=tuple(_hit(found) for found in result.hits),
            freshness=tuple(freshness),
            coverage={"lexical": Coverage("complete", files), "symbol": Coverage("complete", files)},
            truncated=result.more,
            timing_ms={name: round(ms, 3) for name, ms in timing.items()},
            notes=tuple(notes),
        )

    def _search_steps(
        self, ports: Ports, place: Place, request: SearchRequest, asked: Any
    ) -> Steps[tuple[View, Result]]:
        from ..ports.lexical import LexicalCapabilities
        from ..retrieval import engine
        from ..retrieval.scope import resolve

        capabilities = cast(LexicalCapabilities, ports.capabilities("lexical"))
        view = (yield from resolve(place, self._openings.stores(ports))).only(asked.admits_repo)
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
        on_disk = _on_disk(request.path)
        ports, place = await self._openings.reader(request.path if on_disk else ".", whole=True)
        file = on_disk or request.path
        shown = await self._openings.run(ports, reading.show(place, self._openings.stores(ports), file, request.line))
        return ShowAnswer(
            repo=shown.repo_id,
            path=shown.path,
            start_line=shown.start_line,
            end_line=shown.end_line,
            language=shown.language,
            kind=shown.kind,
            symbol=shown.symbol,
            text=shown.text,
            generation=shown.generation,
        )

    async def status(self, request: StatusRequest | str = ".") -> StatusAnswer:
        """The repositories of the index, and which configured stores do not hold them.

        :raises NotIndexed: the place has no index
        """
        from ..retrieval import reading

        if isinstance(request, str):
            request = StatusRequest(request)
        ports, place = await self._openings.reader(request.path, whole=True)
        states = await self._openings.run(ports, reading.states(place, self._openings.stores(ports)))
        return StatusAnswer(
            data=str(self._openings.data or Path(place.index_root) / FOLDER),
            repos=tuple(
                RepoStatus(
                    repo=p.repo_id,
                    root=root,
                    generation=p.generation,
                    revision=p.revision,
                    files=p.files,
                    chunks=p.chunks,
                    bytes=p.bytes,
                    skipped=p.skipped,
                    published_at=p.published_at,
                    stores={record.port: record.adapter for record in p.stores},
                    cold=cold,
                )
                for p, root, cold in states
            ),
            capabilities={port: ports.capabilities(port).to_json() for port in READ_PORTS},
        )

    async def health(self, latency_threshold_ms: float = 100, path: str = ".") -> Health:
        """Port -> ``ok``, ``degraded`` or ``down`` with its latency, for the stores of one place."""
        ports, _ = await self._openings.reader(path)
        return await ports.health(latency_threshold_ms=latency_threshold_ms)

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


class _IndexPorts:
    """What the indexer uses: stores and lock of one opening, the source of another."""

    def __init__(self, stores: Ports, source: Ports) -> None:
        self.chunks = stores.chunks
        self.lexical = stores.lexical
        self.metadata = stores.metadata
        self.lock = stores.lock
        self.source = source.source
        self.run_sync = stores.run_sync
        self._stores = stores
        self._source = source

    def adapter_name(self, port: str) -> str:
        return (self._source if port == "source" else self._stores).adapter_name(port)


def _on_disk(path: str) -> str:
    """The resolved path, "" when nothing is there."""
    return os.path.realpath(path) if os.path.exists(path) else ""


def _hit(found: Found) -> Hit:
    chunk = found.placed.chunk
    return Hit(
        id=chunk.id,
        repo=found.placed.repo_id,
        path=found.placed.path,
        start_line=chunk.start_line,
        end_line=chunk.end_line,
        score=round(found.score, 4),
        symbol=found.symbol,
        kind=chunk.kind,
        language=chunk.language,
        text=chunk.text,
        signals=found.signals,
        line=found.line,
        also=found.also,
    )
