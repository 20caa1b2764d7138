"""The lock as a dictionary of leases and times."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from codequay.ports.errors import Conflict
from codequay.ports.lock import Holder, Lease

from ..case import LONGEST_INJECTED_TTL_S, SOON_S, Case
from ..expect import Failed, near
from ..model import Step, same

KEYS = ("k", "kk", "K", "k ", "x" * 300 + "a", "x" * 300 + "b")
"""A prefix pair, a case pair, a trailing space, a long common beginning."""
PENDING = "no answer yet"
PATIENCE_S = 0.3
"""Seconds of the machine's time for what a lock within this process must notice."""
WAIT_S = 12.5
"""Longer than no number of whole seconds: whether the wait or the lease ends first is never a matter of rounding."""

_key = st.sampled_from(KEYS)
_ttl = st.sampled_from((50.0, 20.0, 20.0, 0.001))
_which = st.integers(0, 5)
_passing = {
    "meanwhile": st.sampled_from((0.0, 3.0, 14.0, 21.0)),
    "then": st.sampled_from(("nothing", "release", "shorten")),
}
"""Seconds that pass while the call waits, and what becomes of the lease that is held."""

STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda k, t: Step("acquire", (k,), {"ttl": t, "owner": "me"}), _key, _ttl),
    st.builds(lambda n, t: Step("extend", (n,), {"ttl": t}), _which, _ttl),
    st.builds(lambda n: Step("release", (n,)), _which),
    st.builds(lambda k: Step("holder", (k,)), _key),
    st.builds(lambda s: Step("advance", (s,)), st.sampled_from((1.0, 9.0, 20.0))),
    st.just(Step("identity")),
    st.builds(
        lambda k, more: Step("acquire", (k,), {"ttl": 50.0, "owner": "me", "wait": WAIT_S, **more}),
        _key,
        st.fixed_dictionaries(_passing),
    ),
    st.builds(lambda n, more: Step("wait_lost", (n,), more), _which, st.fixed_dictionaries(_passing)),
)


