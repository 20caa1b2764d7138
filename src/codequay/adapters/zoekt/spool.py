"""The spool: which file lies where in which generation, its text, and the words that it has. Here are the reads.

Zoekt takes a generation whole, whereas only changes are staged, so every text that some generation shows is kept here.
A placement is shown by generations ``born <= g < died``. What is visible is decided here alone, never by when the
server notices a shard.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import NamedTuple

from codequay.adapters._schema import Schema
from codequay.ports.chunks import FileRef
from codequay.ports.errors import Corrupt, FingerprintMismatch, NotFound
from codequay.ports.generations import GenerationState, Scope, StoreIdentity
from codequay.ports.lexical import Placed, RankPlace

from .client import decoded
from .errors import REBUILD, not_indexed, rebuild
from .words import TOKENIZER, Words, vocabulary

FINGERPRINT = f"zoekt-spool-1 {TOKENIZER}"
FILE = "spool.db"
ALIVE = 2**62
"""``died`` of a placement that no generation has removed."""
MARKS = 500
"""Values in one statement."""
KNOWN_FILES = 5_000
"""Files of one generation whose words a reader remembers, some 100 MB; then it starts anew."""

MANY = 100_000
"""Characters of a list of words that is not made a set."""

ODD_TEXT = 1
"""Bit of ``blob.odd``: the text has characters that Zoekt folds otherwise."""
LEFT_OUT = 2
"""Bit of ``blob.odd``: Zoekt has left the text out."""

SCHEMA = Schema(
    script="""
create table store(id text not null, fingerprint text not null);
create table repo(id integer primary key autoincrement, name text not null unique, highest integer not null);
create table generation(repo integer not null, generation integer not null, sealed integer not null,
    zoekt text not null, version text not null, shards integer not null, documents integer not null,
    bytes integer not null, primary key(repo, generation)) without rowid;
create table blob(id integer primary key, hash text not null unique, size integer not null, odd integer not null,
    words text not null, text blob not null);
create table placement(slot integer primary key autoincrement, repo integer not null, path text not null,
    blob integer not null, language text not null, mode integer not null, born integer not null,
    died integer not null, chunks integer not null, spans blob not null);
create index placement_path on placement(repo, path, born);
create index placement_blob on placement(blob);
create table doomed(zoekt text primary key) without rowid;
""",
    rebuild=REBUILD,
)


def connect(path: Path, *, readonly: bool, timeout: float) -> sqlite3.Connection:
    """A connection for any thread, with transactions begun by hand."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}",
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
        connection.execute("pragma cell_size_check=on")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create(path: Path, timeout: float) -> None:
    """Make the store unless it is there, else bring its tables forward.

    :raises FingerprintMismatch: a newer release has migrated the tables, and this one may not write them
    """
    connection = connect(path, readonly=False, timeout=timeout)
    try:
        connection.execute("begin immediate")
        version = SCHEMA.version_of(connection, path)
        SCHEMA.check_newer(connection, path, version, write=True)
        if not version:
            SCHEMA.create(connection)
            connection.execute("insert into store values(?, ?)", (os.urandom(16).hex(), FINGERPRINT))
        elif version < SCHEMA.version:
            SCHEMA.migrate(connection, version)
        connection.execute("commit")
    finally:
        connection.close()


class ManyWords:
    """The words of a text that has very many: a set of them would take fifty times the room."""

    def __init__(self, words: str) -> None:
        self._words = f" {words} "

    def isdisjoint(self, probes: Iterable[str], /) -> bool:
        return not any(f" {probe} " in self._words for probe in probes)


def _words(listed: str, path: str) -> Words:
    """Those of a text, as the spool lists them, and of its path."""
    named = vocabulary(path.replace("/", " "))
    if len(listed) > MANY:
        return ManyWords(" ".join((listed, *named)))
    return frozenset(map(intern, listed.split(" "))) | named


class Entry(NamedTuple):
    """A file as ranking needs it."""

    place: RankPlace
    words: Words
    size: int


@dataclass(slots=True)
class Shown:
    """A sealed generation: what Zoekt calls it, and what was read of it. ``entries`` only grows, or is replaced:
    readers hold it unlocked."""

    repo_id: str
    number: int
    generation: int
    zoekt: str
    version: str
    shards: int
    documents: int
    size: int
    entries: dict[bytes, Entry | None] = field(default_factory=dict)
    """By the name that Zoekt gives, as JSON writes it."""
    odd: list[Entry] | None = None
    placed: dict[str, Placed] | None = None

    @property
    def mean(self) -> float:
        """Bytes of a file."""
        return max(1.0, self.size / max(1, self.documents))


@dataclass(slots=True)
class Known:
    """What was read since one commit of the spool; the next commit throws away what it may have changed."""

    version: int = -1
    sealed: dict[tuple[str, int], Shown] = field(default_factory=dict)

    def scope(self, scope: Scope) -> list[Shown]:
        """The generations of a scope.

        :raises NotIndexed: one is not sealed here
        """
        found = []
        for entry in scope:
            one = self.sealed.get((entry[0], entry[1]))
            if one is None:
                raise not_indexed(*entry)
            found.append(one)
        return found


