"""The sidecar: which file lies where in which generation, and which documents of the indexes are its.

A placement has a **slot**, a number that is never used twice; a document's id is ``slot << 20 | chunk ordinal``. A
placement is shown by generations ``born <= g < died``. Tantivy's documents are deleted by slot, and a slot whose
documents must go stays in ``doomed`` until Tantivy has committed the deletion, so that a crash forgets nothing.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from codequay.adapters import _placements
from codequay.adapters._placements import PlacementReader
from codequay.adapters._schema import Schema, Step
from codequay.ports.errors import Corrupt
from codequay.ports.lexical import LexSpan

from .errors import REBUILD

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


def create(path: Path, fingerprint: str, timeout: float, make_indexes: Callable[[], None]) -> None:
    """Make the store unless it is there, else bring its tables forward.

    :raises FingerprintMismatch: a newer release has migrated the tables, and this one may not write them
    """

    def fill(connection: sqlite3.Connection, store_id: str) -> None:
        make_indexes()
        connection.execute("insert into store values(?, ?, 0)", (store_id, fingerprint))

    _placements.create(path, SCHEMA, timeout, fill)


class Reader(PlacementReader):
    """Reads of the sidecar."""

    def __init__(self, path: Path, *, readonly: bool, timeout: float, fingerprint: str) -> None:
        super().__init__(path, SCHEMA, fingerprint, readonly=readonly, timeout=timeout)

    def sealed(self) -> dict[tuple[str, int], int]:
        """(repository, generation) -> the repository's number, of every sealed generation."""
        with self._lock:
            rows = self._connection.execute(
                "select name, generation, repo.id from generation join repo on repo.id = repo where sealed"
            )
            return {(name, generation): number for name, generation, number in rows}

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

    def staging(self) -> bool:
        """Whether some generation has begun and is not sealed, so that documents may still be missing."""
        with self._lock:
            row = self._connection.execute("select 1 from generation where not sealed limit 1").fetchone()
            return row is not None

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
