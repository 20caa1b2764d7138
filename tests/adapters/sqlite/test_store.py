"""What the store promises beyond the port's clauses: cancellation, plans, size, sharing of text."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codequay.adapters.sqlite import connection, lookup, reading
from codequay.adapters.sqlite.cache import open_cache
from codequay.adapters.sqlite.config import SqliteConfig
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.metadata import open_metadata
from codequay.adapters.sqlite.schema import INDEX, pack_id, unpack_id
from codequay.ports.chunks import ChunkRef, FileChunks, FileRef, Location
from codequay.ports.errors import NotIndexed
from codequay.ports.generations import GenerationState
from codequay.ports.metadata import Repo
from tests.adapters.sqlite.stores import REPO, chunk_store, make_file, make_files, publish, scope
from tests.contexts import build_context, run


def test_defaults_are_those_of_the_model() -> None:
    defaults = SqliteDefaults()
    assert SqliteConfig().model_dump() == {name: getattr(defaults, name) for name in SqliteConfig.model_fields}


@pytest.mark.parametrize("turns", range(12))
def test_cancelled_stage_is_whole_or_not_there_and_the_next_call_works(tmp_path: Path, turns: int) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(10))
            await store.begin(REPO, generation=2, base=1)
            task = asyncio.create_task(store.stage(REPO, generation=2, files=make_files(200, salt="new")))
            for _ in range(turns):
                await asyncio.sleep(0.001 if turns > 5 else 0)
            task.cancel()
            await asyncio.wait([task])
            assert not store._hops.database._writing().in_transaction
            await store.stage(REPO, generation=2, files=[make_file("z.py", "def z\n")])
            await store.seal(REPO, generation=2)
            assert (await store.stats(scope=scope(2))).files in (11, 201)
            assert (await store.stats(scope=scope(1))).files == 10

    run(main())


def test_many_cancelled_callers_leave_a_store_that_works(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(10))
            await store.begin(REPO, generation=2, base=1)
            refs = [FileRef(REPO, f"src/f{i}.py") for i in range(10)]
            calls = [
                asyncio.create_task(
                    store.stage(REPO, generation=2, files=make_files(20, salt=str(i)))
                    if i % 2
                    else store.of_file(refs, scope=scope(1))
                )
                for i in range(20)
            ]
            await asyncio.sleep(0.005)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await store.seal(REPO, generation=2)
            assert await store.generations(REPO) == [GenerationState(1, True), GenerationState(2, True)]

    run(main())


def test_a_stage_call_that_breaks_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    class Breaking(list[FileChunks]):
        """A sequence whose storage fails after its first item."""

        def __iter__(self) -> Any:
            yield make_file("l.py", "two\n")
            raise OSError("read error")

    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            one, two = make_file("k.py", "one\n"), make_file("l.py", "two\n")
            await publish(store, 1, [one])
            await store.begin(REPO, generation=2, base=1)
            with pytest.raises(OSError, match="read error"):
                await store.stage(REPO, generation=2, files=Breaking([two]), removed=["k.py"])
            await store.seal(REPO, generation=2)
            for generation in (1, 2):
                assert [f.path for f in (await store.scan(scope=scope(generation))).files] == ["k.py"]
            assert await store.text([one.blob_id, two.blob_id]) == ["one\n", None]

    run(main())


def test_reads_use_the_indexes(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(50))

    run(main())
    connection = sqlite3.connect(tmp_path / "codequay.db")
    where = {"repo": 1, "path": "a", "g": 1, "key": b"", "line": 1, "name": "f", "limit": 9, "after": ""}

    def plan(sql: str, values: Any = where) -> str:
        return " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))

    assert "idx_chunks_file_span (content=? AND start_line<?)" in plan(reading.COVERING)
    assert "idx_placement_path (repo=? AND path=?" in plan(lookup.ONE)
    assert "idx_placement_path (repo=? AND path=?" in plan(lookup.LYING.format("(?)"), ("a", 1, 1, 1))
    assert "k USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan(lookup.FEW.format("(?, ?)"), (1, b""))
    assert "idx_placement_path (repo=? AND path=?" in plan(reading.FILE)
    assert "idx_chunks_symbol (name=?)" in plan(reading.DEFINED)
    assert "idx_placement_path (repo=? AND path>?)" in plan(reading.SCAN)
    assert "idx_chunks_content_hash (hash=?)" in plan("SELECT id FROM chunk WHERE hash = :key")
    assert "idx_chunks_repo_snapshot (repo=? AND born>?" in plan(
        "DELETE FROM placement WHERE repo = :repo AND born > :g AND born <= :limit AND died <= :limit"
    )
    for sql in (reading.COVERING, lookup.ONE, reading.FILE, reading.DEFINED, reading.SCAN):
        assert "SCAN" not in plan(sql)
    connection.close()


def test_named_indexes_exist() -> None:
    for name in ("file_span", "repo_snapshot", "symbol", "content_hash"):
        assert f"INDEX idx_chunks_{name} " in INDEX.script


def _overlapping() -> FileChunks:
    """A class of 300 lines in one chunk, each of its methods in another, and a line of the class repeated."""
    text = "".join(f"line {i} of the text, é\n" for i in range(300))
    whole = make_file("big.py", text, lines=300).chunks[0]
    parts = make_file("big.py", text, lines=7).chunks
    first = replace(whole, kind="class", symbol="Big", id="whole")
    return FileChunks("big.py", whole.blob_id, "python", 0o100644, (first, *parts))


def test_overlapping_chunks_share_their_text_and_come_back_unchanged(tmp_path: Path) -> None:
    file = _overlapping()

    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, [file])
            (placed,) = await store.of_file([FileRef(REPO, "big.py")], scope=scope(1))
            assert placed is not None
            key = {c.id: c for c in file.chunks}
            assert {p.chunk.id: p.chunk for p in placed} == key
            refs = [ChunkRef(REPO, "big.py", c.id) for c in reversed(file.chunks)]
            got = await store.get(refs, scope=scope(1))
            assert [g and g.chunk for g in got] == list(reversed(file.chunks))
            (text,) = await store.text([file.blob_id])
            assert text == file.chunks[0].text
            (at,) = await store.at([Location(REPO, "big.py", 100)], scope=scope(1))
            assert at is not None
            assert at.chunk.kind == "class"
            assert (await store.stats(scope=scope(1))).bytes == len(file.chunks[0].text.encode())

    run(main())


def _count(connection: sqlite3.Connection, table: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return count


def test_what_only_a_dropped_generation_showed_is_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(20))
            await publish(store, 2, make_files(20, salt="new"), base=1)
            await store.drop(REPO, generation=1)
            database = store._hops.database
            for table, rows in (("placement", 20), ("content", 20), ("chunk", 80), ("definition", 80)):
                assert database.read(_count, table) == rows, table
            await store.purge(REPO)
            for table in ("placement", "content", "chunk", "piece", "definition", "repo", "generation"):
                assert database.read(_count, table) == 0, table

    run(main())


def test_sync_face_serves_many_threads_while_a_writer_writes(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(30))
            failures: list[BaseException] = []

            def search() -> None:
                try:
                    for i in range(200):
                        (placed,) = store.sync.of_file([FileRef(REPO, f"src/f{i % 30}.py")], scope=scope(1))
                        assert placed is not None
                        assert len(placed) == 4
                except BaseException as exc:
                    failures.append(exc)

            threads = [threading.Thread(target=search) for _ in range(4)]
            for thread in threads:
                thread.start()
            for generation in range(2, 6):
                await publish(store, generation, make_files(30, salt=str(generation)), base=generation - 1)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert not failures

    run(main())


def test_chunks_and_metadata_share_one_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with build_context(tmp_path) as ctx, open_metadata(SqliteDefaults(), ctx) as metadata:
            async with chunk_store(tmp_path) as store:
                await publish(store, 1, make_files(1))
            await metadata.put_repo(Repo(REPO, "/src"))
            assert await metadata.open_generation(REPO, base=None) == 1

    run(main())
    assert [p.name for p in tmp_path.iterdir()] == ["codequay.db"]


def test_invalidations_arrive_from_another_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            build_context(tmp_path) as here,
            build_context(tmp_path) as there,
            open_cache(SqliteDefaults(), here) as mine,
            open_cache(SqliteDefaults(), there) as theirs,
        ):
            changes = mine.invalidations()
            first = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.05)
            await theirs.set("k", b"v")
            assert await asyncio.wait_for(first, 5) == "k"

    run(main())


@pytest.mark.parametrize("text", ["", "00ff", "00FF", "0 0", "c1", "abc", "é", "a" * 32])
def test_ids_come_back_as_they_were(text: str) -> None:
    assert unpack_id(pack_id(text)) == text


@pytest.mark.parametrize("lines", [1, 8])
def test_chunks_by_id_are_those_of_the_file_however_many_are_asked(tmp_path: Path, lines: int) -> None:
    text = "".join(f"def f{n}\n    é = {n} * 'some text that fills the piece'\n" for n in range(200))
    files = [make_file("a.py", text, lines=lines), make_file("b.py", text + "x\n", lines=lines)]

    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, files)
            refs = [ChunkRef(REPO, file.path, c.id) for file in files for c in file.chunks]
            wanted = {(REPO, file.path, c.id): c for file in files for c in file.chunks}
            for step in (1, 3, 50):
                asked = refs[::step]
                found = await store.get(asked, scope=scope(1))
                assert [placed and placed.chunk for placed in found] == [wanted[ref] for ref in asked]

    run(main())


def test_a_chunk_that_is_remembered_is_still_only_shown_where_it_lies(tmp_path: Path) -> None:
    old, new = make_file("a.py", "def old\n"), make_file("a.py", "def new\n")

    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, [old])
            await publish(store, 2, [new])
            refs = [ChunkRef(REPO, "a.py", old.chunks[0].id), ChunkRef(REPO, "a.py", new.chunks[0].id)]
            for _ in range(2):
                assert [bool(placed) for placed in await store.get(refs, scope=scope(1))] == [True, False]
                assert [bool(placed) for placed in await store.get(refs, scope=scope(2))] == [False, True]
            assert await store.get([ChunkRef(REPO, "b.py", old.chunks[0].id)], scope=scope(1)) == [None]

    run(main())


def test_what_a_connection_remembers_ends_with_the_next_commit_of_another(tmp_path: Path) -> None:
    old, new, other = make_file("a.py", "def old\n"), make_file("a.py", "def new\n"), make_file("b.py", "def other\n")
    refs = [ChunkRef(REPO, file.path, file.chunks[0].id) for file in (old, new, other)]

    async def main() -> None:
        async with chunk_store(tmp_path) as writer, chunk_store(tmp_path, readonly=True) as reader:
            for shown, expected in ((old, [True, False, True]), (new, [False, True, True])):
                await publish(writer, 1, [shown, other])
                for _ in range(2):
                    assert [bool(placed) for placed in await reader.get(refs, scope=scope(1))] == expected
                    assert (await reader.at([Location(REPO, "a.py", 1)], scope=scope(1)))[0] is not None
                await writer.purge(REPO)
                with pytest.raises(NotIndexed):
                    await reader.get(refs, scope=scope(1))

    run(main())


def test_a_full_memory_of_places_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MEMO", 3)
    files = make_files(10)
    refs = [ChunkRef(REPO, file.path, file.chunks[0].id) for file in files]

    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, files)
            for _ in range(3):
                assert [placed and placed.path for placed in await store.get(refs, scope=scope(1))] == [
                    file.path for file in files
                ]

    run(main())
