"""An index run over real adapters and a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from codequay.indexing.changes import Changes, compare
from codequay.indexing.filling import Progress
from codequay.indexing.indexer import IndexReport, index_repository
from codequay.indexing.manifest import Manifest, load
from codequay.ports.chunks import FileRef
from codequay.ports.config import NoConfig
from codequay.ports.generations import ScopeEntry
from codequay.ports.metadata import WORKTREE, Repo
from tests.contexts import TestContext, build_context

ADAPTERS = {"chunks": "memory", "lexical": "memory", "metadata": "memory", "source": "folder", "lock": "memory"}


@dataclass(frozen=True)
class Options:
    """Settings of a run."""

    enable: tuple[str, ...] = ("lexical", "chunks")
    max_file_bytes: int = 5_000_000
    scan_budget_ms: float = 2000
    workers: int | None = 0
    inline_below_bytes: int = 0
    chunk_bytes: int = 1500
    batch_bytes: int = 20_000
    keep_generations: int = 2


def _load(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    return getattr(import_module(module), name)


class World:
    """Open ports and the folder that is indexed."""

    def __init__(self, root: Path, data: Path, ports: dict[str, Any], names: dict[str, str]) -> None:
        self.root = root
        self.data = data
        self.names = names
        self.chunks = ports["chunks"]
        self.lexical = ports["lexical"]
        self.metadata = ports["metadata"]
        self.source = ports["source"]
        self.lock = ports["lock"]

    def adapter_name(self, port: str, /) -> str:
        return self.names[port]

    async def index(
        self,
        options: Options | None = None,
        revision: str | None = None,
        progress: Callable[[Progress], None] | None = None,
        readable_s: float = 0.0,
        **more: Any,
    ) -> IndexReport:
        """One run under the id "r"."""
        found = await self.source.describe(str(self.root))
        return await index_repository(
            self,
            repo=Repo("r", found.root),
            found=found,
            settings=options or Options(),
            revision=revision,
            progress=progress,
            readable_s=readable_s,
            data=self.data,
            **more,
        )

    async def compare(self, options: Options | None = None, snapshot: str = WORKTREE) -> Changes:
        """The tree against what the snapshot shows."""
        found = await self.source.describe(str(self.root))
        shown = await self.metadata.published(["r"], snapshot=snapshot)
        return await compare(
            self.source,
            data=self.data,
            found=found,
            repo_id="r",
            line=(await self.metadata.identity()).store_id,
            snapshot=snapshot,
            published=shown[0] if shown else None,
            settings=options or Options(),
        )

    def manifest(self, snapshot: str = WORKTREE) -> Manifest:
        """The snapshot's manifest, which must be there."""
        found = load(self.data, "r", snapshot)
        assert found is not None
        return found

    async def scope(self, snapshot: str = WORKTREE) -> tuple[ScopeEntry, ...]:
        shown = await self.metadata.published(snapshot=snapshot)
        return tuple(ScopeEntry(one.repo_id, one.generation) for one in shown)

    async def paths(self, snapshot: str = WORKTREE) -> list[str]:
        """What the chunk store shows of the published generation."""
        return [file.path for file in (await self.chunks.scan(scope=await self.scope(snapshot))).files]

    async def skipped(self) -> dict[str, str]:
        """Path -> reason, of the published generation."""
        ((_, generation),) = await self.scope()
        return {one.path: one.reason for one in (await self.metadata.skipped("r", generation=generation)).files}

    async def content(self, snapshot: str = WORKTREE) -> dict[str, Any]:
        """Everything that the snapshot shows, without what only tells its history: equal for equal trees."""
        scope = await self.scope(snapshot)
        placed = (await self.chunks.scan(scope=scope)).files
        refs = [FileRef("r", file.path) for file in placed]
        (published,) = await self.metadata.published(["r"], snapshot=snapshot)
        return {
            "placements": placed,
            "chunks": await self.chunks.of_file(refs, scope=scope),
            "lexical": (await self.lexical.scan(scope=scope)).files,
            "skipped": (await self.metadata.skipped("r", generation=published.generation)).files,
            "counts": (published.files, published.chunks, published.bytes),
        }


async def _open(stack: AsyncExitStack, ctx: TestContext, port: str, name: str) -> Any:
    spec = getattr(import_module(f"codequay.adapters.{name}"), port.upper())
    config = _load(spec.config)() if spec.config else NoConfig()
    return await stack.enter_async_context(_load(spec.factory)(config, ctx))


@asynccontextmanager
async def world(root: Path, data: Path, **adapters: str) -> AsyncIterator[World]:
    """The world over ``root``, in memory but for the adapters named."""
    names = ADAPTERS | adapters
    async with build_context(data) as ctx, AsyncExitStack() as stack:
        ports = {port: await _open(stack, ctx, port, name) for port, name in names.items()}
        yield World(root, data, ports, names)
