"""An index run over real adapters and a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from codequay.indexing.indexer import IndexReport, Progress, index_repository
from codequay.ports.config import NoConfig
from codequay.ports.generations import ScopeEntry
from codequay.ports.metadata import Repo
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


def _load(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    return getattr(import_module(module), name)


class World:
    """Open ports and the folder that is indexed."""

    def __init__(self, root: Path, ports: dict[str, Any], names: dict[str, str]) -> None:
        self.root = root
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
        )

    async def scope(self) -> tuple[ScopeEntry, ...]:
        return tuple(ScopeEntry(one.repo_id, one.generation) for one in await self.metadata.published())

    async def paths(self) -> list[str]:
        """What the chunk store shows of the published generation."""
        return [file.path for file in (await self.chunks.scan(scope=await self.scope())).files]

    async def skipped(self) -> dict[str, str]:
        """Path -> reason, of the published generation."""
        ((_, generation),) = await self.scope()
        return {one.path: one.reason for one in (await self.metadata.skipped("r", generation=generation)).files}


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
        yield World(root, ports, names)
