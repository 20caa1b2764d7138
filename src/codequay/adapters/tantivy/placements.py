"""The sidecar: which file lies where in which generation, and which documents of the indexes are its.

A placement has a **slot**, a number that is never used twice; a document's id is ``slot << 20 | chunk ordinal``. A
placement is shown by generations ``born <= g < died``. Tantivy's documents are deleted by slot, and a slot whose
documents must go stays in ``doomed`` until Tantivy has committed the deletion, so that a crash forgets nothing.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from codequay.ports.errors import Conflict, Corrupt, FingerprintMismatch, NotFound, NotIndexed
from codequay.ports.generations import GenerationState, StoreIdentity
from codequay.ports.lexical import LexFile, LexSpan

from .errors import REBUILD

ALIVE = 2**62
"""``died`` of a placement that no generation has removed."""

_SCHEMA = """
create table store(id text not null, fingerprint text not null, syncs integer not null);
create table repo(id integer primary key autoincrement, name text not null unique, highest integer not null);
create table generation(repo integer not null, generation integer not null, sealed integer not null,
    writer text not null, primary key(repo, generation)) without rowid;
create table placement(slot integer primary key autoincrement, repo integer not null, path text not null,
    blob text not null, language text not null, mode integer not null, born integer not null, died integer not null,
    chunks integer not null, spans not null);
create index placement_path on placement(repo, path, born);
create index placement_blob on placement(blob);
create table doomed(slot integer primary key);
"""
_UNSHOWN = """not exists(select 1 from generation g
    where g.repo = placement.repo and g.generation >= placement.born and g.generation < placement.died)"""
_SPAN = struct.Struct("<16sII")


class Slot(NamedTuple):
    """A placement as reads need it."""

    repo_id: str
    path: str
    blob_id: str
    language: str
    born: int
    died: int
    spans: bytes | str

    def span(self, ordinal: int) -> tuple[str, int, int]:
        """Id, first and last line of the placement's chunk."""
        if isinstance(self.spans, bytes):
            chunk_id, start, end = _SPAN.unpack_from(self.spans, ordinal * _SPAN.size)
            return chunk_id.hex(), start, end
        name, first, last = json.loads(self.spans)[ordinal]
        return name, first, last


def pack(spans: Sequence[LexSpan]) -> bytes | str:
    """The spans in one value: 24 bytes each when the ids are 128 bits in hex, else JSON."""
    try:
        packed = [_SPAN.pack(bytes.fromhex(s.chunk_id), s.start_line, s.end_line) for s in spans]
        if all(len(s.chunk_id) == 32 and s.chunk_id == s.chunk_id.lower() for s in spans):
            return b"".join(packed)
    except (ValueError, struct.error):
        pass
    return json.dumps([(s.chunk_id, s.start_line, s.end_line) for s in spans])


