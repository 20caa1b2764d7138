"""What the options of the sessions do: statement_timeout, application_name, schema; and that the docs name them all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr, ValidationError

from codequay.adapters.postgres.config import PostgresConfig
from codequay.adapters.postgres.pool import opened_pool
from codequay.ports.errors import DeadlineExceeded, Unavailable
from codequay.ports.metadata import Repo
from tests.contexts import run

from .server import Server
from .stores import REPO, config, make_file, opened, scope, verdict

REFUSED = (
    "postgresql://app:s3cret#x@127.0.0.1:5432/db",
    "postgresql://app:s3cret/x@127.0.0.1:5432/db",
    "postgresql://app:s3cret?x@127.0.0.1:5432/db",
    "postgresql://app:s3cret@x@127.0.0.1:5432/db",
    "postgresql://app:s3cret@127.0.0.1:s3cret/db",
    "postgresql://app:s3cret@[::1/db",
    "postgresql://app:s3cret@h:65536/db",
    "postgresql://app:s3cret@h:0/db",
    "postgresql://app:s3cret@h:\u0662/db",
    "postgresql://app:s3cret@/db?host=h&port=65536",
    "mysql://app:s3cret@127.0.0.1/db",
)
TAKEN = (
    "postgresql://app:s3%23%2F%3F%40cret@127.0.0.1:5432/db",
    "postgres://app@[::1]:5432,db2:5433/db?sslmode=require&target_session_attrs=primary",
    "postgresql:///db?host=/var/run/postgresql",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/db",
)
DOCS = Path(__file__).parents[3] / "src/codequay/adapters/postgres/docs.md"


@pytest.mark.parametrize("dsn", REFUSED)
def test_a_dsn_that_cannot_be_read_is_refused_and_never_quoted(dsn: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PostgresConfig(dsn=SecretStr(dsn))
    assert "s3cret" not in str(refused.value)
    assert "postgresql://USER@HOST:PORT/DATABASE" in str(refused.value)


@pytest.mark.parametrize("dsn", TAKEN)
def test_a_dsn_of_any_usual_form_is_taken(dsn: str) -> None:
    assert PostgresConfig(dsn=SecretStr(dsn)).dsn.get_secret_value() == dsn


def test_a_certificate_that_nobody_would_look_at_is_refused() -> None:
    with pytest.raises(ValidationError, match="sslrootcert needs sslmode"):
        PostgresConfig(dsn=SecretStr(TAKEN[0]), sslrootcert="/etc/ca.pem")


def test_a_schema_with_a_name_of_the_servers_own_is_refused() -> None:
    with pytest.raises(ValidationError, match="must not begin with pg_"):
        PostgresConfig(dsn=SecretStr(TAKEN[0]), schema="pg_mine")


@pytest.mark.parametrize("cached", [100, 0])
def test_a_statement_that_takes_too_long_is_ended_by_the_server(server: Server, cached: int) -> None:
    async def body() -> None:
        chosen = config(server, statement_timeout=0.2, statement_cache_size=cached)
        async with opened_pool(chosen) as pool:
            for call in (pool.read, pool.change):
                with pytest.raises(asyncpg.PostgresError) as failed:
                    await call("SELECT pg_sleep(30)")
                said = verdict(failed.value)
                assert (said.error, "statement_timeout" in said.remedy) == (DeadlineExceeded, True)
            assert (await pool.read("SELECT 1"))[0][0] == 1
            assert pool.stats.size == 1

    run(body())


def test_a_transaction_that_the_server_has_ended_was_not_applied(server: Server) -> None:
    """As when the whole process stood still for longer than the server allows."""
    chosen = config(server)

    async def body() -> None:
        async with opened("chunks", chosen) as store:
            pool = store.store.pool

            async def work(tx: Any) -> None:
                await tx.script(f"INSERT INTO {pool.schema}.repo (name) VALUES ('half')")
                await asyncio.sleep(0.6)
                await tx.script("SELECT 1")

            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as failed:
                await pool.write(work)
            said = verdict(failed.value)
            assert (said.error, said.ambiguous, bool(said.remedy)) == (Unavailable, False, True)
            assert (await pool.read(f"SELECT count(*) FROM {pool.schema}.repo"))[0][0] == 0

    server.administer("ALTER DATABASE codequay SET idle_in_transaction_session_timeout = '100ms'")
    try:
        run(body())
    finally:
        server.administer("ALTER DATABASE codequay RESET idle_in_transaction_session_timeout")


def test_the_server_knows_the_connections_by_name(server: Server) -> None:
    async def body() -> None:
        async with opened_pool(config(server, application_name="code search, blue")) as pool:
            rows = await pool.read("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            assert rows[0][0] == "code search, blue"

    run(body())


def test_deployments_with_schemas_of_their_own_share_a_database(server: Server) -> None:
    one, other = config(server), config(server)

    async def body() -> None:
        identities = set()
        for chosen, text in ((one, "of one"), (other, "of the other")):
            async with opened("chunks", chosen) as chunks, opened("metadata", chosen) as metadata:
                await chunks.begin(REPO, generation=1, base=None)
                await chunks.stage(REPO, generation=1, files=[make_file("a", text)])
                await chunks.seal(REPO, generation=1)
                await metadata.put_repo(Repo(REPO, f"/{text}"))
                identities.add((await chunks.identity()).store_id)
        assert len(identities) == 2
        async with opened("lock", one) as lock, opened("lock", other) as beside:
            assert await lock.acquire("k", ttl=9) is not None
            assert await beside.acquire("k", ttl=9) is not None
        async with opened("chunks", other) as chunks:
            await chunks.purge(REPO)
        async with opened("chunks", one) as chunks, opened("metadata", one) as metadata:
            assert (await chunks.stats(scope=scope(1))).files == 1
            assert [repo.root for repo in (await metadata.scan()).repos] == ["/of one"]

    run(body())


def test_the_docs_name_every_option() -> None:
    text = DOCS.read_text()
    for name, field in PostgresConfig.model_fields.items():
        assert f"\n{field.alias or name} = " in text
