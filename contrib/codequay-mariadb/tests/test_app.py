"""The adapter chosen by configuration: codequay's own commands on a repository."""

import json
import subprocess
import sys

import pytest
from store import database, run

ANSWER = 'def answer():\n    """The answer to everything."""\n    return 42\n'


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "größe.py").write_text(ANSWER, encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def codequay(folder, options, *arguments):
    settings = {f"CODEQUAY_ADAPTERS__MARIADB__{key.upper()}": str(value) for key, value in options.items()}
    done = subprocess.run(
        [sys.executable, "-m", "codequay", *arguments, "--format", "json"],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder.parent),
            "CODEQUAY_PORTS__CHUNKS": "mariadb",
            "CODEQUAY_ADAPTERS__MARIADB__REACH": "host",
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stdout + done.stderr


def test_index_and_search(repository):
    async def main():
        async with database() as options:
            status, out, err = codequay(repository, options, "index")
            assert status == 0, err
            status, out, err = codequay(repository, options, "search", "sym:answer")
            assert status == 0, err
            assert "größe.py" in json.dumps(json.loads(out), ensure_ascii=False)
            (repository / "größe.py").write_text(ANSWER.replace("answer", "reply"), encoding="utf-8")
            assert codequay(repository, options, "search", "sym:reply")[0] == 0
            assert codequay(repository, options, "gc")[0] == 0

    run(main())


def test_a_server_that_is_away_is_transient(repository):
    status, _, said = codequay(repository, {"port": 1, "password": "hush-hush"}, "index")
    assert status == 6
    assert "cannot be reached" in said
    assert "hush-hush" not in said


def test_a_store_of_the_network_needs_metadata_of_the_network(repository):
    status, _, said = codequay(repository, {"reach": "network"}, "plan")
    assert status == 2
    assert "metadata" in said
