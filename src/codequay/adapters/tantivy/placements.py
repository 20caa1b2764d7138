"""The sidecar: which file lies where in which generation, and which documents of the indexes are its.

A placement has a **slot**, a number that is never used twice; a document's id is ``slot << 20 | chunk ordinal``. A
placement is shown by generations ``born <= g < died``. Tantivy's documents are deleted by slot, and a slot whose
documents must go stays in ``doomed`` until Tantivy has committed the deletion, so that a crash forgets nothing.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from codequay.adapters._files import State, state_of
from codequay.adapters._schema import Schema, Step
from codequay.ports.errors import Corrupt, FingerprintMismatch, NotFound
from codequay.ports.generations import GenerationState, StoreIdentity
from codequay.ports.lexical import LexSpan

from .errors import REBUILD, rebuild

ALIVE = 2**62
"""``died`` of a placement that no generation has removed."""

SCHEMA = Schema(
    script="""
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
""",
    steps=(
        Step(
            title="the files of recent small changes, so that their segments can be put together",
            sql="create table recent(slot integer primary key, prepared blob not null);",
            readers=1,
            writers=1,
            views="",
        ),
    ),
    rebuild=REBUILD,
)
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
        try:
            if isinstance(self.spans, bytes):
                chunk_id, start, end = _SPAN.unpack_from(self.spans, ordinal * _SPAN.size)
                return chunk_id.hex(), start, end
            name, first, last = json.loads(self.spans)[ordinal]
        except (struct.error, ValueError, LookupError, TypeError) as exc:
            raise Corrupt(f"the placement of {self.path!r} is damaged", remedy=REBUILD) from exc
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
    return connect_still(path, readonly=readonly, timeout=timeout)[0]


def connect_still(path: Path, *, readonly: bool, timeout: float) -> tuple[sqlite3.Connection, State | None]:
    """A connection, and the state in which the file is immutable to it: what it reads counts only while that stays."""
    uri = path.absolute().as_uri()
    still: State | None = None
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
        still = state_of(path)
        if still.log:
            raise
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("pragma cell_size_check=on")
    return connection, still


def create(path: Path, fingerprint: str, timeout: float, make_indexes: Callable[[], None]) -> None:
    """Make the store unless it is there, else bring its tables forward. The sidecar comes last, so half a store
    counts as none.

    :raises FingerprintMismatch: a newer release has migrated the tables, and this one may not write them
    """
    connection = connect(path, readonly=False, timeout=timeout)
    try:
        connection.execute("begin immediate")
        version = SCHEMA.version_of(connection, path)
        SCHEMA.check_newer(connection, path, version, write=True)
        if not version:
            make_indexes()
            SCHEMA.create(connection)
            connection.execute("insert into store values(?, ?, 0)", (os.urandom(16).hex(), fingerprint))
        elif version < SCHEMA.version:
            SCHEMA.migrate(connection, version)
        connection.execute("commit")
    finally:
        connection.close()


class Reader:
    """Reads of the sidecar through one connection, from any thread."""

    def __init__(self, path: Path, *, readonly: bool, timeout: float, fingerprint: str) -> None:
        if not path.exists():
            raise NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
        self._lock = threading.RLock()
        self._path = path
        self._timeout = timeout
        self._openings = 0
        self._connection, self._still = connect_still(path, readonly=readonly, timeout=timeout)
        try:
            version = SCHEMA.version_of(self._connection, path)
            if not version:
                raise NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
            SCHEMA.check_newer(self._connection, path, version, write=False)
            SCHEMA.read_older(self._connection, path, version)
            store = self._one("select id, fingerprint from store")
            if store is None:
                raise Corrupt(f"{path} names no store", remedy=rebuild(path.parent))
            self.identity = StoreIdentity(str(store[0]), str(store[1]))
            if self.identity.fingerprint != fingerprint:
                raise FingerprintMismatch(
                    f"the lexical index at {path.parent} was built with {self.identity.fingerprint}, not {fingerprint}",
                    remedy=rebuild(path.parent),
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
            if self._still is not None and self._still != state_of(self._path):
                self._open_again()
            found: int = self._connection.execute("pragma data_version").fetchone()[0]
            return self._openings << 32 | found

    def _open_again(self) -> None:
        """Somebody who may write has written to a file that was opened as one that stays."""
        connection, still = connect_still(self._path, readonly=True, timeout=self._timeout)
        SCHEMA.read_older(connection, self._path, SCHEMA.version_of(connection, self._path))
        self._connection.close()
        self._connection, self._still = connection, still
        self._openings += 1

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

    def damage(self) -> list[str]:
        """What SQLite's own check finds, at most five lines."""
        try:
            with self._lock:
                rows = self._connection.execute("pragma quick_check(5)").fetchall()
        except sqlite3.DatabaseError as exc:
            return [str(exc)]
        return [line for (line,) in rows if line != "ok"]

    def staging(self) -> bool:
        """Whether some generation has begun and is not sealed, so that documents may still be missing."""
        return self._one("select 1 from generation where not sealed limit 1") is not None

    def doomed(self, slots: Sequence[int]) -> set[int]:
        """Those whose placements are gone while their documents may still be found."""
        with self._lock:
            doomed = {slot for (slot,) in self._connection.execute("select slot from doomed")}
        return doomed.intersection(slots)

    def placed(self, number: int, generation: int, after: str, limit: int) -> list[tuple[str, str, str]]:
        """Path, blob and language of what the generation shows above ``after``, by path; limit -1 is all."""
        with self._lock:
            return self._connection.execute(
                "select path, blob, language from placement where repo = ? and path > ? and born <= ? and died > ?"
                " order by path limit ?",
                (number, after, generation, generation, limit),
            ).fetchall()

    def lying(self) -> tuple[int, int]:
        """Files and chunks of all placements: the documents that the two indexes should hold."""
        with self._lock:
            files, chunks = self._connection.execute(
                "select count(*), coalesce(sum(chunks), 0) from placement"
            ).fetchone()
            return files, chunks

    def counts(self, number: int, generation: int) -> tuple[int, int]:
        """Files and chunks that the generation shows."""
        with self._lock:
            files, chunks = self._connection.execute(
                "select count(*), coalesce(sum(chunks), 0) from placement where repo = ? and born <= ? and died > ?",
                (number, generation, generation),
            ).fetchone()
            return files, chunks
