"""The manifest: whole or not there, and never believing a file that could have been written unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codequay.indexing import manifest
from codequay.indexing.manifest import COARSE_TICK_NS, FINE_TICK_NS, Entry, Manifest
from codequay.ports.source import SourceFile

READ = 1_700_000_000_123_456_789
"""When the files were read, in nanoseconds since the epoch."""

CONTENT = Entry(0, 0, 0, 0, 0, "b" * 40, 3, 120)


def made(generation: int = 1, **entries: Entry) -> Manifest:
    return Manifest("r", "worktree", generation, "line", "/t", "lines-1/1500/2000", 1, entries)


def file(
    mtime_ns: int, *, ctime_ns: int | None = None, size: int = 120, inode: int = 7, mode: int = 0o100644
) -> SourceFile:
    return SourceFile("a", "file", mode, size, mtime_ns, "", mtime_ns if ctime_ns is None else ctime_ns, inode)


def put(data: Path, one: Manifest) -> None:
    manifest.prepare(data, one)
    manifest.install(data, one.repo_id, one.snapshot)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    one = made(3, a=CONTENT, **{"größe/鍵\\xff": Entry(9, 1, 2, 2**63 + 5, 0o120000, "", reason="symlink", detail="d")})
    put(tmp_path, one)
    assert manifest.load(tmp_path, "r", "worktree") == one
    assert [manifest.read(place) for place in manifest.files(tmp_path)] == [one]
    assert manifest.load(tmp_path, "r", "rev:x") is None
    assert manifest.load(tmp_path, "other", "worktree") is None
    assert manifest.load(tmp_path, "r", "worktree", line="line") == one
    assert manifest.load(tmp_path, "r", "worktree", line="another") is None
    manifest.remove(tmp_path, "r", "worktree")
    assert manifest.load(tmp_path, "r", "worktree") is None
    assert list(manifest.files(tmp_path)) == []


def test_any_damage_makes_it_as_if_it_were_not_there(tmp_path: Path) -> None:
    put(tmp_path, made(1, a=CONTENT))
    (place,) = manifest.files(tmp_path)
    whole = place.read_bytes()
    for length in range(len(whole)):
        place.write_bytes(whole[:length])
        assert manifest.load(tmp_path, "r", "worktree") is None
    for at in range(len(whole)):
        place.write_bytes(whole[:at] + bytes((whole[at] ^ 0x40,)) + whole[at + 1 :])
        assert manifest.load(tmp_path, "r", "worktree") is None
    place.write_bytes(whole + b"more")
    assert manifest.load(tmp_path, "r", "worktree") is None


def test_a_prepared_one_counts_for_its_own_generation_only(tmp_path: Path) -> None:
    old, new = made(1, a=CONTENT), made(2, b=CONTENT)
    put(tmp_path, old)
    manifest.prepare(tmp_path, new)
    assert manifest.load(tmp_path, "r", "worktree", generation=1) == old
    assert manifest.load(tmp_path, "r", "worktree", generation=2) == new
    assert manifest.load(tmp_path, "r", "worktree", generation=3) == old
    assert manifest.load(tmp_path, "r", "worktree") == old
    manifest.install(tmp_path, "r", "worktree")
    assert manifest.load(tmp_path, "r", "worktree") == new


def test_a_failed_write_leaves_the_last_one_and_nothing_beside(tmp_path: Path) -> None:
    put(tmp_path, made(1, a=CONTENT))
    (tmp_path / manifest.FOLDER / next(manifest.files(tmp_path)).with_suffix(".next").name).mkdir()
    with pytest.raises(OSError):
        manifest.prepare(tmp_path, made(2))
    found = manifest.load(tmp_path, "r", "worktree")
    assert found is not None
    assert found.generation == 1
    assert not list((tmp_path / manifest.FOLDER).glob("*.tmp"))


OLD = READ - 60_000_000_001
"""A minute before; not a whole number of seconds."""


def test_a_file_fits_while_all_its_numbers_are_the_same() -> None:
    entry = CONTENT.of(file(OLD), READ)
    assert entry.fits(file(OLD))
    for other in (
        file(OLD + 1),
        file(OLD, ctime_ns=OLD + 1),
        file(OLD, size=121),
        file(OLD, inode=8),
        file(OLD, mode=0o100755),
    ):
        assert not entry.fits(other)


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "believed"),
    [
        (READ - FINE_TICK_NS - 1, OLD, True),
        (READ - FINE_TICK_NS, OLD, False),
        (OLD, READ - FINE_TICK_NS, False),
        (READ + 10**12, OLD, False),
        (OLD, READ + 10**12, False),
        ((READ - COARSE_TICK_NS) // 10**9 * 10**9, OLD // 10**9 * 10**9, True),
        ((READ - 10**9) // 10**9 * 10**9, OLD // 10**9 * 10**9, False),
    ],
    ids=["older", "same tick", "changed in the tick", "future", "changed in the future", "coarse", "coarse tick"],
)
def test_a_file_written_within_a_tick_of_its_reading_is_read_again(
    mtime_ns: int, ctime_ns: int, believed: bool
) -> None:
    one = file(mtime_ns, ctime_ns=ctime_ns)
    assert CONTENT.of(one, READ).fits(one) is believed


def test_a_file_without_numbers_is_read_each_time_unless_its_id_is_known() -> None:
    one = SourceFile("a", "file", 0o100644, 120, 0)
    assert not CONTENT.of(one, READ).fits(one)
    known = one._replace(blob_id="b" * 40)
    assert CONTENT.of(known, READ).fits(known)
    assert not CONTENT.of(known, READ).fits(known._replace(blob_id="c" * 40))


def test_content_is_the_same_whatever_the_numbers() -> None:
    one, other = CONTENT.of(file(OLD), READ), CONTENT.of(file(OLD + 5, inode=9), READ)
    assert one.same_content(other)
    assert not one.same_content(CONTENT.of(file(OLD, mode=0o100755), READ))
    binary = Entry(5, 1, 1, 1, 0o100644, "a" * 40, reason="binary", detail="NUL at byte 1")
    assert binary.same_content(binary._replace(blob_id="c" * 40, mode=0o100755))
    assert not binary.same_content(binary._replace(detail="NUL at byte 2"))
    assert not binary.same_content(one)


def test_one_of_another_repository_under_the_same_name_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path, made(1))
    (place,) = manifest.files(tmp_path)
    stranger = replace(made(1), repo_id="other")
    manifest.prepare(tmp_path, stranger)
    (coming,) = (tmp_path / manifest.FOLDER).glob("*.next")
    coming.replace(place)
    assert manifest.load(tmp_path, "r", "worktree") is None
