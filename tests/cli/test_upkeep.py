"""Status, the repositories of an index, garbage, and the log of runs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import SAMPLE, Run, check, check_part, environment, git, repository, still_answers

pytestmark = pytest.mark.durability


@pytest.fixture
def two(tmp_path: Path, run: Run) -> Path:
    """A folder with one index for two repositories, alpha and beta."""
    folder = tmp_path / "both"
    for name in ("alpha", "beta"):
        repository(folder / name, {f"{name}.py": f"def only_in_{name}():\n    return '{name}'\n", **SAMPLE})
        assert run("index", folder / name, "--data", folder / ".codequay").code == 0
    return folder


def age(index: Path, seconds: float = 3600) -> None:
    """Let everything have been superseded so long ago."""
    with closing(sqlite3.connect(index / ".codequay" / "codequay.db")) as db, db:
        db.execute("UPDATE publication SET hidden_at = hidden_at - ?", (seconds,))


def generations(index: Path) -> list[int]:
    with closing(sqlite3.connect(index / ".codequay" / "codequay.db")) as db:
        return [number for (number,) in db.execute("SELECT generation FROM publication ORDER BY generation")]


def edit(index: Path, text: str) -> None:
    (index / "src" / "store" / "cache.py").write_text(f"def {text}():\n    pass\n")


def found(run: Run, place: Path, phrase: str) -> list[str]:
    """Paths of the files that hold exactly this."""
    return [hit["path"] for hit in run("search", f'"{phrase}"', place, "--format", "json").json["hits"]]


def names(run: Run, place: Path) -> dict[str, list[str]]:
    """Repository -> the names that show it."""
    answer = run("repos", "list", place, "--format", "json").json
    check("repos", answer)
    return {repo["repo"].partition("-")[0]: [s["snapshot"] for s in repo["snapshots"]] for repo in answer["repos"]}


# status


def test_status_of_a_file_says_what_became_of_it(indexed: Path, run: Run) -> None:
    (indexed / "image.bin").write_bytes(b"\0\1\2")
    (indexed / ".gitignore").write_text("*.log\n")
    (indexed / "x.log").write_text("x")
    assert run("index", indexed).code == 0
    (indexed / "new.py").write_text("def fresh(): pass\n")
    (indexed / "web" / "app.js").write_text("// changed\n")
    (indexed / "README.md").unlink()
    expected = {
        "src/net/retry.py": ("indexed", ""),
        "image.bin": ("skipped", "binary"),
        "x.log": ("left_out", ""),
        "new.py": ("new", ""),
        "web/app.js": ("changed", ""),
        "README.md": ("removed", ""),
    }
    for path, (state, reason) in expected.items():
        done = run("status", indexed / path, "--format", "json")
        assert done.code == 0, done
        check("status", done.json)
        file = done.json["file"]
        assert (file["path"], file["state"], file["reason"]) == (path, state, reason)
    assert "python" in run("status", "src/net/retry.py", cwd=indexed).out
    assert "binary" in run("status", "image.bin", cwd=indexed).out
    run("status", "none.py", cwd=indexed).failed(3, what="none.py", fix="path", error="not_found")


def test_status_counts_and_lists_what_is_pending_and_skipped(indexed: Path, run: Run) -> None:
    assert run("status", indexed, "--format", "json").json["repos"][0]["pending"] == 0
    (indexed / "image.bin").write_bytes(b"\0\1\2")
    assert run("index", indexed).code == 0
    edit(indexed, "changed")
    (indexed / "README.md").unlink()
    answer = run("status", indexed, "--pending", "--skipped", "--format", "json").json
    check("status", answer)
    assert answer["repos"][0]["pending"] == 2
    listed = {(file["path"], file["state"]) for file in answer["files"]}
    assert listed == {("src/store/cache.py", "changed"), ("README.md", "removed"), ("image.bin", "skipped")}
    text = run("status", indexed, "--skipped").out
    assert "2 files changed" in text and "image.bin  skipped  binary" in text


def test_status_lines_fit_their_schema(indexed: Path, run: Run) -> None:
    (indexed / "image.bin").write_bytes(b"\0\1\2")
    assert run("index", indexed).code == 0
    repo, file = run("status", indexed, "--skipped", "--format", "jsonl").out.splitlines()
    check_part("status", "repo", json.loads(repo))
    check_part("status", "file", json.loads(file))
    run_line = run("status", indexed, "--runs", "--format", "jsonl").out.splitlines()[0]
    check_part("status", "run", json.loads(run_line))


def test_status_of_a_linked_worktree_is_of_its_own_files(indexed: Path, run: Run, tmp_path: Path) -> None:
    git(indexed, "worktree", "add", "-q", str(tmp_path / "linked"))
    assert run("index", tmp_path / "linked").code == 0
    (tmp_path / "linked" / "web" / "app.js").write_text("// other\n")
    assert run("status", tmp_path / "linked" / "web" / "app.js", "--format", "json").json["file"]["state"] == "changed"
    assert run("status", indexed / "web" / "app.js", "--format", "json").json["file"]["state"] == "indexed"
    pending = {repo["snapshot"]: repo["pending"] for repo in run("status", indexed, "--format", "json").json["repos"]}
    assert pending == {"worktree": 0, f"worktree:{tmp_path / 'linked'}": 1}


def test_status_says_where_a_revision_moved(indexed: Path, run: Run) -> None:
    git(indexed, "branch", "work")
    assert run("index", "--rev", "work", indexed).code == 0
    (indexed / "more.py").write_text("x = 1\n")
    git(indexed, "add", "-A")
    git(indexed, "commit", "-qm", "second")
    git(indexed, "branch", "-f", "work")
    repos = run("status", indexed, "--format", "json").json["repos"]
    moved = {repo["snapshot"]: repo["moved_to"] for repo in repos}
    assert moved == {"rev:work": git(indexed, "rev-parse", "HEAD").strip(), "worktree": ""}


# runs


def test_runs_are_logged_newest_first_with_how_they_ended(indexed: Path, run: Run) -> None:
    edit(indexed, "second")
    assert run("index", indexed).code == 0
    assert run("index", indexed, "--rev", "no-such-revision").code == 3
    answer = run("status", "--runs", indexed, "--format", "json").json
    check("status", answer)
    assert [one["state"] for one in answer["runs"]] == ["failed", "ok", "ok"]
    failed, second, first = answer["runs"]
    assert failed["error"] == "not_found" and "no-such-revision" in failed["message"]
    assert (first["generation"], second["generation"], second["changed_files"]) == (1, 2, 1)
    assert len(run("status", "--runs", "-n", "1", indexed, "--format", "json").json["runs"]) == 1
    assert "failed not_found" in run("status", "--runs", indexed).out


@pytest.mark.durability
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_run_is_shown_as_one_that_did_not_end(indexed: Path, run: Run) -> None:
    edit(indexed, "second")
    assert run("index", indexed, CODEQUAY_TEST_FAILPOINT="index.flip").code == -signal.SIGKILL
    runs = run("status", "--runs", indexed, "--format", "json").json["runs"]
    assert [one["state"] for one in runs] == ["killed", "ok"]
    assert "did not end" in run("status", "--runs", indexed).out
    assert run("index", indexed).code == 0
    assert run("status", "--runs", indexed, "--format", "json").json["runs"][0]["state"] == "ok"


def test_a_log_that_cannot_be_read_or_written_stops_nothing(indexed: Path, run: Run) -> None:
    log = indexed / ".codequay" / "runs.jsonl"
    log.write_text('{"torn": \nnonsense\n[]\n"text"\n{"run": "a", "process": 5}\n{"run"')
    edit(indexed, "second")
    assert run("index", indexed).code == 0
    assert [one["state"] for one in run("status", "--runs", indexed, "--format", "json").json["runs"]] == ["ok"]
    log.unlink()
    log.mkdir()
    edit(indexed, "third")
    assert run("index", indexed).code == 0
    assert run("status", "--runs", indexed).code == 0


# repos


def test_a_removed_repository_is_no_longer_found_and_the_other_one_is(two: Path, run: Run) -> None:
    assert names(run, two) == {"alpha": ["worktree"], "beta": ["worktree"]}
    done = run("repos", "rm", two / "alpha")
    assert done.code == 0 and "codequay gc" in done.out, done
    assert names(run, two) == {"alpha": [], "beta": ["worktree"]}
    assert run("search", "only_in_alpha", two / "alpha").code == 4
    assert run("search", '"only_in_alpha"', two).code == 1
    assert found(run, two, "only_in_beta") == ["beta.py"]
    assert run("index", two / "alpha").code == 0
    assert found(run, two, "only_in_alpha") == ["alpha.py"]


def test_gc_deletes_what_a_removed_repository_left(two: Path, run: Run) -> None:
    assert run("repos", "rm", two / "alpha").code == 0
    dry = run("gc", "--dry-run", two, "--format", "json").json
    check("gc", dry)
    assert [(one["repo"].partition("-")[0], one["purged"]) for one in dry["repos"]] == [("alpha", True)]
    assert names(run, two) == {"alpha": [], "beta": ["worktree"]}, "a dry run deletes nothing"
    done = run("gc", two, "--format", "json").json
    check("gc", done)
    assert done["repos"] == dry["repos"] and done["files"] == dry["files"] and len(done["files"]) == 1
    assert names(run, two) == {"beta": ["worktree"]}
    assert run("gc", two, "--format", "json").json["repos"] == []
    assert found(run, two, "only_in_beta") == ["beta.py"]


def test_purge_deletes_at_once(two: Path, run: Run) -> None:
    done = run("repos", "rm", "--purge", two / "alpha", "--format", "json")
    assert done.code == 0
    check("repos", done.json)
    assert done.json["purged"] and names(run, two) == {"beta": ["worktree"]}
    assert run("gc", "--dry-run", two, "--format", "json").json["files"] == [], "its manifest went too"
    assert run("index", two / "alpha").code == 0
    assert found(run, two, "only_in_alpha") == ["alpha.py"]


def test_a_repository_is_named_by_id_or_path_and_a_wrong_name_is_told(two: Path, run: Run) -> None:
    first = run("repos", "list", two, "--format", "json").json["repos"][0]["repo"]
    run("repos", "rm", first[:-1], cwd=two).failed(3, what=first[:-1], fix=f"did you mean {first}?", error="not_found")
    assert run("repos", "rm", first, cwd=two).code == 0
    run("repos", "lst", cwd=two).failed(2, what="lst", fix="did you mean list?")
    run("repos", "rm", cwd=two).failed(2, what="REPO is missing", fix="repos list")
    run("repos", "list", "--purge", cwd=two).failed(2, what="--purge", fix="repos rm")


def test_one_revision_can_be_taken_out(indexed: Path, run: Run) -> None:
    git(indexed, "tag", "v1")
    assert run("index", "--rev", "v1", indexed).code == 0
    assert names(run, indexed) == {"sample": ["rev:v1", "worktree"]}
    assert run("repos", "rm", indexed, "--rev", "v1").code == 0
    assert names(run, indexed) == {"sample": ["worktree"]}
    assert run("search", "--rev", "v1", "backoff_delay", indexed).code == 4
    still_answers(run, indexed)
    run("repos", "rm", indexed, "--rev", "v1").failed(3, what="v1", fix="repos list", error="not_found")
    run("repos", "rm", indexed, "--rev", "v1", "--purge").failed(2, what="revision", fix="--purge")


def test_upkeep_of_a_place_without_an_index_makes_none(sample: Path, run: Run) -> None:
    for words in (["repos"], ["gc"], ["gc", "--dry-run"], ["repos", "rm", "."], ["status"], ["status", "--runs"]):
        run(*words, cwd=sample).failed(4, what="no index", fix="codequay index", error="not_indexed")
    assert not (sample / ".codequay").exists()


# gc


def test_gc_keeps_what_is_shown_and_recent_and_deletes_the_rest(indexed: Path, run: Run) -> None:
    git(indexed, "tag", "v1")
    assert run("index", "--rev", "v1", indexed).code == 0
    for text in ("second", "third", "fourth", "fifth"):
        edit(indexed, text)
        assert run("index", indexed).code == 0
    before = generations(indexed)
    assert len(before) == 6
    assert run("gc", "--dry-run", indexed, "--format", "json").json["repos"] == [], "all were superseded just now"
    age(indexed)
    dry = run("gc", "--dry-run", indexed, "--format", "json").json
    assert [one["generations"] for one in dry["repos"]] == [[1, 3, 4]]
    assert "generations 1, 3, 4" in run("gc", "--dry-run", indexed).out and generations(indexed) == before
    done = run("gc", indexed, "--format", "json").json
    assert done["repos"] == dry["repos"]
    assert generations(indexed) == [2, 5, 6]
    assert found(run, indexed, "fifth") == ["src/store/cache.py"]
    assert run("search", "--rev", "v1", "ExpiringCache", indexed).paths[0] == "src/store/cache.py"
    assert run("gc", indexed, "--set", "index.keep_generations=1").code == 0
    assert generations(indexed) == [2, 6]


def test_gc_forgets_linked_worktrees_that_are_gone(indexed: Path, run: Run, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(indexed, "worktree", "add", "-q", str(linked))
    assert run("index", linked).code == 0
    assert names(run, indexed) == {"sample": ["worktree", f"worktree:{linked}"]}
    assert run("gc", indexed, "--format", "json").json["repos"] == []
    git(indexed, "worktree", "remove", "--force", str(linked))
    assert run("gc", indexed, "--format", "json").json["repos"][0]["names"] == [f"worktree:{linked}"]
    assert names(run, indexed) == {"sample": ["worktree"]}
    still_answers(run, indexed)


def test_gc_compacts_what_is_mostly_dead(indexed: Path, run: Run) -> None:
    for number in range(4):
        for name in ("src/net/retry.py", "src/store/cache.py", "web/app.js"):
            (indexed / name).write_text(f"def version_{number}_of_{name.rpartition('/')[2][:-3]}():\n    pass\n")
        assert run("search", f"version_{number}_of_app", indexed).code == 0, "a refresh does not compact"
    age(indexed)
    assert run("gc", "--dry-run", indexed, "--format", "json").json["compacted"] == []
    done = run("gc", indexed, "--format", "json").json
    assert done["compacted"] == ["lexical.tantivy"] and done["notes"] == []
    assert found(run, indexed, "version_3_of_app")[0] == "web/app.js"
    assert run("gc", indexed, "--format", "json").json["compacted"] == []


def test_gc_deletes_manifests_that_belong_to_nothing(indexed: Path, run: Run) -> None:
    manifests = indexed / ".codequay" / "manifests"
    (mine,) = manifests.iterdir()
    for name, hours in (("half.1.tmp", 2), ("now.2.tmp", 0), ("damaged.manifest", 0)):
        (manifests / name).write_bytes(b"half")
        os.utime(manifests / name, (time.time() - hours * 3600,) * 2)
    dry = run("gc", "--dry-run", indexed, "--format", "json").json["files"]
    assert dry == ["manifests/damaged.manifest", "manifests/half.1.tmp"]
    assert run("gc", indexed, "--format", "json").json["files"] == dry
    assert sorted(file.name for file in manifests.iterdir()) == sorted([mine.name, "now.2.tmp"])


def test_gc_gives_room_back_to_the_disk(two: Path, run: Run) -> None:
    for number in range(40):
        text = "\n".join(f"x_{number}_{line} = '{hash((number, line)):x}'" for line in range(4000))
        (two / "alpha" / f"large{number}.py").write_text(text)
    assert run("index", two / "alpha").code == 0
    database = two / ".codequay" / "codequay.db"
    before = database.stat().st_size
    assert run("repos", "rm", two / "alpha").code == 0
    done = run("gc", two, "--format", "json").json
    assert "chunks.sqlite" in done["compacted"] and done["freed"] > before / 2
    assert database.stat().st_size < before / 4
    assert found(run, two, "only_in_beta") == ["beta.py"]
    assert run("doctor", two).code == 0


@pytest.mark.durability
@pytest.mark.skipif(os.name != "posix", reason="stops a process")
def test_a_repository_that_is_being_indexed_is_left_alone(indexed: Path, run: Run, home: Path) -> None:
    edit(indexed, "second")
    writer = subprocess.Popen(
        [sys.executable, "-m", "codequay", "index", indexed],
        env=environment(home, {"CODEQUAY_TEST_FAILPOINT": "index.flip:1:stop"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _, status = os.waitpid(writer.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        for words in (["gc"], ["gc", "--dry-run"]):
            done = run(*words, indexed)
            assert done.code == 7 and "left alone" in done.out and "is being indexed by" in done.out, done
        doctor = run("doctor", indexed)
        assert doctor.code == 0 and "is being indexed by" in doctor.out, doctor
        run("repos", "rm", indexed).failed(7, what="being indexed", fix="wait", error="lock_busy")
        assert run("status", "--runs", indexed, "--format", "json").json["runs"][0]["state"] == "running"
        writer.send_signal(signal.SIGCONT)
        assert writer.wait(60) == 0
    finally:
        if writer.poll() is None:
            writer.kill()
            writer.wait()
    assert run("gc", indexed).code == 0
    assert found(run, indexed, "def second") == ["src/store/cache.py"]


@pytest.mark.durability
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_gc_that_is_killed_loses_nothing_and_is_finished_by_the_next(two: Path, run: Run, times: int) -> None:
    assert run("repos", "rm", two / "alpha").code == 0
    assert run("gc", two, CODEQUAY_TEST_FAILPOINT=f"index.cleanup:{times}").code == -signal.SIGKILL
    assert found(run, two, "only_in_beta") == ["beta.py"]
    assert run("search", '"only_in_alpha"', two).code == 1
    assert run("gc", two).code == 0
    assert names(run, two) == {"beta": ["worktree"]}
    assert run("index", two / "alpha").code == 0
    assert found(run, two, "only_in_alpha") == ["alpha.py"]


def test_the_log_of_runs_is_bounded(tmp_path: Path) -> None:
    from codequay.app import runlog

    for number in range(1500):
        with runlog.recorded(tmp_path, "index", f"/repository/{number}") as run:
            run.tell(generation=number)
    runs = runlog.read(tmp_path, limit=10)
    assert [one.generation for one in runs] == list(range(1499, 1489, -1))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2 * runlog.MAX_BYTES
    assert time.time() - runs[0].at < 60