class LockModel:
    """Key -> (lease, expiry); every lease ever given, for later reference."""

    def __init__(self, capabilities: Any) -> None:
        self._exclusive: bool = capabilities.exclusive
        self._fenced: bool = capabilities.fenced
        self._server_time: bool = capabilities.min_ttl > LONGEST_INJECTED_TTL_S
        self._within = 15.0 if self._server_time else 0.01
        self._now = 0.0
        self._held: dict[str, tuple[Lease, float]] = {}
        self._given: list[Lease] = []
        self._fences: dict[str, int] = {}
        self._known: Any = None
        self._expected: Any = None
        self._said: dict[str, Any] = {}

    def ready(self, step: Step) -> Step | None:
        """Steps on an earlier lease name it by its number, counted from the latest. A server's clock is not moved."""
        if self._server_time and (step.op == "advance" or "meanwhile" in step.options):
            return None
        if "ttl" in step.options and self._server_time:
            step = step._replace(options={**step.options, "ttl": max(step.options["ttl"], 20.0)})
        if step.op not in ("extend", "release", "wait_lost"):
            return step
        if not self._given or not self._exclusive:
            return None
        return step._replace(args=(self._given[-1 - step.args[0] % len(self._given)],))

    # -- calls that wait ------------------------------------------------------------------------------------------

    async def perform(self, store: Any, step: Step, case: Case) -> Any:
        """Begin the call, let time pass, look whether it has answered; what has not is cancelled.

        It takes ``meanwhile`` and one second in any case, so that two locks beside each other stay at one time.
        """
        if "meanwhile" not in step.options:
            return NotImplemented
        options = {name: value for name, value in step.options.items() if name not in _passing}
        end = case.now + step.options["meanwhile"] + 1
        self._prune()
        self._expected = PENDING
        call = asyncio.ensure_future(getattr(store, step.op)(*step.args, **options))
        await case.settle()
        key = step.args[0] if isinstance(step.args[0], str) else step.args[0].key
        await self._change(store, key, step)
        answer = await self._answer(call, step, key, case)
        await case.advance(end - case.now)
        self._now += step.options["meanwhile"] + 1
        if isinstance(answer, Lease):
            return await store.extend(answer, ttl=answer.ttl)
        return answer

    async def _change(self, store: Any, key: str, step: Step) -> None:
        """Release what is held, or let it end in two seconds."""
        held = self._held.get(key)
        if held is None or not self._exclusive:
            return
        if step.options["then"] == "release":
            await store.release(held[0])
            del self._held[key]
        elif step.options["then"] == "shorten":
            await store.extend(held[0], ttl=2.0)
            self._held[key] = held[0], self._now + 2

    async def _answer(self, call: asyncio.Future[Any], step: Step, key: str, case: Case) -> Any:
        held = self._held.get(key)
        ends = held[1] - self._now if held else 0.0
        passed = step.options["meanwhile"]
        if step.op == "acquire":
            passed = _to_the_first_end(passed, ends)
        await case.advance(passed)
        if step.op == "wait_lost":
            is_over = held is None or held[0].token != step.args[0].token or ends <= passed
            self._expected = None if is_over else PENDING
        elif held is None or not self._exclusive or ends <= min(passed, WAIT_S):
            self._expected = Lease
        else:
            self._expected = None if passed >= WAIT_S else PENDING
        if self._expected is PENDING:
            await case.settle()
            if call.done():
                return call.result()
            call.cancel()
            await asyncio.wait({call})
            return PENDING
        patience = PATIENCE_S if case.capabilities.reach == "process" else SOON_S
        try:
            return await case.soon(call, "it answers", patience=patience)
        except Failed:
            return PENDING

    # -- answers --------------------------------------------------------------------------------------------------

    def check(self, step: Step, answer: Any) -> None:
        self._prune()
        self._said = {}
        options = {name: value for name, value in step.options.items() if name not in {*_passing, "wait"}}
        getattr(self, f"_{step.op}")(step, answer, *step.args, **options)

    def seen(self, step: Step, answer: Any) -> Any:
        """Tokens, fences and ids differ from lock to lock; whether they are new, rising and the same does not."""
        return (answer, dict(self._said)) if self._said else answer

    def _prune(self) -> None:
        self._held = {key: held for key, held in self._held.items() if held[1] > self._now}

    def _advance(self, step: Step, answer: Any, seconds: float) -> None:
        self._now += seconds

    def _acquire(self, step: Step, answer: Any, key: str, *, ttl: float, owner: str) -> None:
        waited = "meanwhile" in step.options
        if waited and self._expected is not Lease:
            same(step, answer, self._expected)
            return
        if not waited and self._exclusive and key in self._held:
            same(step, answer, None)
            return
        if not isinstance(answer, Lease) or (answer.key, answer.ttl) != (key, ttl):
            raise Failed(f"acquire of the free key {key!r} gave {answer!r}")
        rises = answer.fence is not None and answer.fence > self._fences.get(key, -1)
        new = all(answer.token != lease.token for lease in self._given)
        self._said = {"fence": "none" if answer.fence is None else "rises" if rises else "falls", "new token": new}
        self._held[key] = (answer, self._now + ttl)
        self._given.append(answer)
        self._fences[key] = max(answer.fence or 0, self._fences.get(key, -1))
        if not new:
            raise Failed(f"the token {answer.token!r} was given before")
        if self._fenced and not rises:
            raise Failed(f"the fence {answer.fence!r} of {key!r} is not above those before")
        if not self._fenced and answer.fence is not None:
            raise Failed(f"a lock without fences gave the fence {answer.fence!r}")

    def _extend(self, step: Step, answer: Any, lease: Lease, *, ttl: float) -> None:
        held = self._held.get(lease.key)
        if held is None or held[0].token != lease.token:
            same(step, answer, Conflict)
            return
        same(step, answer, replace(lease, ttl=ttl))
        self._held[lease.key] = (lease, self._now + ttl)

    def _release(self, step: Step, answer: Any, lease: Lease) -> None:
        held = self._held.get(lease.key)
        holds = held is not None and held[0].token == lease.token
        same(step, answer, holds)
        if holds:
            del self._held[lease.key]

    def _wait_lost(self, step: Step, answer: Any, lease: Lease) -> None:
        same(step, answer, self._expected)

    def _holder(self, step: Step, answer: Any, key: str) -> None:
        if not self._exclusive:
            return
        held = self._held.get(key)
        if held is None:
            same(step, answer, None)
        elif not isinstance(answer, Holder) or answer.owner != "me":
            raise Failed(f"holder gave {answer!r}; {key!r} is held by 'me'")
        elif answer.expires_in != near(held[1] - self._now, self._within):
            raise Failed(f"holder gave {answer!r}; {key!r} is held for {held[1] - self._now} s more")

    def _identity(self, step: Step, answer: Any) -> None:
        self._known = self._known or answer
        self._said = {"same": answer == self._known}
        same(step, answer, self._known)


def _to_the_first_end(passed: float, ends: float) -> float:
    """Seconds to let pass, so that not both the lease and the wait end within them: who polls may notice either first.

    Where they end at nearly the same time, neither does.
    """
    if abs(ends - WAIT_S) < 2:
        return min(passed, 3.0)
    return min(passed, ends if 0 < ends < WAIT_S else WAIT_S)