def connect(path: Path, *, readonly: bool, timeout: float) -> sqlite3.Connection:
    """A connection; where the folder cannot be written, SQLite reads the file as immutable."""
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(
        f"{uri}?mode={'ro' if readonly else 'rwc'}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if readonly:
            connection.execute("select 1 from sqlite_master").fetchone()
        else:
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=normal")
    except sqlite3.Error as exc:
        connection.close()
        if not readonly or not isinstance(exc, sqlite3.OperationalError):
            raise
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return connection


def create(path: Path, fingerprint: str, timeout: float, make_indexes: Callable[[], None]) -> None:
    """Make the store unless it is there. The sidecar comes last, so half a store counts as none."""
    connection = connect(path, readonly=False, timeout=timeout)
    try:
        connection.execute("begin immediate")
        if connection.execute("select 1 from sqlite_master where name = 'store'").fetchone() is None:
            make_indexes()
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("insert into store values(?, ?, 0)", (uuid.uuid4().hex, fingerprint))
        connection.execute("commit")
    finally:
        connection.close()


class Reader:
    """Reads of the sidecar through one connection, from any thread."""

    def __init__(self, path: Path, *, readonly: bool, timeout: float, fingerprint: str) -> None:
        if not path.exists():
            raise NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
        self._lock = threading.RLock()
        self._connection = connect(path, readonly=readonly, timeout=timeout)
        try:
            if self._one("select 1 from sqlite_master where name = 'store'") is None:
                raise NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
            store = self._one("select id, fingerprint from store")
            if store is None:
                raise Corrupt(f"{path} names no store", remedy=REBUILD)
            self.identity = StoreIdentity(str(store[0]), str(store[1]))
            if self.identity.fingerprint != fingerprint:
                raise FingerprintMismatch(
                    f"the lexical index at {path.parent} was built with {self.identity.fingerprint}, not {fingerprint}",
                    remedy=REBUILD,
                )
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _one(self, statement: str) -> tuple[object, ...] | None:
        with self._lock:
            row: tuple[object, ...] | None = self._connection.execute(statement).fetchone()
            return row

    def version(self) -> int:
        """Changes whenever another connection, of any process, has committed."""
        with self._lock:
            found: int = self._connection.execute("pragma data_version").fetchone()[0]
            return found

    def sealed(self) -> dict[tuple[str, int], int]:
        """(repository, generation) -> the repository's number, of every sealed generation."""
        with self._lock:
            rows = self._connection.execute(
                "select name, generation, repo.id from generation join repo on repo.id = repo where sealed"
            )
            return {(name, generation): number for name, generation, number in rows}

    def generations(self, repo_id: str) -> list[GenerationState]:
        with self._lock:
            rows = self._connection.execute(
                "select generation, sealed from generation join repo on repo.id = repo where name = ? order by 1",
                (repo_id,),
            )
            return [GenerationState(generation, bool(sealed)) for generation, sealed in rows]

    def slots(self, wanted: Sequence[int]) -> dict[int, Slot]:
        """The placements of the slots; those unknown are left out."""
        found: dict[int, Slot] = {}
        with self._lock:
            for at in range(0, len(wanted), 500):
                some = wanted[at : at + 500]
                marks = ",".join("?" * len(some))
                for row in self._connection.execute(
                    "select slot, name, path, blob, language, born, died, spans from placement"
                    f" join repo on repo.id = repo where slot in ({marks})",
                    some,
                ):
                    found[row[0]] = Slot(*row[1:])
        return found

    def placed(self, number: int, generation: int, after: str, limit: int) -> list[tuple[str, str, str]]:
        """Path, blob and language of what the generation shows above ``after``, by path; limit -1 is all."""
        with self._lock:
            return self._connection.execute(
                "select path, blob, language from placement where repo = ? and path > ? and born <= ? and died > ?"
                " order by path limit ?",
                (number, after, generation, generation, limit),
            ).fetchall()

    def counts(self, number: int, generation: int) -> tuple[int, int]:
        """Files and chunks that the generation shows."""
        with self._lock:
            files, chunks = self._connection.execute(
                "select count(*), coalesce(sum(chunks), 0) from placement where repo = ? and born <= ? and died > ?",
                (number, generation, generation),
            ).fetchone()
            return files, chunks


class Writer:
    """Writes of the sidecar. Not safe for threads: the index has one writer and a lock around it.

    ``token`` names this writer. A generation whose documents it has added and Tantivy has not committed carries it,
    so another writer, which would find them lost, refuses to go on with that generation.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._connection = connect(path, readonly=False, timeout=timeout)
        self._token = uuid.uuid4().hex

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> None:
        self._connection.execute("begin immediate")

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("commit" if kind is None else "rollback")

    def sync(self) -> None:
        """Force everything to the disk, before Tantivy makes documents durable that carry these slots."""
        self._connection.execute("pragma synchronous=full")
        self._connection.execute("update store set syncs = syncs + 1")
        self._connection.execute("pragma synchronous=normal")

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
        run("delete from generation where repo = ? and generation > ?", (number, keep))
        self._doom("repo = ? and born > ?", (number, keep))
        run("update placement set died = ? where repo = ? and died > ? and died < ?", (ALIVE, number, keep, ALIVE))
        if base is None:
            run("update placement set died = ? where repo = ? and died = ?", (generation, number, ALIVE))
        run("insert into generation values(?, ?, 0, '')", (number, generation))
        self._doom(f"repo = ? and {_UNSHOWN}", (number,))

    def staging(self, repo_id: str, generation: int) -> tuple[int, bool]:
        """The repository's number and whether the generation is sealed; Conflict when this writer may not go on."""
        row = self._connection.execute(
            "select repo, sealed, writer from generation join repo on repo.id = repo where name = ? and generation = ?",
            (repo_id, generation),
        ).fetchone()
        if row is None:
            raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
        if row[2] not in ("", self._token):
            raise Conflict(
                f"generation {generation} of {repo_id!r} was staged by a writer that has gone; begin it again"
            )
        return row[0], bool(row[1])

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
        self._connection.execute("delete from generation where writer = ? and not sealed", (self._token,))

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

    def remove(self, number: int, generation: int, path: str) -> None:
        """Take a path out of the generation."""
        self._doom("repo = ? and path = ? and born = ?", (number, path, generation))
        self._connection.execute(
            "update placement set died = ? where repo = ? and path = ? and born < ? and died > ?",
            (generation, number, path, generation, generation),
        )

    def seal(self, number: int, generation: int) -> None:
        self._connection.execute(
            "update generation set sealed = 1 where repo = ? and generation = ?", (number, generation)
        )

    def forget(self, repo_id: str, generation: int | None) -> bool:
        """Drop one generation, or the repository; whether there was anything."""
        run = self._connection.execute
        row = run("select id from repo where name = ?", (repo_id,)).fetchone()
        if row is None:
            return False
        if generation is None:
            run("delete from generation where repo = ?", row)
            self._doom("repo = ?", row)
            run("delete from repo where id = ?", row)
            return True
        gone = run("delete from generation where repo = ? and generation = ?", (row[0], generation)).rowcount
        self._doom(f"repo = ? and {_UNSHOWN}", row)
        return gone > 0

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

    def _doom(self, condition: str, values: Sequence[object]) -> None:
        self._connection.execute(f"insert or ignore into doomed select slot from placement where {condition}", values)
        self._connection.execute(f"delete from placement where {condition}", values)
