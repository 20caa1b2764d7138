"""Right locks and caches of every kind pass: those that poll, keep the time on a server, or declare little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from codequay.adapters.memory.cache import MemoryCache
from codequay.adapters.memory.lock import MemoryLock
from codequay.contract import Harness, suite
from codequay.contract.harness import Subject, subject
from codequay.contract.runner import run_trial
from codequay.contract.verdict import Outcome, Verdict
from codequay.kernel.registry import default_registry
from codequay.ports.cache import CacheCapabilities
from codequay.ports.lexical import LexicalCapabilities
from codequay.ports.lock import Lease, LockCapabilities
from codequay.ports.metadata import MetadataCapabilities
from codequay.ports.source import SourceCapabilities
from codequay.ports.spec import Capabilities, Clock, SystemClock

pytestmark = pytest.mark.kit

WITHOUT_EXCLUSION = [
    "LK-06:fences_rise_or_are_none",
    "LK-09:keys_do_not_touch_each_other",
    "LK-10:a_free_key_is_taken_at_once_extended_and_given_back",
    "LK-10:state_machine",
    "LK-12:a_cancelled_call_leaves_nothing_that_outlasts_its_ttl",
    "LK-16:identity_is_the_same_at_each_call",
    "LK-18:what_the_page_allows_is_taken_and_the_rest_refused",
    "LK-19:each_call_takes_few_turns",
    "LK-20:without_exclusion_a_held_key_is_given_again",
]
"""What ``exclusive=False`` leaves of the contract."""


def outcomes(target: Subject) -> list[Outcome]:
    return [run_trial(target, trial) for trial in suite(target.port).trials]


def accusations(target: Subject, *clauses: str) -> list[tuple[str, str]]:
    trials = suite(target.port).chosen(clauses=clauses)
    found = [run_trial(target, trial) for trial in trials]
    return [(one.clause, one.reason) for one in found if one.verdict not in (Verdict.PASS, Verdict.NA)]


def test_noop_passes_exactly_what_is_left_without_exclusion() -> None:
    found = outcomes(subject("lock.noop", default_registry()))
    assert sorted(one.clause for one in found if one.verdict is Verdict.PASS) == WITHOUT_EXCLUSION
    assert {one.verdict for one in found if one.clause not in WITHOUT_EXCLUSION} == {Verdict.NA}


class PollingLock(MemoryLock):
    """Waits as a lock over a server does that tells nobody: it looks again every fifth of a second, on its clock."""

    def __init__(self, server: Clock, clock: Clock) -> None:
        super().__init__(server)
        self._waits = clock

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        deadline = self._waits.monotonic() + wait
        while (lease := await super().acquire(key, ttl=ttl, owner=owner)) is None:
            left = deadline - self._waits.monotonic()
            if left <= 0:
                return None
            await self._waits.sleep(min(0.2, left))
        return lease

    async def wait_lost(self, lease: Lease) -> None:
        while (held := self._holding(lease.key)) and held.token == lease.token:
            await self._waits.sleep(0.2)


class Polling(Harness):
    port = "lock"
    adapter = "polling"
    capabilities = LockCapabilities(exclusive=True, fenced=True)

    async def open(self) -> Any:
        await self.context()
        return PollingLock(self.clock, self.clock)


class TimedPolling(Harness):
    """Its server keeps the time of leases; between its looks at them it sleeps on the clock that it was given."""

    port = "lock"
    adapter = "timed"
    capabilities = LockCapabilities(exclusive=True, fenced=True, min_ttl=0.25)

    async def open(self) -> Any:
        await self.context()
        return PollingLock(SystemClock(), self.clock)


class Timed(Harness):
    """A store whose server keeps the time, and tells ttls of a twentieth of a second apart."""

    port = "lock"
    adapter = "timed"
    capabilities: Capabilities = LockCapabilities(exclusive=True, fenced=True, min_ttl=0.05)
    make: Callable[[Clock], Any] = MemoryLock

    async def open(self) -> Any:
        await self.context()
        make = type(self).make
        return make(SystemClock())


class TimedCache(Timed):
    port = "cache"
    capabilities = CacheCapabilities(atomic_batch=True, min_ttl=0.05)
    make = MemoryCache


def test_a_lock_that_polls_on_its_clock_is_not_accused() -> None:
    assert accusations(Subject("lock", "polling", None, Polling)) == []


def test_a_lock_whose_server_keeps_the_time_is_not_accused() -> None:
    assert accusations(Subject("lock", "timed", None, Timed), "LK-02", "LK-03", "LK-05", "LK-12", "LK-17") == []


def test_a_lock_that_polls_a_server_is_not_accused() -> None:
    target = Subject("lock", "timed", None, TimedPolling)
    assert accusations(target, "LK-01", "LK-02", "LK-07", "LK-08", "LK-10") == []


def test_a_cache_whose_server_keeps_the_time_is_not_accused() -> None:
    assert accusations(Subject("cache", "timed", None, TimedCache), "CA-01", "CA-03", "CA-17", "CA-19") == []


class OnlyOnce(Harness):
    """It cannot be opened again, though it declares that other processes see it."""

    port = "lock"
    adapter = "once"
    capabilities = LockCapabilities(exclusive=True, fenced=True, reach="host")

    async def open(self) -> Any:
        return MemoryLock(self.clock)


def test_what_needs_a_second_process_is_unverified_without_reopen() -> None:
    target = Subject("lock", "once", None, OnlyOnce)
    between = [one for one in suite("lock").trials if one.clause.id in ("LK-13", "LK-14", "LK-15")]
    assert {run_trial(target, trial).verdict for trial in between} == {Verdict.UNVERIFIED}


class Narrow(Harness):
    """A cache that declares as little as the page allows."""

    port = "cache"
    adapter = "narrow"
    capabilities = CacheCapabilities(max_batch=20, max_value=128 * 1024, max_limit=1000, room=4 * 1024 * 1024)

    async def open(self) -> Any:
        await self.context()
        return SmallCache(self.clock)


class SmallCache(MemoryCache):
    """Forgets what was set longest ago, above 4 MiB."""

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl)
        entries = self.sync.entries
        for gone in [one for one in entries if self.sync.entry(one) is None]:
            self._remove(gone)
        while self._bytes > 4 * 1024 * 1024:
            self._remove(next(iter(entries)))


def test_a_cache_of_narrow_limits_is_not_accused() -> None:
    assert accusations(Subject("cache", "narrow", None, Narrow)) == []


class Older(Harness):
    """A cache that was written for contract 1.1, before ``exists``."""

    port = "cache"
    adapter = "older"
    capabilities = CacheCapabilities(atomic_batch=True)

    async def open(self) -> Any:
        await self.context()
        return WithoutExists(MemoryCache(self.clock))


class WithoutExists:
    """What is given, and its sync face, but for that operation."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        if name == "exists":
            raise AttributeError(name)
        found = getattr(self._whole, name)
        return WithoutExists(found) if name == "sync" else found


