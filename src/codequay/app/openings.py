"""Which index a path means, and the ports that are open for it."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from ..indexing.roots import FOLDER, nearest_data, new_data, real_path
from ..ports.errors import NotFound, NotIndexed

if TYPE_CHECKING:
    from ..kernel.lifecycle import Ports
    from ..ports.source import SourceRepo
    from ..retrieval.scope import Place, StoresInUse
    from ..retrieval.steps import Steps
    from .application import App

T = TypeVar("T")

READ_PORTS = ("chunks", "lexical", "metadata")
WRITE_PORTS = ("chunks", "lexical", "metadata", "lock")


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

    async def reader(self, path: str, *, whole: bool = False) -> tuple[Ports, Place]:
        """Stores to read for a path. ``whole``: every repository of the index, wherever in it the path lies."""
        from ..retrieval.scope import Place

        real, data = self.locate(path)
        asked = real
        if data is None:
            found, _ = await self.describe(real)
            data = new_data(real, found)
            # a linked worktree reads the index of the main one
            asked = _moved(real, found.root, found.main_root)
        root = str(data.parent)
        place = Place("" if whole or asked == root else asked, root, path)
        writer = self._open.get((data, "write"))
        if writer is not None:
            return writer, place
        try:
            return await self.ports(data, "read"), place
        except (NotFound, NotIndexed) as exc:
            raise NotIndexed(f"{path} has no index", remedy=f"codequay index {path}") from exc

    async def ports(self, data: Path, mode: Literal["read", "write", "source", "folder"]) -> Ports:
        from ..kernel.lifecycle import open_ports

        known = self._open.get((data, mode))
        if known is not None:
            return known
        async with self._opening:
            known = self._open.get((data, mode))
            if known is not None:
                return known
            settings = self._app.settings
            names: tuple[str, ...] = {"read": READ_PORTS, "write": WRITE_PORTS}.get(mode, ("source",))
            if mode == "folder":
                from ..kernel.settings import Binding

                settings = replace(settings, ports={**settings.ports, "source": Binding("folder")})
            plan = self._app.plan_for(settings, names)
            opened = await self._stack.enter_async_context(open_ports(plan, data=data, readonly=mode != "write"))
            self._open[(data, mode)] = opened
            self._checked.add(str(data))
            return opened

    async def run(self, ports: Ports, steps: Steps[T]) -> T:
        """One thread hop when every store reads synchronously, else awaited."""
        from ..retrieval.steps import await_steps, run_steps

        faces = {port: ports.sync(port) for port in READ_PORTS}
        if all(face is not None for face in faces.values()):
            done: T = await ports.run_sync(run_steps, steps, faces)
            return done
        return await await_steps(steps, {port: getattr(ports, port) for port in READ_PORTS})

    def stores(self, ports: Ports) -> StoresInUse:
        known = self._in_use.get(ports)
        if known is None:
            from ..indexing.version import CHUNKER
            from ..retrieval.scope import StoresInUse

            enabled = [port for port in ("chunks", "lexical") if port in self._app.settings.index.enable]
            known = StoresInUse({port: ports.adapter_name(port) for port in enabled}, CHUNKER)
            self._in_use[ports] = known
        return known


def _moved(path: str, root: str, to: str) -> str:
    """The path below another root."""
    return os.path.normpath(os.path.join(to, os.path.relpath(path, root)))
