"""An index that cannot be read: what is wrong, where, and what to do; never an empty answer."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from .conftest import Run, still_answers


def test_a_damaged_database_says_so_and_is_not_touched(indexed: Path, run: Run) -> None:
    file = indexed / ".codequay" / "codequay.db"
    good = file.read_bytes()
    for rest in (indexed / ".codequay").glob("codequay.db-*"):
        rest.unlink()
    damaged = b"this is no database" * 1000
    file.write_bytes(damaged)
    for words in (["search", "backoff_delay", indexed], ["status", indexed], ["index", indexed]):
        run(*words).failed(3, what="", fix="codequay", error="data_loss")
    assert file.read_bytes() == damaged
    file.write_bytes(good)


def test_an_index_of_a_newer_version_is_left_alone(indexed: Path, run: Run) -> None:
    file = indexed / ".codequay" / "codequay.db"
    kept = indexed.parent / "kept"
    shutil.copytree(indexed / ".codequay", kept)
    with closing(sqlite3.connect(file)) as db, db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        assert version > 0, "the format has a version"
        db.execute(f"PRAGMA user_version = {version + 100}")
    db.close()
    for words in (["search", "backoff_delay", indexed], ["index", indexed]):
        done = run(*words)
        assert done.code in (3, 4), done
        done.failed(done.code, what="newer", fix="codequay")
    with closing(sqlite3.connect(file)) as db, db:
        assert db.execute("PRAGMA user_version").fetchone() == (version + 100,)
    db.close()
    shutil.rmtree(indexed / ".codequay")
    shutil.copytree(kept, indexed / ".codequay")
    still_answers(run, indexed)


def test_a_lexical_index_that_is_gone_is_cold_not_empty(indexed: Path, run: Run) -> None:
    shutil.rmtree(indexed / ".codequay" / "lexical")
    done = run("search", "backoff_delay", indexed)
    assert done.code == 4 and done.paths == [] and "codequay index" in done.err, done
    assert run("index", indexed).code == 0
    still_answers(run, indexed)


def test_a_damaged_lexical_index_is_an_error_not_an_empty_answer(indexed: Path, run: Run) -> None:
    for file in (indexed / ".codequay" / "lexical").rglob("meta.json"):
        file.write_text("{")
    done = run("search", "backoff_delay", indexed)
    assert done.code in (3, 4), done
    done.failed(done.code, what="", fix="codequay")
