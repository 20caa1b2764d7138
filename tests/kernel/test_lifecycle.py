"""Opening, guarding, sharing and closing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from codequay.kernel import default_registry, load_settings, make_plan, open_ports
from codequay.ports.cache import ABSENT, NO_EXPIRY
from codequay.ports.errors import (
    BrokenPlugin,
    Closed,
    ConfigError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
    Unsupported,
)
from tests.contexts import run
from tests.kernel.distributions import cache_adapter, distribution, on_path
from tests.kernel.shelves import Shelf, events, failing, holding, opened, opening, spec


def test_a_guarded_memory_cache_works_through_both_faces(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "memory") as ports:
            await ports.cache.set("a", b"1")
            assert await ports.cache.get("a") == b"1"
            sync = ports.sync("cache")
            assert sync is not None
            assert sync.get("a") == b"1"
            assert ports.adapter_name("cache") == "memory"
            with pytest.raises(InvalidArgument) as caught:
                sync.get("")
            assert caught.value.component == "cache.memory"

    run(story())


def test_wrong_arguments_never_reach_the_adapter(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, Shelf(failing(AssertionError("reached")))) as ports:
            for key in ("", None, 3, "a\0"):
                with pytest.raises(InvalidArgument):
                    await ports.cache.get(key)  # type: ignore[arg-type]
            with pytest.raises(InvalidArgument):
                await ports.cache.set_many(None)  # type: ignore[arg-type]
            with pytest.raises(InvalidArgument):
                await ports.cache.set("a", b"", ttl="soon")  # type: ignore[arg-type]

    run(story())


def test_foreign_errors_are_classified_once_with_their_cause(tmp_path: Path) -> None:
    async def story() -> None:
        opening["one"] = lambda config, ctx: holding(Shelf(failing(ConnectionError("reset"))))
        async with opened(tmp_path, spec("one")) as ports:
            with pytest.raises(Unavailable, match="the shelf is gone") as caught:
                await ports.cache.get("a")
            assert isinstance(caught.value.__cause__, ConnectionError)
            assert (caught.value.component, caught.value.at) == ("cache.one", "overrides")
        opening["one"] = lambda config, ctx: holding(Shelf(failing(ZeroDivisionError())))
        async with opened(tmp_path, spec("one")) as ports:
            with pytest.raises(Internal) as internal:
                await ports.cache.set("a", b"")
            assert internal.value.ambiguous

    run(story())


def test_cancellation_is_never_wrapped(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, Shelf(failing(asyncio.CancelledError()))) as ports:
            with pytest.raises(asyncio.CancelledError):
                await ports.cache.get("a")

    run(story())


def test_an_undeclared_power_is_refused_and_a_stream_is_translated_and_closed(tmp_path: Path) -> None:
    async def story() -> None:
        events.clear()
        opening["one"] = lambda config, ctx: holding(Shelf())
        async with opened(tmp_path, spec("one")) as ports:
            with pytest.raises(Unsupported):
                await ports.cache.eval("", [], [])  # type: ignore[attr-defined]
            seen = []
            with pytest.raises(Unavailable):
                async for key in ports.cache.invalidations():
                    seen.append(key)
            assert seen == ["a"]
            assert events == ["open", "invalidations closed"]

    run(story())


def test_use_after_close_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "memory") as ports:
            cache, sync = ports.cache, ports.sync("cache")
        with pytest.raises(Closed):
            await cache.get("a")
        assert sync is not None
        with pytest.raises(Closed):
            sync.get("a")
        with pytest.raises(Closed):
            ports.cache  # noqa: B018
        with pytest.raises(Closed):
            await ports.run_sync(len, "a")

    run(story())


def test_a_port_that_was_not_opened_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "memory") as ports:
            with pytest.raises(ConfigError, match="the port lock is not open here"):
                ports.lock  # noqa: B018

    run(story())


def test_an_adapter_that_does_not_fit_its_port_is_broken_and_closed_again(tmp_path: Path) -> None:
    class NoGet(Shelf):
        get = None  # type: ignore[assignment]

    async def story() -> None:
        events.clear()
        opening["one"] = lambda config, ctx: holding(NoGet())
        with pytest.raises(BrokenPlugin, match=r"cache\.one does not fit the port cache: it has no operation get"):
            async with opened(tmp_path, spec("one")):
                pass
        assert events == ["open", "close"]

    run(story())


class OfContract1Point1(Shelf):
    """A cache from before ``exists``, with both faces: "a" has no end, "b" ends in 3 s, nothing else is there."""

    exists = None  # type: ignore[assignment]

    class Reads:
        def get(self, key: str) -> bytes | None:
            return b"v" if key in "ab" else None

        def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
            return [self.get(key) for key in keys]

        def ttl(self, key: str) -> float:
            return {"a": NO_EXPIRY, "b": 3.0}.get(key, ABSENT)

    sync = Reads()

    async def ttl(self, key: str) -> float:
        return self.sync.ttl(key)


def test_an_operation_newer_than_the_adapter_is_answered_by_an_older_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, OfContract1Point1(), "ports.cache.layers.retry=2") as ports:
            assert [await ports.cache.exists(key) for key in "abc"] == [True, True, False]
        async with opened(tmp_path, OfContract1Point1()) as ports:
            sync = ports.sync("cache")
            assert sync is not None
            assert [await ports.cache.exists(key) for key in "abc"] == [True, True, False]
            assert [sync.exists(key) for key in "abc"] == [True, True, False]
            with pytest.raises(InvalidArgument):
                await ports.cache.exists("")
            with pytest.raises(InvalidArgument):
                sync.exists("")

    run(story())


def test_a_method_that_only_has_the_name_of_a_newer_operation_is_not_called(tmp_path: Path) -> None:
    class Namesake(OfContract1Point1):
        async def exists(self) -> str:  # type: ignore[override]
            return "the shelf is there"

    async def story() -> None:
        async with opened(tmp_path, Namesake()) as ports:
            assert [await ports.cache.exists(key) for key in "abc"] == [True, True, False]

    run(story())


def test_what_stands_in_for_an_operation_must_be_there_itself(tmp_path: Path) -> None:
    class NoTtl(OfContract1Point1):
        ttl = None  # type: ignore[assignment]

    async def story() -> None:
        with pytest.raises(BrokenPlugin, match="it has no operation ttl"):
            async with opened(tmp_path, NoTtl()):
                pass

    run(story())


def test_a_shared_resource_is_opened_once_and_closed_after_those_who_use_it(tmp_path: Path) -> None:
    impl = (
        "from contextlib import asynccontextmanager\n"
        "from tests.kernel.shelves import Shelf, events\n"
        "@asynccontextmanager\n"
        "async def pool():\n"
        "    events.append('pool open')\n"
        "    yield object()\n"
        "    events.append('pool closed')\n"
        "@asynccontextmanager\n"
        "async def open_cache(config, ctx):\n"
        "    first, second = await ctx.shared('pool', pool), await ctx.shared('pool', pool)\n"
        "    assert first is second\n"
        "    yield Shelf()\n"
        "    events.append('cache closed')\n"
    )
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", impl=impl)

    async def story() -> None:
        events.clear()
        async with opened(tmp_path, "shelf"):
            assert events == ["pool open"]
        assert events == ["pool open", "cache closed", "pool closed"]

    with on_path(tmp_path):
        run(story())


def test_health_tells_ok_degraded_and_down(tmp_path: Path) -> None:
    class Pinged(Shelf):
        def __init__(self, delay: float, fail: bool = False) -> None:
            super().__init__()
            self.delay, self.fail = delay, fail

        async def ping(self) -> None:
            await asyncio.sleep(self.delay)
            if self.fail:
                raise ConnectionError("refused")

    async def story() -> None:
        for adapter, state in ((Pinged(0), "ok"), (Pinged(0.02), "degraded"), (Pinged(0, True), "down")):
            async with opened(tmp_path, adapter) as ports:
                health = await ports.health(latency_threshold_ms=10)
                assert (health.state, health.ports[0].state) == (state, state)

    run(story())


def test_a_configured_layer_takes_the_sync_face_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "memory", "ports.cache.layers.retry=2") as ports:
            assert ports.sync("cache") is None
            await ports.cache.set("a", b"1")
            assert await ports.cache.get("a") == b"1"

    run(story())


def test_the_first_writer_makes_a_hidden_folder_and_a_reader_makes_none(tmp_path: Path) -> None:
    plan = make_plan(load_settings(env={}, project=tmp_path, user=tmp_path), default_registry(), ports=["cache"])

    async def open_at(data: Path, *, readonly: bool) -> None:
        async with open_ports(plan, data=data, readonly=readonly):
            pass

    data = tmp_path / ".codequay"
    run(open_at(data, readonly=True))
    assert not data.exists()
    run(open_at(data, readonly=False))
    assert (data / ".gitignore").read_text().splitlines()[-1] == "*"

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("")
    run(open_at(mine, readonly=False))
    assert not (mine / ".gitignore").exists()

    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(FailedPrecondition, match="is not a folder"):
        run(open_at(file, readonly=False))
    with pytest.raises(PermissionDenied, match="cannot be made"):
        run(open_at(Path("/proc/nothing/.codequay"), readonly=False))


PLUGIN = """
from codequay.kernel.hooks import hookimpl
seen = []
@hookimpl
def codequay_started(ports):
    seen.append("started")
