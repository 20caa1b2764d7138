"""What doctor names: each kind of damage, with what to do, and without hiding what else is wrong."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from codequay.app import disks
from tests.permissions import without_override

from .conftest import Run, check, check_part, git, still_answers
from .test_migrations import make_newer, make_older

pytestmark = pytest.mark.durability


def look(run: Run, place: Path, code: int, **env: str) -> dict[str, list[tuple[str, str, str]]]:
    """Component -> (level, what, remedy) of everything that is not well; the answer fits its schema."""
    done = run("doctor", place, "--format", "json", **env)
    assert done.code == code, done
    check("doctor", done.json)
    assert done.json["verdict"] == {0: "ok", 4: "incomplete", 3: "wrong"}[code]
    found: dict[str, list[tuple[str, str, str]]] = {}
    for finding in done.json["findings"]:
        if finding["level"] != "ok":
            assert finding["remedy"], finding
            found.setdefault(finding["component"], []).append((finding["level"], finding["what"], finding["remedy"]))
    return found


def database(index: Path) -> Path:
    return index / ".codequay" / "codequay.db"


def change(index: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(database(index))) as db, db:
        assert db.execute(sql, values).rowcount


def test_a_sound_index_is_well_and_every_part_is_named(indexed: Path, run: Run) -> None:
    assert look(run, indexed, 0) == {}
    done = run("doctor", indexed)
    parts = ("source.git", "file system", "disk", "chunks.sqlite", "lexical.tantivy", "metadata.sqlite", "lock.sqlite")
    assert done.code == 0 and all(f"ok       {part}: " in done.out for part in parts), done
    assert run("doctor", "-q", indexed).out == ""
    for line in run("doctor", indexed, "--format", "jsonl").out.splitlines():
        check_part("doctor", "finding", json.loads(line))


def test_a_place_without_an_index_is_incomplete_and_stays_without(sample: Path, run: Run) -> None:
    found = look(run, sample, 4)
    ((level, what, remedy),) = found["index folder"]
    assert level == "warning" and "nothing is indexed" in what and "codequay index" in remedy
    assert not (sample / ".codequay").exists()
    assert look(run, sample / "no-such-place", 3)["index folder"][0][0] == "error"


def test_changed_files_are_no_trouble_until_they_are_more_than_a_search_refreshes(indexed: Path, run: Run) -> None:
    for number in range(3):
        (indexed / f"new{number}.py").write_text(f"x = {number}\n")
    assert look(run, indexed, 0) == {}
    assert "3 files changed since; the next search indexes them" in run("doctor", indexed).out
    found = look(run, indexed, 4, CODEQUAY_INDEX__REFRESH_FILES="2")
    assert "3 files changed" in found["index"][0][1] and "codequay index" in found["index"][0][2]


def test_a_store_that_was_swapped_in_is_cold(indexed: Path, run: Run) -> None:
    found = look(run, indexed, 4, CODEQUAY_PORTS__CHUNKS="memory")
    assert any("cold" in what for _, what, _ in found["chunks.memory"])
    still_answers(run, indexed)


def test_a_lexical_index_that_is_gone_is_incomplete(indexed: Path, run: Run) -> None:
    shutil.rmtree(indexed / ".codequay" / "lexical")
    found = look(run, indexed, 4)
    assert "codequay index" in found["lexical.tantivy"][0][2]
    assert run("index", indexed).code == 0
    assert look(run, indexed, 0) == {}


def test_a_damaged_database_does_not_hide_a_damaged_lexical_index(indexed: Path, run: Run) -> None:
    database(indexed).write_bytes(b"no database" * 1000)
    for file in (indexed / ".codequay" / "lexical").rglob("meta.json"):
        file.write_text("{")
    found = look(run, indexed, 3)
    for component in ("chunks.sqlite", "metadata.sqlite", "lexical.tantivy"):
        assert found[component][0][0] == "error", found
    text = run("doctor", indexed)
    assert text.code == 3 and "fix: " in text.out


def test_a_missing_segment_is_named(indexed: Path, run: Run) -> None:
    segments = [
        *(indexed / ".codequay" / "lexical").rglob("*.store"),
        *(indexed / ".codequay" / "lexical").rglob("*.idx"),
    ]
    assert segments
    segments[0].unlink()
    found = look(run, indexed, 3)
    assert found["lexical.tantivy"][0][0] == "error" and "codequay index" in found["lexical.tantivy"][0][2]


def test_a_damaged_page_is_named_with_its_table(indexed: Path, run: Run) -> None:
    with closing(sqlite3.connect(database(indexed))) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'placement'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with database(indexed).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xee" * size)
    found = look(run, indexed, 3)
    assert any("placement" in what for _, what, _ in found["chunks.sqlite"])
    assert "metadata.sqlite" not in found


def test_stores_that_hold_other_files_than_were_published_are_told(indexed: Path, run: Run) -> None:
    change(indexed, "UPDATE publication SET files = files + 1")
    found = look(run, indexed, 3)
    assert "5 were published" in found["chunks.sqlite"][0][1] and "5 were published" in found["lexical.tantivy"][0][1]
    change(indexed, "UPDATE publication SET files = files - 1")
    change(indexed, "UPDATE placement SET path = 'elsewhere.py' WHERE path = 'README.md'")
    assert "different files" in look(run, indexed, 3)["index"][0][1]


def test_a_generation_that_a_store_has_lost_is_told(indexed: Path, run: Run) -> None:
    change(indexed, "UPDATE generation SET sealed = 0")
    found = look(run, indexed, 3)
    assert "lost generation 1" in found["chunks.sqlite"][0][1]


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:40])])
def test_a_manifest_that_is_gone_or_half_written_is_a_warning(
    indexed: Path, run: Run, damage: Callable[[Path], object]
) -> None:
    (file,) = (indexed / ".codequay" / "manifests").glob("*.manifest")
    damage(file)
    found = look(run, indexed, 0)
    assert found["manifest"][0][0] == "warning" and "codequay index" in found["manifest"][0][2]
    assert run("index", indexed).code == 0
    assert look(run, indexed, 0) == {}


@pytest.mark.durability
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_run_that_did_not_end_and_what_it_left_are_told(indexed: Path, run: Run) -> None:
    (indexed / "more.py").write_text("x = 1\n")
    run("index", indexed, CODEQUAY_TEST_FAILPOINT="index.flip")
    found = look(run, indexed, 0)
    assert "did not end" in found["runs"][0][1] and "codequay gc" in found["index"][0][2]
    assert run("index", indexed).code == 0
    assert look(run, indexed, 0) == {}


def test_a_removed_repository_and_a_moved_one_are_told(indexed: Path, run: Run, tmp_path: Path) -> None:
    data = indexed / ".codequay"
    shutil.copytree(indexed, tmp_path / "other", ignore=shutil.ignore_patterns(".codequay"))
    assert run("index", tmp_path / "other", "--data", data).code == 0
    shutil.rmtree(tmp_path / "other")
    found = look(run, indexed, 0)
    assert f"{tmp_path / 'other'} is gone" in found["index"][0][1] and "repos rm" in found["index"][0][2]
    listed = run("repos", "list", indexed, "--format", "json").json["repos"]
    gone = next(repo["repo"] for repo in listed if repo["root"] == str(tmp_path / "other"))
    assert run("repos", "rm", gone, cwd=indexed).code == 0
    assert any("was removed" in what and remedy == "codequay gc" for _, what, remedy in look(run, indexed, 0)["index"])


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_modes_of_the_index_folder_are_told(indexed: Path, run: Run) -> None:
    data = indexed / ".codequay"
    data.chmod(0o777)
    assert "chmod go-w" in look(run, indexed, 0)["index folder"][0][2]
    data.chmod(0o555)
    done = run("doctor", indexed, before=without_override)
    assert done.code == 0 and "read-only" in done.out, done
    data.chmod(0o755)


def test_an_index_folder_that_came_with_the_repository_is_told(sample: Path, run: Run) -> None:
    (sample / ".codequay").mkdir()
    (sample / ".codequay" / "codequay.db").write_text("x")
    git(sample, "add", "-f", ".codequay")
    found = look(run, sample, 3)
    assert "tracked by git" in found["index folder"][0][1] and "git rm" in found["index folder"][0][2]


def test_git_that_cannot_be_started_is_told_and_the_stores_are_looked_at(indexed: Path, run: Run) -> None:
    found = look(run, indexed, 3, PATH="/nowhere")
    assert "install git" in found["source.git"][0][2]
    assert set(found) == {"source.git"}


def test_an_index_of_an_older_release_and_one_of_a_newer_are_told(indexed: Path, run: Run) -> None:
    make_older(indexed)
    ((level, what, remedy),) = look(run, indexed, 0)["migrations"]
    assert (level, "steps are pending" in what) == ("warning", True) and "codequay migrations --apply" in remedy
    assert run("index", indexed).code == 0
    assert look(run, indexed, 0) == {}
    make_newer(indexed)
    found = look(run, indexed, 4)
    assert "newer" in found["chunks.sqlite"][0][1] and "upgrade codequay" in found["metadata.sqlite"][0][2]


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:40 / /home rw,relatime shared:7 - nfs4 server:/home rw,vers=4.2
29 28 0:41 / /home/me/a\\040disk rw - btrfs /dev/vdb rw
30 27 0:42 / /srv rw - ext4 /dev/vdc rw
31 27 0:43 / /srv rw - fuse.sshfs host:/srv rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/work", "ext4", False),
        ("/homes", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/project", "nfs4", True),
        ("/home/me/a disk/project", "btrfs", False),
        ("/srv/x", "fuse.sshfs", True),
    ],
)
def test_the_innermost_mount_tells_the_file_system(path: str, kind: str, network: bool) -> None:
    assert disks.kind_at(path, disks.linux_mounts(MOUNTS.splitlines())) == kind
    assert disks.is_network(kind) is network


def test_the_mounts_of_macos_are_read() -> None:
    told = "/dev/disk3s1 on / (apfs, local, journaled)\n//me@nas/share on /Volumes/a b (smbfs, nodev, nosuid)\n"
    mounts = disks.mac_mounts(told.splitlines())
    assert disks.kind_at("/Volumes/a b/x", mounts) == "smbfs" and disks.kind_at("/Users", mounts) == "apfs"


def test_an_index_on_a_network_file_system_is_refused_by_doctor(
    sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from codequay.interfaces.cli.main import main

    assert main(["index", str(sample)]) == 0
    monkeypatch.setattr(disks, "filesystem", lambda path: "nfs4")
    capsys.readouterr()
    assert main(["doctor", str(sample)]) == 3
    told = capsys.readouterr().out
    assert "nfs4" in told and "--data DIR" in told


@pytest.mark.parametrize(("free", "code", "level"), [(1_000_000, 3, "error"), (100_000_000, 0, "warning")])
def test_a_disk_that_is_nearly_full_is_told(
    indexed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    free: int,
    code: int,
    level: str,
) -> None:
    from codequay.interfaces.cli.main import main

    usage = shutil.disk_usage(indexed)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert main(["doctor", "-q", str(indexed)]) == code
    told = capsys.readouterr().out
    assert told.startswith(f"{level:<7}  disk: ") and "free some space" in told
