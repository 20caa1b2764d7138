"""Damaged, missing and replaced files: an error with a remedy, and never another answer."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from codequay.adapters.tantivy import index as tantivy_index
from codequay.adapters.tantivy import segments
from codequay.adapters.tantivy.errors import classify
from codequay.ports.diagnose import Finding, Level
from codequay.ports.errors import Corrupt, PortError
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import Literal_, Term, Unit
from tests.contexts import run

from .stores import index, lex_file, publish

LAST = 5
SCOPE = (ScopeEntry("r", LAST),)
WORDS = [f"w{n}" for n in range(60)]
UNITS: tuple[Unit, ...] = ("chunk", "file")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with several segments, some of whose documents are deleted."""
    data = tmp_path_factory.mktemp("sound")
    chance = random.Random(1)

    async def body() -> None:
        async with index(data) as store:
            for generation in range(1, LAST + 1):
                names = [f"f{n}.py" for n in range(80) if generation == 1 or n % 7 == generation]
                files = [lex_file(name, " ".join(chance.choices(WORDS, k=90))) for name in names]
                await publish(store, files, generation=generation)
            await store.drop("r", generation=1)

    run(body())
    return data


async def answers(data: Path, *, readonly: bool = False) -> list[object]:
    found: list[object] = []
    async with index(data, readonly=readonly) as store:
        for word in WORDS:
            for unit in UNITS:
                found.append(await store.rank([Term(word)], scope=SCOPE, unit=unit, k=300))
            found.append(await store.candidates(Literal_(f" {word} "), scope=SCOPE))
    return found


def outcome(data: Path, *, readonly: bool = False) -> object:
    """The answers, or the kind of error."""
    try:
        return run(answers(data, readonly=readonly))
    except PortError as exc:
        return type(exc) if exc.remedy else exc
    except Exception as exc:
        verdict = classify(exc)
        return verdict.error if verdict is not None and verdict.remedy else exc


