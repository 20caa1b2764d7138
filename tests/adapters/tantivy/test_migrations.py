"""The version of the sidecar's tables, and what a release does with those of another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from codequay.adapters._schema import Schema, Step
from codequay.adapters.tantivy import migrations, placements
from codequay.adapters.tantivy.defaults import TantivyDefaults
from codequay.adapters.tantivy.migrations import open_sidecar
from codequay.ports.errors import FingerprintMismatch
from codequay.ports.lexical import Term
from codequay.ports.migrations import Migration
from tests.adapters.tantivy.stores import SCOPE, index, lex_file, publish
from tests.contexts import build_context, run

NEXT = Schema(
    placements.SCHEMA.script,
    (
        *placements.SCHEMA.steps,
        Step("a note", "alter table repo add column note text not null default '';", readers=1, writers=1, views=""),
    ),
)
"""What the next release might have."""
OURS = [True] * placements.SCHEMA.version
"""Of a sidecar that this release has made."""


async def build(data: Path) -> None:
    async with index(data) as store:
        await publish(store, [lex_file("a.py", "alpha beta\n")])


async def found(data: Path, *, readonly: bool = True) -> list[str]:
    async with index(data, readonly=readonly) as store:
        return [hit.path for hit in await store.rank([Term("alpha")], scope=SCOPE, unit="file", k=5)]


async def steps(data: Path, *, migrate: bool = False) -> list[Migration]:
    async with build_context(data) as ctx, open_sidecar(TantivyDefaults(), ctx) as store:
        return await store.migrate() if migrate else await store.migrations()


def version(data: Path) -> int:
    with closing(sqlite3.connect(data / "lexical" / "placements.db")) as connection:
        number: int = connection.execute("pragma user_version").fetchone()[0]
        return number


def expand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Become the next release."""
    for module in (placements, migrations):
        monkeypatch.setattr(module, "SCHEMA", NEXT)


def test_a_new_sidecar_has_the_newest_version(tmp_path: Path) -> None:
    run(build(tmp_path))
    assert version(tmp_path) == placements.SCHEMA.version
    assert all(step.applied and step.store == "placements.db" for step in run(steps(tmp_path)))
    assert run(steps(tmp_path / "none")) == []


def test_a_sidecar_without_a_version_is_of_the_first(tmp_path: Path) -> None:
    run(build(tmp_path))
    with closing(sqlite3.connect(tmp_path / "lexical" / "placements.db")) as connection, connection:
        connection.execute("drop table meta")
        connection.execute("drop table recent")
        connection.execute("pragma user_version = 0")
    connection.close()
    for readonly in (True, False):
        assert run(found(tmp_path, readonly=readonly)) == ["a.py"]


def test_the_next_release_reads_it_and_migrates_it_when_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(build(tmp_path))
    expand(monkeypatch)
    assert run(found(tmp_path)) == ["a.py"]
    assert [step.applied for step in run(steps(tmp_path))] == [*OURS, False]
    assert run(found(tmp_path, readonly=False)) == ["a.py"]
    assert version(tmp_path) == NEXT.version
    monkeypatch.undo()
    for readonly in (True, False):
        assert run(found(tmp_path, readonly=readonly)) == ["a.py"]


def test_it_can_be_migrated_on_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(build(tmp_path))
    expand(monkeypatch)
    assert [step.title for step in run(steps(tmp_path, migrate=True))] == ["a note"]
    assert run(steps(tmp_path, migrate=True)) == []
    assert [step.applied for step in run(steps(tmp_path))] == [*OURS, True]


@pytest.mark.parametrize("readonly", [True, False])
def test_a_newer_sidecar_is_refused_with_a_remedy(tmp_path: Path, readonly: bool) -> None:
    run(build(tmp_path))
    with closing(sqlite3.connect(tmp_path / "lexical" / "placements.db")) as connection, connection:
        connection.execute("pragma user_version = 9")
    connection.close()
    with pytest.raises(FingerprintMismatch, match="schema 9 of a newer release") as caught:
        run(found(tmp_path, readonly=readonly))
    assert "upgrade codequay" in caught.value.remedy
