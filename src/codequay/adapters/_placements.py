"""Which file lies where in which generation, in a SQLite file beside an index that knows no generations.

A placement is shown by generations ``born <= g < died``. Here is what such files have in common; their schemas have
more columns and tables::

    store(id, fingerprint)
    repo(id, name, highest)
    generation(repo, generation, sealed)
    placement(repo, path, born, died, chunks)
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from codequay.ports.errors import Conflict, Corrupt, FingerprintMismatch, NotFound, NotIndexed
from codequay.ports.generations import GenerationState, StoreIdentity

from ._files import State, state_of
from ._schema import Schema

ALIVE = 2**62
"""``died`` of a placement that no generation has removed."""
UNSHOWN = """not exists(select 1 from generation g
    where g.repo = placement.repo and g.generation >= placement.born and g.generation < placement.died)"""
"""Whether no generation shows a placement."""


def rebuild(folder: Path) -> str:
    """The remedy for an index in ``folder`` that must be made anew."""
    return f"remove the folder {folder}, then run `codequay index`"


def connect(path: Path, *, readonly: bool, timeout: float) -> sqlite3.Connection:
    """A connection for any thread, with transactions begun by hand; where the folder cannot be written, SQLite reads
    the file as immutable."""
    return _connect(path, readonly=readonly, timeout=timeout)[0]


def _connect(path: Path, *, readonly: bool, timeout: float) -> tuple[sqlite3.Connection, State | None]:
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


def create(path: Path, schema: Schema, timeout: float, fill: Callable[[sqlite3.Connection, str], None]) -> None:
    """Make the store unless it is there, else bring its tables forward. ``fill`` writes the one row of ``store`` with
    the id that it is given, and makes what else belongs to a new store: half a store counts as none.

    :raises FingerprintMismatch: a newer release has migrated the tables, and this one may not write them
    """
    connection = connect(path, readonly=False, timeout=timeout)
    try:
        connection.execute("begin immediate")
        version = schema.version_of(connection, path)
        schema.check_newer(connection, path, version, write=True)
        if not version:
            schema.create(connection)
            fill(connection, os.urandom(16).hex())
        elif version < schema.version:
            schema.migrate(connection, version)
        connection.execute("commit")
    finally:
        connection.close()


class PlacementReader:
    """Reads of the file through one connection, from any thread."""

    def __init__(self, path: Path, schema: Schema, fingerprint: str, *, readonly: bool, timeout: float) -> None:
        """
        :raises NotFound: there is no store
        :raises FingerprintMismatch: it has tables that this release cannot read, or content built with something else
        """
        if not path.exists():
            raise _no_index(path)
        self._lock = threading.RLock()
        self._path = path
        self._schema = schema
        self._timeout = timeout
        self._openings = 0
        self._connection, self._still = _connect(path, readonly=readonly, timeout=timeout)
        try:
            self.identity = self._checked(fingerprint)
        except BaseException:
            self._connection.close()
            raise

    def _checked(self, fingerprint: str) -> StoreIdentity:
        version = self._schema.version_of(self._connection, self._path)
        if not version:
            raise _no_index(self._path)
        self._schema.check_newer(self._connection, self._path, version, write=False)
        self._schema.read_older(self._connection, self._path, version)
        store = self._connection.execute("select id, fingerprint from store").fetchone()
        if store is None:
            raise Corrupt(f"{self._path} names no store", remedy=rebuild(self._path.parent))
        identity = StoreIdentity(str(store[0]), str(store[1]))
        if identity.fingerprint != fingerprint:
            raise FingerprintMismatch(
                f"the lexical index at {self._path.parent} was built with {identity.fingerprint}, not {fingerprint}",
                remedy=rebuild(self._path.parent),
            )
        return identity

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def version(self) -> int:
        """Changes whenever another connection, of any process, has committed."""
        with self._lock:
            if self._still is not None and self._still != state_of(self._path):
                self._open_again()
            found: int = self._connection.execute("pragma data_version").fetchone()[0]
            return self._openings << 32 | found

    def _open_again(self) -> None:
        """Somebody who may write has written to a file that was opened as one that stays."""
        connection, still = _connect(self._path, readonly=True, timeout=self._timeout)
        try:
            self._schema.read_older(connection, self._path, self._schema.version_of(connection, self._path))
        except BaseException:
            connection.close()
            raise
        self._connection.close()
        self._connection, self._still = connection, still
        self._openings += 1

    def generations(self, repo_id: str) -> list[GenerationState]:
        with self._lock:
            rows = self._connection.execute(
                "select generation, sealed from generation join repo on repo.id = repo where name = ? order by 1",
                (repo_id,),
            )
            return [GenerationState(generation, bool(sealed)) for generation, sealed in rows]

    def counts(self, number: int, generation: int) -> tuple[int, int]:
        """Files and chunks that the generation shows."""
        with self._lock:
            files, chunks = self._connection.execute(
                "select count(*), coalesce(sum(chunks), 0) from placement where repo = ? and born <= ? and died > ?",
                (number, generation, generation),
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


class PlacementWriter:
    """Writes of the file; each ``with writer:`` is a transaction. Not safe for threads.

    Rows are deleted by ``_drop_generations`` and ``_drop_placements`` alone, where a subclass gives up what it keeps
    elsewhere for them.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._connection = connect(path, readonly=False, timeout=timeout)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> None:
        self._connection.execute("begin immediate")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("commit")
        finally:
            if self._connection.in_transaction:  # SQLite may have ended it itself, when the disk is full
                self._connection.execute("rollback")

    def _make_room(self, repo_id: str, generation: int, base: int | None) -> int:
        """Bring a repository's placements to the state from which the generation begins; the repository's number.

        :raises NotIndexed: ``base`` is not sealed
        :raises Conflict: a later generation has begun
        """
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
        number: int = run("select id from repo where name = ?", (repo_id,)).fetchone()[0]
        keep = (
            base if base is not None else max((g for g, done in sealed.items() if done and g < generation), default=0)
        )
        self._drop_generations("repo = ? and generation > ?", (number, keep))
        self._drop_placements("repo = ? and born > ?", (number, keep))
        run("update placement set died = ? where repo = ? and died > ? and died < ?", (ALIVE, number, keep, ALIVE))
        if base is None:
            run("update placement set died = ? where repo = ? and died = ?", (generation, number, ALIVE))
        return number

    def _begun(self, repo_id: str, generation: int, column: str) -> tuple[int, bool, str]:
        """The repository's number, whether the generation is sealed, and what else the column says of it.

        :raises Conflict: it was not begun, or is deleted
        """
        row = self._connection.execute(
            f"select repo, sealed, {column} from generation join repo on repo.id = repo"
            " where name = ? and generation = ?",
            (repo_id, generation),
        ).fetchone()
        if row is None:
            raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
        return row[0], bool(row[1]), row[2]

    def remove(self, number: int, generation: int, path: str) -> None:
        """Take a path out of the generation."""
        self._drop_placements("repo = ? and path = ? and born = ?", (number, path, generation))
        self._connection.execute(
            "update placement set died = ? where repo = ? and path = ? and born < ? and died > ?",
            (generation, number, path, generation, generation),
        )

    def forget(self, repo_id: str, generation: int | None) -> None:
        """Drop one generation, or the repository."""
        run = self._connection.execute
        row = run("select id from repo where name = ?", (repo_id,)).fetchone()
        if row is None:
            return
        if generation is None:
            self._drop_generations("repo = ?", row)
            self._drop_placements("repo = ?", row)
            run("delete from repo where id = ?", row)
        else:
            self._drop_generations("repo = ? and generation = ?", (row[0], generation))
            self._drop_placements(f"repo = ? and {UNSHOWN}", row)

    def _drop_generations(self, condition: str, values: Sequence[object]) -> None:
        self._connection.execute(f"delete from generation where {condition}", values)

    def _drop_placements(self, condition: str, values: Sequence[object]) -> int:
        """Delete those of the condition; how many they were."""
        return self._connection.execute(f"delete from placement where {condition}", values).rowcount


def _no_index(path: Path) -> NotFound:
    return NotFound(f"there is no lexical index at {path.parent}", remedy="codequay index PATH")