class Reader:
    """Reads of the spool through one connection, from any thread."""

    def __init__(self, path: Path, *, readonly: bool, timeout: float) -> None:
        if not path.exists():
            raise NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
        self._lock = threading.RLock()
        self._path = path
        self._connection = connect(path, readonly=readonly, timeout=timeout)
        self._known = Known()
        try:
            version = SCHEMA.version_of(self._connection, path)
            if not version:
                raise NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
            SCHEMA.check_newer(self._connection, path, version, write=False)
            SCHEMA.read_older(self._connection, path, version)
            store = self._connection.execute("select id, fingerprint from store").fetchone()
            if store is None:
                raise Corrupt(f"{path} names no store", remedy=rebuild(path.parent))
            self.identity = StoreIdentity(str(store[0]), str(store[1]))
            if self.identity.fingerprint != FINGERPRINT:
                raise FingerprintMismatch(
                    f"the spool at {path.parent} was built with {self.identity.fingerprint}, not {FINGERPRINT}",
                    remedy=rebuild(path.parent),
                )
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def known(self) -> Known:
        """What is known of the last commit of any process."""
        with self._lock:
            (version,) = self._connection.execute("pragma data_version").fetchone()
            if version != self._known.version:
                before = self._known.sealed
                rows = self._connection.execute(
                    "select name, repo.id, generation, zoekt, version, shards, documents, bytes"
                    " from generation join repo on repo.id = repo where sealed"
                )
                sealed = {}
                for row in rows:
                    old = before.get((row[0], row[2]))
                    same = old is not None and (old.number, old.version) == (row[1], row[4])
                    sealed[row[0], row[2]] = old if old is not None and same else Shown(*row)
                self._known = Known(version, sealed)
            return self._known

    def generations(self, repo_id: str) -> list[GenerationState]:
        with self._lock:
            rows = self._connection.execute(
                "select generation, sealed from generation join repo on repo.id = repo where name = ? order by 1",
                (repo_id,),
            )
            return [GenerationState(generation, bool(sealed)) for generation, sealed in rows]

    def entries(self, shown: Shown, names: Sequence[bytes]) -> dict[bytes, Entry | None]:
        """What is known of the files, these names among them: as Zoekt wrote them; None for one that is not shown."""
        if len(shown.entries) + len(names) > KNOWN_FILES:
            shown.entries = {}
        known = shown.entries
        for at in range(0, len(names), MARKS):
            some = names[at : at + MARKS]
            paths = decoded(some)
            found = {e.place.file.path: e for e in self._read(shown, f"path in ({','.join('?' * len(some))})", paths)}
            known.update((raw, found.get(path)) for raw, path in zip(some, paths, strict=True))
        return known

    def odd(self, shown: Shown) -> list[Entry]:
        """The files of the generation of which Zoekt does not know all."""
        if shown.odd is None:
            shown.odd = self._read(shown, "odd", ())
        return shown.odd

    def _read(self, shown: Shown, condition: str, values: Iterable[object]) -> list[Entry]:
        with self._lock:
            rows = self._connection.execute(
                "select path, language, words, size from placement join blob on blob.id = blob"
                f" where repo = ? and born <= ? and died > ? and {condition}",
                (shown.number, shown.generation, shown.generation, *values),
            ).fetchall()
        return [
            Entry(
                RankPlace(FileRef(shown.repo_id, path), 0, "", 0, language),
                _words(words, path),
                size,
            )
            for path, language, words, size in rows
        ]

    def placed(self, shown: Shown) -> dict[str, Placed]:
        """Every file of the generation by path, in order."""
        if shown.placed is None:
            rows = self._page(shown, "", -1)
            shown.placed = {path: Placed(shown.repo_id, path, blob, language) for path, blob, language in rows}
        return shown.placed

    def page(self, shown: Shown, after: str, limit: int) -> list[Placed]:
        """The files above ``after``, by path."""
        return [Placed(shown.repo_id, *row) for row in self._page(shown, after, limit)]

    def _page(self, shown: Shown, after: str, limit: int) -> list[tuple[str, str, str]]:
        with self._lock:
            return self._connection.execute(
                "select path, hash, language from placement join blob on blob.id = blob"
                " where repo = ? and path > ? and born <= ? and died > ? order by path limit ?",
                (shown.number, after, shown.generation, shown.generation, limit),
            ).fetchall()

    def counts(self, shown: Shown) -> tuple[int, int]:
        """Files and chunks of the generation."""
        with self._lock:
            files, chunks = self._connection.execute(
                "select count(*), coalesce(sum(chunks), 0) from placement where repo = ? and born <= ? and died > ?",
                (shown.number, shown.generation, shown.generation),
            ).fetchone()
            return files, chunks

    def damage(self) -> list[str]:
        """What SQLite's own check finds, at most five lines."""
        try:
            with self._lock:
                rows = self._connection.execute("pragma quick_check(5)").fetchall()
        except sqlite3.DatabaseError as exc:
            return [str(exc)]
        return [line for (line,) in rows if line != "ok"]
