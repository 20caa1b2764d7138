"""What happens when opening or closing fails, takes too long, or is cancelled."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from codequay.adapters.memory import LOCK
from codequay.adapters.memory.lock import open_lock as open_memory_lock
from codequay.kernel import Ports, default_registry, load_settings, make_plan, open_ports
from codequay.ports.errors import (
    DeadlineExceeded,
    Internal,
    NotIndexed,
    PermissionDenied,
    Unavailable,
)
from tests.contexts import run
from tests.kernel.distributions import cache_adapter, distribution, on_path
from tests.kernel.shelves import Opening, Shelf, events, opened, opening, spec


def test_what_was_opened_is_closed_when_another_fails_to_open(tmp_path: Path) -> None:
    events.clear()
    impl = (
        "from contextlib import asynccontextmanager\n"
        "@asynccontextmanager\n"
        "async def open_cache(config, ctx):\n"
        "    raise ConnectionError('refused')\n"
        "    yield\n"
    )
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", impl=impl)

    async def story() -> None:
        settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=["ports.cache=shelf"])
        overrides = {"lock": "memory"}
        plan = make_plan(settings, default_registry(), ports=["lock", "cache"], overrides=overrides)
        with pytest.raises(Internal, match="open failed: ConnectionError: refused"):
            async with open_ports(plan, data=tmp_path / "data", readonly=True):
                raise AssertionError("not reached")

    with on_path(tmp_path):
        run(story())
    assert [task for task in threading.enumerate() if task.name.startswith("codequay")] == []


def test_a_cancelled_caller_of_run_sync_returns_after_the_work_has_ended(tmp_path: Path) -> None:
    async def story() -> None:
        done = threading.Event()

        def work() -> None:
            time.sleep(0.05)
            done.set()

        async with opened(tmp_path, "memory") as ports:
            task = asyncio.create_task(ports.run_sync(work))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert done.is_set()
            assert await ports.run_sync(len, "abc") == 3

    run(story())


def test_opening_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    started = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[object]:
        events.append("opening")
        try:
            started.set()
            await asyncio.sleep(60)
            yield Shelf()
        finally:
            events.append("undone")

    async def story() -> None:
        events.clear()
        opening["one"] = lambda config, ctx: slow()

        async def use() -> None:
            async with opened(tmp_path, spec("one")):
                raise AssertionError("not reached")

        task = asyncio.create_task(use())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert events == ["opening", "undone"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(story())


def two_ports(tmp_path: Path, first: Opening, second: Opening) -> AbstractAsyncContextManager[Ports]:
    """The ports cache and drawer, the second registered by a plugin, opened by these."""
    opening.update(one=first, two=second)
    module = (
        "from codequay.kernel.hooks import hookimpl\n"
        "@hookimpl\n"
        "def codequay_register_ports():\n"
        "    return {'drawer': 'acme_drawer'}\n"
    )
    port = (
        "from codequay.ports import cache\nfrom dataclasses import replace\nPORT = replace(cache.PORT, name='drawer')\n"
    )
    distribution(
        tmp_path,
        "acme-drawer",
        {"codequay.plugins": {"drawer": "acme_drawer_plugin"}},
        {"acme_drawer_plugin": module, "acme_drawer": port},
    )
    sets = ["plugins=drawer", "ports.drawer=mine"]
    settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=sets)
    overrides = {"cache": spec("one"), "drawer": replace(spec("two"), port="drawer")}
    plan = make_plan(settings, default_registry(), ports=["cache", "drawer"], overrides=overrides)
    return open_ports(plan, data=tmp_path / "data", readonly=True)


@asynccontextmanager
async def recorded(name: str, *, opens: float = 0, closes: float = 0) -> AsyncIterator[object]:
    """An adapter that takes so many seconds to open and to close."""
    try:
        await asyncio.sleep(opens)
    except asyncio.CancelledError:
        events.append(f"{name} undone")
        raise
    events.append(f"{name} open")
    try:
        yield Shelf()
        await asyncio.sleep(closes)
        events.append(f"{name} closed")
    except asyncio.CancelledError:
        events.append(f"{name} cut off")
        raise


def test_when_one_fails_to_open_the_others_are_not_waited_for(tmp_path: Path) -> None:
    @asynccontextmanager
    async def refused() -> AsyncIterator[object]:
        await asyncio.sleep(0.05)
        raise ConnectionError("refused")
        yield

    async def story() -> None:
        events.clear()
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="the shelf is gone"):
            async with two_ports(
                tmp_path, lambda config, ctx: recorded("slow", opens=60), lambda config, ctx: refused()
            ):
                raise AssertionError("not reached")
        assert time.monotonic() - begun < 10
        assert events == ["slow undone"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with on_path(tmp_path):
        run(story())


def test_a_resource_that_does_not_close_is_cut_off_and_the_others_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("codequay.kernel.lifecycle.CLOSE_TIMEOUT", 0.1)

    async def story() -> None:
        events.clear()
        slow = partial(recorded, "slow", closes=60)
        async with two_ports(tmp_path, lambda config, ctx: recorded("quick"), lambda config, ctx: slow()):
            pass
        assert events == ["quick open", "slow open", "slow cut off", "quick closed"]

    with on_path(tmp_path), caplog.at_level(logging.WARNING):
        run(story())
    assert "closing drawer failed: TimeoutError: drawer.two did not close within 0.1 s" in caplog.text


def test_a_blocking_call_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the disk does not answer: its cancelled caller waits, but not longer than the library takes to close."""
    monkeypatch.setattr("codequay.kernel.lifecycle.CLOSE_TIMEOUT", 0.1)
    let_go = threading.Event()

    async def story() -> None:
        async with opened(tmp_path, "memory") as ports:
            caller = asyncio.create_task(ports.run_sync(let_go.wait))
            await asyncio.sleep(0.05)
            caller.cancel()
            await asyncio.sleep(0.05)
            assert not caller.done()
        with pytest.raises(asyncio.CancelledError):
            await caller

    begun = time.monotonic()
    try:
        with caplog.at_level(logging.WARNING):
            run(story())
        assert time.monotonic() - begun < 5
        assert "1 blocking calls did not end within 0.1 s" in caplog.text
    finally:
        let_go.set()


