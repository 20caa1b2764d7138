"""The public face: one frozen request in, one frozen answer out, the same for every interface."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from .indexing.roots import FOLDER, nearest_data, new_data, real_path, repo_id
from .ports.errors import FailedPrecondition, InvalidArgument, NotFound, NotIndexed, PortError

if TYPE_CHECKING:
    from .indexing.indexer import Progress
    from .kernel.health import Health
    from .kernel.lifecycle import Ports
    from .kernel.plan import Plan
    from .kernel.registry import Registry
    from .kernel.settings import Settings
    from .ports.source import SourceRepo
    from .retrieval.engine import Found, Result
    from .retrieval.scope import Place, StoresInUse, View
    from .retrieval.signals import PathTable
    from .retrieval.steps import Steps

T = TypeVar("T")

SEARCH_SCHEMA = "codequay.search/1"
MAX_LIMIT = 1000
"""Hits that one answer holds at most."""
Unit = Literal["file", "chunk", "symbol"]


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """Index one place. ``path`` may lie anywhere inside a repository; the whole repository is indexed."""

    path: str = "."


@dataclass(frozen=True, slots=True)
class IndexAnswer:
    """What an index run did, for one repository."""

    repo: str
    generation: int
    files: int
    chunks: int
    changed_blobs: int
    skipped: Mapping[str, int]
    bytes: int
    seconds: float
    root: str = ""
    data: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Search below ``path``. ``literal`` switches the query syntax off. ``check_head`` asks version control whether
    HEAD moved since (a process start, so not on by default)."""

    query: str
    path: str = "."
    limit: int = 10
    unit: Unit = "file"
    literal: bool = False
    check_head: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers. ``also`` holds further chunks of the same file as (start_line, end_line)."""

    id: str
    repo: str
    path: str
    start_line: int
    end_line: int
    score: float
    symbol: str
    kind: str
    language: str
    text: str
    signals: Mapping[str, float]
    line: int = 0
    """The line within the span that shows best why it answers (counts from 1)."""
    stale: bool | None = None
    also: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RepoFreshness:
    """How old the index of one repository is; ``head`` and ``dirty`` are None when not asked or not known."""

    repo: str
    generation: int
    indexed_revision: str
    head: str | None = None
    dirty: int | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what was asked the arm covers. ``files`` holds ``indexed``, ``pending``, ``skipped``."""

    state: Literal["complete", "partial", "cold", "disabled"]
    files: Mapping[str, int] = field(default_factory=dict)
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The envelope of DESIGN section 6. ``notes`` tells what was taken otherwise than typed."""

    hits: tuple[Hit, ...]
    freshness: tuple[RepoFreshness, ...]
    coverage: Mapping[str, Coverage]
    degraded: tuple[str, ...] = ()
    truncated: bool = False
    cursor: str | None = None
    cost: Mapping[str, float] = field(default_factory=dict)
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    schema: str = SEARCH_SCHEMA


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """Show an indexed file, or with ``line`` the chunk that covers it. ``path`` is a path on disk or in the index."""

    path: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ShowAnswer:
    """Lines of a file as indexed."""

    repo: str
    path: str
    start_line: int
    end_line: int
    language: str
    kind: str
    symbol: str
    text: str
    generation: int


@dataclass(frozen=True, slots=True)
class StatusRequest:
    path: str = "."


@dataclass(frozen=True, slots=True)
class RepoStatus:
    """One repository of the index."""

    repo: str
    root: str
    generation: int
    revision: str
    files: int
    chunks: int
    bytes: int
    skipped: Mapping[str, int]
    published_at: float
    stores: Mapping[str, str]
    """Port -> adapter that holds the generation; a configured port that is missing or differs is cold."""
    cold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    data: str
    repos: tuple[RepoStatus, ...]
    capabilities: Mapping[str, Any] = field(default_factory=dict)


ALL_PORTS = ("chunks", "lexical", "metadata", "source", "lock", "cache")
_READ_PORTS = ("chunks", "lexical", "metadata")
_WRITE_PORTS = ("chunks", "lexical", "metadata", "lock")


class App:
    """A configuration that can be planned and run.

    ``overrides`` maps a port to an adapter's name, an ``AdapterSpec`` or an object that serves as the adapter.
    ``data`` names the index folder; without it each path decides (see ``codequay.indexing.roots``).
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        overrides: Mapping[str, object] | None = None,
        registry: Registry | None = None,
        data: str | Path | None = None,
    ) -> None:
        if settings is None:
            from .kernel.settings import load_settings

            settings = load_settings()
        self.settings = settings
        self._overrides = dict(overrides or {})
        self._registry = registry
        self._data = None if data is None else Path(os.path.realpath(data))

    def plan(self, ports: Iterable[str] = ALL_PORTS) -> Plan:
        """Which adapter serves each port, and why; opens nothing.

        :raises PlanError: with everything that is wrong
        """
        return self._plan(self.settings, ports)

    def _plan(self, settings: Settings, ports: Iterable[str]) -> Plan:
        from .kernel.plan import make_plan
        from .kernel.registry import default_registry

        ports = tuple(ports)
        overrides = {port: value for port, value in self._overrides.items() if port in ports}
        return make_plan(settings, self._registry or default_registry(), ports=ports, overrides=overrides)

    @asynccontextmanager
    async def run(self, readonly: bool = False) -> AsyncIterator[Quay]:
        """The library, open for work. Stores are opened when a path first needs them, and closed here.

        :raises PlanError: the configuration cannot be built
        """
        from .retrieval.signals import weights_from

        weights = weights_from(self.settings.retrieval.weights)
        self.plan(_READ_PORTS)
        async with AsyncExitStack() as stack:
            yield Quay(self, stack, weights, readonly=readonly, data=self._data)


