"""``codequay adapters new``: what it writes installs, runs, fails honestly, and can be finished."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from codequay.contract.scaffold import scaffold
from codequay.ports import PORTS
from codequay.ports.errors import FailedPrecondition, InvalidArgument
from tests.cli.conftest import Run, check, environment
from tests.distributions import install

pytestmark = pytest.mark.kit

FINISHED = """
from contextlib import asynccontextmanager

from codequay.adapters.memory.cache import open_cache as open_memory


@asynccontextmanager
async def open_cache(config, ctx):
    async with open_memory(None, ctx) as cache:
        yield cache
"""


@pytest.fixture(scope="module")
def every_port(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One distribution that serves every port, made port by port."""
    folder = tmp_path_factory.mktemp("new")
    made = [scaffold(port, "my_store", folder) for port in PORTS]
    assert {one.folder for one in made} == {folder / "codequay-my-store"}
    assert not made[0].changed and all(one.changed and one.written for one in made[1:])
    return made[0].folder


def test_the_answer_names_the_files_and_what_to_do_next(run: Run, tmp_path: Path) -> None:
    done = run("adapters", "new", "chunks", "my_store")
    assert done.code == 0 and "written  codequay-my-store/src/codequay_my_store/chunks.py" in done.out, done
    assert "  codequay contract check chunks.my_store" in done.out.splitlines(), done
    again = run("adapters", "new", "lock", "my_store", "--format", "json")
    check("adapters-new", again.json)
    assert again.json["folder"] == "codequay-my-store" and len(again.json["changed"]) == 2
    inside = run(
        "adapters", "new", "cache", "my_store", "--format", "json", "--into", ".", cwd=tmp_path / "codequay-my-store"
    )
    assert inside.json["folder"] == "." and "src/codequay_my_store/cache.py" in inside.json["written"], inside
    assert all((tmp_path / file).is_file() for file in (*again.json["written"], *again.json["changed"]))


def test_every_operation_is_there_and_every_port_is_announced(every_port: Path) -> None:
    project = tomllib.loads((every_port / "pyproject.toml").read_text())["project"]["entry-points"]
    assert set(project["codequay.adapters"]) == set(project["codequay.contracts"]) == {f"{p}.my_store" for p in PORTS}
    chunks = (every_port / "src/codequay_my_store/chunks.py").read_text()
    assert (
        "async def of_file(" in chunks and "async def begin(" in chunks and "from codequay.ports.generations" in chunks
    )
    harness = (every_port / "src/codequay_my_store/harness.py").read_text()
    assert "    # async def plant(self, adapter: Any) -> Tree:" in harness


def test_its_tests_run_and_fail_honestly(every_port: Path, tmp_path: Path) -> None:
    env = environment(tmp_path, {"PYTHONPATH": install(every_port, tmp_path / "site")})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short"],
        cwd=every_port,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (failed|passed|error)", done.stdout.splitlines()[-1])}
    # What passes is what the guard does for any adapter: refuse what is not declared.
    assert counts["failed"] > 50 and counts.get("passed", 0) < 10 and "error" not in counts, done.stdout[-2000:]
    for port in PORTS:
        assert f"FAILED tests/test_{port}.py::TestContract::test_" in done.stdout
    assert "NotImplementedError: begin" in done.stdout and "NotImplementedError: acquire" in done.stdout


