"""Stores of older and newer releases. ``version_1.sql`` is a dump of a store that the first release made."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import MappingProxyType

import pytest

from codequay.adapters._schema import Schema, Step
from codequay.adapters.sqlite.connection import Database
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.errors import classify
from codequay.adapters.sqlite.metadata import SqliteMetadata, open_metadata
from codequay.adapters.sqlite.migrations import open_cache, open_index
from codequay.adapters.sqlite.schema import INDEX
from codequay.ports.chunks import FileRef
from codequay.ports.errors import Corrupt, FingerprintMismatch, LockBusy
from codequay.ports.failpoint import VARIABLE
from codequay.ports.metadata import Fence, Publication, StoreRecord
from tests.adapters.sqlite.stores import REPO, chunk_store, scope
from tests.contexts import build_context, run
from tests.permissions import without_override

VERSION_1 = Path(__file__).with_name("version_1.sql").read_text()
STORE_ID = "46b98d326958ffcf9eaf78e7d7ab8c61"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a store of version 1: three generations, the first superseded, the third that of a tag."""
    with closing(sqlite3.connect(tmp_path / "codequay.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(VERSION_1)
    return tmp_path


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "codequay.db")) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def tables(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "codequay.db")) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@asynccontextmanager
async def metadata(folder: Path, *, readonly: bool = False, migrations: str = "auto") -> AsyncIterator[SqliteMetadata]:
    options = SqliteDefaults(migrations=migrations)
    async with build_context(folder, readonly=readonly) as ctx, open_metadata(options, ctx) as store:
        yield store


async def check_content(folder: Path, *, readonly: bool) -> None:
    """Everything that the old store held is there."""
    async with chunk_store(folder, readonly=readonly) as chunks:
        assert (await chunks.identity()).fingerprint == "sqlite-chunks-1"
        old, new = [
            [placed and placed[0].chunk.text for placed in await chunks.of_file(files, scope=scope(generation))]
            for generation in (1, 2)
            for files in [[FileRef(REPO, "src/kept.py"), FileRef(REPO, "src/old.py")]]
        ]
        assert old == ["def kept\n    pass\n", "def old\n    pass\n"]
        assert new == ["def kept\n    pass\n", "def newer\n    pass\n"]
    async with metadata(folder, readonly=readonly) as store:
        assert (await store.identity()).store_id == STORE_ID
        record = StoreRecord("chunks", "sqlite", STORE_ID, "sqlite-chunks-1+lines-1")
        shown = await store.snapshots()
        assert [(one.generation, one.snapshot, one.revision) for one in shown] == [
            (3, "rev:v1", "c2"),
            (2, "worktree", "c1"),
        ]
        assert all(one.stores == (record,) and one.skipped == {"binary": 1} for one in shown)
        assert [one.published_at for one in await store.history(REPO)] == [1_000_000, 1_000_100, 1_000_200]


def test_an_older_store_is_migrated_when_it_is_opened_for_writing(old: Path) -> None:
    async def main() -> None:
        async with metadata(old) as store:
            assert [one.hidden_at for one in await store.history(REPO)] == [1_000_100, None, None]
            number = await store.open_generation(REPO, base=3)
            await store.publish(Publication(REPO, number, 3, fence=Fence("memory", "lock", 6)))
            assert [one.hidden_at is None for one in await store.history(REPO)] == [False, False, True, True]

    run(check_content(old, readonly=False))
    assert version(old) == INDEX.version
    run(main())


def test_an_older_store_is_read_as_it_is(old: Path) -> None:
    before = (old / "codequay.db").read_bytes()
    run(check_content(old, readonly=True))
    assert (old / "codequay.db").read_bytes() == before
    assert [file.name for file in old.iterdir()] == ["codequay.db"]


