"""Places and files that are not what one expects."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import SAMPLE, Run, check, git, repository, still_answers


def test_a_path_that_is_not_there(tmp_path: Path, run: Run) -> None:
    for command in (["index"], ["search", "x"], ["status"]):
        run(*command, tmp_path / "nowhere").failed(3, what="nowhere", fix="", error="not_found")
    assert not (tmp_path / "nowhere").exists()


def test_a_place_without_an_index_names_the_remedy(tmp_path: Path, sample: Path, run: Run) -> None:
    for words in (["search", "x", sample], ["status", sample], ["show", sample / "README.md"]):
        run(*words).failed(4, what="", fix="codequay index", error="not_indexed")
    assert not (sample / ".codequay").exists(), "a reader creates nothing"


def test_a_folder_outside_git_is_indexed_as_a_folder(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "notes"
    place.mkdir()
    (place / "todo.md").write_text("# Remember\n\nwater the ficus tree\n")
    assert run("index", place).code == 0
    assert run("search", "ficus", place).paths == ["todo.md"]


def test_an_empty_repository(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "empty"
    place.mkdir()
    git(place, "init", "-q")
    done = run("index", place, "--format", "json")
    assert done.code == 0 and (done.json["files"], done.json["chunks"]) == (0, 0), done
    check("index", done.json)
    assert run("search", "anything", place).code == 1
    (place / "a.py").write_text("def first_one():\n    pass\n")
    assert run("search", "--index", "first_one", place).paths == ["a.py"]


def test_an_empty_query_is_refused(indexed: Path, run: Run) -> None:
    run("search", "", indexed).failed(2, what="", fix="", error="invalid_argument")
    run("search", "  ", indexed).failed(2, what="", fix="", error="invalid_argument")


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="names there are Unicode")
def test_names_and_contents_that_are_not_utf8(tmp_path: Path, run: Run) -> None:
    place = repository(
        tmp_path / "old",
        {
            **SAMPLE,
            "latin.py": "def grüße_senden():\n    return 'schön'\n".encode("latin-1"),
            "wide.py": "def wide_letters():\n    return 'ü'\n".encode("utf-16"),
        },
    )
    name = os.fsencode(place) + b"/na\xefve.py"
    with open(name, "wb") as file:
        file.write(b"def oddly_named():\n    return 1\n")
    done = run("index", place, "--format", "json")
    assert done.code == 0 and done.json["files"] == 7, done
    odd = run("search", "oddly_named", place)
    assert odd.paths == ["na\\xefve.py"], odd
    assert "oddly_named" in run("show", "na\\xefve.py", cwd=place).out
    assert "oddly_named" in run("show", name).out
    assert run("search", "grüße_senden", place).paths == ["latin.py"]
    assert run("search", "wide_letters", place).paths == ["wide.py"]
    check("search", run("search", "oddly_named", place, "--format", "json").json)
    assert run("search", b"gr\xfc\xdfe", place).code in (0, 1, 2), "a query that is not UTF-8 is no crash"
    still_answers(run, place)


def test_a_file_of_100_mb_is_skipped_with_its_reason(sample: Path, run: Run) -> None:
    with open(sample / "dump.sql", "wb") as file:
        file.truncate(100_000_000)
    done = run("index", sample, "--format", "json")
    assert done.code == 0 and done.json["skipped"] == {"too_large": 1}, done
    assert "too_large" in run("status", sample).out
    still_answers(run, sample)


def test_one_line_of_5_mb_is_found(sample: Path, run: Run) -> None:
    line = "".join(f"var field{i}=f({i});" for i in range(240_000))[:4_900_000]
    (sample / "bundle.js").write_text("var needle_in_the_bundle=1;" + line)
    done = run("index", sample, "--format", "json")
    assert done.code == 0 and done.json["files"] == 5, done
    found = run("search", "-n", "1", "needle_in_the_bundle", sample)
    assert found.paths[0] == "bundle.js" and max(map(len, found.out.splitlines())) < 400, found.out[:500]
    still_answers(run, sample)


def test_a_nul_in_the_middle_is_binary_and_stops_nothing(sample: Path, run: Run) -> None:
    (sample / "data.py").write_bytes(
        b"def before():\n    pass\n" + b"# filler\n" * 2000 + b"\0" + b"def after(): pass\n"
    )
    done = run("index", sample, "--format", "json")
    assert done.code == 0 and done.json["skipped"] == {"binary": 1}, done
    still_answers(run, sample)


def test_a_submodule_is_named_and_not_entered(tmp_path: Path, sample: Path, run: Run) -> None:
    inner = repository(tmp_path / "inner", {"inner.py": "def zyzzyinner():\n    pass\n"})
    git(sample, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "vendored")
    done = run("index", sample, "--format", "json")
    assert done.code == 0 and "submodule" in done.json["skipped"], done
    assert run("search", "zyzzyinner", sample).code == 1
    still_answers(run, sample)


def test_a_checkout_is_moved_together_with_its_index(indexed: Path, tmp_path: Path, run: Run) -> None:
    moved = indexed.rename(tmp_path / "elsewhere")
    assert "backoff_delay" in run("search", "backoff_delay", cwd=moved).out
    for path in ("src/net/retry.py", moved / "src/net/retry.py"):
        assert "backoff_delay" in run("show", path, cwd=moved).out


def test_a_linked_worktree_shares_the_index(indexed: Path, tmp_path: Path, run: Run) -> None:
    linked = tmp_path / "linked"
    subprocess.run(["git", "-C", str(indexed), "worktree", "add", "-q", "--detach", str(linked)], check=True)
    done = run("index", linked, "--format", "json")
    assert done.code == 0, done
    assert not (linked / ".codequay").exists()
    still_answers(run, indexed)
