"""The files themselves: schema, damage, read-only folders, death of the writer."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codequay.adapters.sqlite.connection import Database
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.errors import classify
from codequay.adapters.sqlite.schema import INDEX, kind_name
from codequay.ports.chunks import ChunkRef, FileChunks, FileRef
from codequay.ports.errors import Conflict, Corrupt, FingerprintMismatch, LockBusy, NotFound, ResourceExhausted
from tests.adapters.sqlite.stores import REPO, chunk_store, make_file, make_files, publish, scope
from tests.contexts import run
from tests.permissions import bound_reader, open_folder, without_override


async def _index(data: Path, count: int = 5) -> None:
    async with chunk_store(data) as store:
        await publish(store, 1, make_files(count))


def test_reopening_keeps_identity_and_content(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(3))
            before = await store.identity()
        async with chunk_store(tmp_path) as store:
            assert await store.identity() == before
            assert (await store.stats(scope=scope(1))).files == 3

    run(main())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codequay.db"]


def test_reader_of_a_missing_index_makes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path / "no", readonly=True):
            pass

    with pytest.raises(NotFound, match="no index"):
        run(main())
    assert list(tmp_path.iterdir()) == []


def test_reader_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        await _index(tmp_path)
        before = (tmp_path / "codequay.db").read_bytes()
        async with chunk_store(tmp_path, readonly=True) as store:
            assert (await store.stats(scope=scope(1))).files == 5
        assert [p.name for p in tmp_path.iterdir()] == ["codequay.db"]
        assert (tmp_path / "codequay.db").read_bytes() == before

    run(main())


@pytest.mark.parametrize("readonly", [False, True])
def test_newer_schema_is_refused_with_a_remedy(tmp_path: Path, readonly: bool) -> None:
    run(_index(tmp_path))
    with closing(sqlite3.connect(tmp_path / "codequay.db")) as connection, connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()

    async def main() -> None:
        async with chunk_store(tmp_path, readonly=readonly):
            pass

    with pytest.raises(FingerprintMismatch, match="schema 99") as caught:
        run(main())
    assert "upgrade codequay" in caught.value.remedy


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "codequay.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Corrupt, match="another program"):
        run(_index(tmp_path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [False, True])
def test_file_that_is_no_database_is_corrupt(tmp_path: Path, readonly: bool) -> None:
    (tmp_path / "codequay.db").write_bytes(b"not a database at all " * 100)

    async def main() -> None:
        async with chunk_store(tmp_path, readonly=readonly):
            pass

    with pytest.raises(Corrupt) as caught:
        run(main())
    assert caught.value.remedy == f"delete {tmp_path / 'codequay.db'} and index again: codequay index"


def test_damage_that_hides_a_repository_is_corrupt(tmp_path: Path) -> None:
    """One letter of a name in an index: SQLite finds no such row, and nothing wrong."""
    run(_index(tmp_path, 20))
    path = tmp_path / "codequay.db"
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_repo_1'"
        ).fetchone()
    data = bytearray(path.read_bytes())
    data[data.index(REPO.encode(), (page - 1) * size, page * size)] ^= 0x20
    path.write_bytes(data)

    async def main() -> None:
        async with chunk_store(tmp_path, readonly=True) as store:
            await store.of_file([FileRef(REPO, "src/f1.py")], scope=scope(1))

    with pytest.raises(Corrupt, match=re.escape(str(path))):
        run(main())


@pytest.mark.parametrize("at", [8192, 12288])
def test_damaged_pages_are_corrupt_and_named(tmp_path: Path, at: int) -> None:
    """Also when the head of each page is whole, so that SQLite would find nothing where something was."""
    run(_index(tmp_path, 200))
    path = tmp_path / "codequay.db"
    data = bytearray(path.read_bytes())
    for start in range(at, len(data), 8192):
        data[start : start + 4096] = os.urandom(len(data[start : start + 4096]))
    path.write_bytes(data)

    async def main() -> None:
        async with chunk_store(tmp_path, readonly=True) as store:
            await store.of_file([FileRef(REPO, f"src/f{i}.py") for i in range(200)], scope=scope(1))

    with pytest.raises(Corrupt, match=re.escape(str(path))) as caught:
        run(main())
    assert str(path) in caught.value.remedy


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM definition WHERE id = (SELECT min(id) FROM definition)",
        "UPDATE chunk SET definitions = 1 << 50",
        "UPDATE chunk SET definitions = 0",
        "UPDATE chunk SET offset = 1000000",
        "UPDATE content SET chunks = chunks + 1",
        "UPDATE piece SET data = zeroblob(length(data))",
        "UPDATE content SET language = CAST(x'ff41' AS TEXT)",
        "DELETE FROM piece",
    ],
)
def test_rows_that_do_not_fit_each_other_are_corrupt(tmp_path: Path, damage: str) -> None:
    file = make_file("src/one.py", "def one\n    pass\n")
    run(_stage(tmp_path, file))
    with closing(sqlite3.connect(tmp_path / "codequay.db")) as connection, connection:
        connection.execute(damage)

    async def look(how: str) -> None:
        async with chunk_store(tmp_path, readonly=True) as store:
            if how == "get":
                found = await store.get([ChunkRef(REPO, file.path, file.chunks[0].id)], scope=scope(1))
                assert found != [None] or "piece" in damage
            elif how == "of_file":
                await store.of_file([FileRef(REPO, file.path)], scope=scope(1))
            else:
                await store.text([file.blob_id])

    raised = []
    for how in ("get", "of_file", "text"):
        try:
            run(look(how))
        except Exception as exc:
            raised.append(type(exc))
    assert set(raised) == {Corrupt}


async def _stage(data: Path, file: FileChunks) -> None:
    async with chunk_store(data) as store:
        await publish(store, 1, [file])


def test_a_kind_that_a_newer_release_has_added_has_a_name() -> None:
    assert [kind_name(stored) for stored in (1, "own", 10_000)] == ["function", "own", "kind 10000"]


def test_full_disk_is_resource_exhausted_and_leaves_the_store_usable(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(3))
            writer = store._hops.database._writing()
            writer.execute(f"PRAGMA max_page_count={writer.execute('PRAGMA page_count').fetchone()[0]}")
            await store.begin(REPO, generation=2, base=1)
            with pytest.raises(sqlite3.OperationalError) as caught:
                await store.stage(REPO, generation=2, files=make_files(500, salt="more"))
            verdict = classify(caught.value)
            assert verdict is not None
            assert verdict.error is ResourceExhausted
            writer.execute("PRAGMA max_page_count=1000000")
            await store.stage(REPO, generation=2, files=make_files(10, salt="more"))
            await store.seal(REPO, generation=2)
            assert (await store.stats(scope=scope(2))).files == 10

    run(main())


def test_another_processes_transaction_is_lock_busy(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(1))
            store._hops.database._writing().execute("PRAGMA busy_timeout=10")
            other = sqlite3.connect(tmp_path / "codequay.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LockBusy, match="another process is writing"):
                await store.begin(REPO, generation=2, base=1)
            other.execute("ROLLBACK")
            other.close()
            await store.begin(REPO, generation=2, base=1)

    run(main())


def test_classify_knows_only_its_own() -> None:
    assert classify(ValueError("x")) is None
    assert classify(Conflict("x")) is None


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


_SEARCH = """
import asyncio, sys
from pathlib import Path
from codequay.ports.chunks import FileRef
from tests.adapters.sqlite.stores import REPO, chunk_store, scope