def test_a_cache_that_is_older_than_an_operation_is_not_accused() -> None:
    assert accusations(Subject("cache", "older", None, Older)) == []


def test_an_index_that_somebody_else_fills_is_not_blamed_for_its_refusals() -> None:
    class FilledElsewhere(Harness):
        capabilities = LexicalCapabilities(max_batch=1000, writable=False)

    found = outcomes(Subject("lexical", "memory", default_registry().spec("lexical", "memory"), FilledElsewhere))
    assert {one.verdict for one in found} == {Verdict.PASS, Verdict.NA}
    tried = [one.clause for one in found if one.verdict is Verdict.PASS]
    assert "LX-15:an_index_that_somebody_else_fills_refuses_writes" in tried
    assert "LX-01:state_machine" not in tried


@pytest.mark.parametrize(
    ("port", "least"),
    [
        ("metadata", MetadataCapabilities(max_batch=1000, max_limit=1000)),
        ("source", SourceCapabilities(max_batch=500, revisions=True, blame=True)),
    ],
)
def test_what_declares_the_least_is_not_accused(port: str, least: Capabilities) -> None:
    beneath = subject(f"{port}.memory", default_registry())
    narrow = type("Narrow", (beneath.harness,), {"capabilities": least})
    assert accusations(Subject(port, "memory", beneath.spec, narrow)) == []


@pytest.mark.parametrize(
    "declared",
    [
        lambda: MetadataCapabilities(max_batch=999),
        lambda: MetadataCapabilities(max_limit=999),
        lambda: SourceCapabilities(max_batch=499),
    ],
)
def test_less_than_the_least_cannot_be_declared(declared: Callable[[], Capabilities]) -> None:
    with pytest.raises(ValueError, match="at least"):
        declared()
