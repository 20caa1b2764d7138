"""Hostile values and broken servers: a clear error with a remedy, or correct storage; never half a batch."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from codequay.adapters.postgres import staging
from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.staging import COPY_ROWS
from codequay.ports.chunks import ChunkRef, FileChunks
from codequay.ports.diagnose import Level
from codequay.ports.errors import (
    Category,
    FailedPrecondition,
    InvalidArgument,
    LockBusy,
    PermissionDenied,
    PortError,
    ResourceExhausted,
    Unavailable,
)
from codequay.ports.generations import StageResult
from codequay.ports.metadata import Publication, Repo, SkippedFile
from tests.contexts import run

from .server import Server, free_port
from .stores import REPO, config, make_file, opened, scope, verdict

TLS_WANTED = (80877103).to_bytes(4, "big")
SQL = "a'b\"c;--\\ $1 %s {s} DROP TABLE chunk"


async def refused(chosen: PostgresConfig, error: type[PortError]) -> str:
    """What opening says; message and remedy."""
    with pytest.raises((PortError, OSError, asyncpg.PostgresError)) as failed:
        async with opened("chunks", chosen):
            pass
    said = verdict(failed.value)
    assert said.error is error
    assert said.remedy
    assert "it's" not in said.message + said.remedy
    return f"{said.message}\n{said.remedy}"


def test_a_server_that_does_not_let_us_in_is_named_with_its_reason(server: Server) -> None:
    async def body() -> None:
        said = await refused(config(server, password="wrong"), PermissionDenied)
        assert "refuses the user or the password" in said
        said = await refused(config(server, dsn=server.url("nowhere")), FailedPrecondition)
        assert "CREATE DATABASE" in said
        said = await refused(config(server, dsn=f"postgresql://app@127.0.0.1:{free_port()}/codequay"), Unavailable)
        assert "adapters.postgres.dsn" in said
        assert "sslmode" in await refused(config(server, sslmode="verify-full"), FailedPrecondition)

    run(body())


def test_a_server_without_free_connections_says_which_setting(server: Server) -> None:
    server.administer("ALTER ROLE app CONNECTION LIMIT -1", "CREATE DATABASE narrow CONNECTION LIMIT 0")
    server.administer("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    try:
        chosen = config(server, dsn=server.url("narrow", user="plain"), password="plain")
        assert "max_pool" in run(refused(chosen, Unavailable))
    finally:
        server.administer("DROP DATABASE narrow", "DROP ROLE plain")


def test_a_server_that_only_reads_is_told_of(server: Server) -> None:
    chosen = config(server)

    async def body() -> None:
        async with opened("chunks", chosen) as store:
            await store.begin(REPO, generation=1, base=None)
            await store.seal(REPO, generation=1)
        await asyncio.to_thread(server.administer, "ALTER DATABASE codequay SET default_transaction_read_only = on")
        try:
            async with opened("chunks", chosen) as store:
                assert (await store.stats(scope=scope(1))).files == 0
                with pytest.raises(asyncpg.PostgresError) as failed:
                    await store.begin(REPO, generation=2, base=1)
                said = verdict(failed.value)
                assert (said.error, "primary" in said.remedy) == (FailedPrecondition, True)
                assert any("read-only" in one.what for one in await store.diagnose())
        finally:
            await asyncio.to_thread(server.administer, "ALTER DATABASE codequay RESET default_transaction_read_only")

    run(body())


def test_a_replica_is_read_and_not_written(server: Server) -> None:
    chosen = config(server)

    async def fill() -> None:
        async with opened("chunks", chosen) as store:
            await store.begin(REPO, generation=1, base=None)
            await store.stage(REPO, generation=1, files=[make_file("a", "text")])
            await store.seal(REPO, generation=1)

    async def look() -> None:
        there = config(replica, schema=chosen.db_schema, migrations="check")
        async with opened("chunks", there) as store, opened("lock", there) as lock:
            assert (await store.stats(scope=scope(1))).files == 1
            for call in (store.begin(REPO, generation=2, base=1), lock.acquire("k", ttl=5)):
                with pytest.raises(asyncpg.PostgresError) as failed:
                    await call
                said = verdict(failed.value)
                assert (said.error, "primary" in said.remedy) == (FailedPrecondition, True)
            (found,) = [one for one in await store.diagnose() if one.level is Level.ERROR]
            assert "read-only replica" in found.what
        assert "primary" in await refused(config(replica), FailedPrecondition)

    run(fill())
    replica = server.copy(server.folder.parent / "replica")
    try:
        replica.start()
        run(look())
    finally:
        replica.stop()


def test_a_server_that_does_not_know_our_settings_is_too_old(server: Server) -> None:
    """PostgreSQL 11 ends the session like this, before it could be asked for its version."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
        if asked == TLS_WANTED:
            writer.write(b"N")
            await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
        said = b'SFATAL\0VFATAL\0C42704\0Munrecognized configuration parameter "plan_cache_mode"\0\0'
        writer.write(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
        await writer.drain()
        writer.close()

    async def body() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as old:
            port = old.sockets[0].getsockname()[1]
            said = await refused(config(server, dsn=f"postgresql://app@127.0.0.1:{port}/codequay"), FailedPrecondition)
            assert "too old" in said
            assert "13 or later" in said

    run(body())


def test_who_waits_too_long_for_another_writer_is_told_so(server: Server) -> None:
    chosen = config(server, lock_timeout=0.2)

    async def body() -> None:
        async with opened("chunks", chosen) as store:
            pool, number = store.store.pool, store._writer(REPO)
            inside = asyncio.Event()

            async def hold(tx: Any) -> None:
                inside.set()
                await asyncio.sleep(1)

            holding = asyncio.create_task(pool.write(hold, alone=number))
            await inside.wait()
            with pytest.raises(asyncpg.PostgresError) as failed:
                await store.begin(REPO, generation=1, base=None)
            assert verdict(failed.value).error is LockBusy
            await holding

    run(body())


@pytest.fixture
def small_disk(server: Server) -> Iterator[str]:
    """A database on a disk of 16 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = server.give(server.folder / "small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        inside = server.give(place / "space")
        server.administer(f"CREATE TABLESPACE small LOCATION '{inside}'", "CREATE DATABASE small TABLESPACE small")
        yield server.url("small")
    finally:
        server.administer("DROP DATABASE IF EXISTS small", "DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_no_half_batch(server: Server, small_disk: str) -> None:
    async def body() -> None:
        async with opened("chunks", config(server, dsn=small_disk)) as store:
            await store.begin(REPO, generation=1, base=None)
            await store.stage(REPO, generation=1, files=[make_file("kept", "kept")])
            noise = [make_file(f"f{n}", os.urandom(20_000).hex()) for n in range(400)]
            with pytest.raises(asyncpg.PostgresError) as failed:
                await store.stage(REPO, generation=1, files=noise)
            said = verdict(failed.value)
            assert said.error is ResourceExhausted
            assert said.error.category is Category.INFRASTRUCTURE
            assert "free some space" in said.remedy
            await store.seal(REPO, generation=1)
            assert [f.path for f in (await store.scan(scope=scope(1))).files] == ["kept"]

    run(body())


def test_a_batch_with_one_bad_value_leaves_nothing_small_or_large(server: Server) -> None:
    async def body() -> None:
        async with opened("chunks", config(server)) as store:
            await store.begin(REPO, generation=1, base=None)
            for count in (3, COPY_ROWS + 3):
                files = [make_file(f"f{n}", f"text {n} {count}") for n in range(count)]
                for bad in (
                    make_file("bad", "a \ud800 b"),
                    make_file("bad", "x", symbol="\ud800"),
                    make_file("bad", "y", kind="a\ud800"),
                    make_file("bad", "z", id="a\0b"),
                    make_file("bad", "long", content_hash=os.urandom(5000).hex()),
                ):
                    with pytest.raises((asyncpg.PostgresError, asyncpg.DataError, UnicodeEncodeError)) as failed:
                        await store.stage(REPO, generation=1, files=[*files, bad])
                    said = verdict(failed.value)
                    assert (said.error, bool(said.remedy)) == (InvalidArgument, True)
            await store.seal(REPO, generation=1)
            assert (await store.stats(scope=scope(1))).files == 0
            assert await store.text([make_file("f0", "text 0 3").blob_id]) == [None]

    run(body())


def test_what_is_odd_is_stored_as_it_is(server: Server) -> None:
    odd = [
        make_file("nul", "a\0b", symbol="na\0me", kind="a\0", language="\0", content_hash="\0"),
        make_file("large", "ü" * 5_000_000 + "€"),
        make_file(
            SQL.replace("/", "_"),
            SQL,
            symbol=SQL,
            kind=SQL,
            language=SQL,
            content_hash=SQL,
            id=SQL[:60],
            blob_id=SQL[1:60],
        ),
    ]

    async def body() -> None:
        async with opened("chunks", config(server)) as store:
            await store.begin(REPO, generation=1, base=None)
            assert await store.stage(REPO, generation=1, files=odd) == StageResult(3, 3)
            await store.seal(REPO, generation=1)
            for file in odd:
                (chunk,) = file.chunks
                (found,) = await store.get([ChunkRef(REPO, file.path, chunk.id)], scope=scope(1))
                assert found is not None
                assert found.chunk == chunk
                assert await store.text([chunk.blob_id]) == [chunk.text]
            assert len(await store.defined([SQL, "na\0me"], scope=scope(1), limit=9)) == 2
        async with opened("metadata", config(server)) as metadata:
            repo = Repo(SQL, SQL, SQL + "\0", SQL)
            await metadata.put_repo(repo)
            assert (await metadata.scan()).repos == (repo,)
            number = await metadata.open_generation(SQL, base=None)
            skipped = (SkippedFile(SQL, SQL, SQL), SkippedFile("b\0", "c\0", "d\0"))
            await metadata.publish(Publication(SQL, number, None, snapshot=SQL, revision=SQL, skipped=skipped))
            assert [one.snapshot for one in await metadata.snapshots([SQL])] == [SQL]
            assert (await metadata.skipped(SQL, generation=number)).files == skipped
        async with opened("lock", config(server)) as lock:
            lease = await lock.acquire(SQL, ttl=5, owner=SQL + "\0")
            assert (await lock.holder(SQL)).owner == SQL + "\0"
            assert await lock.release(lease)

    run(body())


def test_of_one_path_given_twice_the_last_counts_also_by_copy(server: Server) -> None:
    async def body() -> None:
        async with opened("chunks", config(server)) as store:
            await store.begin(REPO, generation=1, base=None)
            many = [make_file(f"f{n}", f"text {n}") for n in range(COPY_ROWS)]
            twice = FileChunks("f0", many[1].blob_id, "python", 0o100644, many[1].chunks)
            assert await store.stage(REPO, generation=1, files=[*many, twice]) == StageResult(COPY_ROWS - 1, COPY_ROWS)
            await store.seal(REPO, generation=1)
            assert (await store.scan(scope=scope(1), limit=1)).files[0].blob_id == many[1].blob_id
            assert await store.text([many[0].blob_id]) == [None]

    run(body())


def test_repositories_that_stage_the_same_blobs_at_once_share_them(server: Server) -> None:
    """Two writers with the same new contents, in other orders, while a third takes some away."""
    files = [make_file(f"f{n}", f"text {n}") for n in range(60)]

    async def body() -> None:
        async with AsyncExitStack() as stack:
            chosen = config(server)
            store = await stack.enter_async_context(opened("chunks", chosen))
            repos = [f"r{n}" for n in range(4)]
            for turn in range(1, 5):

                async def fill(repo: str, turn: int = turn) -> None:
                    await store.begin(repo, generation=turn, base=None)
                    some = files if repo < "r2" else files[::-1]
                    await asyncio.gather(*(store.stage(repo, generation=turn, files=some[i::3]) for i in range(3)))
                    await store.seal(repo, generation=turn)
                    assert (await store.stats(scope=[(repo, turn)])).chunks == 60
                    await store.drop(repo, generation=turn)

                await asyncio.gather(*map(fill, repos))
            assert await store.text([files[0].blob_id]) == [None]
            rows = await store.store.pool.read(
                f"SELECT (SELECT count(*) FROM {chosen.db_schema}.content) + (SELECT count(*) FROM"
                f" {chosen.db_schema}.chunk) + (SELECT count(*) FROM {chosen.db_schema}.definition)"
            )
            assert rows[0][0] == 0

    run(body())


@pytest.mark.parametrize("count", [3, COPY_ROWS])
def test_contents_that_another_writer_was_first_with_are_shared_and_not_counted(server: Server, count: int) -> None:
    chosen = config(server)
    same = [make_file(f"f{n}", f"text {n}", symbol=f"f{n}") for n in range(count)]

    async def body() -> None:
        async with opened("chunks", chosen) as store:
            pool = store.store.pool
            for repo in ("a", "b"):
                await store.begin(repo, generation=1, base=None)
            staged = asyncio.Event()

            async def first(tx: Any) -> StageResult:
                found = await staging.stage(tx, pool.schema, "a", 1, same, ())
                staged.set()
                await asyncio.sleep(0.5)
                return found

            one = asyncio.create_task(pool.write(first))
            await staged.wait()
            other = await store.stage("b", generation=1, files=[*same, make_file("own", "own")])
            assert (await one, other) == (StageResult(count, count), StageResult(1, count + 1))
            for repo, files in (("a", count), ("b", count + 1)):
                await store.seal(repo, generation=1)
                there = await store.stats(scope=[(repo, 1)])
                assert (there.files, there.chunks) == (files, files)
                assert len(await store.defined(["f1"], scope=[(repo, 1)], limit=9)) == 1

    run(body())
