"""The clauses of level faults, which every port with a server shares: trials written once for all of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from codequay.ports.errors import PortError
from codequay.ports.faults import FaultClauses

from ..case import Case
from ..clauses import Needs, Suite
from ..expect import Failed, Unverified, shown
from ..faults import NOTICED_S, Change, Ended, broken, healed, settled, tried, truthful
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

    @suite.trial(ids.truth, needs=needs, hint="connect first: what could not be sent is known not to be applied")
    async def what_never_reached_the_server_is_not_ambiguous(case: Case) -> None:
        async with broken(case) as (store, net):
            for n, change in enumerate(faulty.changes(case)):
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

    @suite.trial(ids.truth, needs=needs, hint="an answer that is lost after the write was sent: ambiguous, or find out")
    async def a_reply_that_is_lost_is_not_hidden(case: Case) -> None:
        async with broken(case) as (store, net):
            n = 0
            for change in faulty.changes(case):
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

    @suite.trial(ids.whole, needs=needs, hint="one transaction for the whole call")
    async def a_call_that_is_cut_at_any_byte_is_whole_or_not_there(case: Case) -> None:
        order = random.Random(case.subject.seed)
        async with broken(case) as (store, net):
            n = 0
            for change in faulty.changes(case):
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

    @suite.trial(ids.whole, needs=needs)
    async def what_writers_were_told_while_connections_were_reset_is_true(case: Case) -> None:
        order = random.Random(case.subject.seed)
        ended: dict[int, tuple[Any, Ended]] = {}
        async with broken(case) as (store, net):
            change = faulty.changes(case)[0]

            async def write(first: int) -> None:
                for n in range(first, first + 8):
                    try:
                        before = await change.prepared(store, n)
                    except PortError:
                        continue
                    ended[n] = before, await tried(change.call(store, n, before), change.name)

            async def disturb() -> None:
                while True:
                    await asyncio.sleep(order.uniform(0.002, 0.02))
                    await net.reset()

            disturbing = asyncio.create_task(disturb())
            try:
                await asyncio.gather(*(write(100 * worker) for worker in range(AT_ONCE)))
            finally:
                disturbing.cancel()
                await asyncio.wait({disturbing})
            await healed(net)
            for n, (before, one) in ended.items():
                truthful(change, one, await change.applied(store, n, before), "with connections reset at random")
            before = await change.prepared(store, 1000)
            await change.call(store, 1000, before)
            assert await change.applied(store, 1000, before)

    @suite.trial(ids.recovery, needs=needs, hint="a connection that was lost is replaced before it is used, not after")
    async def the_next_calls_work_when_the_server_is_back(case: Case) -> None:
        async with broken(case, timeout=SILENT_S) as (store, net):
            change = faulty.changes(case)[0]
            await change.call(store, 0, await change.prepared(store, 0))
            expected = await faulty.reads(store, 0)
            for n in range(1, ROUNDS + 1):
                await net.refuse()
                calls = [tried(faulty.reads(store, 0), "a read") for _ in range(AT_ONCE)]
                for one in await asyncio.gather(*calls):
                    if one.error is None and one.answer != expected:
                        raise Failed(f"with the server out of reach a read gave {shown(one.answer)}")
                await healed(net)
                await net.reset()
                await asyncio.sleep(NOTICED_S)
                answers = await asyncio.gather(*(faulty.reads(store, 0) for _ in range(AT_ONCE)))
                assert answers == [expected] * AT_ONCE
                before = await change.prepared(store, n)
                await change.call(store, n, before)
                assert await change.applied(store, n, before)

    @suite.trial(
        ids.recovery, needs=needs, hint="a connection whose answer nobody waits for any more is not used again"
    )
    async def calls_that_were_given_up_leave_no_answer_to_the_next(case: Case) -> None:
        order = random.Random(case.subject.seed)
        async with broken(case) as (store, net):
            change = faulty.changes(case)[0]
            for n in range(2):
                await change.call(store, n, await change.prepared(store, n))
            expected = [await faulty.reads(store, n) for n in range(2)]
            assert expected[0] != expected[1]
            for _ in range(ROUNDS):
                net.latency = 0.02
                given_up = [asyncio.ensure_future(faulty.reads(store, 0)) for _ in range(AT_ONCE)]
                await asyncio.sleep(order.uniform(0.001, 0.06))
                for task in given_up:
                    task.cancel()
                await asyncio.gather(*given_up, return_exceptions=True)
                net.latency = 0.0
                for n in range(2):
                    answers = await asyncio.gather(*(faulty.reads(store, n) for _ in range(AT_ONCE)))
                    assert answers == [expected[n]] * AT_ONCE

    @suite.trial(ids.restart, needs=needs, restarts=True)
    async def the_next_calls_work_after_a_restart_of_the_server(case: Case) -> None:
        async with broken(case) as (store, _):
            change = faulty.changes(case)[0]
            await change.call(store, 0, await change.prepared(store, 0))
            await restarted(case)
            await asyncio.sleep(NOTICED_S)
            before = await change.prepared(store, 1)
            await change.call(store, 1, before)
            assert await change.applied(store, 1, before)

    @suite.trial(ids.restart, needs=lasting, restarts=True, hint="acknowledge when the server has it on its disk")
    async def what_was_acknowledged_is_there_after_a_restart(case: Case) -> None:
        ended: dict[int, tuple[Any, Ended]] = {}
        async with broken(case) as (store, _):
            change = faulty.changes(case)[0]
            over = False

            async def write(first: int) -> None:
                n = first
                while not over and n < first + 40:
                    n += 1
                    try:
                        before = await change.prepared(store, n)
                    except PortError:
                        await asyncio.sleep(0.01)
                        continue
                    ended[n] = before, await tried(change.call(store, n, before), change.name)

            writers = [asyncio.create_task(write(1000 * worker)) for worker in range(AT_ONCE)]
            try:
                while sum(one.error is None for _, one in ended.values()) < AT_ONCE and not writers[0].done():
                    await asyncio.sleep(0.01)
                await restarted(case)
            finally:
                over = True
                await asyncio.wait(writers)
            for writer in writers:
                writer.result()
            await asyncio.sleep(NOTICED_S)
            for n, (before, one) in ended.items():
                truthful(change, one, await change.applied(store, n, before), "with a server that was killed")

    @suite.trial(
        ids.deadline,
        needs=needs,
        hint="a deadline of your own around each exchange; then the connection is thrown away",
    )
    async def a_server_that_says_nothing_costs_the_timeout_and_no_more(case: Case) -> None:
        most = 2 * SILENT_S + SLACK_S
        async with broken(case, timeout=SILENT_S) as (store, net):
            changes = faulty.changes(case)
            befores = [await change.prepared(store, n) for n, change in enumerate(changes)]
            there = len(changes)
            await changes[0].call(store, there, await changes[0].prepared(store, there))
            net.black_hole()
            calls = [
                _within(most, tried(change.call(store, n, before), change.name), change.name)
                for n, (change, before) in enumerate(zip(changes, befores, strict=True))
            ]
            calls.append(_within(most, tried(faulty.reads(store, there), "a read"), "a read"))
            ended = await asyncio.gather(*calls, return_exceptions=True)
            await healed(net)
            for one in ended:
                if isinstance(one, BaseException):
                    raise one
            for n, (change, before, one) in enumerate(zip(changes, befores, ended[:-1], strict=True)):
                assert isinstance(one, Ended)
                truthful(change, one, await change.applied(store, n, before), "with a server that said nothing")

    @suite.trial(
        ids.deadline, needs=needs, hint="a cancelled call throws its connection away instead of waiting for the answer"
    )
    async def a_cancelled_call_does_not_wait_for_a_silent_server(case: Case) -> None:
        async with broken(case, timeout=60.0) as (store, net):
            for n, change in enumerate(faulty.changes(case)):
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