def test_an_opening_that_will_not_be_undone_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codequay.kernel.lifecycle.OPEN_TIMEOUT", 0.05)
    monkeypatch.setattr("codequay.kernel.context.UNDO_TIMEOUT", 0.1)
    let_go = asyncio.Event()

    @asynccontextmanager
    async def stubborn() -> AsyncIterator[object]:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        yield Shelf()

    async def story() -> None:
        opening["one"] = lambda config, ctx: stubborn()
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"cache\.one did not open within 0\.05 s"):
            async with opened(tmp_path, spec("one")):
                raise AssertionError("not reached")
        assert time.monotonic() - begun < 5
        let_go.set()

    run(story())


@pytest.mark.parametrize("broken", [True, False])
def test_a_store_that_is_not_there_yet_hides_nothing_that_is_wrong_with_another(tmp_path: Path, broken: bool) -> None:
    """The absent one says so at once; the other, a refused password say, takes a round trip."""

    @asynccontextmanager
    async def absent(config: object, ctx: object) -> AsyncIterator[Shelf]:
        raise NotIndexed("nobody has written yet")
        yield Shelf()

    @asynccontextmanager
    async def refused(config: object, ctx: object) -> AsyncIterator[object]:
        await asyncio.sleep(0.01)
        if broken:
            raise PermissionDenied("the password is wrong")
        async with open_memory_lock(config, ctx) as lock:
            yield lock

    async def story() -> None:
        opening["one"], opening["two"] = absent, refused
        overrides = {"cache": spec("one"), "lock": replace(LOCK, name="two", factory="tests.kernel.shelves:open_two")}
        settings = load_settings(env={}, project=tmp_path, user=tmp_path)
        plan = make_plan(settings, default_registry(), ports=["cache", "lock"], overrides=overrides)
        with pytest.raises(PermissionDenied if broken else NotIndexed):
            async with open_ports(plan, data=tmp_path / "data", readonly=True):
                raise AssertionError("not reached")

    run(story())
