"""The lease among processes: who holds it when its owner dies, is paused, or was of another machine."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.lock import SqliteLock, open_lock
from codequay.ports.errors import Conflict, Corrupt, NotFound, PermissionDenied
from codequay.ports.process import this_process
from codequay.ports.spec import Clock
from tests.contexts import ManualClock, build_context, run

ROOT = Path(__file__).resolve().parents[3]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel names its boots and namespaces")


class Child:
    """A process of ``lock_child``; ``child("acquire", "k", 5, 0)`` is one command and its answer."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.adapters.sqlite.lock_child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        self.pid: int = self.answer()

    def __call__(self, *words: object) -> Any:
        self.say(*words)
        return self.answer()

    def say(self, *words: object) -> None:
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def child(folder: Path) -> Iterator[Child]:
    one = Child(folder)
    with one.process:
        try:
            yield one
        finally:
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
                one.process.kill()


@asynccontextmanager
async def opened(folder: Path, *, readonly: bool = False, clock: Clock | None = None) -> AsyncIterator[SqliteLock]:
    async with (
        build_context(folder, readonly=readonly, clock=clock) as ctx,
        open_lock(SqliteDefaults(), ctx) as lock,
    ):
        yield lock


def rewrite(folder: Path, **columns: object) -> None:
    """Change the rows of the file, as if another process had written them."""
    with closing(sqlite3.connect(folder / "lock.sqlite")) as connection, connection:
        for column, value in columns.items():
            connection.execute(f"UPDATE lease SET {column} = ?", (value,))


def test_processes_that_race_hold_the_key_one_after_another(tmp_path: Path) -> None:
    """They also make the file together."""
    log = tmp_path / "log"
    with child(tmp_path) as a, child(tmp_path) as b, child(tmp_path) as c, child(tmp_path) as d:
        for one in (a, b, c, d):
            one.say("turns", "k", 25, log)
        assert all(one.answer() for one in (a, b, c, d))
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == 200
    assert len({line[2] for line in lines}) == 4
    fences = []
    for entered, left in zip(lines[::2], lines[1::2], strict=True):
        assert (entered[0], left[0]) == ("in", "out")
        assert entered[1:] == left[1:], "somebody else was inside"
        fences.append(int(entered[1]))
    assert fences == sorted(set(fences))


@posix
@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_owner_is_replaced_at_once(tmp_path: Path, reaped: bool) -> None:
    async def main() -> None:
        async with opened(tmp_path) as lock:
            with child(tmp_path) as owner:
                fence = owner("acquire", "k", 600, 0)
                assert await lock.acquire("k", ttl=5) is None
                holder = await lock.holder("k")
                assert holder is not None and holder.owner.endswith(f":{owner.pid}")
                assert 595 < holder.expires_in <= 600
                owner.process.kill()
                if reaped:
                    owner.process.wait()
                else:
                    await _ended(owner.pid)
                assert await lock.holder("k") is None
                lease = await lock.acquire("k", ttl=5)
                assert lease is not None and lease.fence is not None and lease.fence > fence

    if not reaped and not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    run(main())


@pytest.mark.durability
@posix
def test_owners_that_are_killed_at_random_never_let_two_in_and_block_nobody(tmp_path: Path) -> None:
    log, rng, begun = tmp_path / "log", random.Random(8), time.monotonic()
    with ExitStack() as stack:
        running = []
        for _ in range(11):
            one = stack.enter_context(child(tmp_path))
            one.say("turns", "k", 100_000, log)
            running.append(one)
            if len(running) == 4:
                time.sleep(rng.uniform(0.02, 0.2))
                running.pop(rng.randrange(4)).process.kill()
        before = log.stat().st_size
        wait_until(lambda: log.stat().st_size > before)
    assert time.monotonic() - begun < 25, "somebody waited for a lease of 30 s to expire"
    inside = 0
    for line in log.read_text().splitlines():
        what, fence, _ = line.split()
        if what == "in":
            assert int(fence) > inside
            inside = int(fence)
        else:
            assert int(fence) == inside, "it was still inside when another came in"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


