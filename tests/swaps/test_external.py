"""A Zoekt that somebody else fills: nothing is written there, and what it lacks is said."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SAMPLE, git, repository

from .conftest import Call, ask, index

WAIT_S = 10


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = repository(tmp_path / "sample", SAMPLE)
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def external(zoekt_server: str) -> dict[str, str]:
    return {
        "CODEQUAY_PORTS__LEXICAL": "zoekt",
        "CODEQUAY_ADAPTERS__ZOEKT__URL": zoekt_server,
        "CODEQUAY_ADAPTERS__ZOEKT__MODE": "external",
        "CODEQUAY_ADAPTERS__ZOEKT__REPOSITORY": f"theirs-{secrets.token_hex(4)}",
    }


def fill(place: Path, env: dict[str, str], tmp_path: Path) -> None:
    """What the other side does: the last commit, under its own name."""
    tar = tmp_path / "commit.tar"
    git(place, "archive", "HEAD", "-o", str(tar))
    subprocess.run(
        [
            "zoekt-archive-index", "-incremental=false", "-index", os.environ["CODEQUAY_TEST_ZOEKT_INDEX_DIR"],
            "-name", env["CODEQUAY_ADAPTERS__ZOEKT__REPOSITORY"], "-branch", "HEAD",
            "-commit", git(place, "rev-parse", "HEAD").strip(), str(tar),
        ],
        check=True, capture_output=True,
    )  # fmt: skip


def state(inside: Call, env: dict[str, str], data: Path) -> tuple[str, str]:
    """The coverage of the lexical arm, and what is noted."""
    done = inside("search", "retries", "--data", data, "--format", "json", env=env)
    answer = json.loads(done.out)
    if "error" in answer:
        return answer["error"]["code"], answer["error"]["message"]
    assert [hit["path"] for hit in answer["hits"]][:1] == ["src/net/retry.py"]
    return answer["coverage"]["lexical"]["state"], " ".join(answer["notes"])


def until(inside: Call, env: dict[str, str], data: Path, wanted: str) -> str:
    """Ask until the server has noticed the new shard; what is noted then."""
    deadline = time.monotonic() + WAIT_S
    while (found := state(inside, env, data))[0] != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found[0] == wanted, found
    return found[1]


def test_its_commit_is_compared_with_ours(inside: Call, tmp_path: Path, place: Path, external) -> None:
    data = tmp_path / "index"
    index(inside, external, data)
    assert state(inside, external, data)[0] == "not_indexed"
    doctor = inside("doctor", "--data", data, env=external)
    assert doctor.code == 4 and "warning  lexical.zoekt" in doctor.out, doctor

    fill(place, external, tmp_path)
    until(inside, external, data, "complete")
    assert ask(inside, external, data, "sym:backoff_delay")[0]["path"] == "src/net/retry.py"
    assert "lexical  zoekt" in inside("status", "--data", data, env=external).out
    assert inside("doctor", "--data", data, env=external).code == 0

    (place / "src" / "net" / "retry.py").write_text(SAMPLE["src/net/retry.py"] + "\n\ndef freshly_typed():\n    pass\n")
    assert "1 file as it was committed" in until(inside, external, data, "partial")
    assert inside("search", "retries", "--data", data, env=external).code == 4
    git(place, "commit", "-qam", "second")
    index(inside, external, data)
    assert git(place, "rev-parse", "HEAD")[:12] in until(inside, external, data, "partial")
    assert inside("doctor", "--data", data, env=external).code == 4
    fill(place, external, tmp_path)
    until(inside, external, data, "complete")


def test_nothing_of_ours_is_written_or_deleted_there(inside: Call, tmp_path: Path, place: Path, external) -> None:
    data = tmp_path / "index"
    folder = Path(os.environ["CODEQUAY_TEST_ZOEKT_INDEX_DIR"])
    fill(place, external, tmp_path)
    name = external["CODEQUAY_ADAPTERS__ZOEKT__REPOSITORY"]
    before = {file: file.read_bytes() for file in folder.glob(f"{name}*")}
    assert before
    index(inside, {}, data)
    index(inside, external, data)
    (place / "web" / "app.js").unlink()
    index(inside, external, data)
    for words in (("gc",), ("repos", "rm", "--purge", index(inside, external, data)["repo"])):
        assert inside(*words, "--data", data, env=external).code == 0
    assert {file: file.read_bytes() for file in folder.glob(f"{name}*")} == before
