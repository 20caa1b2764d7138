"""The write side: one writer at a time, in this process under a lock and among processes under Tantivy's.

A write goes: sidecar (slots, marked as this writer's), Tantivy documents; on seal: sidecar synced, Tantivy committed,
generation sealed. A crash at any point leaves sealed generations whole, and documents that no slot names invisible.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from codequay.ports.errors import Conflict, LockBusy, NotIndexed, PortError
from codequay.ports.generations import StageResult
from codequay.ports.lexical import LexFile, Unit

from .documents import Writers
from .placements import pack
from .placing import Lying, Writer
from .preparation import Prepared
from .words import Terms

log = logging.getLogger(__name__)

PAGE_FILES = 500
"""Placements that compaction reads at once, at most."""
PAGE_CHUNKS = 4000
"""Chunks of these, but for a single large file: some 6 MB of text."""


class Options(Protocol):
    """What the index reads of a configuration."""

    @property
    def busy_timeout(self) -> float: ...

    @property
    def chunk_heap_mb(self) -> int: ...

    @property
    def file_heap_mb(self) -> int: ...


class Staging:
    """The writes without await. Nothing is opened before the first of them."""

    def __init__(self, root: Path, config: Options, terms: Terms) -> None:
        self._root = root
        self._sidecar = root / "placements.db"
        self._config = config
        self._terms = terms
        self._writing = threading.Lock()
        self._placements: Writer | None = None
        self._writers: Writers | None = None
        self._begun: set[tuple[str, int]] = set()
        self._compacting = False

    def close(self) -> None:
        """Commit what was staged, so that a later process can go on with it, and close.

        When that fails the generation must begin again, as the sidecar says: nothing that was sealed is lost.
        """
        with self._writing:
            try:
                if self._compacting:
                    self._give_up()
                if self._placements is not None and self._writers is not None:
                    if self._placements.unfinished():
                        self._commit(self._placements, self._writers)
                    self._release()
            except (sqlite3.Error, ValueError, RuntimeError, OSError):
                log.debug("what was staged could not be committed", exc_info=True)
                self._give_up()
            finally:
                if self._placements is not None:
                    self._placements.close()
                    self._placements = None

    def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        with self._writing:
            placements, writers = self._open_writers()
            try:
                with placements:
                    placements.begin(repo_id, generation, base)
            except PortError:
                self._release_idle(placements)
                raise
            self._begun = {one for one in self._begun if one[0] != repo_id} | {(repo_id, generation)}
            self._guarded(placements, lambda: self._commit(placements, writers))

    def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        with self._writing:
            placements, writers = self._open_writers()
            last = {file.path: file for file in files}
            added: list[tuple[int, LexFile]] = []
            blobs = 0
            with placements:
                number, sealed = placements.staging(repo_id, generation)
                if sealed:
                    raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
                placements.mark(number, generation)
                for path in removed:
                    if path not in last:
                        placements.remove(number, generation, path)
                for file in last.values():
                    placed = placements.place(number, generation, file)
                    if placed is not None:
                        added.append((placed[0], file))
                        blobs += placed[1]

            def add() -> None:
                for slot, file in added:
                    writers.add(slot, file, self._terms)

            self._guarded(placements, add)
            return StageResult(blobs, len(added))

    def seal(self, repo_id: str, *, generation: int) -> None:
        with self._writing:
            placements, writers = self._open_writers()
            number, sealed = placements.staging(repo_id, generation)
            if not sealed:
                self._guarded(placements, lambda: self._commit(placements, writers))
                with placements:
                    placements.seal(number, generation)
                placements.sync()
            self._begun.discard((repo_id, generation))
            self._release_idle(placements)

    def drop(self, repo_id: str, *, generation: int) -> None:
        self._forget(repo_id, generation)

    def purge(self, repo_id: str) -> None:
        self._forget(repo_id, None)

    def _forget(self, repo_id: str, generation: int | None) -> None:
        with self._writing:
            placements, writers = self._open_writers()
            with placements:
                placements.forget(repo_id, generation)
            self._begun = {one for one in self._begun if one[0] != repo_id or generation not in (None, one[1])}
            self._guarded(placements, lambda: self._commit(placements, writers))
            self._release_idle(placements)

    def start_over(self) -> None:
        """Begin a compaction: from here to ``finish`` or ``give_up`` no other write is taken.

        Every document is deleted, in the same Tantivy commit that adds those of the sealed generations again under
        the slots that they have. So each index is the old one or the new one whenever the process dies, and either
        fits the sidecar.
        """
        with self._writing:
            if self._begun:
                raise LockBusy(f"{min(self._begun)[0]} is being indexed", remedy="compact when that has ended")
            placements, writers = self._open_writers()
            with placements:
                placements.keep_sealed()
            self._compacting = True
            self._guarded(placements, writers.clear)

    def lying(self, after: int) -> list[Lying]:
        """The next page of placements to write again."""
        with self._writing:
            placements, _ = self._kept_writers()
            return placements.lying(after, PAGE_FILES, PAGE_CHUNKS)

    def write_again(self, page: Sequence[Lying], files: Sequence[LexFile | None]) -> None:
        """Add the documents of a page, from files that must be those that were staged.

        :raises NotIndexed: one is not
        """
        with self._writing:
            placements, writers = self._kept_writers()
            for one, file in zip(page, files, strict=True):
                ref = one.ref
                if file is None or file.blob_id != ref.blob_id or pack(file.spans) != one.spans:
                    raise NotIndexed(
                        f"generation {ref.generation} of {ref.repo_id!r} holds another text of {ref.path!r}, or none",
                        remedy="codequay gc, then codequay index",
                    )
                self._guarded(placements, partial(writers.add, one.slot, file, self._terms))

    def finish(self) -> None:
        """Put the new documents in the place of the old ones."""
        with self._writing:
            placements, writers = self._kept_writers()
            placements.sync()
            self._guarded(placements, writers.commit)
            with placements:
                placements.compacted()
            self._compacting = False
            self._release()

    def give_up(self) -> None:
        """End a compaction that cannot go on; the index is as it was."""
        with self._writing:
            self._give_up()

    def _give_up(self) -> None:
        self._compacting = False
        writers, self._writers = self._writers, None
        if writers is not None:
            writers.discard()

    def _kept_writers(self) -> tuple[Writer, Writers]:
        """The writers of the compaction."""
        if not self._compacting or self._placements is None or self._writers is None:
            raise Conflict("the compaction has ended")
        return self._placements, self._writers

    def _open_writers(self) -> tuple[Writer, Writers]:
        """The writers, opened anew when there are none or the last ones have failed.

        :raises LockBusy: another process writes, or this one compacts
        """
        if self._compacting:
            raise LockBusy("this lexical index is being compacted", remedy="try again when that has ended")
        if self._placements is None:
            self._placements = Writer(self._sidecar, self._config.busy_timeout)
        if self._writers is None:
            heaps: dict[Unit, int] = {
                "chunk": self._config.chunk_heap_mb * 1_000_000,
                "file": self._config.file_heap_mb * 1_000_000,
            }
            self._writers = Writers(self._root, heaps)
        return self._placements, self._writers

    def _commit(self, placements: Writer, writers: Writers) -> None:
        doomed = placements.doomed()
        if not doomed and not placements.unfinished():
            return
        if writers.small:
            self._gather(placements, writers, writers.small)
        placements.sync()
        writers.delete(doomed)
        writers.commit()
        with placements:
            placements.buried(doomed)
            placements.committed()

    def _gather(self, placements: Writer, writers: Writers, small: Sequence[tuple[int, Prepared]]) -> None:
        """Put the files of recent small changes into the segment of this one, where segments have become many.

        Else Tantivy merges every eighth of them, and with them any of less than 10,000 documents, such as all files
        of a middling repository: half a second, while a search waits for one edited file. What the files consist of
        is kept in the sidecar until it is too much, and then Tantivy may merge.
        """
        recent: list[tuple[int, Prepared]] = []
        with placements:
            if writers.crowded():
                recent = placements.recent()
            placements.keep_recent(small)
        writers.delete([slot for slot, _ in recent])
        for slot, prepared in recent:
            writers.put(slot, prepared)

    def _guarded(self, placements: Writer, work: Callable[[], None]) -> None:
        """Tantivy work. After a failure the writers may have lost documents without a word, so they are given up."""
        try:
            work()
        except BaseException:
            if self._writers is not None:
                self._writers.discard()
                self._writers = None
            try:
                with placements:
                    placements.abandon()
            except sqlite3.Error:  # the disk is full: a new writer has another token, and so refuses to go on
                self._placements = None
                placements.close()
            raise

    def _release_idle(self, placements: Writer) -> None:
        """Let other processes write when nothing of ours waits for a commit."""
        if not placements.unfinished():
            self._release()

    def _release(self) -> None:
        writers, self._writers = self._writers, None
        if writers is not None:
            writers.close()