async def _ended(pid: int) -> None:
    """Until the process is a zombie."""
    for _ in range(1000):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it lives on")


@pytest.mark.durability
@posix
def test_a_paused_owner_is_replaced_only_after_expiry_and_learns_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as lock:
            with child(tmp_path) as owner:
                begun = time.monotonic()
                fence = owner("acquire", "k", 1.5, 0)
                owner.process.send_signal(signal.SIGSTOP)
                assert await lock.acquire("k", ttl=30) is None
                lease = await lock.acquire("k", ttl=30, wait=10)
                assert lease is not None and lease.fence is not None and lease.fence > fence
                assert 1.4 < time.monotonic() - begun < 5
                owner.process.send_signal(signal.SIGCONT)
                assert owner("extend", "k", 30) is False
                assert owner("lost", "k") is True
                assert owner("release", "k") is False
                assert owner("acquire", "k", 30, 0) is None
                assert await lock.release(lease)

    run(main())


def test_a_waiter_takes_over_when_another_process_releases(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as lock:
            with child(tmp_path) as owner:
                owner("acquire", "k", 600, 0)
                waiting = asyncio.create_task(lock.acquire("k", ttl=30, wait=60))
                await asyncio.sleep(0.3)
                assert owner("release", "k") is True
                begun = time.monotonic()
                assert await waiting is not None
                assert time.monotonic() - begun < 2

    run(main())


@posix
def test_what_is_held_at_the_end_is_given_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as lock:
            await lock.acquire("k", ttl=600)
            await lock.acquire("l", ttl=600)
        async with opened(tmp_path) as lock:
            assert await lock.acquire("k", ttl=5) is not None
            assert await lock.holder("l") is None

    run(main())


@linux
def test_a_number_that_was_given_to_another_process_is_not_the_owner(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as lock:
            await lock.acquire("k", ttl=600)
            assert await lock.acquire("k", ttl=5) is None
            rewrite(tmp_path, started="1")
            assert await lock.acquire("k", ttl=5) is not None

    run(main())


@linux
def test_an_owner_in_another_container_is_replaced_only_after_expiry(tmp_path: Path) -> None:
    """Its number means nothing here: neither that it lives, nor that it is gone."""

    async def main() -> None:
        clock = ManualClock()
        async with opened(tmp_path, clock=clock) as lock:
            await lock.acquire("k", ttl=60)
            rewrite(tmp_path, space="pid:[1]", host="elsewhere", pid=2**22 + 1)
            await clock.advance(59)
            assert await lock.acquire("k", ttl=5) is None
            await clock.advance(1.001)
            assert await lock.acquire("k", ttl=5) is not None

    run(main())


@linux
def test_an_owner_of_an_earlier_boot_is_replaced_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as lock:
            await lock.acquire("k", ttl=60)
            rewrite(tmp_path, boot="an-earlier-one", expires=1e9)
            assert await lock.holder("k") is None
            assert await lock.acquire("k", ttl=5) is not None

    run(main())


def test_a_lease_that_would_last_longer_than_it_was_given_for_is_of_an_earlier_boot(tmp_path: Path) -> None:
    """The monotonic clock has begun anew, on a system that does not name its boots."""

    async def main() -> None:
        async with opened(tmp_path) as lock:
            await lock.acquire("k", ttl=60)
            rewrite(tmp_path, expires=time.monotonic() + 1000)
            assert await lock.acquire("k", ttl=5) is not None

    run(main())


@linux
def test_a_lease_from_another_machine_expires_after_it_was_watched_for_its_time(tmp_path: Path) -> None:
    """As when a folder is restored from a cache, or copied while somebody writes in it."""

    async def main() -> None:
        clock = ManualClock()
        async with opened(tmp_path, clock=clock) as lock:
            lease = await lock.acquire("k", ttl=60)
            assert lease is not None
            rewrite(tmp_path, boot="another", host="elsewhere", expires=5.0)
            holder = await lock.holder("k")
            assert holder is not None and holder.expires_in == 60
            await clock.advance(100)
            assert await lock.acquire("k", ttl=5) is None, "watched from now on"
            await clock.advance(59)
            assert await lock.acquire("k", ttl=5) is None
            holder = await lock.holder("k")
            assert holder is not None and holder.expires_in == pytest.approx(1)
            await clock.advance(1.001)
            assert await lock.acquire("k", ttl=5) is not None

    run(main())


def test_the_date_is_never_asked_for(tmp_path: Path) -> None:
    class Dateless(ManualClock):
        def time(self) -> float:
            raise AssertionError("a lease must not depend on the date")

    async def main() -> None:
        async with opened(tmp_path, clock=Dateless()) as lock:
            lease = await lock.acquire("k", ttl=60)
            assert lease is not None
            assert await lock.acquire("k", ttl=60) is None
            await lock.extend(lease, ttl=60)
            assert await lock.holder("k") is not None
            assert await lock.release(lease)

    run(main())


def test_fences_rise_although_rows_come_and_go_and_the_file_is_reopened(tmp_path: Path) -> None:
    async def turn() -> tuple[int, str]:
        async with opened(tmp_path) as lock:
            lease = await lock.acquire("k", ttl=60)
            assert lease is not None and lease.fence is not None
            assert await lock.release(lease)
            return lease.fence, (await lock.identity()).store_id

    first, second = run(turn()), run(turn())
    assert second[0] > first[0] and second[1] == first[1]
    (tmp_path / "lock.sqlite").unlink()
    assert run(turn())[1] != first[1], "fences of another file are not comparable, and say so"


def test_random_cancellations_leave_no_lease_behind(tmp_path: Path) -> None:
    async def main() -> None:
        rng = random.Random(4)
        async with opened(tmp_path) as lock:
            for _ in range(150):
                task = asyncio.create_task(lock.acquire("k", ttl=600, wait=1))
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(rng.random() * 0.001)
                task.cancel()
                try:
                    lease = await task
                except asyncio.CancelledError:
                    lease = None
                if lease is not None:
                    assert await lock.release(lease)
                assert await lock.holder("k") is None

    run(main())


def test_a_reader_sees_the_holder_and_takes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(NotFound):
            async with opened(tmp_path, readonly=True):
                pass
        assert list(tmp_path.iterdir()) == []
        async with opened(tmp_path) as lock:
            await lock.acquire("k", ttl=60, owner="somebody")
            async with opened(tmp_path, readonly=True) as reader:
                holder = await reader.holder("k")
                assert holder is not None and holder.owner == "somebody"
                with pytest.raises(PermissionDenied):
                    await reader.acquire("l", ttl=60)

    run(main())


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path):
            pass

    (tmp_path / "lock.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(Corrupt, match=r"lock\.sqlite") as caught:
        run(main())
    assert "lock.sqlite" in caught.value.remedy


def test_extend_of_a_lease_that_was_taken_meanwhile_names_the_key(tmp_path: Path) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with opened(tmp_path, clock=clock) as lock:
            lease = await lock.acquire("repo:a", ttl=5)
            assert lease is not None
            await clock.advance(6)
            assert await lock.acquire("repo:a", ttl=5) is not None
            with pytest.raises(Conflict, match="repo:a") as caught:
                await lock.extend(lease, ttl=5)
            assert caught.value.remedy

    run(main())


@linux
def test_a_process_is_told_from_every_other(tmp_path: Path) -> None:
    me = this_process()
    assert me.pid == os.getpid() and me.boot and me.space and int(me.started) > 0
    with child(tmp_path) as other:
        code = "from codequay.ports.process import this_process as t; p = t(); print(p.boot, p.space, p.pid)"
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        boot, space, pid = done.stdout.split()
        assert (boot, space) == (me.boot, me.space) and int(pid) not in (me.pid, other.pid)
