"""Two writers: one that has lost its lease publishes nothing, and without a lock both may work in vain but never mix.

Real processes over SQLite and Tantivy. The first is paused at a named point, the second runs meanwhile upon another
state of the tree, then the first goes on.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.durability.commands import Commands, resume
from tests.durability.edits import check, rebuild
from tests.durability.image import image
from tests.durability.kills import BATCHED
from tests.durability.tree import SETS, Tree

pytestmark = [pytest.mark.durability, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """The command line over a tree that is indexed, and changed since."""
    tree = Tree(tmp_path / "repo", 7, files=10)
    made = Commands(tree, tmp_path / "data", BATCHED)
    made.index()
    tree.many()
    return made


def leases(commands: Commands, statement: str) -> None:
    """Change the leases as time or somebody else would."""
    with closing(sqlite3.connect(commands.data / "lock.sqlite")) as connection, connection:
        connection.execute(statement)


EXPIRE = "UPDATE lease SET expires = 0"
"""A minute has passed."""


@pytest.mark.parametrize("at", ["index.walk", "index.sealed:2", "index.flip"])
def test_a_run_that_was_paused_until_another_took_its_lease_publishes_nothing(commands: Commands, at: str) -> None:
    paused = commands.paused("index", at=at)
    leases(commands, EXPIRE)
    commands.tree.many()
    commands.index()
    done = resume(paused)
    assert done.code == 6, done
    assert "aborted]" in done.err and "fix: " in done.err, done
    check(commands.tree, commands.data, commands.tree.folder.parent / "clean")


def test_a_lease_that_is_gone_stops_the_run_before_its_flip(commands: Commands) -> None:
    before = image(commands.data, commands.tree.folder, sets=SETS)
    paused = commands.paused("index", at="index.walk")
    leases(commands, "DELETE FROM lease")
    done = resume(paused)
    assert done.code == 6 and "was lost" in done.err and "fix: " in done.err, done
    assert not image(commands.data, commands.tree.folder, sets=SETS).differs(before)
    commands.index()
    check(commands.tree, commands.data, commands.tree.folder.parent / "clean")


def test_after_its_lease_has_expired_a_paused_writer_still_blocks_the_stores_and_is_named(commands: Commands) -> None:
    paused = commands.paused("index", at="tantivy.commit")
    busy = commands.run("index")
    assert busy.code == 7 and f":{paused.pid}" in busy.err and "is being indexed by" in busy.err, busy
    leases(commands, EXPIRE)
    busy = commands.run("index")
    assert busy.code == 7 and f"process {paused.pid}, which is paused" in busy.err and "fix: " in busy.err, busy
    assert resume(paused).code == 6
    commands.index()
    check(commands.tree, commands.data, commands.tree.folder.parent / "clean")


@pytest.mark.parametrize("at", ["index.walk", "tantivy.commit", "index.sealed", "index.sealed:2", "index.flip"])
def test_without_a_lock_two_writers_waste_work_and_never_mix(commands: Commands, at: str) -> None:
    """What is published afterwards is the state before, the first's or the second's, as a rebuild would have it."""
    fresh = commands.tree.folder.parent / "clean"
    before = image(commands.data, commands.tree.folder, sets=SETS)
    first = rebuild(commands.tree, fresh)
    paused = commands.paused("index", at=at, CODEQUAY_PORTS__LOCK="noop")
    commands.tree.many()
    second = rebuild(commands.tree, fresh)
    other = commands.run("index", CODEQUAY_PORTS__LOCK="noop")
    mine = resume(paused)
    assert (other.code, mine.code) in {(0, 6), (7, 0), (7, 6)}, (other, mine)
    shown = image(commands.data, commands.tree.folder, sets=SETS)
    if other.code == 0:
        assert not shown.differs(second)
    else:
        assert not shown.differs(first if mine.code == 0 else before)
    commands.index(CODEQUAY_PORTS__LOCK="noop")
    check(commands.tree, commands.data, fresh)
