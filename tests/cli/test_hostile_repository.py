"""Repositories that would like to run something, write somewhere else, or never end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.permissions import without_override

from .conftest import SAMPLE, Run, environment, git, repository, still_answers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions, links and scripts")


def test_nothing_of_the_repository_is_executed(sample: Path, tmp_path: Path, run: Run) -> None:
    proof = tmp_path / "executed"
    script = tmp_path / "evil.sh"
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> {proof}\ncat\n')
    script.chmod(0o755)
    for hook in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman"):
        target = sample / ".git" / "hooks" / hook
        target.parent.mkdir(exist_ok=True)
        target.write_text(script.read_text())
        target.chmod(0o755)
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.pager"):
        git(sample, "config", key, str(script))
    (sample / ".gitattributes").write_text("*.py filter=evil diff=evil\n")
    assert run("index", sample).code == 0
    still_answers(run, sample)
    assert run("status", sample).code == 0
    assert not proof.exists(), proof.read_text()


def test_no_module_of_the_repository_is_imported(sample: Path, home: Path, tmp_path: Path, run: Run) -> None:
    proof = tmp_path / "imported"
    for module in ("secrets", "json", "struct", "pickle", "sqlite3", "tantivy", "hashlib", "zlib", "re"):
        (sample / f"{module}.py").write_text(f"open({str(proof)!r}, 'a').write('{module} ')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codequay", "index"],  # as the installed command starts: without the folder
        cwd=sample,
        env=environment(home, {"CODEQUAY_INDEX__INLINE_BELOW_BYTES": "1", "CODEQUAY_INDEX__WORKERS": "2"}),
        capture_output=True,
    )
    assert not proof.exists(), proof.read_text()
    assert done.returncode == 0, done
    still_answers(run, sample)
    assert not proof.exists(), proof.read_text()


def test_loops_of_symlinks_end_and_are_not_followed(sample: Path, tmp_path: Path, run: Run) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("def zyzzyoutside():\n    pass\n")
    (sample / "loop").symlink_to(sample)
    (sample / "self").symlink_to("self")
    (sample / "out.py").symlink_to(secret)
    done = run("index", sample, "--format", "json")
    assert done.code == 0 and done.json["files"] == 4, done
    assert run("search", "zyzzyoutside", sample).code == 1
    still_answers(run, sample)


def test_a_folder_with_loops_is_indexed_as_a_folder(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "plain"
    (place / "sub").mkdir(parents=True)
    (place / "sub" / "a.py").write_text("def in_a_plain_folder():\n    pass\n")
    (place / "sub" / "up").symlink_to(place)
    done = run("index", place, "--format", "json")
    assert done.code == 0 and done.json["files"] == 1, done
    assert run("search", "in_a_plain_folder", place).paths == ["sub/a.py"]


def test_an_index_folder_that_is_a_symlink_is_refused(sample: Path, tmp_path: Path, run: Run) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (sample / ".codequay").symlink_to(elsewhere)
    for words in (["index", sample], ["search", "x", sample]):
        done = run(*words)
        done.failed(3, what="symbolic link", fix=".codequay")
    assert list(elsewhere.iterdir()) == []


def test_an_index_folder_that_is_tracked_is_refused(tmp_path: Path, run: Run) -> None:
    planted: dict[str, str | bytes] = {".codequay/codequay.db": b"planted", ".codequay/.gitignore": "# none\n"}
    place = repository(tmp_path / "clone", {**SAMPLE, **planted})
    for words in (["index", place], ["search", "x", place]):
        run(*words).failed(3, what="tracked", fix="git rm")
    assert (place / ".codequay" / "codequay.db").read_bytes() == b"planted"
    assert run("search", "--index", "backoff_delay", place, "--data", tmp_path / "own").code == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_an_index_folder_of_another_user_is_refused(indexed: Path, run: Run) -> None:
    os.chown(indexed / ".codequay", 65534, 65534)
    for words in (["index", indexed], ["search", "x", indexed]):
        run(*words).failed(3, what="another user", fix="", error="permission_denied")
    os.chown(indexed / ".codequay", 0, 0)
    still_answers(run, indexed)


def test_a_folder_that_cannot_be_written_says_so(sample: Path, tmp_path: Path, run: Run) -> None:
    sample.chmod(0o555)
    try:
        done = run("index", sample, before=without_override)
        done.failed(3, what="", fix="--data", error="permission_denied")
        elsewhere = run(
            "search", "--index", "backoff_delay", sample, "--data", tmp_path / "own", before=without_override
        )
        assert elsewhere.code == 0, elsewhere
    finally:
        sample.chmod(0o755)
    assert not (sample / ".codequay").exists()


def test_an_index_that_may_only_be_read_still_answers(indexed: Path, run: Run) -> None:
    everything = [indexed / ".codequay", *(indexed / ".codequay").rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        found = run("search", "backoff_delay", indexed, before=without_override)
        assert (found.code, found.paths[:1]) == (0, ["src/net/retry.py"]), found
        run("index", indexed, before=without_override).failed(3, what="", fix="", error="permission_denied")
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
    still_answers(run, indexed)


def test_a_file_that_cannot_be_read_is_skipped_with_a_reason(sample: Path, run: Run) -> None:
    (sample / "web" / "app.js").chmod(0)
    done = run("index", sample, "--format", "json", before=without_override)
    assert done.code == 0 and done.json["files"] == 3 and sum(done.json["skipped"].values()) == 1, done
    still_answers(run, sample)
