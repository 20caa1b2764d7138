"""Writes of the spool: see ``spool``."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from codequay.ports.errors import Conflict, Corrupt, NotIndexed
from codequay.ports.generations import StageResult
from codequay.ports.lexical import LexFile, LexSpan

from .errors import REBUILD
from .spool import ALIVE, LEFT_OUT, ODD_TEXT, connect
from .words import ODD, vocabulary

_UNSHOWN = """not exists(select 1 from generation g
    where g.repo = placement.repo and g.generation >= placement.born and g.generation < placement.died)"""
_PAGE = 200
"""Texts read at once when a generation is handed to the indexer."""


class Writer:
    """Writes of the spool, one at a time in this process; other processes have their own. Each is a transaction."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None
        self._swept = False

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = connect(self._path, readonly=False, timeout=self._timeout)
        return self._opened

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._connection.execute("begin immediate")
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("commit")
        finally:
            if self._connection.in_transaction:  # SQLite may have ended it itself, when the disk is full
                self._connection.execute("rollback")
            self._lock.release()

    def begin(self, repo_id: str, generation: int, base: int | None) -> None:
        """See ``GenerationStore.begin``."""
        run = self._connection.execute
        row = run("select id, highest from repo where name = ?", (repo_id,)).fetchone()
        sealed = {} if row is None else dict(run("select generation, sealed from generation where repo = ?", (row[0],)))
        if base is not None and not sealed.get(base):
            raise NotIndexed(f"generation {base} of {repo_id!r} is not sealed in this store")
        if row is not None and row[1] > generation:
            raise Conflict(f"generation {row[1]} of {repo_id!r} has begun after {generation}")
        run(
            "insert into repo(name, highest) values(?, ?) on conflict(name) do update set highest = excluded.highest",
            (repo_id, generation),
        )
        number = run("select id from repo where name = ?", (repo_id,)).fetchone()[0]
        keep = (
            base if base is not None else max((g for g, done in sealed.items() if done and g < generation), default=0)
        )
        self._doom("repo = ? and generation > ?", (number, keep))
        self._swept = False
        run("delete from placement where repo = ? and born > ?", (number, keep))
        run("update placement set died = ? where repo = ? and died > ? and died < ?", (ALIVE, number, keep, ALIVE))
        if base is None:
            run("update placement set died = ? where repo = ? and died = ?", (generation, number, ALIVE))
        run("insert into generation values(?, ?, 0, '', ?, 0, 0, 0)", (number, generation, _stamp()))
        run(f"delete from placement where repo = ? and {_UNSHOWN}", (number,))
        self._sweep()

    def staging(self, repo_id: str, generation: int) -> tuple[int, bool, str]:
        """The repository's number, whether the generation is sealed, and the stamp of what was staged so far.

        :raises Conflict: it was not begun, or is deleted
        """
        row = self._connection.execute(
            "select repo, sealed, version from generation join repo on repo.id = repo"
            " where name = ? and generation = ?",
            (repo_id, generation),
        ).fetchone()
        if row is None:
            raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
        return row[0], bool(row[1]), row[2]

    def stage(self, number: int, generation: int, files: Sequence[LexFile], removed: Sequence[str]) -> StageResult:
        """See ``LexicalIndex.stage``."""
        last = {file.path: file for file in files}
        for path in removed:
            if path not in last:
                self._remove(number, generation, path)
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
            self._remove(number, generation, file.path)
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

    def _remove(self, number: int, generation: int, path: str) -> None:
        run = self._connection.execute
        gone = run("delete from placement where repo = ? and path = ? and born = ?", (number, path, generation))
        self._swept = self._swept and not gone.rowcount
        run(
            "update placement set died = ? where repo = ? and path = ? and born < ? and died > ?",
            (generation, number, path, generation, generation),
        )

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
        """Drop one generation, or the repository."""
        run = self._connection.execute
        row = run("select id from repo where name = ?", (repo_id,)).fetchone()
        if row is None:
            return
        self._swept = False
        if generation is None:
            self._doom("repo = ?", row)
            run("delete from placement where repo = ?", row)
            run("delete from repo where id = ?", row)
        else:
            self._doom("repo = ? and generation = ?", (row[0], generation))
            run(f"delete from placement where repo = ? and {_UNSHOWN}", row)
        self._sweep()

    def doomed(self) -> list[str]:
        """What Zoekt is to forget."""
        with self._lock:
            return [name for (name,) in self._connection.execute("select zoekt from doomed")]

    def forgotten(self, names: Sequence[str]) -> None:
        """Zoekt has forgotten them."""
        self._connection.executemany("delete from doomed where zoekt = ?", [(name,) for name in names])

    def _doom(self, condition: str, values: Sequence[object]) -> None:
        run = self._connection.execute
        run(f"insert or ignore into doomed select zoekt from generation where {condition} and shards > 0", values)
        run(f"delete from generation where {condition}", values)

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
