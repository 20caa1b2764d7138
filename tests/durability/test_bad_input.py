"""What happens around a run: folders that vanish, files that change while they are read, clocks that jump, a disk that
is full, two writers at once, a writer that is paused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import git

from .commands import Commands, ended, resume
from .edits import check, rebuild
from .image import image
from .kills import BATCHED
from .tree import SETS, Tree

pytestmark = [pytest.mark.durability, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "repo", 1)


@pytest.fixture
def commands(tree: Tree, tmp_path: Path) -> Commands:
    """The command line over the tree, not indexed."""
    return Commands(tree, tmp_path / "data", BATCHED)


def equals_rebuild(commands: Commands) -> None:
    """The next run equals a rebuild."""
    commands.index()
    check(commands.tree, commands.data, commands.tree.folder.parent / "clean")


@pytest.mark.parametrize("first", [True, False])
def test_a_folder_that_vanishes_during_the_walk(commands: Commands, first: bool) -> None:
    folder = commands.tree.folder
    if not first:
        commands.index()
    for name in ("going", "src"):
        (folder / name).mkdir(exist_ok=True)
        for number in range(20):
            (folder / name / f"late_{number}.py").write_text(f"def vanishing_{name}_{number}():\n    return 1\n" * 20)
    process = commands.paused("index", at="index.walk")
    shutil.rmtree(folder / "going")
    shutil.rmtree(folder / "src")
    (folder / "src").write_text("a file now\n")
    done = resume(process)
    assert done.code == 0, done
    assert not [path for path in commands.phrase("vanishing_src_19") if not path.startswith("src/")]
    equals_rebuild(commands)
    assert commands.phrase("vanishing_going_19") == []


@pytest.mark.parametrize("same_size", [True, False])
@pytest.mark.parametrize("times", [1, 3])
def test_a_file_that_changes_while_it_is_read_is_read_again(commands: Commands, times: int, same_size: bool) -> None:
    """All files change after some were read: whatever the run took of them, the next one takes what is there."""
    commands.index()
    for path in commands.tree.files():
        (commands.tree.folder / path).write_text(f"before_the_walk = {path!r}\n" * 30)
    process = commands.paused("index", at=f"index.walk:{times}")
    word = "durinG_the_walk" if same_size else "while_the_walk_goes_on"
    for path in commands.tree.files():
        file = commands.tree.folder / path
        was = file.stat()
        file.write_text(f"{word} = {path!r}\n" * 30)
        if same_size:
            os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    done = resume(process)
    assert done.code == 0, done
    equals_rebuild(commands)
    assert commands.phrase(word) == commands.tree.files()


def test_edits_right_after_the_run_are_seen(commands: Commands) -> None:
    """Within the same tick of the file system's clock: size and times alone would not tell."""
    path = commands.tree.folder / "racy.py"
    path.write_text("value = 'aaaaaa'\n")
    for number in range(6):
        commands.index()
        path.write_text(f"value = 'tick_{number}'\n")
        if number % 2:
            commands.index()
        assert commands.phrase(f"tick_{number}", refresh="auto") == ["racy.py"]
    equals_rebuild(commands)


@pytest.mark.parametrize("clock", ["86400", "-86400", "86400:0.3", "-86400:0.3", "-1500000000", "4000000000"])
def test_a_clock_that_jumps_neither_hides_an_edit_nor_blocks_a_run(commands: Commands, clock: str) -> None:
    commands.index()
    for _ in range(2):
        commands.tree.many()
        commands.index(clock=clock)
        check(commands.tree, commands.data, commands.tree.folder.parent / "clean")
        (commands.tree.folder / "jump.py").write_text("def jumped():\n    pass\n")
        assert commands.phrase("def jumped", refresh="always") == ["jump.py"]
        (commands.tree.folder / "jump.py").unlink()
        equals_rebuild(commands)


def test_a_run_that_died_under_a_clock_ahead_does_not_block_the_next(commands: Commands) -> None:
    commands.index()
    commands.tree.many()
    commands.killed("index", at="index.flip", clock="864000")
    equals_rebuild(commands)


