"""An index run as every request starts it: with its ports, and in the log of runs."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..indexing.indexer import IndexReport
    from ..kernel.lifecycle import Ports


class IndexPorts:
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


async def logged(data: Path, kind: str, path: str, repo_id: str, run: Awaitable[IndexReport]) -> IndexReport:
    """Await the run, and keep in the index folder's log what it did or how it ended."""
    from .runlog import recorded

    with recorded(data, kind, path) as log:
        log.tell(repo=repo_id)
        report = await run
        log.tell(
            snapshot=report.snapshot,
            generation=report.generation,
            files=report.files,
            changed_files=report.changed_files,
            removed_files=report.removed_files,
        )
    return report
