"""The clauses of level faults, which every port with a server shares: trials written once for all of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from codequay.ports.faults import FaultClauses

from ..case import Case
from ..clauses import Needs, Suite
from ..expect import Failed, Unverified, shown
from ..faults import NOTICED_S, Change, Ended, Writers, broken, healed, settled, tried, truthful, works
from ..needs import durable

MOST_TURNS = 40
"""Turns of one call of which a reply is lost, one after the other."""
PLACES = (0.02, 0.3, 0.5, 0.7, 0.98)
"""Where in the bytes of a call the connection is cut, beside places at random."""
SILENT_S = 1.0
"""Seconds that a call is told to take at most when the server says nothing."""
SLACK_S = 2.0
CANCELLED_S = 3.0
"""Seconds that a cancelled call gets to end when the server says nothing."""
ROUNDS = 6
AT_ONCE = 4


@dataclass(frozen=True)
class Faulty:
    """How the trials use a port. ``changes`` are its writes, the first of them the one that matters most."""

    changes: Callable[[Case], list[Change]]
    reads: Callable[[Any, int], Awaitable[Any]]
    """(store, n) -> something that a read gives of the first change made with ``n``; equal as long as that stays."""


def fault_trials(suite: Suite, ids: FaultClauses, faulty: Faulty, *, needs: Needs | None = None) -> None:
    """Put the trials into a port's suite. ``needs``: capabilities without which its writes cannot be told apart."""

    def lasting(capabilities: Any) -> bool:
        return durable(capabilities) and (needs is None or needs(capabilities))

    trials = FaultTrials(faulty)
    trial = partial(suite.trial, needs=needs)
    trial(ids.truth, hint="connect first: what could not be sent is known not to be applied")(
        trials.what_never_reached_the_server_is_not_ambiguous
    )
    trial(ids.truth, hint="an answer that is lost after the write was sent: ambiguous, or find out")(
        trials.a_reply_that_is_lost_is_not_hidden
    )
    trial(ids.whole, hint="one transaction for the whole call")(
        trials.a_call_that_is_cut_at_any_byte_is_whole_or_not_there
    )
    trial(ids.whole)(trials.what_writers_were_told_while_connections_were_reset_is_true)
    trial(ids.recovery, hint="a connection that was lost is replaced before it is used, not after")(
        trials.the_next_calls_work_when_the_server_is_back
    )
    trial(ids.recovery, hint="a connection whose answer nobody waits for any more is not used again")(
        trials.calls_that_were_given_up_leave_no_answer_to_the_next
    )
    trial(ids.restart, restarts=True)(trials.the_next_calls_work_after_a_restart_of_the_server)
    trial(ids.restart, needs=lasting, restarts=True, hint="acknowledge when the server has it on its disk")(
        trials.what_was_acknowledged_is_there_after_a_restart
    )
    trial(ids.deadline, hint="a deadline of your own around each exchange; then the connection is thrown away")(
        trials.a_server_that_says_nothing_costs_the_timeout_and_no_more
    )
    trial(ids.deadline, hint="a cancelled call throws its connection away instead of waiting for the answer")(
        trials.a_cancelled_call_does_not_wait_for_a_silent_server
    )


