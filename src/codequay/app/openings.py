"""Which index a path means, and the ports that are open for it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from ..indexing.roots import FOLDER, nearest_data, new_data, real_path
from ..ports.errors import FailedPrecondition, NotFound, NotIndexed
from ..ports.metadata import WORKTREE

if TYPE_CHECKING:
    from ..kernel.lifecycle import Ports
    from ..kernel.plan import Plan
    from ..ports.metadata import Repo
    from ..ports.source import SourceControl, SourceRepo
    from ..retrieval.scope import Place, StoresInUse
    from ..retrieval.steps import Steps
    from .application import App

T = TypeVar("T")

REVISION = "rev:"
"""How the name of a snapshot begins that shows a revision."""
READ_PORTS = ("chunks", "lexical", "metadata")
WRITE_PORTS = ("chunks", "lexical", "metadata", "lock")
AROUND_PORTS = ("lock", "cache")
"""What is no store of the index."""
_OPENED_FOR: Mapping[str, tuple[str, ...]] = {
    "read": READ_PORTS,
    "write": WRITE_PORTS,
    "around": AROUND_PORTS,
    "lock": ("lock",),
}

Mode = Literal["read", "write", "around", "lock", "source", "folder"]


@dataclass(frozen=True, slots=True)
class Where:
    """What a path means to a reader: the stores, the place in them, and the index folder.

    ``worktree`` and ``main`` are the tops of the work tree that the path lies in and of the main one, when they differ.
    """

    ports: Ports
    place: Place
    data: Path
    worktree: str = ""
    main: str = ""

    def stored(self, path: str) -> str:
        """A path on disk as the index knows it: below the main work tree."""
        return _moved(path, self.worktree, self.main) if self.worktree else path


def worktree_name(found: SourceRepo) -> str:
    """The snapshot that shows the work tree in which the repository was found."""
    return WORKTREE if found.root == found.main_root else f"{WORKTREE}:{found.root}"


def revision_name(rev: str) -> str:
    """The snapshot that shows a revision as it was typed."""
    return REVISION + rev


class Openings:
    """The ports that are open, by index folder and by what for. Opened when first needed, closed with the library."""

    def __init__(self, app: App, stack: AsyncExitStack, data: Path | None) -> None:
        import asyncio

        self.data = data
        self._app = app
        self._stack = stack
        self._open: dict[tuple[Path, str], Ports] = {}
        self._in_use: dict[Ports, StoresInUse] = {}
        self._checked: set[str] = set()
        self._opening = asyncio.Lock()

    def locate(self, path: str) -> tuple[str, Path | None]:
        real = real_path(path)
        return real, self.data or nearest_data(real, trusted=self._checked)

    async def describe(self, path: str) -> tuple[SourceRepo, Ports]:
        """The repository that holds the path, and the source that knows it: a plain folder when git knows none."""
        source = await self.ports(Path(path) / FOLDER, "source")
        try:
            return await source.source.describe(path), source
        except NotFound:
            if source.adapter_name("source") != "git":
                raise
        source = await self.ports(Path(path) / FOLDER, "folder")
        return await source.source.describe(path), source

    async def source(self, repo: Repo, root: str) -> SourceControl:
        """The source that a repository was indexed with."""
        return (await self._source(repo, root)).source

    async def describe_again(self, repo: Repo, root: str) -> tuple[SourceRepo, Ports]:
        """The repository at the top where it was indexed, as the same source sees it now.

        :raises FailedPrecondition: it is the top of a repository no longer
        """
        ports = await self._source(repo, root)
        found = await ports.source.describe(root)
        if found.root != root:
            raise FailedPrecondition(
                f"{root} belongs to the repository {found.root} now", remedy=f"codequay index {root}"
            )
        return found, ports

    async def _source(self, repo: Repo, root: str) -> Ports:
        return await self.ports(Path(root) / FOLDER, "folder" if repo.source == "folder" else "source")

    async def reader(self, path: str, *, whole: bool = False) -> tuple[Ports, Place]:
        """Stores to read for a path. ``whole``: every repository of the index, wherever in it the path lies."""
        where = await self.where(path)
        return where.ports, replace(where.place, path="") if whole else where.place

    async def where(self, path: str, *, rev: str | None = None) -> Where:
        """What a path means to a reader, in its work tree or at a revision.

        :raises NotIndexed: there is no index
        """
        from ..retrieval.scope import Place

        real, data = self.locate(path)
        asked, worktree, main = real, "", ""
        snapshots: tuple[str, ...] = (WORKTREE,)
        if data is None or in_linked_worktree(real):
            found, _ = await self.describe(real)
            data = data or new_data(real, found)
            if found.root != found.main_root:
                # a linked worktree is a snapshot in the index of the main one
                worktree, main = found.root, found.main_root
                asked = _moved(real, worktree, main)
                snapshots = (worktree_name(found), WORKTREE)
        remedy = f"codequay index {path}"
        if rev is not None:
            snapshots, remedy = (revision_name(rev),), f"codequay index --rev {shlex.quote(rev)} {path}"
        root = str(data.parent)
        place = Place("" if asked == root else asked, root, path, snapshots, remedy)
        ports = self._open.get((data, "write"))
        if ports is None:
            try:
                ports = await self.ports(data, "read")
            except (NotFound, NotIndexed) as exc:
                raise NotIndexed(f"{path} has no index", remedy=remedy) from exc
        return Where(ports, place, data, worktree, main)

    async def ports(self, data: Path, mode: Mode) -> Ports:
        from ..kernel.lifecycle import open_ports

        known = self._open.get((data, mode))
        if known is not None:
            return known
        async with self._opening:
            known = self._open.get((data, mode))
            if known is not None:
                return known
            settings = self._app.settings
            names = _OPENED_FOR.get(mode, ("source",))
            if mode == "folder":
                from ..kernel.settings import Binding

                settings = replace(settings, ports={**settings.ports, "source": Binding("folder")})
            plan = self._app.plan_for(settings, names)
            opened = await self._stack.enter_async_context(
                open_ports(plan, data=data, readonly=mode not in ("write", "lock"))
            )
            self._open[(data, mode)] = opened
            self._checked.add(str(data))
            return opened

    async def folder(self, path: str) -> Path:
        """The index folder that a path means, whether or not it exists; opens no store."""
        real, data = self.locate(path)
        return data or new_data(real, (await self.describe(real))[0])

    def plan(self) -> Plan:
        """What stands behind the ports of an index."""
        return self.plan_of(WRITE_PORTS)

    def plan_of(self, names: tuple[str, ...]) -> Plan:
        """What stands behind these ports."""
        return self._app.plan_for(self._app.settings, names)

    @asynccontextmanager
    async def alone(self, data: Path, port: str) -> AsyncIterator[Ports]:
        """One port, open for reading apart from the others, so that what is wrong with them does not hide it.

        Where a writer is open already it is used: some adapters keep their content in the process.
        """
        from ..kernel.lifecycle import open_ports

        known = self._open.get((data, "write"))
        if known is not None:
            yield known
            return
        spec = self.plan_of((port,)).ports[port].spec
        plan = self.plan_of((port, *(spec.needs if spec else ())))
        async with open_ports(plan, data=data, readonly=True) as ports:
            yield ports

    async def run(self, ports: Ports, steps: Steps[T]) -> T:
        """One thread hop when every store reads synchronously, else awaited."""
        from ..retrieval.steps import await_steps, run_steps

        faces = {port: ports.sync(port) for port in READ_PORTS}
        if all(face is not None for face in faces.values()):
            done: T = await ports.run_sync(run_steps, steps, faces)
            return done
        return await await_steps(steps, {port: getattr(ports, port) for port in READ_PORTS}, ports.run_sync)

    def stores(self, ports: Ports) -> StoresInUse:
        known = self._in_use.get(ports)
        if known is None:
            enabled = [port for port in ("chunks", "lexical") if port in self._app.settings.index.enable]
            ours = [port for port in enabled if getattr(ports.capabilities(port), "writable", True)]
            known = stores_in_use(dict.fromkeys(ours, ports), ports)
            self._in_use[ports] = known
        return known


def stores_in_use(stores: Mapping[str, Ports], metadata: Ports) -> StoresInUse:
    """What a reader knows of the stores that we fill.

    :param stores: where each is open, by port
    :param metadata: where the metadata store is open
    """
    from ..indexing import filled
    from ..indexing.version import CHUNKER
    from ..retrieval.scope import StoresInUse

    reach = {port: ports.capabilities(port).reach for port, ports in {**stores, "metadata": metadata}.items()}
    apart = frozenset(port for port in stores if reach["metadata"] == "network" != reach[port])
    known = StoresInUse({port: ports.adapter_name(port) for port, ports in stores.items()}, CHUNKER, apart=apart)
    return replace(known, later=partial(filled.records, metadata.data)) if apart else known


def in_linked_worktree(path: str) -> bool:
    """Whether the nearest ``.git`` at or above a resolved path is the file that git puts into a linked worktree."""
    at = path
    while True:
        git = os.path.join(at, ".git")
        try:
            mode = os.stat(git).st_mode
        except OSError:
            mode = 0
        if stat.S_ISREG(mode):
            with open(git, errors="replace") as file:
                return "/worktrees/" in file.read(4096)
        above = os.path.dirname(at)
        if above == at or stat.S_ISDIR(mode):
            return False
        at = above


def _moved(path: str, root: str, to: str) -> str:
    """The path below another root."""
    return os.path.normpath(os.path.join(to, os.path.relpath(path, root)))
