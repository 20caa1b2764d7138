"""``codequay migrations``: which steps there are, and an index of an older release on its way to this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Run, check, still_answers

LATEST = 3


def make_older(repo: Path) -> None:
    """Take back the steps of ``codequay.db``, so that it is as the first release made it."""
    with closing(sqlite3.connect(repo / ".codequay" / "codequay.db", isolation_level=None)) as connection:
        connection.executescript("""
BEGIN;
ALTER TABLE publication DROP COLUMN hidden_at;
DROP TABLE fence;
CREATE TABLE fence (
    repo_id TEXT PRIMARY KEY, adapter TEXT NOT NULL, store_id TEXT NOT NULL, fence INTEGER
) WITHOUT ROWID;
UPDATE meta SET value = '1' WHERE key = 'schema_version';
DELETE FROM meta WHERE key IN ('readable_from', 'writable_from');
PRAGMA user_version = 1;
COMMIT;
""")


def make_newer(repo: Path) -> None:
    """As a later release might, which lets nobody of ours read it any more."""
    with closing(sqlite3.connect(repo / ".codequay" / "codequay.db", isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE key <> 'store_id'")
        connection.execute("PRAGMA user_version = 9")


def test_a_new_index_has_every_step(indexed: Path, run: Run) -> None:
    done = run("migrations", indexed)
    assert done.code == 0, done
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["STORE", "PORTS", "VERSION", "STATE", "WHAT"]
    of_index = [line for line in lines if line[0] == "codequay.db"]
    assert [line[1:5] for line in of_index] == [
        ["chunks", "metadata", str(number), "applied"] for number in range(1, LATEST + 1)
    ]
    assert "pending" not in done.out + done.err
    answer = run("migrations", indexed, "--format", "json")
    check("migrations", answer.json)
    assert [store["version"] for store in answer.json["stores"] if store["store"] == "codequay.db"] == [LATEST]


def test_the_statements_can_be_seen(indexed: Path, run: Run) -> None:
    done = run("migrations", "--sql", indexed)
    assert done.code == 0, done
    assert "ALTER TABLE publication ADD COLUMN hidden_at REAL;" in done.out
    assert all(line.startswith("--") for line in done.out.split("\n") if line), "nobody runs them by hand"


def test_an_older_index_is_searched_and_then_migrated_by_the_next_run(indexed: Path, run: Run) -> None:
    make_older(indexed)
    done = run("migrations", indexed, "--format", "json")
    (store,) = [one for one in done.json["stores"] if one["store"] == "codequay.db"]
    assert (store["version"], [step["applied"] for step in store["migrations"]]) == (1, [True, False, False])
    still_answers(run, indexed)
    done = run("index", indexed)
    assert done.code == 0, done
    assert "pending" not in run("migrations", indexed).out
    still_answers(run, indexed)


def test_under_check_it_is_migrated_on_command_only(indexed: Path, run: Run) -> None:
    make_older(indexed)
    (indexed / "new.py").write_text("def new_function():\n    pass\n")
    check_only = {"CODEQUAY_ADAPTERS__SQLITE__MIGRATIONS": "check"}
    done = run("index", indexed, **check_only)
    done.failed(4, error="fingerprint_mismatch", what="schema 1 of an older release", fix="codequay migrations --apply")
    done = run("migrations", indexed, **check_only)
    assert (done.code, done.out.count("pending")) == (0, 2)
    assert "codequay migrations --apply" in done.err
    done = run("migrations", "--apply", indexed, **check_only)
    assert (done.code, done.out.count("applied now"), done.out.count("pending")) == (0, 2, 0)
    done = run("migrations", "--apply", indexed, "--format", "json", **check_only)
    check("migrations", done.json)
    assert done.json["applied"] == []
    assert run("index", indexed, **check_only).code == 0
    still_answers(run, indexed)


def test_an_index_of_a_newer_release_is_refused(indexed: Path, run: Run) -> None:
    make_newer(indexed)
    for words in (["index", indexed], ["search", "backoff_delay", indexed], ["migrations", indexed]):
        run(*words).failed(4, error="fingerprint_mismatch", what="schema 9 of a newer release", fix="upgrade codequay")
    run("migrations", "--apply", indexed).failed(
        4, error="fingerprint_mismatch", what="this one writes up to 3", fix="upgrade codequay"
    )


def test_without_an_index_nothing_is_made(sample: Path, run: Run) -> None:
    for words in (["migrations", sample], ["migrations", "--apply", sample]):
        run(*words).failed(4, error="not_indexed", what="has no index", fix=f"codequay index {sample}")
    assert not (sample / ".codequay").exists()
