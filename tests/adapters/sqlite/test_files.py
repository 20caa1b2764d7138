"""The files themselves: schema, damage, read-only folders, death of the writer."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codequay.adapters.sqlite.errors import classify
from codequay.ports.chunks import ChunkRef, FileRef
from codequay.ports.errors import Conflict, Corrupt, FingerprintMismatch, LockBusy, NotFound, ResourceExhausted
from tests.adapters.sqlite.stores import REPO, chunk_store, make_file, make_files, publish, scope
from tests.contexts import run
from tests.permissions import without_override


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
def test_file_that_is_no_database_is_classified_as_corrupt(tmp_path: Path, readonly: bool) -> None:
    (tmp_path / "codequay.db").write_bytes(b"not a database at all " * 100)

    async def main() -> None:
        async with chunk_store(tmp_path, readonly=readonly):
            pass

    with pytest.raises(sqlite3.DatabaseError) as caught:
        run(main())
    verdict = classify(caught.value)
    assert verdict is not None
    assert verdict.error is Corrupt
    assert "codequay index" in verdict.remedy


def test_damaged_page_is_classified_as_corrupt(tmp_path: Path) -> None:
    run(_index(tmp_path, 200))
    path = tmp_path / "codequay.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))

    async def main() -> None:
        async with chunk_store(tmp_path, readonly=True) as store:
            await store.of_file([FileRef(REPO, f"src/f{i}.py") for i in range(200)], scope=scope(1))

    with pytest.raises(sqlite3.DatabaseError) as caught:
        run(main())
    verdict = classify(caught.value)
    assert verdict is not None
    assert verdict.error is Corrupt


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
            with pytest.raises(sqlite3.OperationalError) as caught:
                await store.begin(REPO, generation=2, base=1)
            verdict = classify(caught.value)
            assert verdict is not None
            assert verdict.error is LockBusy
            other.execute("ROLLBACK")
            other.close()
            await store.begin(REPO, generation=2, base=1)

    run(main())


def test_classify_knows_only_its_own() -> None:
    assert classify(ValueError("x")) is None
    assert classify(Conflict("x")) is None


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


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
def test_read_only_folder_can_be_searched(open_folder: Path) -> None:
    run(_index(open_folder))
    (open_folder / "codequay.db").chmod(0o444)
    open_folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH, str(open_folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=without_override,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr
    assert [p.name for p in open_folder.iterdir()] == ["codequay.db"]


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