@dataclass(frozen=True)
class FaultTrials:
    """The trials, over one port."""

    faulty: Faulty

    async def what_never_reached_the_server_is_not_ambiguous(self, case: Case) -> None:
        async with broken(case) as (store, net):
            for n, change in enumerate(self.faulty.changes(case)):
                before = await change.prepared(store, n)
                await net.refuse()
                await asyncio.sleep(NOTICED_S)
                ended = await tried(change.call(store, n, before), change.name)
                await healed(net)
                applied = await change.applied(store, n, before)
                when = "with the server out of reach"
                truthful(change, ended, applied, when)
                if ended.error is not None and ended.error.ambiguous and not applied:
                    raise Failed(f"{when}, {change.name} says that it may have been applied: nothing was sent")

    async def a_reply_that_is_lost_is_not_hidden(self, case: Case) -> None:
        async with broken(case) as (store, net):
            n = 0
            for change in self.faulty.changes(case):
                for turn in range(1, MOST_TURNS):
                    n += 1
                    before = await change.prepared(store, n)
                    net.lose_reply(turn)
                    ended = await tried(change.call(store, n, before), change.name)
                    lost = net.broken
                    await healed(net)
                    when = f"with the reply of turn {turn} lost"
                    truthful(change, ended, await change.applied(store, n, before), when)
                    if not lost:
                        break

    async def a_call_that_is_cut_at_any_byte_is_whole_or_not_there(self, case: Case) -> None:
        order = random.Random(case.subject.seed)
        async with broken(case) as (store, net):
            n = 0
            for change in self.faulty.changes(case):
                before = await change.prepared(store, n)
                sent = net.sent
                await change.call(store, n, before)
                sent = net.sent - sent
                assert await change.applied(store, n, before)
                for place in (*PLACES, order.random(), order.random()):
                    n += 1
                    before = await change.prepared(store, n)
                    net.cut(int(sent * place))
                    ended = await tried(change.call(store, n, before), change.name)
                    await healed(net)
                    when = f"cut after {int(sent * place)} of {sent} bytes"
                    truthful(change, ended, await change.applied(store, n, before), when)
                n += 1

    async def what_writers_were_told_while_connections_were_reset_is_true(self, case: Case) -> None:
        order = random.Random(case.subject.seed)
        async with broken(case) as (store, net):
            change = self.faulty.changes(case)[0]
            writers = Writers(store, change, AT_ONCE, calls=8)

            async def disturb() -> None:
                while True:
                    await asyncio.sleep(order.uniform(0.002, 0.02))
                    await net.reset()

            disturbing = asyncio.create_task(disturb())
            try:
                await writers.write()
            finally:
                disturbing.cancel()
                await asyncio.wait({disturbing})
            await healed(net)
            await writers.were_told_the_truth("with connections reset at random")
            await works(store, change, writers.unused)

    async def the_next_calls_work_when_the_server_is_back(self, case: Case) -> None:
        async with broken(case, timeout=SILENT_S) as (store, net):
            change = self.faulty.changes(case)[0]
            await works(store, change, 0)
            expected = await self.faulty.reads(store, 0)
            for n in range(1, ROUNDS + 1):
                await net.refuse()
                calls = [tried(self.faulty.reads(store, 0), "a read") for _ in range(AT_ONCE)]
                for one in await asyncio.gather(*calls):
                    if one.error is None and one.answer != expected:
                        raise Failed(f"with the server out of reach a read gave {shown(one.answer)}")
                await healed(net)
                await net.reset()
                await asyncio.sleep(NOTICED_S)
                answers = await asyncio.gather(*(self.faulty.reads(store, 0) for _ in range(AT_ONCE)))
                assert answers == [expected] * AT_ONCE
                await works(store, change, n)

    async def calls_that_were_given_up_leave_no_answer_to_the_next(self, case: Case) -> None:
        order = random.Random(case.subject.seed)
        async with broken(case) as (store, net):
            change = self.faulty.changes(case)[0]
            for n in range(2):
                await works(store, change, n)
            expected = [await self.faulty.reads(store, n) for n in range(2)]
            assert expected[0] != expected[1]
            for _ in range(ROUNDS):
                net.latency = 0.02
                given_up = [asyncio.ensure_future(self.faulty.reads(store, 0)) for _ in range(AT_ONCE)]
                await asyncio.sleep(order.uniform(0.001, 0.06))
                for task in given_up:
                    task.cancel()
                await asyncio.gather(*given_up, return_exceptions=True)
                net.latency = 0.0
                for n in range(2):
                    answers = await asyncio.gather(*(self.faulty.reads(store, n) for _ in range(AT_ONCE)))
                    assert answers == [expected[n]] * AT_ONCE

    async def the_next_calls_work_after_a_restart_of_the_server(self, case: Case) -> None:
        async with broken(case) as (store, _):
            change = self.faulty.changes(case)[0]
            await works(store, change, 0)
            await restarted(case)
            await asyncio.sleep(NOTICED_S)
            await works(store, change, 1)

    async def what_was_acknowledged_is_there_after_a_restart(self, case: Case) -> None:
        async with broken(case) as (store, _):
            writers = Writers(store, self.faulty.changes(case)[0], AT_ONCE, calls=40)
            writing = asyncio.create_task(writers.write())
            try:
                while writers.acknowledged < AT_ONCE and not writing.done():
                    await asyncio.sleep(0.01)
                await restarted(case)
            finally:
                writers.enough = True
                await asyncio.wait({writing})
            writing.result()
            await asyncio.sleep(NOTICED_S)
            await writers.were_told_the_truth("with a server that was killed")

    async def a_server_that_says_nothing_costs_the_timeout_and_no_more(self, case: Case) -> None:
        most = 2 * SILENT_S + SLACK_S
        async with broken(case, timeout=SILENT_S) as (store, net):
            changes = self.faulty.changes(case)
            befores = [await change.prepared(store, n) for n, change in enumerate(changes)]
            there = len(changes)
            await works(store, changes[0], there)
            net.black_hole()
            calls = [
                _within(most, tried(change.call(store, n, before), change.name), change.name)
                for n, (change, before) in enumerate(zip(changes, befores, strict=True))
            ]
            calls.append(_within(most, tried(self.faulty.reads(store, there), "a read"), "a read"))
            ended = await asyncio.gather(*calls, return_exceptions=True)
            await healed(net)
            for one in ended:
                if isinstance(one, BaseException):
                    raise one
            for n, (change, before, one) in enumerate(zip(changes, befores, ended[:-1], strict=True)):
                assert isinstance(one, Ended)
                truthful(change, one, await change.applied(store, n, before), "with a server that said nothing")

    async def a_cancelled_call_does_not_wait_for_a_silent_server(self, case: Case) -> None:
        async with broken(case, timeout=60.0) as (store, net):
            for n, change in enumerate(self.faulty.changes(case)):
                before = await change.prepared(store, n)
                net.black_hole()
                task = asyncio.ensure_future(change.call(store, n, before))
                await asyncio.wait({task}, timeout=0.1)
                task.cancel()
                await asyncio.wait({task}, timeout=CANCELLED_S)
                done = task.done()
                await healed(net)
                await asyncio.wait({task})
                if not done:
                    raise Failed(f"{change.name} was cancelled and went on for {CANCELLED_S:g} s")
                await settled(task, change.name)
                await change.applied(store, n, before)


async def restarted(case: Case) -> None:
    """Restart the server.

    :raises Unverified: the harness cannot
    """
    try:
        await case.harness.restart()
    except NotImplementedError as exc:
        raise Unverified(str(exc) or "the harness cannot restart the server") from exc


async def _within(seconds: float, call: Awaitable[Ended], what: str) -> Ended:
    """What the call ends with. One that does not end in time is left to be cancelled by the trial's end."""
    started = time.monotonic()
    task = asyncio.ensure_future(call)
    await asyncio.wait({task}, timeout=seconds)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task}, timeout=CANCELLED_S)
    passed = time.monotonic() - started
    raise Failed(f"{what} was told to take {SILENT_S:g} s at most, and had not ended after {passed:.1f} s")
