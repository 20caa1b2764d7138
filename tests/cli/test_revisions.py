"""Revisions and linked worktrees are snapshots in one index."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import SAMPLE, Run, check, git, still_answers

RETRY = "src/net/retry.py"


@pytest.fixture
def tagged(sample: Path) -> Path:
    """A repository whose tag v1 has a function that its head renamed, and a file that its head deleted."""
    git(sample, "tag", "v1")
    (sample / RETRY).write_text(SAMPLE[RETRY].replace("backoff_delay", "pause_seconds"))
    (sample / "web" / "app.js").unlink()
    git(sample, "add", "-A")
    git(sample, "commit", "-q", "-m", "second")
    return sample


def test_a_revision_is_searched_and_shown_beside_the_work_tree(tagged: Path, run: Run) -> None:
    assert run("index", tagged).code == 0
    done = run("index", tagged, "--rev", "v1", "--format", "json")
    assert done.code == 0 and (done.json["snapshot"], done.json["files"]) == ("rev:v1", 4), done
    assert done.json["changed_blobs"] == 2, "what both share is stored once"
    check("index", done.json)

    old = run("search", "backoff_delay", tagged, "--rev", "v1", "--format", "json")
    assert (old.code, old.json["hits"][0]["path"], old.err) == (0, RETRY, ""), old
    (fresh,) = old.json["freshness"]
    assert fresh["indexed_revision"] == git(tagged, "rev-parse", "v1").strip() and fresh["snapshot"] == "rev:v1"
    assert run("search", "sym:backoff_delay", tagged).code == 1
    assert run("search", "sym:pause_seconds", tagged, "--rev", "v1").code == 1
    assert run("search", "sym:pause_seconds", tagged).paths == [RETRY]
    assert run("show", "web/app.js", "--rev", "v1", cwd=tagged).out == SAMPLE["web/app.js"]
    assert run("show", "web/app.js", cwd=tagged).code == 3


def test_an_edit_does_not_touch_a_revision(tagged: Path, run: Run) -> None:
    for words in ([], ["--rev", "v1"]):
        assert run("index", tagged, *words).code == 0
    (tagged / RETRY).write_text("def rewritten():\n    pass\n")
    assert run("search", "rewritten", tagged).paths == [RETRY]
    old = run("search", "backoff_delay", tagged, "--rev", "v1", "--format", "json")
    assert old.code == 0 and old.json["hits"][0]["stale"] is False, old
    assert run("search", "rewritten", tagged, "--rev", "v1").code == 1


def test_a_revision_that_is_not_indexed_names_the_command(tagged: Path, run: Run) -> None:
    assert run("index", tagged).code == 0
    for words in (["search", "x", tagged], ["show", tagged / "README.md"]):
        done = run(*words, "--rev", "v1")
        done.failed(4, what="revision v1 of", fix=f"codequay index --rev v1 {words[-1]}", error="not_indexed")
    run("search", "x", tagged, "--rev", "no such").failed(
        4, what="revision no such of", fix="--rev 'no such'", error="not_indexed"
    )


def test_another_name_of_the_same_commit_will_do(tagged: Path, run: Run) -> None:
    assert run("index", tagged, "--rev", "v1").code == 0
    commit = git(tagged, "rev-parse", "v1").strip()
    for name in (commit, commit[:10], "HEAD~1", "refs/tags/v1"):
        assert run("search", "sym:backoff_delay", tagged, "--rev", name).paths == [RETRY], name
    run("search", "x", tagged, "--rev", "HEAD").failed(4, what="", fix="--rev HEAD", error="not_indexed")


def test_a_revision_alone_makes_no_index_of_the_work_tree(tagged: Path, run: Run) -> None:
    assert run("index", tagged, "--rev", "v1").code == 0
    run("search", "backoff_delay", tagged).failed(4, what="no index", fix="codequay index", error="not_indexed")


def test_a_branch_that_moved_is_indexed_before_the_answer(tagged: Path, run: Run) -> None:
    assert run("index", tagged, "--rev", "main").code == 0
    (tagged / "later.py").write_text("def came_later():\n    pass\n")
    git(tagged, "add", "-A")
    git(tagged, "commit", "-q", "-m", "third")
    never = run("search", "came_later", tagged, "--rev", "main", "--refresh", "never")
    assert never.code == 1, never
    limited = run("search", "sym:pause_seconds", tagged, "--rev", "main", "--set", "index.refresh_files=0")
    assert limited.code == 4 and "1 file has changed" in limited.err and limited.paths == [RETRY], limited
    done = run("search", "came_later", tagged, "--rev", "main", "--format", "json")
    assert done.code == 0 and done.json["hits"][0]["path"] == "later.py", done
    assert done.json["freshness"][0]["indexed_revision"] == git(tagged, "rev-parse", "main").strip()


def test_a_branch_that_was_deleted_still_answers(tagged: Path, run: Run) -> None:
    git(tagged, "branch", "side", "v1")
    assert run("index", tagged, "--rev", "side").code == 0
    git(tagged, "branch", "-D", "side")
    done = run("search", "sym:backoff_delay", tagged, "--rev", "side")
    assert (done.code, done.paths) == (0, [RETRY]) and "no such revision" in done.err, done
    done = run("search", "sym:backoff_delay", tagged, "--rev", "side", "--refresh", "always")
    done.failed(3, what="no such revision", fix="", error="not_found")


def test_a_revision_that_does_not_exist_is_not_indexed(tagged: Path, run: Run) -> None:
    assert run("index", tagged).code == 0
    run("index", tagged, "--rev", "v9").failed(3, what="v9", fix="", error="not_found")
    run("index", tagged, "--rev", "--all").failed(2, what="--all", fix="", error="invalid_argument")
    assert run("search", "sym:pause_seconds", tagged).paths == [RETRY]


def test_a_folder_has_no_revisions(tmp_path: Path, run: Run) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# A\n")
    run("index", tmp_path / "notes", "--rev", "HEAD").failed(3, what="no revisions", fix="", error="unimplemented")


def test_only_fills_one_store(tagged: Path, run: Run) -> None:
    assert run("index", tagged).code == 0
    swapped = {"CODEQUAY_PORTS__LEXICAL": "memory"}
    run("search", "retries", tagged, **swapped).failed(4, what="does not hold", fix="codequay index", error="")
    done = run("index", tagged, "--only", "chunks", "--format", "json")
    assert done.code == 0, done
    still = run("search", "sym:pause_seconds", tagged)
    assert still.paths == [RETRY], still
    run("index", tagged, "--only", "graph").failed(2, what="graph", fix="chunks", error="invalid_argument")


def test_a_linked_worktree_is_a_snapshot_of_its_own(tagged: Path, tmp_path: Path, run: Run) -> None:
    assert run("index", tagged).code == 0
    linked = tmp_path / "linked"
    git(tagged, "worktree", "add", "-q", "--detach", str(linked), "v1")
    found = run("search", "sym:backoff_delay", linked, "--format", "json")
    assert found.code == 0 and found.json["freshness"][0]["snapshot"] == f"worktree:{linked}", found
    assert not (linked / ".codequay").exists()
    (linked / RETRY).write_text("def only_in_linked():\n    pass\n")
    assert run("search", "sym:only_in_linked", linked / "src").paths == [RETRY]
    assert "only_in_linked" in run("show", f"{linked}/{RETRY}:1").out
    assert run("search", "sym:only_in_linked", tagged).code == 1
    assert run("search", "sym:pause_seconds", tagged).paths == [RETRY]
    assert run("index", linked, "--format", "json").json["snapshot"] == f"worktree:{linked}"


def test_a_linked_worktree_inside_the_main_one(tagged: Path, run: Run) -> None:
    (tagged / ".gitignore").write_text(".trees/\n")
    assert run("index", tagged).code == 0
    linked = tagged / ".trees" / "one"
    git(tagged, "worktree", "add", "-q", "--detach", str(linked), "v1")
    assert run("search", "sym:backoff_delay", cwd=linked).paths == [RETRY]
    assert run("search", "sym:backoff_delay", tagged).code == 1
    assert run("search", "sym:pause_seconds", tagged).paths == [RETRY]


def test_an_unindexed_worktree_far_from_the_main_one_answers_from_it(tagged: Path, tmp_path: Path, run: Run) -> None:
    assert run("index", tagged).code == 0
    linked = tmp_path / "linked"
    git(tagged, "worktree", "add", "-q", "--detach", str(linked), "v1")
    done = run("search", "sym:pause_seconds", linked, "--set", "index.refresh_files=1", "--format", "json")
    assert done.code == 4 and "2 files have changed" in done.err, done
    (hit,) = done.json["hits"]
    assert (hit["path"], hit["stale"]) == (RETRY, True)
    never = run("search", "sym:pause_seconds", linked, "--refresh", "never", "--format", "json")
    assert never.code == 4 and never.json["hits"][0]["stale"] is True, never
    still_answers(run, linked)
