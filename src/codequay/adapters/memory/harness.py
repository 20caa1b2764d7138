"""How the contract kit fills a source in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codequay.contract import tree

from .source import MemoryRepository


class SourceHarness(tree.SourceHarness):
    """The kit writes into a repository that it adds."""

    async def plant(self, adapter: Any) -> tree.Tree:
        return _Tree(self.folder, adapter)


class _Tree(tree.Tree):
    def __init__(self, folder: Path, source: Any) -> None:
        super().__init__(folder)
        self._source = source
        self._repository: MemoryRepository = source.add(str(self.root))
        self._commits = 0

    async def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        self._repository.write(path, data, mode=0o100755 if executable else 0o100644)

    async def link(self, path: str, target: str) -> None:
        self._repository.link(path, target)

    async def delete(self, path: str) -> None:
        self._repository.delete(path)

    async def commit(self) -> str:
        self._commits += 1
        return self._repository.commit(author=self.author, time=1_700_000_000 + self._commits)

    async def ignore(self, path: str) -> None:
        self._repository.ignore(path)

    async def submodule(self, path: str) -> None:
        self._repository.submodule(path, "0123456789" * 4)

    async def nest(self, path: str) -> None:
        self._source.add(str(self.at(path))).write("inside", b"")