async def main():
    async with chunk_store(Path(sys.argv[1]), readonly=True) as store:
        placed, = await store.of_file([FileRef(REPO, "src/f0.py")], scope=scope(1))
        print(len(placed))

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_read_only_folder_can_be_searched(folder: Path) -> None:
    run(_index(folder))
    (folder / "codequay.db").chmod(0o444)
    folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH, str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=without_override,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr
    assert [p.name for p in folder.iterdir()] == ["codequay.db"]


_FOLLOW = """
import sys
from pathlib import Path
from codequay.adapters.sqlite.connection import Database
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.schema import INDEX

def count(connection):
    return connection.execute("SELECT count(*) FROM repository").fetchone()[0]

database = Database(Path(sys.argv[1]) / "codequay.db", INDEX, SqliteDefaults(), readonly=True)
print(database.read(count), flush=True)
for line in sys.stdin:
    print(database.read(count), flush=True)
database.close()
"""


def _put(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("INSERT INTO repository (repo_id, root, origin, source) VALUES (?, '', '', '')", (name,))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("live", [False, True])
def test_reader_of_a_read_only_folder_follows_those_who_may_write(folder: Path, live: bool) -> None:
    def begin() -> Database:
        folder.chmod(0o755)
        return Database(folder / "codequay.db", INDEX, SqliteDefaults(), readonly=False)

    with closing(begin()) as writer:
        writer.write(_put, "1")
        if not live:
            writer.close()
        folder.chmod(0o555)
        child = bound_reader(_FOLLOW, folder)
        assert child.stdin is not None
        assert child.stdout is not None
        with child, child.stdin:
            assert child.stdout.readline() == "1\n"
            with closing(begin()) as other:
                other.write(_put, "2")
                folder.chmod(0o555)
                child.stdin.write("\n")
                child.stdin.flush()
                assert child.stdout.readline() == "2\n", "the log is read too"
                folder.chmod(0o755)
                other.write(_put, "3")
                other.checkpoint()
            folder.chmod(0o555)
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "3\n", "so is what was moved into the file"
    assert child.returncode == 0


_FILL_AND_TRY = """
import os, sys
from contextlib import closing
from pathlib import Path
from codequay.adapters.sqlite.connection import Database
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.errors import classify
from codequay.adapters.sqlite.schema import INDEX

PUT = "INSERT INTO repository (repo_id, root, origin, source) VALUES (?, ?, '', '')"
path = Path(sys.argv[1]) / "codequay.db"

def open_file(readonly):
    return closing(Database(path, INDEX, SqliteDefaults(), readonly=readonly))

def put(connection, name, size):
    connection.execute(PUT, (name, "x" * size))

def names(connection):
    return [name for name, in connection.execute("SELECT repo_id FROM repository ORDER BY 1")]

with open_file(False) as database:
    database.write(put, "first", 10)
with (path.parent / "filler").open("wb", buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(4096))
    except OSError:
        pass
    filler.truncate(filler.tell() - int(sys.argv[2]))
try:
    with open_file(False) as database:
        database.write(put, "second", 4_000_000)
except Exception as exc:
    print(classify(exc).error.__name__)
with open_file(True) as database:
    print(database.read(names))
(path.parent / "filler").unlink()
with open_file(False) as database:
    database.write(put, "second", 4_000_000)
    print(database.read(names))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces")
@pytest.mark.parametrize("left", [0, 16_384, 40_960, 500_000])
def test_a_really_full_disk_is_named_and_can_still_be_searched(tmp_path: Path, left: int) -> None:
    """A small file system of its own. SQLite needs 32 kB beside the file even to read it."""
    mount = 'mount -t tmpfs -o size=6m tmpfs "$1" && exec "$2" -c "$3" "$1" "$4"'
    unshare = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-c"]
    try:
        able = subprocess.run([*unshare, 'mount -t tmpfs tmpfs "$1"', "sh", str(tmp_path)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if able.returncode:
        pytest.skip(f"no namespaces here: {able.stderr.decode().strip()}")
    done = subprocess.run(
        [*unshare, mount, "sh", str(tmp_path), sys.executable, _FILL_AND_TRY, str(left)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["ResourceExhausted", "['first']", "['first', 'second']"], done.stderr


_STAGE_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from tests.adapters.sqlite.stores import REPO, chunk_store, make_files

async def main():
    async with chunk_store(Path(sys.argv[1])) as store:
        await store.begin(REPO, generation=2, base=1)
        for salt in range(1_000_000):
            await store.stage(REPO, generation=2, files=make_files(50, salt=str(salt)), removed=["src/keep.py"])
            print(salt, flush=True)

asyncio.run(main())
"""


@pytest.mark.durability
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_writer_leaves_the_published_generation_readable(tmp_path: Path) -> None:
    kept = make_file("src/keep.py", "def keep\n    pass\n")

    async def before() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, [*make_files(20), kept])

    async def after() -> None:
        async with chunk_store(tmp_path, readonly=True) as store:
            assert (await store.stats(scope=scope(1))).files == 21
            ref = ChunkRef(REPO, kept.path, kept.chunks[0].id)
            (found,) = await store.get([ref], scope=scope(1))
            assert found is not None
            assert found.chunk == kept.chunks[0]
        async with chunk_store(tmp_path) as store:
            await store.begin(REPO, generation=3, base=1)
            await store.seal(REPO, generation=3)
            assert (await store.stats(scope=scope(3))).files == 21

    run(before())
    child = subprocess.Popen(
        [sys.executable, "-c", _STAGE_FOR_EVER, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout:
        while child.stdout.readline().strip() != "5":
            assert child.poll() is None
        child.kill()
    child.wait()
    run(after())
