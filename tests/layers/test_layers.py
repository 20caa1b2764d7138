"""Each layer alone, around a call that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codequay.layers import deadline, retry, telemetry
from codequay.layers.base import Call, Target, seconds
from codequay.ports.cache import Cache
from codequay.ports.errors import Closed, Conflict, DeadlineExceeded, PortError, Unavailable
from codequay.ports.op import operations
from codequay.ports.spec import SystemClock
from tests.contexts import run

OPS = operations(Cache)
GET, SET, ADD = OPS["get"], OPS["set"], OPS["add"]


class RecordingClock(SystemClock):
    """Does not sleep; notes for how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Flaky:
    """Raises the given errors, one a call, then answers."""

    def __init__(self, *errors: PortError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, *args: Any, **kwargs: Any) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def retrying(op: Any, call: Flaky, clock: RecordingClock | None = None, **options: Any) -> Call:
    config = retry.Config.parse(options)
    return retry.build(config, Target("cache", "memory", clock or RecordingClock())).wrap(op, call)


def test_a_transient_error_is_tried_again_until_it_works() -> None:
    call = Flaky(Unavailable("a"), Unavailable("b"))
    assert run(retrying(GET, call)("k")) == "answer"  # type: ignore[arg-type]
    assert call.calls == 3


def test_after_the_last_attempt_the_error_says_that_the_tries_are_used_up() -> None:
    call = Flaky(*(Unavailable("gone") for _ in range(5)))
    with pytest.raises(Unavailable) as caught:
        run(retrying(GET, call, attempts=3)("k"))  # type: ignore[arg-type]
    assert call.calls == 3
    assert caught.value.exhausted
    assert not caught.value.retryable
    assert caught.value.details["attempts"] == 3


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (GET, Conflict("permanent")),
        (GET, Unavailable("inner layers tried", exhausted=True)),
        (GET, Closed("closed")),
        (ADD, Unavailable("perhaps applied", ambiguous=True)),
        (GET, Unavailable("come back much later", retry_after=3600)),
    ],
)
def test_what_cannot_help_or_may_harm_is_not_tried_again(op: Any, error: PortError) -> None:
    call = Flaky(error)
    with pytest.raises(type(error)):
        run(retrying(op, call)("k"))  # type: ignore[arg-type]
    assert call.calls == 1


@pytest.mark.parametrize(("op", "ambiguous"), [(SET, True), (ADD, False)])
def test_a_write_is_tried_again_when_that_is_harmless(op: Any, ambiguous: bool) -> None:
    call = Flaky(Unavailable("gone", ambiguous=ambiguous))
    assert run(retrying(op, call)("k", b"v")) == "answer"  # type: ignore[arg-type]


def test_retry_after_is_honoured_and_waits_stay_below_the_maximum() -> None:
    clock = RecordingClock()
    call = Flaky(Unavailable("a", retry_after=1.5), Unavailable("b"), Unavailable("c"))
    run(retrying(GET, call, clock, attempts=4, base="100ms", max="2s")("k"))  # type: ignore[arg-type]
    assert clock.slept[0] >= 1.5
    assert all(wait <= 2 for wait in clock.slept)


def test_the_budget_bounds_the_load_when_everything_fails() -> None:
    call = Flaky(*(Unavailable("gone") for _ in range(1000)))
    wrapped = retrying(GET, call, attempts=4, budget=0.1)

    async def hammer() -> None:
        for _ in range(100):
            with pytest.raises(Unavailable):
                await wrapped("k")

    run(hammer())
    assert call.calls <= 100 + retry.RESERVE + 100 * 0.1


def test_a_call_beyond_its_deadline_is_cancelled_and_a_write_is_ambiguous() -> None:
    cancelled: list[str] = []

    async def slow(*args: Any) -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            cancelled.append("slow")
            raise

    layer = deadline.build(deadline.Config.parse("20ms"), Target("cache", "memory", SystemClock()))
    for op, ambiguous in ((GET, False), (SET, True)):
        with pytest.raises(DeadlineExceeded) as caught:
            run(layer.wrap(op, slow)("k"))  # type: ignore[arg-type]
        assert caught.value.ambiguous is ambiguous
        assert caught.value.component == "cache.memory"
    assert cancelled == ["slow", "slow"]


def test_a_cancelled_caller_is_not_told_of_a_deadline() -> None:
    async def story() -> None:
        layer = deadline.build(deadline.Config.parse(5), Target("cache", "memory", SystemClock()))
        call = layer.wrap(GET, lambda key: asyncio.sleep(5))
        task: asyncio.Task[None] = asyncio.create_task(call("k"))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(story())


def test_telemetry_passes_answers_and_errors_through() -> None:
    layer = telemetry.build(telemetry.Config.parse(True), Target("cache", "memory", SystemClock()))
    assert run(layer.wrap(GET, Flaky())("k")) == "answer"  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        run(layer.wrap(GET, Flaky(Unavailable("gone")))("k"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (retry.Config.parse, {"attemps": 3}),
        (retry.Config.parse, 0),
        (retry.Config.parse, "many"),
        (deadline.Config.parse, "soon"),
        (deadline.Config.parse, 0),
        (telemetry.Config.parse, {"endpoint": "x"}),
    ],
)
def test_options_out_of_bounds_are_refused(parse: Callable[[object], object], value: object) -> None:
    with pytest.raises(ValueError, match=r"must be|has no option"):
        parse(value)


@given(st.floats(min_value=0.001, max_value=1e6))
def test_durations_are_read_in_every_unit(value: float) -> None:
    assert seconds(value) == value
    assert seconds(f"{value:f}ms") == pytest.approx(float(f"{value:f}") / 1000)
    assert seconds(f"{value:f} m") == pytest.approx(float(f"{value:f}") * 60)