@pytest.mark.parametrize("number", range(1, INDEX.version))
def test_every_older_version_can_be_read_and_migrated(tmp_path: Path, number: int) -> None:
    with closing(sqlite3.connect(tmp_path / "codequay.db", isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
        Schema(INDEX.script, INDEX.steps[: number - 1], INDEX.application_id).migrate(connection, 1)
    assert version(tmp_path) == number
    run(check_content(tmp_path, readonly=True))
    run(check_content(tmp_path, readonly=False))


def test_a_migrated_store_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for folder in (old, new):
        Database(folder / "codequay.db", INDEX, SqliteDefaults(), readonly=False).close()
    assert tables(old) == tables(new)


def test_a_reader_goes_on_over_a_migration(old: Path) -> None:
    async def main() -> None:
        async with metadata(old, readonly=True) as reader:
            before = await reader.history(REPO)
            async with metadata(old) as writer:
                await writer.forget(REPO, snapshot="rev:v1")
            after = await reader.history(REPO)
        assert after == before
        assert [one.hidden_at is None for one in after] == [False, True, False]

    run(main())


def test_check_refuses_to_write_until_migrated(old: Path) -> None:
    async def write() -> None:
        async with metadata(old, migrations="check"):
            pass

    async def read() -> None:
        async with metadata(old, readonly=True, migrations="check") as store:
            assert len(await store.snapshots()) == 2

    async def migrate() -> None:
        async with build_context(old) as ctx, open_index(SqliteDefaults(migrations="check"), ctx) as store:
            assert [one.applied for one in await store.migrations()] == [True, False, False]
            applied = await store.migrate()
            assert [(one.store, one.version, one.applied) for one in applied] == [
                ("codequay.db", 2, True),
                ("codequay.db", 3, True),
            ]
            assert await store.migrate() == []
            assert [one.applied for one in await store.migrations()] == [True] * 3
            assert "hidden_at" in (await store.migrations())[1].sql

    before = (old / "codequay.db").read_bytes()
    with pytest.raises(FingerprintMismatch, match="schema 1 of an older release") as caught:
        run(write())
    assert caught.value.remedy == "codequay migrations --apply"
    assert (old / "codequay.db").read_bytes() == before
    run(read())
    run(migrate())
    run(write())


def test_off_uses_the_store_as_it_is_and_says_what_is_missing(old: Path) -> None:
    async def main() -> None:
        async with metadata(old, migrations="off") as store:
            assert [repo.repo_id for repo in (await store.scan()).repos] == [REPO]
            await store.forget(REPO, snapshot="rev:v1")

    with pytest.raises(sqlite3.OperationalError) as caught:
        run(main())
    verdict = classify(caught.value)
    assert verdict is not None
    assert (verdict.error, verdict.remedy) == (FingerprintMismatch, "codequay migrations --apply")
    assert version(old) == 1


def test_listing_the_steps_of_no_store_makes_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with build_context(tmp_path) as ctx, open_cache(SqliteDefaults(), ctx) as store:
            assert await store.migrations() == await store.migrate() == []

    run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "codequay.db"
    path.write_bytes(b"no database " * 1000)

    async def look(*, migrate: bool) -> None:
        async with build_context(tmp_path) as ctx, open_index(SqliteDefaults(), ctx) as store:
            await (store.migrate() if migrate else store.migrations())

    for migrate in (False, True):
        with pytest.raises(Corrupt) as caught:
            run(look(migrate=migrate))
        assert caught.value.remedy == f"delete {path} and index again: codequay index"


def test_a_writer_in_the_way_of_a_migration_is_lock_busy(old: Path) -> None:
    async def main() -> None:
        options = SqliteDefaults(busy_timeout=0.05)
        async with build_context(old) as ctx, open_index(options, ctx) as store:
            await store.migrate()

    with closing(sqlite3.connect(old / "codequay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockBusy):
            run(main())
    assert version(old) == 1
    run(main())
    assert version(old) == INDEX.version


NEXT = Schema(
    INDEX.script,
    (*INDEX.steps, Step("one more", "ALTER TABLE repository ADD COLUMN note TEXT NOT NULL DEFAULT '';", 3, 3)),
    INDEX.application_id,
)
LATER = Schema(
    NEXT.script, (*NEXT.steps, Step("one less", "DROP TABLE fence;", readers=3, writers=5)), INDEX.application_id
)
"""What the next releases might do: the first expands, so that this one goes on; the second contracts."""


def test_a_store_of_a_newer_release_is_used_as_far_as_it_allows(tmp_path: Path) -> None:
    path = tmp_path / "codequay.db"
    options = SqliteDefaults()
    Database(path, NEXT, options, readonly=False).close()
    Database(path, INDEX, options, readonly=False).close()
    Database(path, INDEX, options, readonly=True).close()
    Database(path, LATER, options, readonly=False).close()
    Database(path, INDEX, options, readonly=True).close()
    with pytest.raises(FingerprintMismatch, match="schema 5 of a newer release; this one writes up to 3") as caught:
        Database(path, INDEX, options, readonly=False)
    assert "upgrade codequay" in caught.value.remedy
    first = Schema(INDEX.script, (), INDEX.application_id)
    with pytest.raises(FingerprintMismatch, match="this one reads up to 1"):
        Database(path, first, options, readonly=True)


def test_a_writer_learns_of_a_migration_before_its_next_write(tmp_path: Path) -> None:
    path = tmp_path / "codequay.db"
    options = SqliteDefaults()
    sql = "INSERT INTO repository (repo_id, root, origin, source) VALUES (?, '', '', '')"
    with closing(Database(path, INDEX, options, readonly=False)) as mine:
        Database(path, NEXT, options, readonly=False).close()
        mine.write(sqlite3.Connection.execute, sql, ("one",))
        Database(path, LATER, options, readonly=False).close()
        with pytest.raises(FingerprintMismatch, match="this one writes up to 3"):
            mine.write(sqlite3.Connection.execute, sql, ("two",))
        assert mine.read(_repositories) == ["one"]


def _repositories(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT repo_id FROM repository")]


_OPEN = """
import sys
from pathlib import Path
from codequay.adapters.sqlite.connection import Database
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.schema import INDEX

path, readonly = Path(sys.argv[1]) / "codequay.db", sys.argv[2:] == ["read"]
database = Database(path, INDEX, SqliteDefaults(), readonly=readonly)
print(database.read(lambda c: c.execute("SELECT count(*) FROM publication WHERE hidden_at IS NULL").fetchone()[0]))
database.close()
"""


def _start(
    folder: Path, *words: str, before: Callable[[], None] | None = None, env: Mapping[str, str] = MappingProxyType({})
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _OPEN, str(folder), *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1", **env},
        preexec_fn=before,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.durability
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_migration_that_is_killed_leaves_the_store_as_it_was(old: Path) -> None:
    before = tables(old)
    killed = _start(old, env={VARIABLE: "sqlite.commit"})
    assert killed.communicate() == ("", "")
    assert killed.returncode < 0
    assert (version(old), tables(old)) == (1, before)
    run(check_content(old, readonly=False))
    assert version(old) == INDEX.version


def test_several_processes_may_migrate_at_once(old: Path) -> None:
    running = [_start(old) for _ in range(4)]
    assert [one.communicate() for one in running] == [("2\n", "")] * 4
    assert version(old) == INDEX.version


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_an_older_store_in_a_folder_that_cannot_be_written_is_read(old: Path) -> None:
    (old / "codequay.db").chmod(0o444)
    old.chmod(0o555)
    done = _start(old, "read", before=without_override)
    assert done.communicate() == ("3\n", "")
    old.chmod(0o755)
    assert version(old) == 1
