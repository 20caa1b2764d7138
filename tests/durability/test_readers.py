"""Eight processes open the index anew, and two stay open, while a writer publishes without pause: every answer is
exactly that of one generation, the one published before or a later one, and nobody sees an error."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from codequay.app import App
from tests.cli.conftest import Run, git, repository

from .commands import modules
from .image import settings
from .readers import answers

READERS = 8
STAYING = 2
OPENS = 20
STATES = 3
FILES = 30

pytestmark = pytest.mark.durability


def write_state(place: Path, state: int) -> None:
    """Bring the folder into one of the states: most files differ, some are only there in one of them."""
    for number in range(FILES):
        words = f"state {state if number % 3 else 'any'}"
        body = f"def alpha_{number}():\n    # the shared phrase, {words}\n    return 'common marker {number}'\n\n"
        (place / f"file_{number}.py").write_text(body * (1 + (number + state) % 3))
    for other in range(STATES):
        only = place / f"only_{other}.py"
        if other == state:
            only.write_text(f"# the shared phrase, state {state}\ncommon = marker = {state}\n")
        else:
            only.unlink(missing_ok=True)


async def expected(place: Path, data: Path) -> Any:
    """The answers of a clean rebuild of what lies there now."""
    async with App(settings(), data=data).run() as quay:
        await quay.index(str(place))
        return (await answers(quay, place))[1]


def test_readers_see_one_generation_and_never_a_mix(tmp_path: Path, run: Run) -> None:
    place = repository(tmp_path / "place", {".gitignore": ".codequay/\n"})
    git(place, "remote", "add", "origin", "https://example.org/readers.git")
    wanted = []
    for state in range(STATES):
        write_state(place, state)
        wanted.append(json.loads(json.dumps(asyncio.run(expected(place, tmp_path / f"clean {state}")))))
    data, log = tmp_path / "data", tmp_path / "log"
    state_of: dict[int, int] = {}

    def publish(state: int) -> None:
        write_state(place, state)
        done = run("index", place, "--data", data, "--format", "json")
        assert done.code == 0, done
        state_of[done.json["generation"]] = state
        with log.open("a") as file:
            file.write(f"{done.json['generation']}\n")

    publish(0)
    words = ["tests.durability.readers", str(place), str(data), str(log), str(OPENS)]
    jobs = {f"reader {n}": [*words, "stays" if n >= READERS else "anew"] for n in range(READERS + STAYING)}
    turn = 0
    with modules(tmp_path / "logs", jobs) as running:
        while any(process.poll() is None for process in running.values()):
            turn += 1
            publish(turn % STATES)
    for name, process in running.items():
        said = (tmp_path / "logs" / f"{name}.log").read_text()
        assert process.returncode == 0, said[-3000:]
        judge(said, wanted, state_of)


def judge(said: str, wanted: list[Any], state_of: dict[int, int]) -> None:
    """What one reader printed: each answer is that of its generation, and time does not run backwards."""
    rounds = [json.loads(line) for line in said.splitlines()]
    assert len(rounds) >= OPENS
    seen = [generation for _, generation, _, _ in rounds]
    assert len({state_of[one] for one in seen}) >= 2, "no two generations were seen"
    assert seen == sorted(seen), "a later opening showed an older generation"
    for floor, generation, ceiling, hits in rounds:
        assert floor <= generation <= ceiling + 1
        assert hits == wanted[state_of[generation]], f"generation {generation} answered otherwise than a rebuild"
        assert all(hits[:2]), "the queries find something"
