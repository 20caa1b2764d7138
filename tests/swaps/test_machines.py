"""Two machines, one database: each has a Tantivy of its own, and neither makes the other's cold for nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SAMPLE, git, repository

from .conftest import RANKED, Call, answers, ask, index

QUERY = RANKED[0]
COLD = "of this machine does not hold generation"


@pytest.fixture
def shared(servers_env: dict[str, str]) -> dict[str, str]:
    """Chunks, metadata and lock on servers, the words on each machine's disk."""
    own = {"CODEQUAY_PROFILE": "server", "CODEQUAY_ADAPTERS__POSTGRES__MIGRATIONS": "auto"}
    return {**servers_env, **own}


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that both machines have at one path. Some of its files are skipped, each for another reason."""
    files = {**SAMPLE, "empty.txt": "", "web/große.js": "export const größe = 'ß';\n"}
    place = repository(tmp_path / "sample", files)
    (place / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (place / "link").symlink_to("README.md")
    git(place, "remote", "add", "origin", "https://example.org/team/sample.git")
    monkeypatch.chdir(place)
    return place


def status(call: Call, env: Mapping[str, str], data: Path) -> Any:
    done = call("status", "--data", data, "--format", "json", env=env)
    (repo,) = json.loads(done.out)["repos"]
    return done.code, repo


def paths(call: Call, env: Mapping[str, str], data: Path, query: str) -> list[str]:
    return [hit["path"] for hit in ask(call, env, data, query)]


def test_each_fills_its_own_and_both_stay_warm(inside: Call, tmp_path: Path, shared) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    index(inside, shared, first)
    expected = answers(inside, shared, first)
    unknown = inside("search", QUERY, "--data", second, env=shared)
    unknown.failed(4, what="has no index", fix="codequay index", error="not_indexed")

    report = index(inside, shared, second)
    assert report["generation"] == 1 and "only the words were indexed here" in report["notes"][0]
    for data in (second, first):
        assert answers(inside, shared, data) == expected
        code, repo = status(inside, shared, data)
        assert (code, repo["generation"], repo["cold"], repo["pending"]) == (0, 1, [], 0)
        doctor = inside("doctor", "--data", data, env=shared)
        assert doctor.code == 0 and "cold" not in doctor.out, doctor
        assert "lexical.tantivy is this machine's, metadata.postgres is for all" in doctor.out
        again = index(inside, shared, data)
        assert again["generation"] == 1 and not again["notes"], again


def test_what_one_publishes_the_other_is_told_of_and_takes_over(
    inside: Call, tmp_path: Path, sample: Path, shared
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for data in (first, second):
        assert index(inside, shared, data)["generation"] == 1

    for n, (ours, theirs) in enumerate(((first, second), (second, first), (first, second)), 2):
        (sample / "web" / f"late{n}.js").write_text(f"export const lately{n} = {n};\n")
        if n == 3:
            (sample / "empty.txt").unlink()
        assert paths(inside, shared, ours, f"sym:lately{n}") == [f"web/late{n}.js"], "indexed by the question"
        for refresh in ("auto", "always", "never"):
            cold = inside("search", "lately", "--data", theirs, "--refresh", refresh, env=shared)
            cold.failed(4, what=COLD, fix="codequay index", error="not_indexed")
            assert f"generation {n} of" in cold.err and "another machine" in cold.err
        code, repo = status(inside, shared, theirs)
        assert (code, repo["generation"], repo["cold"], repo["elsewhere"]) == (4, n, ["lexical"], ["lexical"])
        doctor = inside("doctor", "--data", theirs, env=shared)
        assert doctor.code == 4 and "which another machine or index folder has published" in doctor.out, doctor
        assert "another machine" in inside("status", "--data", theirs, env=shared).out

        assert index(inside, shared, theirs)["generation"] == n
        for data in (ours, theirs):
            assert paths(inside, shared, data, f"sym:lately{n}") == [f"web/late{n}.js"]
            assert index(inside, shared, data)["generation"] == n
    for data in (first, second):
        assert inside("gc", "--data", data, env=shared).code == 0
        assert paths(inside, shared, data, "sym:lately2") == ["web/late2.js"], "kept by gc"


def test_another_tree_is_published_and_the_first_machine_is_told(
    inside: Call, tmp_path: Path, sample: Path, shared
) -> None:
    """What is published is what one tree holds: who has another publishes anew, and tells whom that leaves behind."""
    first, second = tmp_path / "first", tmp_path / "second"
    index(inside, shared, first)
    (sample / "README.md").write_text("Only the second machine has this sentence.\n")
    report = index(inside, shared, second)
    assert report["generation"] == 2
    assert [note for note in report["notes"] if "is behind now: run codequay index there too" in note], report
    inside("search", "sentence", "--data", first, env=shared).failed(4, what=COLD, fix="codequay index")
    assert index(inside, shared, first)["generation"] == 2, "both trees are one again"

    git(sample, "commit", "-q", "-a", "-m", "second")
    assert index(inside, shared, second)["generation"] == 3, "the commit is part of what is published"
    assert index(inside, shared, first)["generation"] == 3
    assert index(inside, shared, first)["generation"] == 3


def test_files_that_are_cut_otherwise_here_are_published_anew(
    inside: Call, tmp_path: Path, sample: Path, shared
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for data in (first, second):
        index(inside, shared, data)
    small = {**shared, "CODEQUAY_INDEX__CHUNK_BYTES": "64"}
    made = index(inside, small, second)
    assert made["generation"] == 2
    assert index(inside, small, second)["generation"] == 2
    inside("search", "backoff_delay", "--data", first, env=small).failed(4, what=COLD, fix="codequay index")
    assert paths(inside, small, second, "backoff_delay")[0] == "src/net/retry.py"


def test_a_revision_is_taken_over_too(inside: Call, tmp_path: Path, sample: Path, shared) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for data in (first, second):
        done = inside("index", "--rev", "HEAD", "--data", data, "--format", "json", env=shared)
        assert done.code == 0 and json.loads(done.out)["generation"] == 1, done
        found = inside("search", "backoff_delay", "--rev", "HEAD", "--data", data, "--format", "json", env=shared)
        assert json.loads(found.out)["hits"][0]["path"] == "src/net/retry.py"


def test_a_machine_that_dies_on_the_way_fills_its_index_again(
    process: Call, inside: Call, tmp_path: Path, project: Path, shared
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shared = {**shared, "CODEQUAY_PORTS__LOCK": "noop"}  # nobody waits for the lease of a process that was killed
    index(inside, shared, first)
    expected = ask(inside, shared, first, QUERY)
    for point in ("tantivy.commit", "index.joined"):
        killed = process("index", "--data", second, env={**shared, "CODEQUAY_TEST_FAILPOINT": point})
        assert killed.code == -9, killed
        assert ask(inside, shared, first, QUERY) == expected
        cold = inside("search", QUERY, "--data", second, env=shared)
        cold.failed(4, what="", fix="codequay index", error="not_indexed")
    assert index(inside, shared, second)["generation"] == 1
    assert ask(inside, shared, second, QUERY) == expected

    (noted,) = second.rglob("*.filled")
    for damage in (b"", b"{}", b"\0\xff", b'{"repo_id": 1, "filled": [{}]}'):
        noted.write_bytes(damage)
        inside("search", QUERY, "--data", second, env=shared).failed(4, what=COLD, fix="codequay index")
    assert inside("gc", "--data", second, env=shared).code == 0
    assert index(inside, shared, second)["generation"] == 1
    assert ask(inside, shared, second, QUERY) == expected


def test_repositories_of_one_database_are_searched_where_their_words_are(
    inside: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared
) -> None:
    """Each has the index folder that it gets without ``--data``, and only the database in common."""
    places = {name: repository(tmp_path / name, {"app.py": f"def common_{name}():\n    pass\n"}) for name in "ab"}

    def ids(done: Any) -> list[str]:
        return [repo["repo"] for repo in json.loads(done.out)["repos"]]

    for place in places.values():
        monkeypatch.chdir(place)
        inside("search", "common", env=shared).failed(4, what="has no index", fix="codequay index")
        assert inside("index", env=shared).code == 0
    known = sorted(ids(inside("repos", "list", "--format", "json", env=shared)))
    assert [repo_id[0] for repo_id in known] == ["a", "b"]
    for (name, place), here, there in zip(places.items(), known, reversed(known), strict=True):
        monkeypatch.chdir(place)
        found = inside("search", "common", "--format", "json", env=shared)
        answer = json.loads(found.out)
        assert found.code == 0 and [hit["symbol"] for hit in answer["hits"]] == [f"common_{name}"], found
        assert [note for note in answer["notes"] if "not searched" in note and there in note], answer["notes"]
        assert f"common_{name}" in inside("show", "app.py", env=shared).out
        state = inside("status", "--format", "json", env=shared)
        assert state.code == 0 and ids(state) == [here] and json.loads(state.out)["unheld"] == [there], state
        doctor = inside("doctor", env=shared)
        assert doctor.code == 0 and there in doctor.out, doctor
        inside("search", f"common repo:{there}", env=shared).failed(
            4, what=f"has indexed {there}", fix="codequay index"
        )
        (place / "later.py").write_text("def lately(): pass\n")
        assert "later.py" in inside("search", "lately", env=shared).out

    shutil.rmtree(places["b"] / ".codequay")
    index(inside, shared, places["b"] / ".codequay")
    for place in places.values():
        monkeypatch.chdir(place)
        found = inside("search", "common", env=shared)
        assert found.code == 0 and "app.py" in found.out, found


def test_a_checkout_that_was_moved_is_known_beside_what_others_have_indexed(
    inside: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared
) -> None:
    places = {name: repository(tmp_path / name, {"app.py": f"def common_{name}():\n    pass\n"}) for name in "ab"}
    for place in places.values():
        monkeypatch.chdir(place)
        assert inside("index", env=shared).code == 0
    moved = places["a"].rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    (moved / "later.py").write_text("def lately(): pass\n")
    found = inside("search", "lately", "--format", "json", env=shared)
    answer = json.loads(found.out)
    assert [hit["path"] for hit in answer["hits"]] == ["later.py"], "indexed by the question"
    assert not [note for note in answer["notes"] if "could not be compared" in note], answer["notes"]
    assert "common_a" in inside("show", "app.py", env=shared).out
    state = json.loads(inside("status", "later.py", "--format", "json", env=shared).out)
    assert [repo["root"] for repo in state["repos"]] == [str(moved)] and state["file"]["state"] == "indexed", state
    doctor = inside("doctor", env=shared)
    assert doctor.code == 0 and "is gone" not in doctor.out, doctor


def test_trees_that_differ_under_names_of_their_own_stay_warm(
    inside: Call, tmp_path: Path, sample: Path, shared
) -> None:
    """On each machine the file lies at the same path and reads otherwise."""
    machines = {name: tmp_path / name / ".codequay" for name in ("first", "second")}
    for ask_again in (False, True):
        for name, data in machines.items():
            own = {**shared, "CODEQUAY_INDEX__NAME": name}
            (sample / "README.md").write_text(f"Only the {name} machine has this sentence.\n")
            if not ask_again:
                index(inside, own, data)
            found = inside("search", "sentence", "--data", data, env=own)
            assert found.code == 0 and f"Only the {name} machine" in found.out, found
            assert inside("status", "--data", data, env=own).code == 0
