"""Metadata in ``codequay.db``, beside the chunks: the flip is one transaction of that file."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from codequay.ports.errors import Conflict, FailedPrecondition, NotFound
from codequay.ports.generations import StoreIdentity
from codequay.ports.metadata import (
    WORKTREE,
    Fence,
    Publication,
    Published,
    Repo,
    RepoPage,
    SkippedFile,
    SkippedPage,
    StoreRecord,
)
from codequay.ports.spec import BuildContext, Clock

from .connection import Database, Hops, Reading, open_index, store_id
from .defaults import Options
from .errors import Damaged

if TYPE_CHECKING:
    from codequay.ports.diagnose import Finding

FINGERPRINT = "sqlite-metadata-1"

_PUBLISHED = (
    "SELECT p.repo_id, p.generation, p.snapshot, p.revision, p.dirty, p.files, p.chunks, p.bytes, p.published_at,"
    " p.stores, p.skipped, p.hidden_at FROM publication p"
)
_SHOWN = _PUBLISHED.replace(
    "FROM publication p",
    "FROM shown s LEFT JOIN publication p ON p.repo_id = s.repo_id AND p.generation = s.generation",
)
_COLUMNS = "repo_id, generation, base, snapshot, revision, dirty, files, chunks, bytes, published_at, stores, skipped"


@asynccontextmanager
async def open_metadata(config: Options, ctx: BuildContext) -> AsyncIterator[SqliteMetadata]:
    """Open the file, making it unless the context is read-only.

    :raises NotFound: the context is read-only and there is no index
    :raises FingerprintMismatch: another release made the file
    """
    yield SqliteMetadata(await open_index(config, ctx), ctx.clock)


class MetadataReads:
    """The sync face; safe from any thread."""

    def __init__(self, database: Database) -> None:
        self._read = database.read

    def identity(self) -> StoreIdentity:
        return StoreIdentity(self._read(store_id), FINGERPRINT)

    def scan(self, *, after: str | None = None, limit: int = 1000) -> RepoPage:
        return self._read(_scan, after, limit)

    def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        return self._read(_shown, repo_ids, snapshot)

    def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        return self._read(_snapshots, repo_ids)


class SqliteMetadata:
    """``MetadataStore`` over the file of the chunks. Each call is one hop and one transaction."""

    def __init__(self, hops: Hops, clock: Clock) -> None:
        self._hops = hops
        self._clock = clock
        self.sync = MetadataReads(hops.database)

    async def ping(self) -> None:
        await self._hops.read(store_id)

    async def diagnose(self) -> list[Finding]:
        from . import diagnose

        return await self._hops.run(self._hops.database.look, diagnose.metadata)

    async def identity(self) -> StoreIdentity:
        return await self._hops.run(self.sync.identity)

    async def put_repo(self, repo: Repo) -> None:
        await self._hops.write(_put_repo, repo)

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> RepoPage:
        return await self._hops.read(_scan, after, limit)

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        return await self._hops.write(_open_generation, repo_id, base, above)

    async def publish(self, publication: Publication) -> Published:
        return await self._hops.write(_publish, publication, self._clock.time())

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        return await self._hops.read(_shown, repo_ids, snapshot)

    async def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        return await self._hops.read(_snapshots, repo_ids)

    async def history(self, repo_id: str) -> list[Published]:
        return await self._hops.read(_history, repo_id)

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        await self._hops.write(_hide, repo_id, snapshot, self._clock.time())

    async def retire(self, repo_id: str, *, generation: int) -> None:
        await self._hops.write(_retire, repo_id, generation)

    async def skipped(
        self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000
    ) -> SkippedPage:
        return await self._hops.read(_skipped, repo_id, generation, after, limit)

    async def purge(self, repo_id: str) -> None:
        await self._hops.write(_purge, repo_id)


def _put_repo(connection: sqlite3.Connection, repo: Repo) -> None:
    connection.execute(
        "INSERT INTO repository (repo_id, root, origin, source) VALUES (?, ?, ?, ?) ON CONFLICT (repo_id) DO UPDATE"
        " SET root = excluded.root, origin = excluded.origin, source = excluded.source"
        " WHERE (root, origin, source) <> (excluded.root, excluded.origin, excluded.source)",
        (repo.repo_id, repo.root, repo.origin, repo.source),
    )


def _scan(connection: Reading, after: str | None, limit: int) -> RepoPage:
    key = ("repos", after, limit)
    known: RepoPage | None = connection.memo.get(key)
    if known is not None:
        return known
    rows = connection.execute(
        "SELECT repo_id, root, origin, source FROM repository WHERE repo_id > ? ORDER BY repo_id LIMIT ?",
        (after or "", limit + 1),
    ).fetchall()
    repos = tuple(Repo(*row) for row in rows[:limit])
    return connection.keep(key, RepoPage(repos, repos[-1].repo_id if len(rows) > limit else None))


def _current(connection: sqlite3.Connection, repo_id: str) -> int | None:
    """The newest published generation: the line's end."""
    row = connection.execute("SELECT max(generation) FROM publication WHERE repo_id = ?", (repo_id,)).fetchone()
    newest: int | None = row[0]
    return newest