def files_of(data: Path) -> list[Path]:
    """The files of the segments that the last commits name."""
    found = []
    for folder in ("chunks", "files"):
        root = data / "lexical" / folder
        for segment in segments.segments(root, segments.read_meta(root)):
            found += [root / name for name in segment.files]
    return found


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "middle byte": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 8]) + data[len(data) // 2 + 1 :],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "footer": lambda data: data[:-12] + b"}}}}" + data[-8:],
    "long footer": lambda data: data[:-8] + struct.pack("<II", 2**31, 1337),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_of_a_segment_is_never_searched(tmp_path: Path, sound: Path, how: str) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    whole = files_of(tmp_path)
    assert {file.suffix for file in whole} > {".del", ".term", ".idx"}
    for file in whole:
        data = file.read_bytes()
        file.write_bytes(DAMAGE[how](data))
        assert outcome(tmp_path, readonly=True) is Corrupt, file.suffix
        assert outcome(tmp_path) is Corrupt, file.suffix
        file.write_bytes(data)
    assert outcome(tmp_path) == run(answers(sound))


def test_a_missing_file_of_a_segment_is_told(tmp_path: Path, sound: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    for file in files_of(tmp_path):
        data = file.read_bytes()
        file.unlink()
        assert outcome(tmp_path, readonly=True) is Corrupt, file.suffix
        file.write_bytes(data)
    assert outcome(tmp_path) == run(answers(sound))


def test_files_beyond_the_limit_are_not_read_when_an_index_is_opened(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    fields = max(files_of(tmp_path), key=lambda file: file.stat().st_size)
    data = bytearray(fields.read_bytes())
    data[0] ^= 1
    fields.write_bytes(data)
    monkeypatch.setattr(tantivy_index, "CHECKED_BYTES", 1000)
    found = outcome(tmp_path)
    monkeypatch.undo()
    assert isinstance(found, list) or found is Corrupt
    assert outcome(tmp_path) is Corrupt


@pytest.mark.parametrize("seed", range(6))
def test_what_tantivy_trips_over_is_damage(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(tantivy_index, "CHECKED_BYTES", 0)
    chance = random.Random(seed)
    for file in files_of(tmp_path):
        if file.suffix == ".fast":
            data = bytearray(file.read_bytes())
            for _ in range(40):
                data[chance.randrange(len(data) - 120)] ^= 255
            file.write_bytes(data)
    assert outcome(tmp_path) is Corrupt


@pytest.mark.parametrize("folder", ["chunks", "files"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"segments": 1}', b'{"segments": [{}]}', b"\xff"])
def test_a_half_written_description_of_an_index_is_damage(
    tmp_path: Path, sound: Path, folder: str, content: bytes | None
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    meta = tmp_path / "lexical" / folder / "meta.json"
    meta.unlink()
    if content is not None:
        meta.write_bytes(content)
    assert outcome(tmp_path, readonly=True) is Corrupt
    assert outcome(tmp_path) is Corrupt


def test_a_segment_that_its_description_does_not_fit_is_damage(tmp_path: Path, sound: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    meta = tmp_path / "lexical/chunks/meta.json"
    described = json.loads(meta.read_bytes())
    described["segments"][0]["segment_id"] = "00000000-0000-0000-0000-000000000000"
    meta.write_text(json.dumps(described))
    assert outcome(tmp_path) is Corrupt


@pytest.mark.parametrize("missing", ["chunks", "files"])
def test_a_missing_folder_is_damage(tmp_path: Path, sound: Path, missing: str) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "lexical" / missing)
    assert outcome(tmp_path, readonly=True) is Corrupt
    assert outcome(tmp_path) is Corrupt


@pytest.mark.parametrize("at", [0, 100, 4096])
def test_damaged_placements_are_named(tmp_path: Path, sound: Path, at: int) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    placements = tmp_path / "lexical/placements.db"
    data = placements.read_bytes()
    placements.write_bytes(data[:at] + b"\xa5" * 200 + data[at + 200 :])
    assert outcome(tmp_path, readonly=True) is Corrupt
    placements.write_bytes(data[: len(data) // 3])
    assert outcome(tmp_path, readonly=True) is Corrupt


def test_documents_without_a_placement_are_no_reason_to_answer_less(tmp_path: Path, sound: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "lexical/placements.db")) as db, db:
        db.execute("delete from placement where path = 'f7.py'")
    assert outcome(tmp_path, readonly=True) is Corrupt
    with closing(sqlite3.connect(tmp_path / "lexical/placements.db")) as db, db:
        db.execute("update placement set spans = x'00'")
    assert outcome(tmp_path, readonly=True) is Corrupt


def findings(data: Path) -> list[Finding]:
    async def body() -> list[Finding]:
        async with index(data, readonly=True) as store:
            return await store.diagnose()

    return run(body())


def test_a_diagnosis_of_a_sound_index_says_so(sound: Path) -> None:
    assert [one.level for one in findings(sound)] == [Level.OK]


def test_a_diagnosis_finds_damage_that_opening_does_not(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    root = tmp_path / "lexical"
    monkeypatch.setattr(tantivy_index, "CHECKED_BYTES", 0)
    fields = max(files_of(tmp_path), key=lambda file: file.stat().st_size)
    data = bytearray(fields.read_bytes())
    data[len(data) // 2] ^= 1
    fields.write_bytes(data)
    (found,) = findings(tmp_path)
    assert found.level is Level.ERROR and str(fields) in found.what and str(root) in found.remedy
    placements = bytearray((root / "placements.db").read_bytes())
    placements[-4096 + 8 : -4096 + 40] = b"\xff" * 32
    (root / "placements.db").write_bytes(placements)
    assert any("placements.db" in one.what for one in findings(tmp_path))


def test_a_diagnosis_misses_documents_of_an_older_copy(tmp_path: Path, sound: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "lexical/chunks", tmp_path / "older")

    async def more() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file("more.py", "w1")], generation=LAST + 1)

    run(more())
    shutil.rmtree(tmp_path / "lexical/chunks")
    (tmp_path / "older").rename(tmp_path / "lexical/chunks")
    (found,) = findings(tmp_path)
    assert found.level is Level.ERROR and "lacks 1 of" in found.what and found.remedy
