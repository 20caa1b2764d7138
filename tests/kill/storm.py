"""Four writers, a server that is killed at random moments and comes back, and what the writers were told."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codequay.kernel import default_registry, load_settings, make_plan, open_ports
from codequay.kernel.lifecycle import Ports
from codequay.ports.errors import Category, PortError
from tests.servers import SERVICES, START_S, assignments, unverified

WRITERS = 4
KILLS = 4
QUIET_S = (0.05, 0.4)
"""Between a server's return and its next death."""
AGAIN_S = 0.02
"""Before a writer that was refused tries again."""
RECOVERY_S = 15.0
"""In which every writer must get through once the server is back."""


class Server:
    """A server of this test alone, which tests may kill. Its data lie on a disk."""

    def __init__(self, name: str, *, durable: bool) -> None:
        self.name = name
        self._place = {"CODEQUAY_TEST_SERVICES_DIR": f"/var/tmp/codequay-kill-{os.getpid()}-{time.monotonic_ns()}"}
        self._durable = ["--durable"] * durable

    def up(self) -> None:
        done = self._run("up", self.name, *self._durable)
        if done.returncode:
            unverified(f"no {self.name} server: {done.stderr.strip()}")

    def settings(self, name: str = "") -> dict[str, str]:
        """What a user sets to use it."""
        return assignments(self._run("status", name or self.name, "--settings").stdout)

    async def kill(self, name: str = "") -> None:
        """Kill it, and start it again; back when it answers."""
        await asyncio.to_thread(self._must, "restart", name or self.name)

    def down(self) -> None:
        self._must("down")

    def _must(self, *words: str) -> None:
        done = self._run(*words)
        assert done.returncode == 0, done.stderr

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command, environment = [sys.executable, str(SERVICES), *words], {**os.environ, **self._place}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=START_S)


@contextmanager
def running(name: str, *, durable: bool) -> Iterator[Server]:
    found = Server(name, durable=durable)
    found.up()
    try:
        yield found
    finally:
        found.down()


@asynccontextmanager
async def opened(folder: Path, settings: Mapping[str, str], **adapters: str) -> AsyncIterator[Ports]:
    """The ports as codequay opens them, ``PORT=ADAPTER``, under what ``.ci/services up --settings`` printed."""
    chosen = {f"CODEQUAY_PORTS__{port.upper()}": adapter for port, adapter in adapters.items()}
    loaded = load_settings(env={**settings, **chosen}, project=folder, user=folder / "user")
    plan = make_plan(loaded, default_registry(), ports=list(adapters))
    async with open_ports(plan, data=folder / "data", readonly=False) as ports:
        yield ports


@dataclass
class Story:
    """What became of the writes; a write is known by its writer and its number."""

    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    uncertain: set[tuple[int, int]] = field(default_factory=set)
    """An error said of them that they may have been applied."""
    refused: int = 0
    """Errors."""

    def last(self, writer: int) -> int:
        return max(n for one, n in self.acknowledged if one == writer)


async def storm(
    write: Callable[[int, int], Awaitable[object]], kill: Callable[[], Awaitable[None]], *, kills: int = KILLS
) -> Story:
    """Let the writers write on, each one number after the other, and kill the server meanwhile.

    A number that was refused is tried again. Each error must be one that passes, and each writer must get through after
    the last kill, with nothing opened anew.
    """
    story, over, order = Story(), asyncio.Event(), random.Random(6)
    through = [asyncio.Event() for _ in range(WRITERS)]

    async def work(writer: int) -> None:
        n = 1
        while not over.is_set():
            try:
                await write(writer, n)
            except PortError as exc:
                if exc.category is Category.PERMANENT:
                    raise
                story.refused += 1
                if exc.ambiguous:
                    story.uncertain.add((writer, n))
                await asyncio.sleep(AGAIN_S)
                continue
            story.acknowledged.append((writer, n))
            through[writer].set()
            n += 1

    working = [asyncio.create_task(work(writer)) for writer in range(WRITERS)]

    async def disturb() -> None:
        for _ in range(kills):
            await asyncio.sleep(order.uniform(*QUIET_S))
            await kill()
            for one in through:
                one.clear()
        async with asyncio.timeout(RECOVERY_S):
            await asyncio.gather(*(one.wait() for one in through))

    disturbing = asyncio.create_task(disturb())
    try:
        await asyncio.wait({disturbing, *working}, return_when=asyncio.FIRST_COMPLETED)
        for task in working:
            if task.done():
                task.result()
        await disturbing
    finally:
        over.set()
        disturbing.cancel()
        await asyncio.gather(disturbing, *working, return_exceptions=True)
    for task in working:
        task.result()
    assert story.refused, "the server was killed and nobody noticed"
    return story
