"""Index folders that are damaged or may not be written: each question gets the right answer or a clear error, never a
wrong answer; what the error says to do leads back to an index that equals a rebuild."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codequay.ports.errors import PortError
from tests.cli.conftest import ROOT, environment
from tests.permissions import without_override

from .commands import Commands
from .edits import check, rebuild
from .image import Image
from .tree import SETS, Tree

pytestmark = [pytest.mark.durability, pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and open files")]

PAGE = 4096


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A tree with an index of several generations, which no test changes."""
    folder = tmp_path_factory.mktemp("original")
    commands = Commands(Tree(folder / "repo", 3, files=36), folder / "data", SETS)
    for _ in range(3):
        commands.index()
        commands.tree.many()
    commands.index()
    return commands


@pytest.fixture(scope="module")
def wanted(original: Commands) -> dict[str, Any]:
    """What the undamaged index says."""
    said = told(original)
    assert not [one for one in said.values() if "error" in one], said
    return said


@pytest.fixture(scope="module")
def clean(original: Commands) -> Image:
    """What a rebuild says."""
    return rebuild(original.tree, original.data.parent / "clean")


@pytest.fixture
def commands(original: Commands, tmp_path: Path) -> Commands:
    """The same tree, and a copy of the index to damage."""
    shutil.copytree(original.data, tmp_path / "data")
    return Commands(original.tree, tmp_path / "data", SETS)