def _open_generation(connection: sqlite3.Connection, repo_id: str, base: int | None, above: int) -> int:
    if not connection.execute("SELECT 1 FROM repository WHERE repo_id = ?", (repo_id,)).fetchone():
        raise NotFound(f"repository {repo_id!r} is unknown")
    current = _current(connection, repo_id)
    if base != current:
        raise Conflict(f"generation {current} of {repo_id!r} is published now, not {base}")
    connection.execute(
        "INSERT INTO counter (repo_id, last, opened) VALUES (:repo, :above + 1, :above + 1) ON CONFLICT (repo_id)"
        " DO UPDATE SET last = max(last, :above) + 1, opened = max(last, :above) + 1",
        {"repo": repo_id, "above": above},
    )
    opened: int = connection.execute("SELECT last FROM counter WHERE repo_id = ?", (repo_id,)).fetchone()[0]
    return opened


def _publish(connection: sqlite3.Connection, publication: Publication, now: float) -> Published:
    repo_id, generation = publication.repo_id, publication.generation
    stores = json.dumps([[s.port, s.adapter, s.store_id, s.fingerprint] for s in publication.stores])
    skipped = {file.path: file for file in publication.skipped}
    row = (
        repo_id, generation, publication.base, publication.snapshot, publication.revision, publication.dirty,
        publication.files, publication.chunks, publication.bytes, now, stores,
        json.dumps(dict(sorted(Counter(file.reason for file in skipped.values()).items()))),
    )  # fmt: skip
    earlier = connection.execute(
        f"SELECT {_COLUMNS} FROM publication WHERE repo_id = ? AND generation = ?", (repo_id, generation)
    ).fetchone()
    if earlier is not None:
        if earlier[:9] + earlier[10:11] != row[:9] + row[10:11]:
            raise Conflict(f"generation {generation} of {repo_id!r} was published with other content")
        return _one(connection, repo_id, generation)
    opened = connection.execute("SELECT opened FROM counter WHERE repo_id = ?", (repo_id,)).fetchone()
    if opened is None or opened[0] != generation:
        raise Conflict(f"generation {generation} of {repo_id!r} is not the one that was opened last")
    current = _current(connection, repo_id)
    if current != publication.base:
        raise Conflict(f"generation {current} of {repo_id!r} is published now, not {publication.base}")
    if publication.fence is not None:
        _raise_fence(connection, repo_id, publication.fence)
    connection.execute(f"INSERT INTO publication ({_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)
    connection.executemany(
        "INSERT INTO skipped VALUES (?, ?, ?, ?, ?)",
        [(repo_id, generation, file[0], file[1], file[2]) for file in skipped.values()],
    )
    _hide(connection, repo_id, publication.snapshot, now)
    connection.execute("INSERT INTO shown VALUES (?, ?, ?)", (repo_id, publication.snapshot, generation))
    connection.execute("UPDATE counter SET opened = NULL WHERE repo_id = ?", (repo_id,))
    return _one(connection, repo_id, generation)


def _raise_fence(connection: sqlite3.Connection, repo_id: str, fence: Fence) -> None:
    """Refuse a fence below the last one of the same lock, else remember it. A lock without fences tells nothing."""
    if fence.fence is None:
        return
    lock = (repo_id, fence.adapter, fence.store_id)
    row = connection.execute(
        "SELECT fence FROM fence WHERE repo_id = ? AND adapter = ? AND store_id = ?", lock
    ).fetchone()
    if row is not None and fence.fence < row[0]:
        raise Conflict(f"the lease with fence {fence.fence} of {repo_id!r} was overtaken by fence {row[0]}")
    connection.execute("INSERT OR REPLACE INTO fence VALUES (?, ?, ?, ?)", (*lock, fence.fence))


def _whole(rows: Sequence[Sequence[Any]]) -> list[Published]:
    """The publications that names show.

    :raises Damaged: a name shows one that is not there
    """
    if any(row[0] is None for row in rows):
        raise Damaged("a name shows a generation that is not there")
    return [_published(row) for row in rows]


def _shown(connection: Reading, repo_ids: Sequence[str] | None, snapshot: str) -> list[Published]:
    if repo_ids is None:
        key = ("shown", snapshot)
        known: list[Published] | None = connection.memo.get(key)
        if known is None:
            sql = f"{_SHOWN} WHERE s.snapshot = ? ORDER BY s.repo_id"
            known = connection.keep(key, _whole(connection.execute(sql, (snapshot,)).fetchall()))
        return list(known)
    sql = f"{_SHOWN} WHERE s.snapshot = ? AND s.repo_id = ?"
    found = (connection.execute(sql, (snapshot, repo_id)).fetchone() for repo_id in sorted(set(repo_ids)))
    return _whole([row for row in found if row is not None])


def _snapshots(connection: sqlite3.Connection, repo_ids: Sequence[str] | None) -> list[Published]:
    rows = connection.execute(f"{_SHOWN} ORDER BY s.repo_id, s.snapshot").fetchall()
    wanted = None if repo_ids is None else set(repo_ids)
    return [one for one in _whole(rows) if wanted is None or one.repo_id in wanted]


def _one(connection: sqlite3.Connection, repo_id: str, generation: int) -> Published:
    sql = f"{_PUBLISHED} WHERE p.repo_id = ? AND p.generation = ?"
    return _published(connection.execute(sql, (repo_id, generation)).fetchone())


def _history(connection: sqlite3.Connection, repo_id: str) -> list[Published]:
    sql = f"{_PUBLISHED} WHERE p.repo_id = ? ORDER BY p.generation"
    return [_published(row) for row in connection.execute(sql, (repo_id,))]


def _published(row: Sequence[Any]) -> Published:
    values = (*row[:9], _records(row[9]), json.loads(row[10]), row[11])
    return Published(*values)


@lru_cache(maxsize=64)
def _records(stores: str) -> tuple[StoreRecord, ...]:
    return tuple(StoreRecord(*record) for record in json.loads(stores))


def _hide(connection: sqlite3.Connection, repo_id: str, snapshot: str, now: float) -> None:
    """Take the name from the generation that it shows."""
    name = (repo_id, snapshot)
    connection.execute(
        "UPDATE publication SET hidden_at = ? WHERE repo_id = ?"
        " AND generation = (SELECT generation FROM shown WHERE repo_id = ? AND snapshot = ?)",
        (now, repo_id, *name),
    )
    connection.execute("DELETE FROM shown WHERE repo_id = ? AND snapshot = ?", name)


def _retire(connection: sqlite3.Connection, repo_id: str, generation: int) -> None:
    key = (repo_id, generation)
    shown = connection.execute("SELECT snapshot FROM shown WHERE repo_id = ? AND generation = ?", key).fetchone()
    if shown is not None:
        raise FailedPrecondition(f"snapshot {shown[0]!r} shows generation {generation} of {repo_id!r}")
    connection.execute("DELETE FROM skipped WHERE repo_id = ? AND generation = ?", key)
    connection.execute("DELETE FROM publication WHERE repo_id = ? AND generation = ?", key)


def _skipped(
    connection: sqlite3.Connection, repo_id: str, generation: int, after: str | None, limit: int
) -> SkippedPage:
    rows = connection.execute(
        "SELECT path, reason, detail FROM skipped WHERE repo_id = ? AND generation = ? AND path > ?"
        " ORDER BY path LIMIT ?",
        (repo_id, generation, after or "", limit + 1),
    ).fetchall()
    files = tuple(SkippedFile(*row) for row in rows[:limit])
    return SkippedPage(files, files[-1].path if len(rows) > limit else None)


def _purge(connection: sqlite3.Connection, repo_id: str) -> None:
    """Forget all but the counter, whose numbers are not given again."""
    for table in ("repository", "publication", "shown", "fence", "skipped"):
        connection.execute(f"DELETE FROM {table} WHERE repo_id = ?", (repo_id,))
    connection.execute("UPDATE counter SET opened = NULL WHERE repo_id = ?", (repo_id,))