@hookimpl
def codequay_stopping(ports):
    {stopping}
"""


def test_only_allowed_plugins_are_imported_and_a_failing_one_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    group = "codequay.plugins"
    good, bad = PLUGIN.format(stopping="seen.append('stopping')"), PLUGIN.format(stopping="raise RuntimeError('boom')")
    misspelt = good.replace("codequay_started", "codequay_startd")
    distribution(tmp_path, "acme-good", {group: {"good": "acme_good"}}, {"acme_good": good})
    distribution(tmp_path, "acme-bad", {group: {"bad": "acme_bad"}}, {"acme_bad": bad})
    distribution(tmp_path, "acme-odd", {group: {"odd": "acme_odd"}}, {"acme_odd": misspelt})
    distribution(tmp_path, "acme-evil", {group: {"evil": "acme_evil"}}, {"acme_evil": "raise SystemExit"})

    async def story(*sets: str) -> tuple[str, ...]:
        settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=sets)
        plan = make_plan(settings, default_registry(), ports=["cache"])
        async with open_ports(plan, data=tmp_path / "data", readonly=True):
            pass
        return plan.warnings

    with on_path(tmp_path):
        with caplog.at_level(logging.WARNING):
            warnings = run(story("plugins=good,bad,odd"))
        import acme_good  # type: ignore[import-not-found]

        assert acme_good.seen == ["started", "stopping"]
        assert "bad failed in codequay_stopping: RuntimeError: boom" in caplog.text
        assert any("the plugin odd of acme-odd cannot be loaded" in warning for warning in warnings)
        with pytest.raises(ConfigError, match="the plugin odd of acme-odd"):
            run(story("plugins=odd", "strict_plugins=true"))
        with pytest.raises(ConfigError, match='no plugin is named "goood"; did you mean "good"'):
            run(story("plugins=goood"))


def test_a_plugin_may_register_a_port(tmp_path: Path) -> None:
    module = (
        "from codequay.kernel.hooks import hookimpl\n"
        "from codequay.ports.cache import PORT\n"
        "@hookimpl\n"
        "def codequay_register_ports():\n"
        "    return {'drawer': 'acme_drawer'}\n"
    )
    distribution(tmp_path, "acme-drawer", {"codequay.plugins": {"drawer": "acme_drawer"}}, {"acme_drawer": module})
    sets = ["plugins=drawer", "ports.drawer=mine"]
    settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=sets)

    async def story() -> None:
        plan = make_plan(settings, default_registry(), ports=["drawer"], overrides={"drawer": Shelf()})
        async with open_ports(plan, data=tmp_path / "data", readonly=True) as ports:
            assert await ports.get("drawer").get("a") is None

    with on_path(tmp_path):
        run(story())


def test_an_adapter_may_hold_a_task_group_open(tmp_path: Path) -> None:
    """Entered and left in one task, as structured concurrency asks."""

    @asynccontextmanager
    async def grouped() -> AsyncIterator[object]:
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(asyncio.sleep(60))
            yield Shelf()
            beat.cancel()
        events.append("group left")

    async def story() -> None:
        events.clear()
        opening["one"] = lambda config, ctx: grouped()
        async with opened(tmp_path, spec("one")) as ports:
            await ports.cache.get("a")
        assert events == ["group left"]

    run(story())


def test_the_total_deadline_lies_outside_the_retries(tmp_path: Path) -> None:
    async def story() -> None:
        gone = Shelf(failing(Unavailable("gone", retry_after=1)))
        sets = ["ports.cache.layers.deadline=30ms", "layers.retry=5"]
        async with opened(tmp_path, gone, *sets) as ports:
            with pytest.raises(DeadlineExceeded, match=r"took longer than 0\.03 s"):
                await ports.cache.get("a")

    run(story())
