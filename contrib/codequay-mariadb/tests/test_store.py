"""Where the store lies: prefixes, rights, read-only, versions, secrets."""

import asyncio
import re
from importlib import metadata
from pathlib import Path

import pytest
from store import connected, database, file, fill, opened, password, paths, run

from codequay.ports.errors import ConfigError, FailedPrecondition, FingerprintMismatch, NotFound, PermissionDenied
from codequay_mariadb import CHUNKS
from codequay_mariadb.config import MariadbConfig
from codequay_mariadb.errors import classify
from codequay_mariadb.schema import NAMES, _check_server, open_migrations


def test_two_stores_share_a_database(tmp_path):
    async def main():
        async with database() as options:
            one, two = ({**options, "prefix": prefix} for prefix in ("one_", "two_"))
            async with opened(one, tmp_path) as first, opened(two, tmp_path) as second:
                scope = await fill(first, "r", 1, file("k", "one"))
                await fill(second, "r", 1, file("l", "two"))
                assert (await first.identity()).store_id != (await second.identity()).store_id
                await second.purge("r")
                assert await paths(first, scope) == ["k"]
            async with connected(options) as connections:
                (rows,) = await connections.read(["SHOW TABLES"])
            assert {name for (name,) in rows} == {f"{prefix}_{name}" for prefix in ("one", "two") for name in NAMES}

    run(main())


def test_a_reader_makes_nothing(tmp_path):
    async def main():
        async with database() as options:
            with pytest.raises(NotFound, match="no store"):
                async with opened(options, tmp_path, readonly=True):
                    pass
            async with connected(options) as connections:
                (rows,) = await connections.read(["SHOW TABLES"])
                assert not rows
            async with opened(options, tmp_path) as store:
                scope = await fill(store, "r", 1, file("k", "one"))
            async with opened(options, tmp_path, readonly=True) as store:
                assert await paths(store, scope) == ["k"]

    run(main())


def test_many_may_make_the_tables_at_once(tmp_path):
    """Some come while others make them, and see what is there so far."""

    async def one(options, late):
        await asyncio.sleep(late)
        async with opened(options, tmp_path) as store:
            return (await store.identity()).store_id

    async def main():
        for _ in range(10):
            async with database() as options:
                assert len(set(await asyncio.gather(*(one(options, n * 0.0015) for n in range(40))))) == 1

    run(main())


def test_tables_that_were_half_made_are_completed(tmp_path):
    async def main():
        async with database() as options:
            async with opened(options, tmp_path):
                pass
            async with connected(options) as connections, connections.alone() as connection:
                await connection.send(["DROP TABLE codequay_definition", "DELETE FROM codequay_meta"])
            async with opened(options, tmp_path) as store:
                scope = await fill(store, "r", 1, file("k", "one"))
                assert len(await store.defined(["f"], scope=scope, limit=5)) == 1

    run(main())


def test_a_newer_releases_store_is_refused(tmp_path):
    async def main():
        async with database() as options:
            async with opened(options, tmp_path, opener=open_migrations) as store:
                assert await store.migrations() == []
            async with opened(options, tmp_path):
                pass
            async with opened(options, tmp_path, opener=open_migrations) as store:
                steps = await store.migrations()
                assert [(one.version, one.applied) for one in steps] == [(1, True)]
                assert "codequay_placement" in steps[0].sql
                assert await store.migrate() == []
            async with connected(options) as connections, connections.alone() as connection:
                await connection.send(["UPDATE codequay_meta SET value = '99' WHERE name = 'version'"])
            with pytest.raises(FingerprintMismatch, match="another release"):
                async with opened(options, tmp_path):
                    pass

    run(main())


@pytest.mark.parametrize("version", ["8.0.36", "10.5.29-MariaDB-log", "5.5.5"])
def test_a_server_that_is_too_old_or_another_is_refused(version):
    with pytest.raises(FailedPrecondition, match=r"MariaDB 10\.6"):
        _check_server(version)


@pytest.mark.parametrize("version", ["10.6.1-MariaDB", "10.11.6-MariaDB-0+deb12u1", "11.4.2-MariaDB", "12.0.1-MariaDB"])
def test_a_server_that_is_new_enough_is_taken(version):
    _check_server(version)


def test_the_password_is_nowhere_but_on_the_wire(tmp_path):
    async def main():
        async with database() as options:
            config = MariadbConfig(**options)
            assert password() not in repr(config) + str(config.model_dump())
            for wrong in ({"password": "no-such-secret"}, {"database": "no_such_db"}, {"port": 1}):
                with pytest.raises(Exception, match=r"\S") as caught:
                    async with opened({**options, **wrong}, tmp_path):
                        pass
                chain = [caught.value, caught.value.__cause__, caught.value.__context__]
                said = f"{chain!r} {classify(caught.value)}"
                assert "no-such-secret" not in said
                assert password() not in said

    run(main())


def test_without_encryption_there_nothing_is_sent_in_the_clear(tmp_path):
    async def main():
        async with database() as options:
            for tls in ({"tls": "require"}, {"tls": "verify"}):
                with pytest.raises(Exception, match="SSL") as caught:
                    async with opened({**options, **tls}, tmp_path):
                        pass
                assert "encrypted" in classify(caught.value).message
            with pytest.raises(ConfigError, match="nowhere"):
                async with opened({**options, "tls": "verify", "ca": "/nowhere"}, tmp_path):
                    pass

    run(main())


def test_a_wrong_password_is_permission_denied(tmp_path):
    async def main():
        async with database() as options:
            with pytest.raises(Exception, match="Access denied") as caught:
                async with opened({**options, "password": "wrong"}, tmp_path):
                    pass
            assert classify(caught.value).error is PermissionDenied

    run(main())


def test_it_is_announced_with_its_harness():
    (adapter,) = metadata.entry_points(group="codequay.adapters", name="chunks.mariadb")
    (harness,) = metadata.entry_points(group="codequay.contracts", name="chunks.mariadb")
    assert adapter.load() is CHUNKS
    assert harness.load().server().startswith("MariaDB 1")


def test_only_the_public_api_of_codequay_is_used():
    root = Path(__file__).parents[1]
    files = [*root.glob("src/**/*.py"), *root.glob("tests/*.py")]
    assert len(files) > 10
    for one in files:
        used = re.findall(
            r"^\s*(?:from|import) (codequay(?![_\w])[\w.]*)", one.read_text(encoding="utf-8"), re.MULTILINE
        )
        private = [name for name in used if not re.match(r"codequay\.(ports|contract)\b", name)]
        assert private == [], one
