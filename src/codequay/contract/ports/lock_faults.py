"""The writes of a lock, as the trials of level faults make them."""

from __future__ import annotations

import asyncio
from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.lock import FAULTS as CLAUSES
from codequay.ports.lock import FENCE, PORT, Lease

from ..case import SOON_S, Case
from ..clauses import Suite
from ..expect import Failed
from ..faults import NOTICED_S, Change, broken, settled
from .faults import Faulty, fault_trials, restarted
from .lock_together import exclusive

FAULTS = Suite(PORT)
TTL_S = 600.0
LONGER_S = 1800.0
"""Of what is extended; a server's seconds are real ones, and a trial takes a few."""


async def _acquired(store: Any, n: int) -> Any:
    return await store.acquire(f"k{n}", ttl=TTL_S, owner=f"owner {n}")


async def _is_held(store: Any, n: int, before: Any) -> bool:
    return await store.holder(f"k{n}") is not None


async def _is_longer(store: Any, n: int, lease: Lease) -> bool:
    found = await store.holder(f"k{n}")
    return found is not None and found.expires_in > TTL_S


async def _is_free(store: Any, n: int, lease: Lease) -> bool:
    return await store.holder(f"k{n}") is None


def _changes(case: Case) -> list[Change]:
    return [
        Change("acquire", lambda store, n, _: _acquired(store, n), _is_held, right=lambda lease: lease is not None),
        Change("extend", lambda store, n, lease: store.extend(lease, ttl=LONGER_S), _is_longer, _acquired),
        Change(
            "release",
            lambda store, n, lease: store.release(lease),
            _is_free,
            _acquired,
            right=lambda told: told is True,
        ),
    ]


async def _reads(store: Any, n: int) -> Any:
    found = await store.holder(f"k{n}")
    return found and found.owner


fault_trials(FAULTS, CLAUSES, Faulty(_changes, _reads), needs=exclusive)


@FAULTS.trial(CLAUSES.recovery, needs=exclusive, hint="look again when the connection that tells of releases was lost")
async def who_waits_when_connections_are_reset_is_not_forgotten(case: Case) -> None:
    async with broken(case) as (store, net):
        for way in range(2):
            lease = await _acquired(store, way)
            waits = {
                "acquire": asyncio.ensure_future(store.acquire(f"k{way}", ttl=TTL_S, wait=TTL_S / 2)),
                "wait_lost": asyncio.ensure_future(store.wait_lost(lease)),
            }
            await asyncio.sleep(0.1)
            if way:
                await net.refuse()
                await asyncio.sleep(0.1)
                await net.heal()
            else:
                await net.reset()
            await asyncio.sleep(NOTICED_S)
            assert await store.release(lease) is True
            async with case.moving():
                await asyncio.wait(waits.values(), timeout=SOON_S)
            left = [name for name, task in waits.items() if not task.done()]
            for task in waits.values():
                task.cancel()
            await asyncio.wait(waits.values())
            if left:
                raise Failed(f"connections were reset, and {' and '.join(left)} did not hear of the release")
            for name, task in waits.items():
                await settled(task, name)


def _fenced(capabilities: Any) -> bool:
    return bool(capabilities.fenced)


@FAULTS.trial(FENCE, needs=_fenced, restarts=True, hint="take the larger of last + 1 and the server's time")
async def a_restart_lets_no_fence_fall(case: Case) -> None:
    async with broken(case) as (store, _):
        identity = await store.identity()
        held = [await _acquired(store, n) for n in range(3)]
        for _ in range(2):
            await store.release(held[0])
            held[0] = await _acquired(store, 0)
        for _ in range(2):
            await restarted(case)
            await asyncio.sleep(NOTICED_S)
            again = await store.identity()
            for n, lease in enumerate(held):
                try:
                    await store.release(lease)
                except Conflict:
                    continue
                taken = await _acquired(store, n)
                assert taken is not None
                if again.store_id == identity.store_id:
                    assert taken.fence > lease.fence
                held[n] = taken
            identity = again
