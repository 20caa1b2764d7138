"""The writers of both indexes, and the documents that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import tantivy

from codequay.ports.failpoint import reach
from codequay.ports.lexical import LexFile, Unit

from .index import FOLDERS, ORDINAL_BITS, ORDINALS, SCHEMAS
from .locking import open_writer, share
from .preparation import Prepared, terms_of
from .segments import read_meta, segments
from .words import Terms

FEW_FILES = 200
"""Files of a small change: a refresh before a search takes no more, unless it is configured to."""
CROWDED = 7
"""Segments of an index to which a small change does not add one more: at eight Tantivy merges them."""
DELETED_AT_ONCE = 10_000
"""Slots in one query."""


class Writers:
    """Tantivy's writers of both indexes. Opening them takes each index's lock until ``close``.

    :raises LockBusy: another process has them open; the message names it
    """

    def __init__(self, root: Path, heaps: Mapping[Unit, int]) -> None:
        self._root = root
        self.small: list[tuple[int, Prepared]] | None = []
        """Files added since the last commit; None in a session that is more than a small change."""
        self._added = 0
        self._writers: dict[Unit, tantivy.IndexWriter] = {}
        try:
            for unit, folder in FOLDERS.items():
                self._writers[unit] = open_writer(root / folder, heaps[unit])
        except BaseException:
            self.discard()
            raise

    def add(self, slot: int, file: LexFile, terms: Terms) -> None:
        """Add the documents of one file."""
        prepared = cast("Prepared | None", file.prepared) or terms_of(file, terms)
        self.put(slot, prepared)
        self._added += 1
        if self._added > FEW_FILES:
            self.small = None
        elif self.small is not None:
            self.small.append((slot, prepared))

    def put(self, slot: int, prepared: Prepared) -> None:
        """Add documents that have been prepared."""
        chunks, names, stem, folder, words = prepared
        write = self._writers["chunk"].add_document
        for ordinal, body in enumerate(chunks):
            document = _document(slot, min(ordinal, ORDINALS))
            document.add_text("body", body)
            write(document)
        document = _document(slot, 0)
        document.add_text("fsym", names)
        document.add_text("fstem", stem)
        document.add_text("fdir", folder)
        document.add_text("body", words)
        self._writers["file"].add_document(document)

    def delete(self, slots: Sequence[int]) -> None:
        """Delete the documents of the slots.

        By query: ``delete_documents_by_term`` of tantivy-py 0.27 takes a number as signed, and so finds none in an
        unsigned field. One query of many slots also takes a fifth of the time of many.
        """
        for at in range(0, len(slots), DELETED_AT_ONCE):
            some = list(slots[at : at + DELETED_AT_ONCE])
            for unit, writer in self._writers.items():
                writer.delete_documents_by_query(tantivy.Query.term_set_query(SCHEMAS[unit], "slot", some))

    def clear(self) -> None:
        """Delete all documents but those that are added from now on."""
        for writer in self._writers.values():
            writer.delete_documents_by_query(tantivy.Query.all_query())

    def commit(self) -> None:
        for unit, writer in self._writers.items():
            reach("tantivy.commit")
            writer.commit()
            share(self._root / FOLDERS[unit])
        if self.small is not None:
            self.small = []

    def crowded(self) -> bool:
        """Whether one more segment would make Tantivy merge those of an index."""
        folders = [self._root / folder for folder in FOLDERS.values()]
        return any(len(segments(folder, read_meta(folder))) >= CROWDED for folder in folders)

    def close(self) -> None:
        """Let running merges end, and let go of the locks."""
        writers, self._writers = self._writers, {}
        for unit, writer in writers.items():
            writer.wait_merging_threads()
            share(self._root / FOLDERS[unit])

    def discard(self) -> None:
        """Let go of writers that have failed; what they had not committed is lost.

        Each is consumed, not just forgotten: a traceback that still holds one would hold its lock.
        """
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            with suppress(ValueError, RuntimeError):
                writer.wait_merging_threads()


def _document(slot: int, ordinal: int) -> tantivy.Document:
    document = tantivy.Document()
    document.add_unsigned("id", slot << ORDINAL_BITS | ordinal)
    document.add_unsigned("slot", slot)
    return document
