"""Index runs that are killed at a failpoint: what was published stays whole, and the next run succeeds.

``python -m tests.durability.kills POINT ROUNDS SEED FOLDER`` repeats one series. All rounds work on one index folder,
so that what one kill leaves behind is there at the next. ``"gc POINT"`` kills collections of garbage instead.
"""

from __future__ import annotations

import re
import shutil
import signal
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from .commands import Commands
from .edits import Mismatch, check, rebuild
from .image import Image, image
from .tree import SETS, Tree

AFTER_FLIP = ("index.published", "index.cleanup")
"""Points that are reached when the new generation is published already."""
EITHER = ("tantivy.commit", "sqlite.commit")
"""Points that are reached before and after the flip."""
HOUR_S = 3600
"""Each run that is killed during its clean-up believes to be an hour later than the last one: so what that one has
superseded is old enough to be dropped."""
BATCHED = (*SETS, "index.batch_bytes=2000")
"""Several batches in each run, so that the walk and the commits can be killed at different ones."""
DEEP = {"index.walk": 4, "index.sealed": 2, "index.cleanup": 3, "tantivy.commit": 4, "sqlite.commit": 9}
"""The last time that a point is killed at, when a run reaches it so often."""


def series(point: str, rounds: int, seed: int, folder: Path) -> None:
    """Kill ``rounds`` runs; in every second round the next one is killed as well, before one is let through.

    :raises Mismatch: something published was lost, or a later run does not equal a rebuild
    """
    tree = Tree(folder / "repo", seed)
    commands = Commands(tree, folder / "kept", BATCHED)
    fresh = folder / "fresh"
    first_run(commands, point)
    before = check(tree, commands.data, fresh)
    hours = count(1)
    for number in range(rounds):
        print(number, point, *(tree.edit() for _ in range(2)), sep=" | ", flush=True)
        for again in range(1 + number % 2):
            before = kill(commands, point, 1 + (number + again) % DEEP.get(point, 1), before, fresh, hours)
        if number % 3 == 2:
            tree.edit()
        commands.index()
        before = check(tree, commands.data, fresh)


def kill(commands: Commands, point: str, times: int, before: Image, fresh: Path, hours: Iterator[int]) -> Image:
    """Change the tree and kill a run the ``times``-th time that it reaches the point, or earlier when it does not
    reach it so often. What is published then."""
    commands.tree.many()
    wanted = rebuild(commands.tree, fresh)
    clock = str(HOUR_S * next(hours)) if point == "index.cleanup" else ""
    done = commands.run("index", clock=clock, CODEQUAY_TEST_FAILPOINT=f"{point}:{times}")
    if done.code == 0 and times > 1:
        return kill(commands, point, times - 1, wanted, fresh, hours)
    if done.code != -signal.SIGKILL:
        raise Mismatch(f"not killed at {point}:{times}: {done}")
    print("killed", times, flush=True)
    return whole(commands, before, wanted, point)


def collections(point: str, rounds: int, seed: int, folder: Path) -> None:
    """Kill ``rounds`` collections of garbage, which have old generations to drop and an index to write anew.

    :raises Mismatch: the published generation does not answer as before
    """
    tree = Tree(folder / "repo", seed)
    commands = Commands(tree, folder / "kept", BATCHED)
    for number in range(rounds):
        for _ in range(3):
            tree.many()
            commands.index()
        before = check(tree, commands.data, folder / "fresh")
        for times in (1 + number, 1):
            clock = str(HOUR_S * (number + 1))
            done = commands.run("gc", clock=clock, CODEQUAY_TEST_FAILPOINT=f"{point}:{times}")
            if done.code not in (0, -signal.SIGKILL):
                raise Mismatch(f"not killed at {point}:{times}: {done}")
            if done.code:
                print("killed", times, flush=True)
            whole(commands, before, before, point)
        done = commands.run("gc", clock=clock)
        if done.code:
            raise Mismatch(f"the next collection fails: {done}")
        check(tree, commands.data, folder / "fresh")


def first_run(commands: Commands, point: str) -> None:
    """The very first run is killed: nothing is published, a search says so, and the next one goes through."""
    if point == "index.cleanup":  # a first run has nothing to clean up
        commands.index()
        commands.tree.many()
        commands.index()
        return
    commands.killed("index", at=point)
    if point not in AFTER_FLIP:
        done = commands.run("search", "session")
        if done.code != 4 or "codequay index" not in done.err:
            raise Mismatch(f"nothing is published, and yet {done}")
    commands.index()


def whole(commands: Commands, before: Image, wanted: Image, point: str) -> Image:
    """What is published after a kill: all of what was, or all of what the killed run made when it had flipped."""
    found = image(commands.data, commands.tree.folder, sets=SETS)
    allowed = {"before": before} if point not in AFTER_FLIP else {"after": wanted}
    if point in EITHER:
        allowed = {"before": before, "after": wanted}
    said = {name: found.differs(one) for name, one in allowed.items()}
    if all(said.values()):
        raise Mismatch(f"after the kill at {point} something else is published: {said}")
    phrase = re.search(r"def \w+", "\n".join(text or "" for text in found.texts.values()))
    if phrase and not commands.phrase(phrase[0]):
        raise Mismatch(f"the command line no longer finds {phrase[0]!r}")
    return found


if __name__ == "__main__":
    shutil.rmtree(Path(sys.argv[4]), ignore_errors=True)
    run = collections if sys.argv[1].startswith("gc ") else series
    run(sys.argv[1].removeprefix("gc "), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
