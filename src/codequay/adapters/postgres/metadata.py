"""Metadata beside the chunks: the flip is one transaction, alone in its repository."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

import asyncpg

from codequay.ports.errors import Conflict, FailedPrecondition, NotFound
from codequay.ports.metadata import (
    WORKTREE,
    Publication,
    Published,
    Repo,
    RepoPage,
    SkippedFile,
    SkippedPage,
    StoreRecord,
)
from codequay.ports.spec import BuildContext, Clock

from .config import PostgresConfig
from .errors import NO_TABLE, Damaged, state_of
from .migrations import Store, opened_store, writer
from .pool import Rows, Transaction
from .port import ServerPort
from .schema import HEAD

T = TypeVar("T")

_NAMES = (
    "repo_id", "generation", "snapshot", "revision", "dirty", "files", "chunks", "bytes", "published_at", "stores",
    "skipped", "hidden_at",
)  # fmt: skip
_COLUMNS = ", ".join(f"r.{name}" if name == "repo_id" else f"p.{name}" for name in _NAMES)

_PUBLISH = f"""
WITH looked AS (
    SELECT r.id, r.opened, (SELECT max(p.generation) FROM {{s}}.publication p WHERE p.repo = r.id) AS current,
        f.fence AS seen, p.base, {_COLUMNS}
    FROM {{s}}.repository r LEFT JOIN {{s}}.publication p ON p.repo = r.id AND p.generation = $2
    LEFT JOIN {{s}}.fence f ON f.repo = r.id AND f.adapter = $16 AND f.store_id = $17 WHERE r.repo_id = $1
), ok AS (
    SELECT id AS repo FROM looked WHERE generation IS NULL AND opened = $2 AND current IS NOT DISTINCT FROM $3
    AND coalesce($18 >= seen, true)
), p AS (
    INSERT INTO {{s}}.publication (repo, generation, base, snapshot, revision, dirty, files, chunks, bytes,
        published_at, stores, skipped)
    SELECT ok.repo, $2, $3, $4, $5, $6::bigint, $7::bigint, $8::bigint, $9::bigint, $10, $11, $12 FROM ok
), hidden AS (
    UPDATE {{s}}.publication p SET hidden_at = $10 FROM ok JOIN {{s}}.shown w ON w.repo = ok.repo AND w.snapshot = $4
    WHERE p.repo = w.repo AND p.generation = w.generation
), shown AS (
    INSERT INTO {{s}}.shown SELECT ok.repo, $4, $2 FROM ok
    ON CONFLICT (repo, snapshot) DO UPDATE SET generation = excluded.generation
), files AS (
    INSERT INTO {{s}}.skipped (repo, generation, path, reason, detail)
    SELECT ok.repo, $2, w.* FROM ok, unnest($13::bytea[], $14::bytea[], $15::bytea[]) w
), fenced AS (
    INSERT INTO {{s}}.fence SELECT ok.repo, $16, $17, $18 FROM ok WHERE $18 IS NOT NULL
    ON CONFLICT (repo, adapter, store_id) DO UPDATE SET fence = excluded.fence
), opened AS (
    UPDATE {{s}}.repository r SET opened = NULL FROM ok WHERE r.id = ok.repo
)
SELECT EXISTS (SELECT 1 FROM ok), opened, current, seen, base, {", ".join(_NAMES)} FROM looked
"""
"""Whether it was published, and what lay there before, which says why not."""


@asynccontextmanager
async def open_metadata(config: PostgresConfig, ctx: BuildContext) -> AsyncIterator[PostgresMetadata]:
    """Open the store, making its tables where the options and the context allow it.

    :raises NotFound: the context is read-only and there is no store
    :raises FailedPrecondition: there is no such database, or the server cannot be used
    :raises FingerprintMismatch: the tables are missing or of another release
    """
    yield PostgresMetadata(await opened_store(config, ctx), ctx.clock)


class PostgresMetadata(ServerPort):
    """``MetadataStore`` on a server. Each read is one statement and each write one transaction."""

    component = "metadata.postgres"

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store)
        self._clock = clock

    async def put_repo(self, repo: Repo) -> None:
        await self._pool.change(
            f"INSERT INTO {self._schema}.repository (repo_id, root, origin, source) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (repo_id) DO UPDATE SET root = excluded.root, origin = excluded.origin,"
            " source = excluded.source",
            repo.repo_id,
            repo.root.encode(),
            repo.origin.encode(),
            repo.source.encode(),
        )

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> RepoPage:
        rows = await self._pool.read(
            f"SELECT repo_id, root, origin, source FROM {self._schema}.repository"
            ' WHERE repo_id > $1 COLLATE "C" AND root IS NOT NULL ORDER BY repo_id LIMIT $2',
            after or "",
            limit + 1,
        )
        repos = tuple([Repo(row[0], *_decoded(row[1:])) for row in rows[:limit]])
        return RepoPage(repos, repos[-1].repo_id if len(rows) > limit else None)

    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        return await self._write(repo_id, partial(_open_generation, s=self._schema, base=base, above=above))

    async def publish(self, publication: Publication) -> Published:
        work = partial(_publish, s=self._schema, publication=publication, now=self._clock.time())
        return await self._write(publication.repo_id, work)

    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        return await self._shown("r.repo_id", repo_ids, snapshot)

    async def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        return await self._shown("r.repo_id, s.snapshot", repo_ids, None)

    async def _shown(self, order: str, repo_ids: Sequence[str] | None, snapshot: str | None) -> list[Published]:
        s = self._schema
        rows = await self._pool.read(
            f"SELECT {_COLUMNS} FROM {s}.shown s JOIN {s}.repository r ON r.id = s.repo"
            f" LEFT JOIN {s}.publication p ON p.repo = s.repo AND p.generation = s.generation"
            " WHERE ($1::bytea IS NULL OR s.snapshot = $1) AND ($2::text[] IS NULL OR r.repo_id = ANY($2))"
            f" ORDER BY {order}",
            None if snapshot is None else snapshot.encode(),
            None if repo_ids is None else list(repo_ids),
        )
        if any(row[1] is None for row in rows):
            raise Damaged("a name shows a generation that is not there")
        return [_published(row) for row in rows]

    async def history(self, repo_id: str) -> list[Published]:
        s = self._schema
        rows = await self._pool.read(
            f"SELECT {_COLUMNS} FROM {s}.repository r JOIN {s}.publication p ON p.repo = r.id WHERE r.repo_id = $1"
            " ORDER BY p.generation",
            repo_id,
        )
        return [_published(row) for row in rows]

    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        work = partial(_hide, s=self._schema, repo_id=repo_id, snapshot=snapshot, now=self._clock.time())
        await self._delete(repo_id, work)

    async def retire(self, repo_id: str, *, generation: int) -> None:
        await self._delete(repo_id, partial(_retire, s=self._schema, repo_id=repo_id, generation=generation))

    async def skipped(
        self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000
    ) -> SkippedPage:
        s = self._schema
        rows = await self._pool.read(
            f"SELECT f.path, f.reason, f.detail FROM {s}.repository r JOIN {s}.skipped f ON f.repo = r.id"
            " WHERE r.repo_id = $1 AND f.generation = $2"
            f" AND substr(f.path, 1, {HEAD}) >= substr($3::bytea, 1, {HEAD}) AND f.path > $3"
            f" ORDER BY substr(f.path, 1, {HEAD}), f.path LIMIT $4",
            repo_id,
            generation,
            (after or "").encode(),
            limit + 1,
        )
        files = tuple([SkippedFile(*_decoded(row)) for row in rows[:limit]])
        return SkippedPage(files, files[-1].path if len(rows) > limit else None)

    async def purge(self, repo_id: str) -> None:
        await self._delete(repo_id, partial(_purge, s=self._schema, repo_id=repo_id))

    async def _write(self, repo_id: str, work: Callable[..., Awaitable[T]]) -> T:
        alone = writer(self._schema, f"metadata {repo_id}")
        return await self._pool.write(partial(work, repo_id=repo_id), alone=alone)

    async def _delete(self, repo_id: str, work: Callable[..., Awaitable[None]]) -> None:
        """What is not there needs no deleting; reads do not take a missing table so lightly."""
        try:
            await self._write(repo_id, work)
        except asyncpg.PostgresError as exc:
            if state_of(exc) not in NO_TABLE:
                raise


async def _open_generation(tx: Transaction, *, s: str, repo_id: str, base: int | None, above: int) -> int:
    rows = await tx.fetch(
        f"WITH r AS (SELECT r.id, (SELECT max(p.generation) FROM {s}.publication p WHERE p.repo = r.id) AS current"
        f" FROM {s}.repository r WHERE r.repo_id = $1 AND r.root IS NOT NULL),"
        f" opened AS (UPDATE {s}.repository t SET last = greatest(t.last, $3) + 1, opened = greatest(t.last, $3) + 1"
        " FROM r WHERE t.id = r.id AND r.current IS NOT DISTINCT FROM $2::bigint RETURNING t.last)"
        " SELECT current, (SELECT last FROM opened) FROM r",
        repo_id,
        base,
        above,
    )
    if not rows:
        raise NotFound(f"repository {repo_id!r} is unknown")
    current, opened = rows[0]
    _check_base(repo_id, current, base)
    number: int = opened
    return number


def _check_base(repo_id: str, current: int | None, base: int | None) -> None:
    if base != current:
        raise Conflict(f"generation {current} of {repo_id!r} is published now, not {base}")


async def _publish(tx: Transaction, *, s: str, repo_id: str, publication: Publication, now: float) -> Published:
    generation, fence = publication.generation, publication.fence
    said = {file.path: file for file in publication.skipped}
    skipped = dict(sorted(Counter(file.reason for file in said.values()).items()))
    new = Published(
        repo_id, generation, publication.snapshot, publication.revision, publication.dirty, publication.files,
        publication.chunks, publication.bytes, now, tuple(publication.stores), skipped,
    )  # fmt: skip
    looked = await tx.fetch(
        _PUBLISH.format(s=s),
        repo_id,
        generation,
        publication.base,
        new.snapshot.encode(),
        new.revision.encode(),
        new.dirty,
        new.files,
        new.chunks,
        new.bytes,
        now,
        json.dumps([[one.port, one.adapter, one.store_id, one.fingerprint] for one in new.stores]),
        json.dumps(skipped),
        [path.encode() for path in said],
        [file.reason.encode() for file in said.values()],
        [file.detail.encode() for file in said.values()],
        fence.adapter.encode() if fence else b"",
        fence.store_id.encode() if fence else b"",
        fence.fence if fence else None,
    )
    done, opened, current, seen, base, *earlier = looked[0] if looked else (False,) + (None,) * 17
    if done:
        return new
    if earlier[1] is not None:
        return _again(_published(earlier), new, (base, publication.base))
    if opened != generation:
        raise Conflict(f"generation {generation} of {repo_id!r} is not the one that was opened last")
    _check_base(repo_id, current, publication.base)
    raise Conflict(f"the lease with fence {fence and fence.fence} of {repo_id!r} was overtaken by fence {seen}")


def _again(earlier: Published, new: Published, bases: tuple[int | None, int | None]) -> Published:
    """The answer to a publication that was made before.

    :raises Conflict: it was another
    """
    fields = ("snapshot", "revision", "dirty", "files", "chunks", "bytes", "stores")
    if bases[0] != bases[1] or any(getattr(earlier, name) != getattr(new, name) for name in fields):
        raise Conflict(f"generation {new.generation} of {new.repo_id!r} was published with other content")
    return earlier


async def _hide(tx: Transaction, *, s: str, repo_id: str, snapshot: str, now: float) -> None:
    """Take the name from the generation that it shows."""
    await tx.fetch(
        f"WITH s AS (DELETE FROM {s}.shown s USING {s}.repository r WHERE r.repo_id = $1 AND s.repo = r.id"
        f" AND s.snapshot = $2 RETURNING s.repo, s.generation) UPDATE {s}.publication p SET hidden_at = $3 FROM s"
        " WHERE p.repo = s.repo AND p.generation = s.generation",
        repo_id,
        snapshot.encode(),
        now,
    )


async def _retire(tx: Transaction, *, s: str, repo_id: str, generation: int) -> None:
    shown: Rows = await tx.fetch(
        f"WITH r AS (SELECT id FROM {s}.repository WHERE repo_id = $1),"
        f" showing AS (SELECT w.snapshot FROM r JOIN {s}.shown w ON w.repo = r.id WHERE w.generation = $2),"
        " idle AS (SELECT id FROM r WHERE NOT EXISTS (SELECT 1 FROM showing)),"
        f" f AS (DELETE FROM {s}.skipped USING idle WHERE repo = idle.id AND generation = $2),"
        f" p AS (DELETE FROM {s}.publication USING idle WHERE repo = idle.id AND generation = $2)"
        " SELECT snapshot FROM showing",
        repo_id,
        generation,
    )
    if shown:
        raise FailedPrecondition(f"snapshot {shown[0][0].decode()!r} shows generation {generation} of {repo_id!r}")


async def _purge(tx: Transaction, *, s: str, repo_id: str) -> None:
    """Forget all but the row with the last number, which is not given again."""
    deletes = ", ".join(
        f"{name} AS (DELETE FROM {s}.{name} t USING r WHERE t.repo = r.id)"
        for name in ("publication", "shown", "fence", "skipped")
    )
    await tx.fetch(
        f"WITH r AS (UPDATE {s}.repository SET root = NULL, origin = NULL, source = NULL, opened = NULL"
        f" WHERE repo_id = $1 RETURNING id), {deletes} SELECT 1 FROM r",
        repo_id,
    )


def _published(row: Sequence[Any]) -> Published:
    values = (*row[:2], *_decoded(row[2:4]), *row[4:9], _records(row[9]), json.loads(row[10]), row[11])
    return Published(*values)


def _decoded(columns: Sequence[bytes]) -> list[str]:
    return [column.decode() for column in columns]


@lru_cache(maxsize=64)
def _records(stores: str) -> tuple[StoreRecord, ...]:
    return tuple(StoreRecord(*record) for record in json.loads(stores))