class Quay:
    """The running library. Made by ``App.run``; its methods may be called concurrently."""

    def __init__(self, app: App, stack: AsyncExitStack, weights: Any, *, readonly: bool, data: Path | None) -> None:
        import asyncio

        from .retrieval.signals import PathTable

        self._app = app
        self._stack = stack
        self._weights = weights
        self._paths: PathTable = PathTable(weights)
        self._readonly = readonly
        self._data = data
        self._open: dict[tuple[Path, str], Ports] = {}
        self._in_use: dict[Ports, StoresInUse] = {}
        self._checked: set[str] = set()
        self._opening = asyncio.Lock()

    async def index(
        self, request: IndexRequest | str = ".", *, progress: Callable[[Progress], None] | None = None
    ) -> IndexAnswer:
        """Index the repository that the path lies in, or the folder when it lies in none.

        :raises PortError: permission, a full disk, a lock that somebody else holds
        """
        from .indexing.indexer import index_repository
        from .ports.metadata import Repo

        if isinstance(request, str):
            request = IndexRequest(request)
        if self._readonly:
            raise InvalidArgument("this App runs readonly and cannot index", remedy="App.run(readonly=False)")
        path, data = self._locate(request.path)
        found, source = await self._describe(path)
        if data is None:
            data = new_data(path, found)
        ports = await self._ports(data, "write")
        name = repo_id(found, data, name=self._app.settings.index.name, create=True)
        report = await index_repository(
            _IndexPorts(ports, source),
            repo=Repo(name, found.root, found.origin, source.adapter_name("source")),
            found=found,
            settings=self._app.settings.index,
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
        from .retrieval.prepare import prepare
        from .retrieval.query import parse

        started = perf_counter()
        if isinstance(request, str):
            request = SearchRequest(request)
        if type(request.limit) is not int or not 1 <= request.limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit must be from 1 to {MAX_LIMIT}, not {request.limit!r}")
        if request.unit not in ("file", "chunk", "symbol"):
            raise InvalidArgument(f"unit must be file, chunk or symbol, not {request.unit!r}")
        off = [port for port in ("chunks", "lexical") if port not in self._app.settings.index.enable]
        if off:
            raise FailedPrecondition(
                f"index.enable leaves out {' and '.join(off)}, and a search needs it",
                at=self._app.settings.origin("index.enable"),
                remedy="add it to index.enable, then codequay index",
            )
        query = parse(request.query, literal=request.literal)
        ports, place = await self._reader(request.path)
        parsed = perf_counter()
        asked = prepare(query)
        view, result = await self._run(ports, self._search_steps(ports, place, request, asked))
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
        from .ports.lexical import LexicalCapabilities
        from .retrieval import engine
        from .retrieval.scope import resolve

        capabilities = cast(LexicalCapabilities, ports.capabilities("lexical"))
        view = (yield from resolve(place, self._stores(ports))).only(asked.admits_repo)
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
        from .retrieval import reading

        if isinstance(request, str):
            request = ShowRequest(request)
        if request.line is not None and (type(request.line) is not int or request.line < 1):
            raise InvalidArgument(f"lines count from 1, not {request.line!r}")
        on_disk = _on_disk(request.path)
        ports, place = await self._reader(request.path if on_disk else ".", whole=True)
        file = on_disk or request.path
        shown = await self._run(ports, reading.show(place, self._stores(ports), file, request.line))
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
        from .retrieval import reading

        if isinstance(request, str):
            request = StatusRequest(request)
        ports, place = await self._reader(request.path, whole=True)
        states = await self._run(ports, reading.states(place, self._stores(ports)))
        return StatusAnswer(
            data=str(self._data or Path(place.index_root) / FOLDER),
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
            capabilities={port: ports.capabilities(port).to_json() for port in _READ_PORTS},
        )

    async def health(self, latency_threshold_ms: float = 100, path: str = ".") -> Health:
        """Port -> ``ok``, ``degraded`` or ``down`` with its latency, for the stores of one place."""
        ports, _ = await self._reader(path)
        return await ports.health(latency_threshold_ms=latency_threshold_ms)

    # -- where, and with what ------------------------------------------------------------------------------------

    def _locate(self, path: str) -> tuple[str, Path | None]:
        real = real_path(path)
        return real, self._data or nearest_data(real, trusted=self._checked)

    async def _describe(self, path: str) -> tuple[SourceRepo, Ports]:
        """The repository that holds the path, and the source that knows it: a plain folder when git knows none."""
        source = await self._ports(Path(path) / FOLDER, "source")
        try:
            return await source.source.describe(path), source
        except NotFound:
            if source.adapter_name("source") != "git":
                raise
        source = await self._ports(Path(path) / FOLDER, "folder")
        return await source.source.describe(path), source

    async def _reader(self, path: str, *, whole: bool = False) -> tuple[Ports, Place]:
        """Stores to read for a path. ``whole``: every repository of the index, wherever in it the path lies."""
        from .retrieval.scope import Place

        real, data = self._locate(path)
        asked = real
        if data is None:
            found, _ = await self._describe(real)
            data = new_data(real, found)
            # a linked worktree reads the index of the main one
            asked = _moved(real, found.root, found.main_root)
        root = str(data.parent)
        place = Place("" if whole or asked == root else asked, root, path)
        writer = self._open.get((data, "write"))
        if writer is not None:
            return writer, place
        try:
            return await self._ports(data, "read"), place
        except (NotFound, NotIndexed) as exc:
            raise NotIndexed(f"{path} has no index", remedy=f"codequay index {path}") from exc

    async def _ports(self, data: Path, mode: Literal["read", "write", "source", "folder"]) -> Ports:
        from .kernel.lifecycle import open_ports

        known = self._open.get((data, mode))
        if known is not None:
            return known
        async with self._opening:
            known = self._open.get((data, mode))
            if known is not None:
                return known
            settings = self._app.settings
            names: tuple[str, ...] = {"read": _READ_PORTS, "write": _WRITE_PORTS}.get(mode, ("source",))
            if mode == "folder":
                from .kernel.settings import Binding

                settings = replace(settings, ports={**settings.ports, "source": Binding("folder")})
            plan = self._app._plan(settings, names)
            opened = await self._stack.enter_async_context(open_ports(plan, data=data, readonly=mode != "write"))
            self._open[(data, mode)] = opened
            self._checked.add(str(data))
            return opened

    async def _run(self, ports: Ports, steps: Steps[T]) -> T:
        """One thread hop when every store reads synchronously, else awaited."""
        from .retrieval.steps import await_steps, run_steps

        faces = {port: ports.sync(port) for port in _READ_PORTS}
        if all(face is not None for face in faces.values()):
            done: T = await ports.run_sync(run_steps, steps, faces)
            return done
        return await await_steps(steps, {port: getattr(ports, port) for port in _READ_PORTS})

    def _stores(self, ports: Ports) -> StoresInUse:
        known = self._in_use.get(ports)
        if known is None:
            from .indexing.version import CHUNKER
            from .retrieval.scope import StoresInUse

            enabled = [port for port in ("chunks", "lexical") if port in self._app.settings.index.enable]
            known = StoresInUse({port: ports.adapter_name(port) for port in enabled}, CHUNKER)
            self._in_use[ports] = known
        return known

    async def _with_heads(self, ports: Ports, freshness: list[RepoFreshness]) -> list[RepoFreshness]:
        """The same, with the commit that HEAD names now; None where the checkout is gone."""
        page = await ports.metadata.scan(limit=10_000)
        roots = {repo.repo_id: repo.root for repo in page.repos}
        checked = []
        for one in freshness:
            try:
                found, _ = await self._describe(roots[one.repo])
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


def _moved(path: str, root: str, to: str) -> str:
    """The path below another root."""
    return os.path.normpath(os.path.join(to, os.path.relpath(path, root)))


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
