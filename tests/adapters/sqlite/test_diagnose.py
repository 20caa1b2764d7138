"""What the files' own look at themselves finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.metadata import open_metadata
from codequay.ports.diagnose import Finding, Level
from tests.adapters.sqlite.stores import chunk_store, make_files, publish
from tests.contexts import build_context, run


def look(data: Path) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """The findings of the chunk store and of the metadata."""

    async def main() -> tuple[Sequence[Finding], Sequence[Finding]]:
        async with chunk_store(data, readonly=True) as store:
            chunks = await store.diagnose()
        async with (
            build_context(data, readonly=True) as ctx,
            open_metadata(SqliteDefaults(), ctx) as metadata,
        ):
            return chunks, await metadata.diagnose()

    return run(main())


@pytest.fixture
def index(tmp_path: Path) -> Path:
    async def main() -> None:
        async with chunk_store(tmp_path) as store:
            await publish(store, 1, make_files(200))

    run(main())
    return tmp_path


def change(data: Path, sql: str) -> None:
    with closing(sqlite3.connect(data / "codequay.db")) as db, db:
        assert db.execute(sql).rowcount > 0


def test_a_whole_file_is_well(index: Path) -> None:
    for findings in look(index):
        assert [f.level for f in findings] == [Level.OK]


def test_a_page_of_a_table_that_was_overwritten_is_named_and_the_others_are_well(index: Path) -> None:
    with closing(sqlite3.connect(index / "codequay.db")) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunk'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with (index / "codequay.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x07" * size)
    chunks, metadata = look(index)
    assert chunks and all(f.level is Level.ERROR and "table chunk" in f.what for f in chunks)
    assert all("codequay index" in f.remedy for f in chunks)
    assert [f.level for f in metadata] == [Level.OK]


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE piece SET data = zeroblob(100) WHERE id = (SELECT min(id) FROM piece)", "do not inflate"),
        ("DELETE FROM piece WHERE id = (SELECT min(id) FROM piece)", "without its text"),
        ("DELETE FROM chunk WHERE id = (SELECT min(id) FROM chunk)", "without its chunks"),
        ("DELETE FROM content WHERE id = (SELECT min(id) FROM content)", "without its content"),
    ],
)
def test_what_is_missing_or_unreadable_is_named(index: Path, sql: str, what: str) -> None:
    change(index, sql)
    chunks, _ = look(index)
    assert chunks[0].level is Level.ERROR and what in chunks[0].what


def test_a_table_that_is_gone_is_named(index: Path) -> None:
    with closing(sqlite3.connect(index / "codequay.db")) as db, db:
        db.execute("DROP TABLE skipped")
    chunks, metadata = look(index)
    assert [f.level for f in chunks] == [Level.OK]
    assert metadata[0].level is Level.ERROR and "skipped" in metadata[0].what