@pytest.mark.parametrize("lock", ["", "noop"])
def test_two_writers_at_once_never_mix(commands: Commands, lock: str) -> None:
    """With a lease one goes through and the other is told that it is busy; without one all may have worked in vain.
    What is published is always one run's."""
    env = {"CODEQUAY_PORTS__LOCK": lock} if lock else {}
    commands.index(**env)
    for number in range(6):
        before = image(commands.data, commands.tree.folder, sets=SETS)
        commands.tree.many()
        running = [commands.start("index", **env) for _ in range(2 + number % 2)]
        done = [ended(one) for one in running]
        assert lock or any(one.code == 0 for one in done), done
        assert all(one.code in (0, 6, 7) and "Traceback" not in one.err for one in done), done
        found = image(commands.data, commands.tree.folder, sets=SETS)
        went_through = any(one.code == 0 for one in done)
        wanted = rebuild(commands.tree, commands.tree.folder.parent / "clean") if went_through else before
        assert not found.differs(wanted)
    equals_rebuild(commands)


@pytest.mark.parametrize("at", ["index.walk", "tantivy.commit", "sqlite.commit:3", "index.flip"])
def test_a_paused_writer_is_named_and_harms_nobody(commands: Commands, at: str) -> None:
    """Searching goes on; a second run says at once which process is in the way; the paused one then goes through."""
    commands.index()
    phrase = next(iter(image(commands.data, commands.tree.folder, sets=SETS).phrases)).strip('"')
    before = commands.phrase(phrase)
    commands.tree.many()
    process = commands.paused("index", at=at)
    try:
        busy = commands.run("index")
        assert busy.code == 7 and str(process.pid) in busy.err and "fix: " in busy.err, busy
        answer = commands.run("search", f'"{phrase}"', "-n", "1000", "--format", "json")
        assert answer.code == 4 and "another process is indexing" in answer.err, answer
        assert sorted(hit["path"] for hit in answer.json["hits"]) == before
        assert commands.phrase(phrase) == before
    finally:
        done = resume(process)
    assert done.code == 0, done
    equals_rebuild(commands)


def test_a_writer_killed_while_paused_blocks_nobody(commands: Commands) -> None:
    commands.index()
    commands.tree.many()
    process = commands.paused("index", at="tantivy.commit")
    process.send_signal(signal.SIGKILL)
    ended(process)
    equals_rebuild(commands)


def test_a_branch_switch_during_a_run(commands: Commands) -> None:
    """What the run publishes may be of both branches; the next one is right."""
    commands.tree.commit()
    commands.index()
    commands.tree.many()
    process = commands.paused("index", at="index.walk:2")
    git(commands.tree.folder, "checkout", "-q", "-f", "other")
    done = resume(process)
    assert done.code == 0, done
    equals_rebuild(commands)


def namespace(megabytes: int, mounted: Path) -> list[str]:
    """Start a command where ``mounted`` is a small file system of its own, filled with nothing.

    Skips the test where a mount namespace cannot be had: there a full disk is unverified.
    """
    mounted.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size={megabytes}m codequay "{mounted}" && exec "$@"'
    words = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    if sys.platform != "linux" or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("unverified: no small file system can be mounted here")
    return words


FULL_DISK = """
import subprocess, sys, pathlib
from tests.durability.test_bad_input import full_disk
full_disk(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """In a file system of 12 MB: the error says so, what was published still answers, and with room it goes on."""
    words = namespace(12, tmp_path / "small")
    done = subprocess.run(
        [*words, sys.executable, "-c", FULL_DISK, str(tmp_path / "repo"), str(tmp_path / "small")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed for lack of room" in done.stdout


def full_disk(folder: Path, small: Path) -> None:
    """The story, inside the namespace. The repository lies outside of the small file system."""
    tree = Tree(folder, 2)
    commands = Commands(tree, small / "data", SETS)
    commands.index()
    before = image(commands.data, folder, sets=SETS)
    tree.many()
    ballast = small / "ballast"
    for free in (4096, 65_536, 200_000, 500_000, 1_000_000):
        fill(ballast, small, free)
        done = commands.run("index")
        if done.code:
            assert done.code == 3 and "Traceback" not in done.err, done
            assert "fix: " in done.err and ("space" in done.err or "full" in done.err), done
            print("failed for lack of room", free)
            found = image(commands.data, folder, sets=SETS)
            assert not found.differs(before), found.differs(before)
            for refresh in ("auto", "never"):
                word = commands.run("search", "session", "--format", "json", "--refresh", refresh)
                assert word.code in (0, 4) and word.json["hits"], word
        else:
            before = image(commands.data, folder, sets=SETS)
            assert not before.differs(rebuild(tree, folder.parent / "clean"))
            tree.many()
        ballast.unlink()
    equals_rebuild(commands)


def fill(ballast: Path, disk: Path, free: int) -> None:
    """Leave that many bytes free on the disk."""
    now = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, now.f_bavail * now.f_frsize - free))
