"""Writes of the sidecar: see ``placements``."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from codequay.adapters._placements import ALIVE, UNSHOWN, PlacementWriter
from codequay.ports.errors import Conflict, Corrupt
from codequay.ports.lexical import LexFile, LexRef

from .errors import REBUILD
from .placements import pack
from .preparation import Prepared

RECENT_FILES = 400
"""Files of small changes that are put together again and again before Tantivy merges them."""
RECENT_BYTES = 1_000_000
"""The same in bytes, compressed: some 4 MB of text, .1 s each time."""


class Lying(NamedTuple):
    """A placement as compaction needs it: ``spans`` as packed, to compare."""

    slot: int
    ref: LexRef
    chunks: int
    spans: bytes | str


class Writer(PlacementWriter):
    """Writes of the sidecar. The index has one writer and a lock around it.

    ``token`` names this writer. A generation whose documents it has added and Tantivy has not committed carries it,
    so another writer, which would find them lost, refuses to go on with that generation.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__(path, timeout)
        self._token = os.urandom(16).hex()

    def sync(self) -> None:
        """Force everything to the disk, before Tantivy makes documents durable that carry these slots."""
        self._connection.execute("pragma synchronous=full")
        self._connection.execute("update store set syncs = syncs + 1")
        self._connection.execute("pragma synchronous=normal")

    def begin(self, repo_id: str, generation: int, base: int | None) -> None:
        """See ``GenerationStore.begin``."""
        number = self._make_room(repo_id, generation, base)
        self._connection.execute("insert into generation values(?, ?, 0, '')", (number, generation))
        self._drop_placements(f"repo = ? and {UNSHOWN}", (number,))

    def staging(self, repo_id: str, generation: int) -> tuple[int, bool]:
        """The repository's number and whether the generation is sealed; Conflict when this writer may not go on."""
        number, sealed, writer = self._begun(repo_id, generation, "writer")
        if writer not in ("", self._token):
            raise Conflict(
                f"generation {generation} of {repo_id!r} was staged by a writer that has gone; begin it again"
            )
        return number, sealed

    def mark(self, number: int, generation: int) -> None:
        """Note that documents of the generation are about to be added by this writer."""
        self._connection.execute(
            "update generation set writer = ? where repo = ? and generation = ?", (self._token, number, generation)
        )

    def committed(self) -> None:
        """Tantivy holds what this writer has added."""
        self._connection.execute("update generation set writer = '' where writer = ?", (self._token,))

    def abandon(self) -> None:
        """What this writer has added since the last commit is lost: its generations must be begun again."""
        self._drop_generations("writer = ? and not sealed", (self._token,))

    def place(self, number: int, generation: int, file: LexFile) -> tuple[int, bool] | None:
        """Write a placement: its slot and whether the blob is new; None when the base shows the same."""
        run = self._connection.execute
        spans = pack(file.spans)
        old = run(
            "select blob, language, mode, spans from placement where repo = ? and path = ? and born <= ? and died > ?",
            (number, file.path, generation, generation),
        ).fetchone()
        if old == (file.blob_id, file.language, file.mode, spans):
            return None
        new = run("select 1 from placement where blob = ? limit 1", (file.blob_id,)).fetchone() is None
        if old is not None:
            self.remove(number, generation, file.path)
        cursor = run(
            "insert into placement(repo, path, blob, language, mode, born, died, chunks, spans)"
            " values(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, file.path, file.blob_id, file.language, file.mode, generation, ALIVE, len(file.spans), spans),
        )
        return cursor.lastrowid or 0, new

    def seal(self, number: int, generation: int) -> None:
        self._connection.execute(
            "update generation set sealed = 1 where repo = ? and generation = ?", (number, generation)
        )

    def keep_sealed(self) -> None:
        """Drop every generation that is not sealed, and what only those show."""
        self._drop_generations("not sealed", ())
        self._drop_placements(UNSHOWN, ())

    def lying(self, after: int, files: int, chunks: int) -> list[Lying]:
        """The placements above the slot ``after``, by slot: at least one, at most so many files and chunks."""
        found: list[Lying] = []
        for slot, name, newest, path, blob, language, mode, count, spans in self._connection.execute(
            "select slot, name, (select max(generation) from generation g where g.repo = placement.repo"
            " and generation >= born and generation < died), path, blob, language, mode, chunks, spans"
            " from placement join repo on repo.id = repo where slot > ? order by slot limit ?",
            (after, files),
        ):
            chunks -= count
            if found and chunks < 0:
                break
            found.append(Lying(slot, LexRef(name, newest, path, blob, language, mode), count, spans))
        return found

    def compacted(self) -> None:
        """Tantivy holds the documents of the placements and no others. Readers notice."""
        self._connection.execute("delete from doomed")
        self._connection.execute("delete from recent")
        self._connection.execute("update store set syncs = syncs + 1")

    def keep_recent(self, files: Sequence[tuple[int, Prepared]]) -> None:
        """Keep what the documents of a small change are made of."""
        rows = [(slot, zlib.compress(json.dumps(prepared).encode(), 1)) for slot, prepared in files]
        self._connection.executemany("insert or replace into recent values(?, ?)", rows)

    def recent(self) -> list[tuple[int, Prepared]]:
        """The files of recent small changes that still lie somewhere; none, and forgotten, when they are too many."""
        run = self._connection.execute
        run("delete from recent where slot not in (select slot from placement)")
        files, size = run("select count(*), coalesce(sum(length(prepared)), 0) from recent").fetchone()
        if files > RECENT_FILES or size > RECENT_BYTES:
            run("delete from recent")
            return []
        return [(slot, _prepared(data)) for slot, data in run("select slot, prepared from recent")]

    def unfinished(self) -> bool:
        """Whether some generation holds documents that this writer has still to commit."""
        found = self._connection.execute("select 1 from generation where writer = ? limit 1", (self._token,)).fetchone()
        return found is not None

    def doomed(self) -> list[int]:
        """Slots whose documents must go."""
        return [slot for (slot,) in self._connection.execute("select slot from doomed")]

    def buried(self, slots: Iterable[int]) -> None:
        """Tantivy has deleted the documents of these slots."""
        self._connection.executemany("delete from doomed where slot = ?", [(slot,) for slot in slots])

    def _drop_placements(self, condition: str, values: Sequence[object]) -> int:
        self._connection.execute(f"insert or ignore into doomed select slot from placement where {condition}", values)
        return super()._drop_placements(condition, values)


def _prepared(data: bytes) -> Prepared:
    try:
        chunks, names, stem, folder, words = json.loads(zlib.decompress(data))
    except (zlib.error, ValueError) as exc:
        raise Corrupt("the files of recent changes are damaged", remedy=REBUILD) from exc
    return tuple(chunks), names, stem, folder, words
