"""Versions, privileges and modes: who may make the tables, and what the others are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest

from codequay.adapters.postgres import migrations
from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.migrations import APPLY
from codequay.adapters.postgres.privileges import missing_grants
from codequay.adapters.postgres.schema import STEPS, WRITTEN
from codequay.adapters.postgres.staging import COPY_ROWS
from codequay.ports.diagnose import Level
from codequay.ports.errors import FailedPrecondition, FingerprintMismatch, NotFound, PermissionDenied
from codequay.ports.metadata import Publication, Repo
from tests.contexts import run

from .server import PASSWORD, Server
from .stores import REPO, config, make_file, opened, scope, verdict


@pytest.fixture
def role(server: Server) -> Iterator[str]:
    """A role that may connect and nothing else."""
    server.administer(f"""CREATE ROLE "Runner's" LOGIN PASSWORD '{PASSWORD.replace("'", "''")}'""")
    yield "Runner's"
    server.administer("""DROP OWNED BY "Runner's" """, database="codequay")
    server.administer("""DROP ROLE "Runner's" """)


def of_role(server: Server, chosen: PostgresConfig, role: str, **options: Any) -> PostgresConfig:
    return config(server, dsn=server.url(user=role.replace("'", "%27")), schema=chosen.db_schema, **options)


async def work(chosen: PostgresConfig) -> None:
    """Something of each port."""
    async with opened("chunks", chosen) as chunks:
        await chunks.begin(REPO, generation=1, base=None)
        await chunks.stage(REPO, generation=1, files=[make_file("a", "def f(): pass", symbol="f")])
        await chunks.seal(REPO, generation=1)
        assert [hit.path for hit in await chunks.defined(["f"], scope=scope(1), limit=9)] == ["a"]
    async with opened("metadata", chosen) as metadata:
        await metadata.put_repo(Repo(REPO, "/r"))
        number = await metadata.open_generation(REPO, base=None)
        await metadata.publish(Publication(REPO, number, None))
    async with opened("lock", chosen) as lock:
        assert await lock.release(await lock.acquire("k", ttl=5))


async def applied(chosen: PostgresConfig) -> list[tuple[int, bool]]:
    async with opened("migrations", chosen) as store:
        return [(step.version, step.applied) for step in await store.migrations()]


async def apply(chosen: PostgresConfig) -> int:
    async with opened("migrations", chosen) as store:
        return len(await store.migrate())


async def fails(opening: AbstractAsyncContextManager[Any], error: type[Exception]) -> Any:
    with pytest.raises(error) as failed:
        async with opening:
            pass
    return verdict(failed.value)


def test_under_check_nothing_is_made_until_somebody_applies(server: Server) -> None:
    chosen = config(server, migrations="check")

    async def body() -> None:
        for readonly in (False, True):
            said = await fails(opened("chunks", chosen, readonly=readonly), FingerprintMismatch)
            assert said.remedy == APPLY
        assert await applied(chosen) == [(1, False)]
        assert await apply(chosen) == len(STEPS)
        assert await applied(chosen) == [(1, True)]
        assert await apply(chosen) == 0
        await work(chosen)

    run(body())


def test_what_is_printed_may_be_run_by_hand(server: Server) -> None:
    chosen = config(server, migrations="check")

    async def body() -> None:
        async with opened("migrations", chosen) as store:
            steps = await store.migrations()
        connection = await asyncpg.connect(server.url(), password=PASSWORD)
        try:
            async with connection.transaction():
                for step in steps:
                    await connection.execute(step.sql)
        finally:
            await connection.close()
        assert await applied(chosen) == [(1, True)]
        await work(chosen)

    run(body())


def test_two_at_once_migrate_once(server: Server) -> None:
    chosen = config(server)
    assert sorted(run(both(chosen))) == [0, 0, 0, len(STEPS)]


async def both(chosen: PostgresConfig) -> list[int]:
    return await asyncio.gather(*(apply(chosen) for _ in range(4)))


def test_a_reader_makes_nothing(server: Server) -> None:
    chosen = config(server)
    assert run(fails(opened("chunks", chosen, readonly=True), NotFound)).remedy == "codequay index"
    assert run(applied(chosen)) == [(1, False)]


def test_a_store_of_a_newer_release_is_refused_unless_it_says_otherwise(server: Server) -> None:
    chosen = config(server)
    run(apply(chosen))
    meta = f"{chosen.db_schema}.meta"
    server.administer(f"UPDATE {meta} SET value = '9' WHERE name IN ('version', 'writable_from')", database="codequay")

    async def body() -> None:
        said = await fails(opened("chunks", chosen), FingerprintMismatch)
        assert "version 9" in said.message
        async with opened("chunks", chosen, readonly=True) as store:
            assert await store.generations(REPO) == []

    run(body())
    server.administer(f"UPDATE {meta} SET value = '9' WHERE name = 'readable_from'", database="codequay")
    assert "upgrade codequay" in run(fails(opened("chunks", chosen, readonly=True), FingerprintMismatch)).remedy


def test_the_role_of_a_service_needs_no_ddl(server: Server, role: str) -> None:
    owner = config(server)
    chosen = of_role(server, owner, role, migrations="check")
    schema = owner.db_schema
    run(apply(owner))
    server.administer(
        f'GRANT USAGE ON SCHEMA {schema} TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO "{role}"',
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO "{role}"',
        database="codequay",
    )
    run(work(chosen))


