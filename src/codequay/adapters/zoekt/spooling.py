"""Writes of the spool: see ``spool``."""

from __future__ import annotations

import secrets
import threading
import zlib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from codequay.adapters._placements import ALIVE, UNSHOWN, PlacementWriter
from codequay.ports.errors import Corrupt
from codequay.ports.generations import StageResult
from codequay.ports.lexical import LexFile, LexSpan

from .errors import REBUILD
from .spool import LEFT_OUT, ODD_TEXT
from .words import ODD, vocabulary

_PAGE = 200
"""Texts read at once when a generation is handed to the indexer."""


class Writer(PlacementWriter):
    """Writes of the spool, one at a time in this process; other processes have their own. Each is a transaction."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__(path, timeout)
        self._lock = threading.RLock()
        self._swept = False

    def close(self) -> None:
        with self._lock:
            super().close()

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            super().__enter__()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            super().__exit__(kind, *rest)
        finally:
            self._lock.release()

    def begin(self, repo_id: str, generation: int, base: int | None) -> None:
        """See ``GenerationStore.begin``."""
        number = self._make_room(repo_id, generation, base)
        self._connection.execute(
            "insert into generation values(?, ?, 0, '', ?, 0, 0, 0)", (number, generation, _stamp())
        )
        self._drop_placements(f"repo = ? and {UNSHOWN}", (number,))
        self._swept = False
        self._sweep()

    def staging(self, repo_id: str, generation: int) -> tuple[int, bool, str]:
        """The repository's number, whether the generation is sealed, and the stamp of what was staged so far.

        :raises Conflict: it was not begun, or is deleted
        """
        return self._begun(repo_id, generation, "version")

    def stage(self, number: int, generation: int, files: Sequence[LexFile], removed: Sequence[str]) -> StageResult:
        """See ``LexicalIndex.stage``."""
        last = {file.path: file for file in files}
        for path in removed:
            if path not in last:
                self.remove(number, generation, path)
        blobs = placements = 0
        for file in last.values():
            placed = self._place(number, generation, file)
            if placed is not None:
                placements += 1
                blobs += placed
        self._connection.execute(
            "update generation set version = ? where repo = ? and generation = ?", (_stamp(), number, generation)
        )
        self._sweep()
        return StageResult(blobs, placements)

    def _place(self, number: int, generation: int, file: LexFile) -> bool | None:
        """Write a placement: whether its blob is new; None when the same lies there."""
        run = self._connection.execute
        spans = _digest(file.spans)
        old = run(
            "select hash, language, mode, spans from placement join blob on blob.id = blob"
            " where repo = ? and path = ? and born <= ? and died > ?",
            (number, file.path, generation, generation),
        ).fetchone()
        if old == (file.blob_id, file.language, file.mode, spans):
            return None
        found = run("select id from blob where hash = ?", (file.blob_id,)).fetchone()
        blob = found[0] if found else self._add(file)
        if old is not None:
            self.remove(number, generation, file.path)
        run(
            "insert into placement(repo, path, blob, language, mode, born, died, chunks, spans)"
            " values(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, file.path, blob, file.language, file.mode, generation, ALIVE, len(file.spans), spans),
        )
        return found is None

    def _add(self, file: LexFile) -> int:
        data = file.text.encode()
        odd = ODD_TEXT if not file.text.isascii() and ODD.search(file.text) else 0
        cursor = self._connection.execute(
            "insert into blob(hash, size, odd, words, text) values(?, ?, ?, ?, ?)",
            (file.blob_id, len(data), odd, " ".join(vocabulary(file.text)), zlib.compress(data, 1)),
        )
        return cursor.lastrowid or 0

    def totals(self, number: int, generation: int) -> tuple[int, int]:
        """Files of the generation, and bytes of their texts."""
        files, size = self._connection.execute(
            "select count(*), coalesce(sum(size), 0) from placement join blob on blob.id = blob"
            " where repo = ? and born <= ? and died > ?",
            (number, generation, generation),
        ).fetchone()
        return files, size

    def texts(self, number: int, generation: int) -> Iterator[tuple[str, bytes]]:
        """Path and text of every file of the generation, by path."""
        after = ""
        while True:
            with self._lock:
                rows = self._connection.execute(
                    "select path, text from placement join blob on blob.id = blob"
                    " where repo = ? and path > ? and born <= ? and died > ? order by path limit ?",
                    (number, after, generation, generation, _PAGE),
                ).fetchall()
            for path, text in rows:
                try:
                    yield path, zlib.decompress(text)
                except zlib.error as exc:
                    raise Corrupt(f"the text of {path!r} in the spool is damaged", remedy=REBUILD) from exc
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def seal(self, number: int, generation: int, what: tuple[str, str, int, int, int], left: Sequence[str]) -> None:
        """Show the generation. ``what`` is zoekt, version, shards, documents and bytes; Zoekt has left out the texts at
        ``left``."""
        run = self._connection.execute
        for path in left:
            run(
                "update blob set odd = odd | ? where id = (select blob from placement"
                " where repo = ? and path = ? and born <= ? and died > ?)",
                (LEFT_OUT, number, path, generation, generation),
            )
        run(
            "update generation set sealed = 1, zoekt = ?, version = ?, shards = ?, documents = ?, bytes = ?"
            " where repo = ? and generation = ?",
            (*what, number, generation),
        )
        run("delete from doomed where zoekt = ?", (what[0],))

    def durable(self, on: bool) -> None:
        """Whether the next transactions are forced to the disk, with everything before them."""
        with self._lock:
            self._connection.execute(f"pragma synchronous={'full' if on else 'normal'}")

    def shows(self, zoekt: str, version: str) -> bool:
        """Whether a sealed generation consists of this."""
        with self._lock:
            row = self._connection.execute(
                "select 1 from generation where sealed and zoekt = ? and version = ?", (zoekt, version)
            ).fetchone()
            return row is not None

    def forget(self, repo_id: str, generation: int | None) -> None:
        super().forget(repo_id, generation)
        self._swept = False
        self._sweep()

    def doomed(self) -> list[str]:
        """What Zoekt is to forget."""
        with self._lock:
            return [name for (name,) in self._connection.execute("select zoekt from doomed")]

    def forgotten(self, names: Sequence[str]) -> None:
        """Zoekt has forgotten them."""
        self._connection.executemany("delete from doomed where zoekt = ?", [(name,) for name in names])

    def _drop_generations(self, condition: str, values: Sequence[object]) -> None:
        self._connection.execute(
            f"insert or ignore into doomed select zoekt from generation where {condition} and shards > 0", values
        )
        super()._drop_generations(condition, values)

    def _drop_placements(self, condition: str, values: Sequence[object]) -> int:
        gone = super()._drop_placements(condition, values)
        self._swept = self._swept and not gone
        return gone

    def _sweep(self) -> None:
        """Delete the texts that lie nowhere any more, where a placement went."""
        if self._swept:
            return
        self._connection.execute(
            "delete from blob where not exists(select 1 from placement where placement.blob = blob.id)"
        )
        self._swept = True


def _stamp() -> str:
    """A new stamp: what is staged changes it, and what is made of it carries it."""
    return secrets.token_hex(12)


def _digest(spans: Sequence[LexSpan]) -> bytes:
    """By what spans are compared: ids and lines, since their bytes follow from the ids."""
    said = "\n".join(f"{span.chunk_id} {span.start_line} {span.end_line}" for span in spans)
    return blake2b(said.encode(), digest_size=16).digest()