def told(commands: Commands, before: Callable[[], None] | None = None) -> dict[str, Any]:
    """Each question with its answer or its error, asked in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.durability.probe", str(commands.tree.folder), str(commands.data)],
        cwd=ROOT,
        env=environment(commands.data.parent, {}),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=before,
    )
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr[-2000:]}"
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def answers_or_errors(said: dict[str, Any], wanted: dict[str, Any]) -> set[str]:
    """No question has a wrong answer, and each error is clear. The codes of the errors."""
    codes = set()
    assert said.keys() == wanted.keys()
    for question, answer in said.items():
        if isinstance(answer, dict):
            assert answer["error"] != "internal", (question, answer)
            assert answer["remedy"], (question, answer)
            codes.add(answer["error"])
        else:
            assert answer == wanted[question], f"a wrong answer to {question!r}"
    return codes


def recovers(commands: Commands, clean: Image) -> None:
    """``index`` repairs it, or it or a question says what to delete first; then it equals a rebuild."""
    for _ in range(4):
        done = commands.run("index")
        if done.code == 0:
            try:
                found = check(commands.tree, commands.data, commands.data.parent / "clean")
            except PortError as exc:
                remedy = exc.remedy
            else:
                assert not found.differs(clean)
                return
        else:
            assert done.code in (3, 4) and "Traceback" not in done.err and "internal]" not in done.err, done
            remedy = done.err.partition("fix: ")[2]
        assert follow(commands.data, remedy), f"the remedy names nothing to delete: {remedy}, {done}"
    raise AssertionError(f"following the remedies did not help: {done}")


def follow(data: Path, remedy: str) -> list[Path]:
    """Delete what the remedy names, as a person would; never anything outside of the index folder."""
    gone = []
    for word in re.findall(r"[^\s,;:'\"`]+", remedy):
        path = Path(word) if word.startswith("/") else data / word
        if path.exists() and path.is_relative_to(data):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            for log in path.parent.glob(path.name + "-*"):
                log.unlink()
            gone.append(path)
    return gone


def doctor_says(commands: Commands, what: str, *codes: int) -> None:
    """``doctor`` ends with 3 (or one of the codes), names the damaged part and says what to do."""
    done = commands.run("doctor")
    assert done.code in (codes or (3,)) and what in done.out and "fix: " in done.out, done


def garbage(path: Path, page: int, seed: int) -> None:
    """Fill one page of a file with noise."""
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(random.Random(seed).randbytes(PAGE))


@pytest.mark.parametrize("name", ["codequay.db", "lexical/placements.db"])
def test_damaged_pages_give_errors_and_no_wrong_answer(
    original: Commands, wanted: dict[str, Any], tmp_path: Path, clean: Image, name: str
) -> None:
    """One page after the other, in a copy each. Some damage must be met, or the test tests nothing."""
    pages = (original.data / name).stat().st_size // PAGE
    met = set()
    for page in sorted({0, 1, 2, pages - 1, *random.Random(7).sample(range(pages), min(pages, 12))}):
        data = tmp_path / f"page_{page}"
        shutil.copytree(original.data, data)
        commands = Commands(original.tree, data, SETS)
        garbage(data / name, page, page)
        codes = answers_or_errors(told(commands), wanted)
        if codes:
            met.add(page)
    assert len(met) > 3
    doctor_says(commands_at(original, tmp_path / f"page_{min(met)}"), name.partition("/")[0])
    for page in sorted(met)[:4]:
        recovers(commands_at(original, tmp_path / f"page_{page}"), clean)


def commands_at(original: Commands, data: Path) -> Commands:
    return Commands(original.tree, data, SETS)


@pytest.mark.parametrize("name", ["codequay.db", "lexical/placements.db"])
@pytest.mark.parametrize("how", ["half", "empty", "gone", "text"])
def test_a_damaged_database(commands: Commands, wanted: dict[str, Any], clean: Image, name: str, how: str) -> None:
    path = commands.data / name
    if how == "gone":
        path.unlink()
    elif how == "text":
        path.write_text("not a database\n" * 1000)
    else:
        os.truncate(path, 0 if how == "empty" else path.stat().st_size // 2 // PAGE * PAGE)
    assert answers_or_errors(told(commands), wanted)
    doctor_says(commands, name.partition(".")[0].partition("/")[0], 4 if how in ("gone", "empty") else 3)
    recovers(commands, clean)


def test_missing_and_cut_tantivy_files(
    original: Commands, wanted: dict[str, Any], tmp_path: Path, clean: Image
) -> None:
    """Files of both word indexes, of every kind, are taken away, cut in half or emptied, in a copy each."""
    met = set()
    files = [path for path in sorted((original.data / "lexical").rglob("*")) if is_tantivy(path)]
    assert {path.suffix for path in files} >= {".json", ".term", ".idx", ".pos", ".fast"}
    chance = random.Random(5)
    for number, path in enumerate(chance.sample(files, min(len(files), 16))):
        how = ("gone", "half", "empty")[number % 3]
        name = path.relative_to(original.data)
        data = tmp_path / str(number)
        shutil.copytree(original.data, data)
        commands = commands_at(original, data)
        if how == "gone":
            (data / name).unlink()
        else:
            os.truncate(data / name, path.stat().st_size // 2 if how == "half" else 0)
        if answers_or_errors(told(commands), wanted):
            met.add(number)
            if len(met) % 4 == 1:
                doctor_says(commands, "lexical")
                recovers(commands, clean)
    assert len(met) > 4


def is_tantivy(path: Path) -> bool:
    """A file of a word index, not of the database beside it or of a lock."""
    return path.is_file() and path.parent.name != "lexical" and "lock" not in path.name and path.stat().st_size > 0


def test_a_flipped_byte_of_a_segment_is_seen_by_doctor(original: Commands, tmp_path: Path) -> None:
    files = [path for path in sorted((original.data / "lexical").rglob("*")) if path.suffix in (".idx", ".term")]
    for number, path in enumerate(files[:2]):
        data = tmp_path / str(number)
        shutil.copytree(original.data, data)
        flip(data / path.relative_to(original.data), path.stat().st_size // 3)
        doctor_says(commands_at(original, data), "lexical")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x55
    path.write_bytes(content)


def test_a_half_written_manifest_is_only_slower(original: Commands, tmp_path: Path, clean: Image) -> None:
    """Cut anywhere, with a byte flipped anywhere, empty, of an older generation, or a folder in its place."""
    (manifest,) = (original.data / "manifests").iterdir()
    size = manifest.stat().st_size
    damages: dict[str, Callable[[Path], object]] = {
        f"cut at {at}": lambda path, at=at: os.truncate(path, at) for at in (0, 1, 40, size // 3, size // 2, size - 1)
    }
    for at in (3, 30, size // 4, size // 2, size - 3):
        damages[f"flipped at {at}"] = lambda path, at=at: flip(path, at)
    damages["zeros"] = lambda path: path.write_bytes(bytes(size))
    damages["twice"] = lambda path: path.write_bytes(path.read_bytes() * 2)
    damages["folder"] = lambda path: (path.unlink(), path.mkdir())
    for number, damage in enumerate(damages.values()):
        data = tmp_path / str(number)
        shutil.copytree(original.data, data)
        damage(data / "manifests" / manifest.name)
        commands = commands_at(original, data)
        if number % 2:
            commands.index()
            assert not check(commands.tree, data, tmp_path / "clean").differs(clean)
        done = commands.run("search", "session", "--format", "json")
        assert done.json["hits"] and done.code in (0, 4), done
        assert number % 2 == 0 or (done.code, done.err) == (0, ""), done


def test_a_manifest_of_an_older_generation_is_not_believed(commands: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    shutil.copytree(commands.tree.folder, folder, symlinks=True)
    tree = Tree(tmp_path / "other", 5)
    moved = Commands(tree, tmp_path / "moved", SETS)
    moved.index()
    (manifest,) = (moved.data / "manifests").iterdir()
    old = manifest.read_bytes()
    path = tree.folder / "late.py"
    path.write_text("def very_late():\n    pass\n")
    moved.index()
    path.unlink()
    moved.index()
    tree.add()
    moved.index()
    manifest.write_bytes(old)
    moved.index()
    check(tree, moved.data, tmp_path / "fresh")


@pytest.mark.parametrize("name", ["lock.sqlite", "runs.jsonl"])
@pytest.mark.parametrize("how", ["noise", "empty"])
def test_damaged_side_files(commands: Commands, wanted: dict[str, Any], clean: Image, name: str, how: str) -> None:
    """What only serves runs: searching does not care, and a run repairs it or says what to delete."""
    path = commands.data / name
    path.write_bytes(random.Random(1).randbytes(20_000) if how == "noise" else b"")
    assert not answers_or_errors(told(commands), wanted)
    recovers(commands, clean)


def test_a_folder_that_may_not_be_written_answers(commands: Commands, wanted: dict[str, Any]) -> None:
    for folder in (commands.data, commands.data / "lexical", *(commands.data / "lexical").iterdir()):
        if folder.is_dir():
            folder.chmod(0o555)
    for path in commands.data.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    try:
        assert not answers_or_errors(told(commands, without_override), wanted)
        (commands.tree.folder / "unindexed.py").write_text("def not_yet_indexed():\n    pass\n")
        process = subprocess.run(
            [sys.executable, "-m", "codequay", "search", "session", "--data", str(commands.data)],
            cwd=commands.tree.folder,
            env=environment(commands.data.parent, {}),
            capture_output=True,
            text=True,
            preexec_fn=without_override,
        )
        assert process.returncode in (0, 4) and process.stdout and "Traceback" not in process.stderr, process
    finally:
        (commands.tree.folder / "unindexed.py").unlink()
        for folder in (commands.data, *commands.data.rglob("*")):
            folder.chmod(0o755)