def test_what_it_writes_is_formatted_and_free_of_faults(every_port: Path) -> None:
    for words in (["format", "--check"], ["check", "--select", "E,F,I,W,UP,B", "--ignore", "E501"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--isolated", "--no-cache", str(every_port)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_from_the_first_failure_to_a_certificate(run: Run, tmp_path: Path) -> None:
    made = scaffold("cache", "shelf", tmp_path)
    path = install(made.folder, tmp_path / "site")
    package = made.folder / "src" / "codequay_shelf"
    certificate = package / "certificates" / "cache.shelf.json"
    report = ("--report", str(certificate))

    first = run("contract", "check", "cache.shelf", *report, PYTHONPATH=path)
    assert first.code == 1 and "NotImplementedError" in first.out, first
    assert [one["certificate"] for one in listed(run, path)] == ["failed"]

    (package / "cache.py").write_text(FINISHED)
    done = run("contract", "check", "cache.shelf", *report, PYTHONPATH=path)
    assert done.code == 0 and done.out.startswith("cache.shelf: pass ("), done
    assert [one["certificate"] for one in listed(run, path)] == ["certified"]
    required = run("plan", CODEQUAY_PORTS__CACHE='{"adapter": "shelf", "certificate": "require"}', PYTHONPATH=path)
    assert required.code == 0 and "certified" in required.out, required

    (package / "cache.py").write_text(FINISHED + "\n# changed\n")
    assert [one["certificate"] for one in listed(run, path)] == ["stale"]
    refused = run("plan", CODEQUAY_PORTS__CACHE='{"adapter": "shelf", "certificate": "require"}', PYTHONPATH=path)
    refused.failed(2, what="cache.shelf has changed since it was certified", fix="ports.cache.certificate")


def listed(run: Run, path: str) -> list[dict[str, str]]:
    found = run("adapters", "--format", "json", PYTHONPATH=path).json
    check("adapters", found)
    return [one for one in found["adapters"] if one["name"] == "shelf"]


@pytest.mark.parametrize(
    ("words", "what", "fix", "code"),
    [
        (["nwe"], "adapters cannot nwe", "did you mean new?", 2),
        (["new"], "PORT is missing", "codequay adapters new chunks mystore", 2),
        (["new", "chunks"], "NAME is missing", "codequay adapters new chunks mystore", 2),
        (["new", "chunk", "mystore"], "no port is named 'chunk'", "one of: chunks", 2),
        (["new", "chunks", "MyStore"], "'MyStore' is no adapter's name", "my_store", 2),
        (["new", "chunks", "my-store"], "'my-store' is no adapter's name", "my_store", 2),
        (["new", "chunks", "../x"], "'../x' is no adapter's name", "my_store", 2),
        (["new", "chunks", "sqlite"], "chunks.sqlite is an adapter of codequay", "choose another name", 3),
        (["new", "chunks", "mystore", "--into", "file"], "cannot be written", "--into DIR", 3),
        (["--into", "."], "--into is for a new adapter", "codequay adapters new", 2),
    ],
)
def test_what_cannot_be_made_is_refused(
    words: list[str], what: str, fix: str, code: int, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    run("adapters", *words).failed(code, what=what, fix=fix)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "home"]


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "codequay-shelf").mkdir()
    with pytest.raises(FailedPrecondition, match="announces no adapter shelf"):
        scaffold("cache", "shelf", tmp_path)
    (tmp_path / "codequay-shelf").rmdir()
    made = scaffold("cache", "shelf", tmp_path)
    with pytest.raises(FailedPrecondition, match=r"serves cache\.shelf already"):
        scaffold("cache", "shelf", tmp_path)
    test = made.folder / "tests" / "test_lock.py"
    test.write_text("# mine\n")
    scaffold("lock", "shelf", tmp_path)
    assert test.read_text() == "# mine\n"


def test_a_distribution_laid_out_otherwise_is_left_alone(tmp_path: Path) -> None:
    made = scaffold("cache", "shelf", tmp_path)
    (made.folder / "src" / "codequay_shelf" / "config.py").write_text("class Other: ...\n")
    with pytest.raises(FailedPrecondition, match="not laid out as this command does") as caught:
        scaffold("lock", "shelf", tmp_path)
    assert "by hand" in caught.value.remedy
    assert not (made.folder / "tests" / "test_lock.py").exists()


def test_a_name_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("", "1x", "x__y", "x_", "é", "x y"):
        with pytest.raises(InvalidArgument):
            scaffold("cache", name, tmp_path)
    assert list(tmp_path.iterdir()) == []
