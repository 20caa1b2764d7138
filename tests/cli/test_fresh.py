"""A search answers from the files as they are, or says that it does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.permissions import without_override

from .conftest import SAMPLE, Done, Run, check, environment, git, repository, still_answers

RETRY = "src/net/retry.py"
NEVER = ("--refresh", "never")


def add(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def found(done: Done) -> dict[str, Any]:
    """The one hit of a JSON answer."""
    check("search", done.json)
    (hit,) = done.json["hits"]
    return dict(hit)


def pending(done: Done) -> int:
    return int(done.json["coverage"]["lexical"]["files"]["pending"])


def test_a_search_after_an_edit_answers_with_the_new_text(indexed: Path, run: Run) -> None:
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    done = run("search", "freshly_typed", indexed, "--format", "json")
    assert done.code == 0 and done.err == "", done
    hit = found(done)
    assert (hit["path"], hit["stale"]) == (RETRY, False)
    (fresh,) = done.json["freshness"]
    assert (fresh["generation"], fresh["pending"], fresh["snapshot"]) == (2, 0, "worktree")
    still_answers(run, indexed)


def test_without_a_change_nothing_is_published(indexed: Path, run: Run) -> None:
    os.utime(indexed / RETRY)
    for _ in range(2):
        done = run("search", "backoff_delay", indexed, "--format", "json")
        assert (done.code, done.json["freshness"][0]["generation"], pending(done)) == (0, 1, 0), done


def test_new_renamed_and_deleted_files_are_seen(indexed: Path, run: Run) -> None:
    (indexed / "web" / "added.js").write_text("export function quiteNew() {}\n")
    (indexed / RETRY).rename(indexed / "src" / "net" / "again.py")
    (indexed / "src" / "store" / "cache.py").unlink()
    assert run("search", "quiteNew", indexed).paths == ["web/added.js"]
    assert run("search", "sym:backoff_delay", indexed).paths == ["src/net/again.py"]
    done = run("search", "sym:ExpiringCache", indexed)
    assert done.code == 1, done


def test_what_is_ignored_now_is_gone(indexed: Path, run: Run) -> None:
    (indexed / ".codequayignore").write_text("web/\n")
    assert "web/app.js" not in run("search", "starts the page startPage", indexed).paths


def test_beyond_the_limit_one_line_says_so_and_hits_are_marked(indexed: Path, run: Run) -> None:
    few = ("--set", "index.refresh_files=1")
    (indexed / RETRY).write_text("# moved down\n# by two lines\n" + SAMPLE[RETRY])
    (indexed / "web" / "app.js").write_text("// all of it is new\n")
    done = run("search", "backoff_delay", indexed, *few, "--format", "json")
    assert done.code == 4, done
    (line,) = done.err.splitlines()
    assert "2 files have changed" in line and "codequay index" in line
    assert pending(done) == 2 and done.json["coverage"]["lexical"]["state"] == "partial"
    hit = done.json["hits"][0]
    check("search", done.json)
    text = (indexed / RETRY).read_text().split("\n")
    shown = "\n".join(text[hit["start_line"] - 1 : hit["end_line"]])
    assert hit["stale"] is False and hit["text"].rstrip("\n") == shown.rstrip("\n"), "the lines are those of today"

    gone = run("search", "startPage", indexed, *few)
    assert gone.code == 4 and gone.out.rstrip().endswith("(stale)"), gone

    always = run("search", "backoff_delay", indexed, *few, "--refresh", "always", "--format", "json")
    assert (always.code, pending(always), always.err) == (0, 0, ""), always


def test_nothing_that_matches_is_4_while_files_are_pending(indexed: Path, run: Run) -> None:
    add(indexed / RETRY, "\n\ndef not_yet_known():\n    pass\n")
    done = run("search", "not_yet_known", indexed, "--set", "index.refresh_files=0")
    assert (done.code, done.out) == (4, ""), done


def test_never_only_checks_the_files_of_the_hits(indexed: Path, run: Run) -> None:
    same = found(run("search", "startPage", indexed, *NEVER, "--format", "json"))
    assert same["stale"] is False
    app = indexed / "web" / "app.js"
    app.write_text("\n\n" + app.read_text())
    done = run("search", "startPage", indexed, *NEVER, "--format", "json")
    moved = found(done)
    assert done.code == 0 and done.json["freshness"][0]["generation"] == 1
    assert done.json["freshness"][0]["pending"] is None
    assert (moved["stale"], moved["start_line"]) == (False, same["start_line"] + 2)
    app.write_text("// all of it is new\n")
    done = run("search", "startPage", indexed, *NEVER, "--format", "json")
    assert done.code == 4 and found(done)["stale"] is True and "stale" in done.err, done
    app.unlink()
    assert found(run("search", "startPage", indexed, *NEVER, "--format", "json"))["stale"] is True


def test_the_mode_may_be_configured(indexed: Path, run: Run) -> None:
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    never = {"CODEQUAY_RETRIEVAL__REFRESH": "never"}
    assert run("search", "sym:freshly_typed", indexed, **never).code == 1
    assert run("search", "sym:freshly_typed", indexed, "--refresh", "auto", **never).paths == [RETRY]


def test_show_is_fresh_too(indexed: Path, run: Run) -> None:
    file = indexed / "web" / "app.js"
    file.write_text("// another\nexport function other() {\n}\n")
    old = run("show", file, *NEVER)
    assert (old.code, old.out) == (4, SAMPLE["web/app.js"]) and "has changed" in old.err, old
    new = run("show", file)
    assert (new.code, new.out, new.err) == (0, file.read_text(), ""), new
    at = run("show", "web/app.js:2", "--format", "json", cwd=indexed)
    check("show", at.json)
    assert at.json["symbol"] == "other" and at.json["stale"] is False
    (indexed / "late.js").write_text("export function late() {}\n")
    assert "late" in run("show", "late.js", cwd=indexed).out


def test_show_moves_a_chunk_that_still_holds_the_line(indexed: Path, run: Run) -> None:
    file = indexed / "src" / "store" / "cache.py"
    before = run("show", f"{file}:8", "--format", "json").json
    file.write_text("# one more line\n" + SAMPLE["src/store/cache.py"])
    after = run("show", f"{file}:9", *NEVER, "--format", "json").json
    assert (after["stale"], after["start_line"]) == (False, before["start_line"] + 1)


def test_a_refresh_makes_no_first_index(sample: Path, run: Run) -> None:
    for words in (["search", "x", sample], ["show", sample / "README.md"]):
        for mode in ("auto", "always", "never"):
            run(*words, "--refresh", mode).failed(4, what="", fix="codequay index", error="not_indexed")
    assert not (sample / ".codequay").exists()


@pytest.mark.parametrize("port", ["CHUNKS", "LEXICAL"])
def test_a_refresh_fills_no_cold_store(indexed: Path, run: Run, port: str) -> None:
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    for mode in ("auto", "always"):
        done = run("search", "backoff_delay", indexed, "--refresh", mode, **{f"CODEQUAY_PORTS__{port}": "memory"})
        done.failed(4, what="does not hold", fix="codequay index", error="not_indexed")
    done = run("search", "freshly_typed", indexed, "--format", "json")
    assert done.code == 0 and done.json["freshness"][0]["generation"] == 2, "flipping back needs nothing"


@pytest.mark.durability
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_while_another_process_indexes_the_answer_comes_at_once(indexed: Path, home: Path, run: Run) -> None:
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    (indexed / "web" / "app.js").write_text("// all of it is new\n")
    writer = subprocess.Popen(
        [sys.executable, "-m", "codequay", "index", str(indexed)],
        env=environment(home, {"CODEQUAY_TEST_FAILPOINT": "index.flip:1:stop"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _, status = os.waitpid(writer.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "the writer holds the lease and stands still"
        started = time.monotonic()
        done = run("search", "backoff_delay", indexed, "--format", "json")
        assert time.monotonic() - started < 5
        assert done.code == 4 and done.json["hits"][0]["path"] == RETRY, done
        assert done.json["freshness"][0]["generation"] == 1 and pending(done) == 2
        assert "another process is indexing" in done.err
        assert found(run("search", "startPage", indexed, "--format", "json"))["stale"] is True
        writer.send_signal(signal.SIGCONT)
        assert writer.wait(30) == 0
    finally:
        writer.kill()
        writer.wait()
    done = run("search", "freshly_typed", indexed, "--format", "json")
    assert (done.code, done.json["freshness"][0]["generation"]) == (0, 2), "the writer had indexed it all"


@pytest.mark.durability
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("point", ["index.walk", "index.sealed", "index.flip", "index.published"])
def test_a_search_that_is_killed_while_it_indexes_loses_nothing(indexed: Path, run: Run, point: str) -> None:
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    died = run("search", "freshly_typed", indexed, CODEQUAY_TEST_FAILPOINT=point)
    assert died.code == -signal.SIGKILL, died
    still_answers(run, indexed, CODEQUAY_RETRIEVAL__REFRESH="never")
    done = run("search", "freshly_typed", indexed, "--format", "json")
    assert (done.code, done.err, pending(done)) == (0, "", 0), "a dead owner's lease is taken at once"
    assert found(done)["path"] == RETRY


@pytest.mark.durability
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_search_that_is_interrupted_while_it_indexes_ends_with_130(indexed: Path, home: Path, run: Run) -> None:
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    search = subprocess.Popen(
        [sys.executable, "-m", "codequay", "search", "freshly_typed", str(indexed)],
        env=environment(home, {"CODEQUAY_TEST_FAILPOINT": "index.walk:1:stop"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        _, status = os.waitpid(search.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        search.send_signal(signal.SIGINT)
        search.send_signal(signal.SIGCONT)
        out, err = search.communicate(timeout=30)
    finally:
        search.kill()
    assert (search.returncode, out, err) == (130, b"", b"")
    assert run("search", "freshly_typed", indexed).paths[:1] == [RETRY]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_read_only_index_answers_and_says_what_is_missing(indexed: Path, run: Run) -> None:
    data = indexed / ".codequay"
    paths = [data, *data.rglob("*")]
    modes = [(path, path.stat().st_mode) for path in paths]
    try:
        for path, mode in modes:
            path.chmod(mode & ~0o222)
        done = run("search", "backoff_delay", indexed, before=without_override)
        assert (done.code, done.paths[0], done.err) == (0, RETRY, ""), done
        add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
        done = run("search", "backoff_delay", indexed, "--format", "json", before=without_override)
        assert (done.code, done.json["hits"][0]["path"], pending(done)) == (4, RETRY, 1), done
        assert "1 file has changed" in done.err, done
        done = run("search", "backoff_delay", indexed, "--refresh", "always", before=without_override)
        assert done.code == 3 and done.out == "" and "error[" in done.err, done
    finally:
        for path, mode in modes:
            if path.exists():
                path.chmod(mode)
    assert run("search", "freshly_typed", indexed).paths == [RETRY]


def test_a_checkout_that_is_gone_is_still_searched(sample: Path, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "index"
    other = repository(tmp_path / "other", {"a.py": "def elsewhere():\n    pass\n"})
    for place in (sample, other):
        assert run("index", place, "--data", data).code == 0
    shutil.rmtree(sample)
    done = run("search", "backoff_delay elsewhere", tmp_path, "--data", data, "--format", "json")
    assert done.code == 0 and {hit["path"] for hit in done.json["hits"]} >= {RETRY, "a.py"}, done
    assert "could not be compared" in done.err, done


def test_a_folder_that_came_into_a_repository_keeps_its_own_index(tmp_path: Path, run: Run) -> None:
    notes = tmp_path / "outer" / "notes"
    notes.mkdir(parents=True)
    (notes / "a.md").write_text("# water the ficus\n")
    assert run("index", notes).code == 0
    (tmp_path / "outer" / "other.md").write_text("# feed the turtle\n")
    git(tmp_path / "outer", "init", "-q")
    (notes / "b.md").write_text("# prune the monstera\n")
    assert run("search", "monstera", notes).paths == ["b.md"]
    assert run("search", "turtle", notes).code == 1


def test_a_repository_that_lost_its_git_folder_is_answered_as_it_was(tmp_path: Path, run: Run) -> None:
    outer = repository(tmp_path / "outer", {"other.md": "# feed the turtle\n"})
    inner = repository(outer / "inner", SAMPLE)
    assert run("index", inner).code == 0
    shutil.rmtree(inner / ".git")
    add(inner / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    done = run("search", "backoff_delay", inner)
    assert (done.code, done.paths[0]) == (4, RETRY) and "outer now" in done.err, done
    assert run("search", "turtle", inner).code == 4


def test_a_lost_manifest_makes_no_wrong_answer(indexed: Path, run: Run) -> None:
    shutil.rmtree(indexed / ".codequay" / "manifests")
    add(indexed / RETRY, "\n\ndef freshly_typed(a):\n    return a\n")
    done = run("search", "startPage", indexed, "--format", "json")
    assert done.code == 4 and found(done)["stale"] is False and "not known which files" in done.err, done
    assert run("search", "sym:freshly_typed", indexed).code == 4
    assert run("search", "sym:freshly_typed", indexed, "--refresh", "always").paths == [RETRY]
    assert run("search", "startPage", indexed).code == 0


def test_a_branch_switch_is_followed(indexed: Path, run: Run) -> None:
    git(indexed, "switch", "-q", "-c", "side")
    (indexed / "side.py").write_text("def only_on_side():\n    pass\n")
    git(indexed, "add", "-A")
    git(indexed, "commit", "-q", "-m", "side")
    assert run("search", "only_on_side", indexed).paths == ["side.py"]
    git(indexed, "switch", "-q", "main")
    assert run("search", "only_on_side", indexed).code == 1


def test_a_mode_that_does_not_exist_is_refused(indexed: Path, run: Run) -> None:
    run("search", "x", indexed, "--refresh", "often").failed(2, what="--refresh", fix="auto", error="invalid_argument")
