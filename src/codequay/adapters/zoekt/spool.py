"""The spool: which file lies where in which generation, its text, and the words that it has. Here are the reads.

Zoekt takes a generation whole, whereas only changes are staged, so every text that some generation shows is kept here.
A placement is shown by generations ``born <= g < died``. What is visible is decided here alone, never by when the
server notices a shard.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import NamedTuple

from codequay.adapters import _placements
from codequay.adapters._placements import PlacementReader
from codequay.adapters._schema import Schema
from codequay.ports.chunks import FileRef
from codequay.ports.generations import Scope
from codequay.ports.lexical import Placed, RankPlace

from .client import decoded
from .errors import REBUILD, not_indexed
from .words import TOKENIZER, Words, vocabulary

FINGERPRINT = f"zoekt-spool-1 {TOKENIZER}"
FILE = "spool.db"
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


def create(path: Path, timeout: float) -> None:
    """Make the store unless it is there, else bring its tables forward.

    :raises FingerprintMismatch: a newer release has migrated the tables, and this one may not write them
    """

    def fill(connection: sqlite3.Connection, store_id: str) -> None:
        connection.execute("insert into store values(?, ?)", (store_id, FINGERPRINT))

    _placements.create(path, SCHEMA, timeout, fill)


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


class Reader(PlacementReader):
    """Reads of the spool."""

    def __init__(self, path: Path, *, readonly: bool, timeout: float) -> None:
        super().__init__(path, SCHEMA, FINGERPRINT, readonly=readonly, timeout=timeout)
        self._known = Known()

    def known(self) -> Known:
        """What is known of the last commit of any process."""
        with self._lock:
            version = self.version()
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