def test_what_is_missing_is_named_as_the_grant_that_gives_it(server: Server, role: str) -> None:
    owner = config(server)
    chosen = of_role(server, owner, role)
    schema = owner.db_schema

    async def denied() -> str:
        return str((await fails(opened("chunks", chosen), PermissionDenied)).remedy)

    grant = f'GRANT CREATE ON DATABASE codequay TO "{role}"'
    assert run(fails(opened("chunks", chosen, readonly=True), NotFound)).remedy.startswith(f"{grant}, or ")
    said = run(denied())
    assert said.startswith(f"{grant}, or ")
    assert APPLY in said
    assert "--sql" in said
    server.administer(f"CREATE SCHEMA {schema}", f'GRANT USAGE ON SCHEMA {schema} TO "{role}"', database="codequay")
    assert run(denied()).startswith(f'GRANT CREATE ON SCHEMA "{schema}" TO "{role}", or ')
    server.administer(f"DROP SCHEMA {schema}", database="codequay")
    run(apply(owner))
    said = run(denied())
    assert f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"' in said
    for grant in said.split("; "):
        server.administer(grant, database="codequay")
    server.administer(f'REVOKE DELETE ON {schema}.chunk, {schema}.lease FROM "{role}"', database="codequay")

    async def body() -> None:
        async with opened("chunks", chosen) as store:
            (found,) = [one for one in await store.diagnose() if one.level is Level.ERROR]
        assert found.remedy == f'GRANT DELETE ON TABLE "{schema}".chunk, "{schema}".lease TO "{role}";'
        await asyncio.to_thread(server.administer, found.remedy, database="codequay")
        await work(chosen)
        async with opened("chunks", chosen) as store:
            assert all(one.level is not Level.ERROR for one in await store.diagnose())

    run(body())


def test_a_role_that_may_not_make_temporary_tables_is_told_the_grant(server: Server, role: str) -> None:
    owner = config(server)
    chosen = of_role(server, owner, role, migrations="check")
    run(apply(owner))
    files = [make_file(f"f{n}", f"text {n}") for n in range(COPY_ROWS + 3)]

    async def body() -> None:
        async with opened("migrations", chosen) as store:
            for grant in [one for one in await missing_grants(store.pool) if "TEMPORARY" not in one]:
                await asyncio.to_thread(server.administer, grant, database="codequay")
        async with opened("chunks", chosen) as store:
            await store.begin(REPO, generation=1, base=None)
            with pytest.raises(asyncpg.PostgresError) as failed:
                await store.stage(REPO, generation=1, files=files)
            said = verdict(failed.value)
            assert (said.error, "codequay doctor" in said.remedy) == (PermissionDenied, True)
            assert (await store.stage(REPO, generation=1, files=files[:3])).blobs == 3
            (found,) = [one for one in await store.diagnose() if one.level is Level.ERROR]
            assert found.remedy == f'GRANT TEMPORARY ON DATABASE codequay TO "{role}";'
            await asyncio.to_thread(server.administer, found.remedy)
            assert (await store.stage(REPO, generation=1, files=files)).blobs == COPY_ROWS

    server.administer("REVOKE TEMPORARY ON DATABASE codequay FROM PUBLIC")
    try:
        run(body())
    finally:
        server.administer("GRANT TEMPORARY ON DATABASE codequay TO PUBLIC")


def test_no_extension_is_needed(server: Server) -> None:
    server.administer("CREATE DATABASE bare TEMPLATE template0")
    server.administer("DROP EXTENSION plpgsql", database="bare")
    run(work(config(server, dsn=server.url("bare"))))


def test_deletes_tolerate_missing_tables_and_reads_do_not(server: Server) -> None:
    chosen = config(server, migrations="off")

    async def body() -> None:
        async with opened("chunks", chosen) as chunks, opened("metadata", chosen) as metadata:
            await chunks.drop(REPO, generation=1)
            await chunks.purge(REPO)
            await metadata.forget(REPO, snapshot="worktree")
            await metadata.retire(REPO, generation=1)
            await metadata.purge(REPO)
            for read in (chunks.generations(REPO), chunks.stats(scope=scope(1)), metadata.history(REPO)):
                with pytest.raises(asyncpg.PostgresError) as failed:
                    await read
                said = verdict(failed.value)
                assert (said.error, said.remedy) == (FingerprintMismatch, APPLY)
        async with opened("lock", chosen) as lock:
            with pytest.raises(asyncpg.PostgresError):
                await lock.acquire("k", ttl=5)

    run(body())


def test_damage_is_found(server: Server) -> None:
    chosen = config(server)
    run(work(chosen))
    s = chosen.db_schema
    server.administer(f"DELETE FROM {s}.chunk", f"DELETE FROM {s}.publication", database="codequay")

    async def body() -> None:
        for port in ("chunks", "metadata"):
            async with opened(port, chosen) as store:
                (found,) = [one for one in await store.diagnose() if one.level is Level.ERROR]
                assert found.component == f"{port}.postgres"
                assert "damaged: 1 times" in found.what

    run(body())


def test_every_table_is_in_the_list_of_privileges(server: Server) -> None:
    chosen = config(server)
    run(apply(chosen))
    rows = server.administer(
        f"SELECT tablename FROM pg_tables WHERE schemaname = '{chosen.db_schema}'", database="codequay"
    )
    assert {row[0] for row in rows} == {"meta", *WRITTEN}


def test_a_server_that_is_too_old_or_not_in_utf8_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.administer("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    said = run(fails(opened("chunks", config(server, dsn=server.url("latin"))), FailedPrecondition))
    assert "LATIN1" in said.message
    assert "UTF8" in said.remedy
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 990_000)
    assert "needs 99 or later" in run(fails(opened("chunks", config(server)), FailedPrecondition)).message
