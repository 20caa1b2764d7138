"""The writes of a cache, as the trials of level faults make them."""

from __future__ import annotations

from typing import Any

from codequay.ports.cache import FAULTS as CLAUSES
from codequay.ports.cache import PORT

from ..case import Case
from ..clauses import Suite
from ..expect import Failed
from ..faults import Change
from .faults import Faulty, fault_trials

FAULTS = Suite(PORT)
ITEMS = 60


def _value(n: int) -> bytes:
    return f"value {n} ".encode() * 200


def _many(n: int) -> dict[str, bytes]:
    return {f"k{n}/{number}": _value(number) for number in range(ITEMS)}


async def _set(store: Any, n: int) -> None:
    await store.set(f"k{n}", _value(n))


async def _is_set(store: Any, n: int, before: Any) -> bool:
    found = await store.get(f"k{n}")
    if found not in (None, _value(n)):
        raise Failed(f"k{n} has another value than any call gave it")
    return found is not None


async def _is_gone(store: Any, n: int, before: Any) -> bool:
    return await store.get(f"k{n}") is None


async def _set_many(store: Any, n: int) -> None:
    await store.set_many(_many(n))


def _changes(case: Case) -> list[Change]:
    async def are_set(store: Any, n: int, before: Any) -> bool:
        items = _many(n)
        found = [value == items[key] for key, value in zip(items, await store.get_many(list(items)), strict=True)]
        if any(found) and not all(found) and case.capabilities.atomic_batch:
            raise Failed(f"{sum(found)} of {ITEMS} items of one set_many are there")
        return all(found)

    return [
        Change("set", lambda store, n, _: store.set(f"k{n}", _value(n)), _is_set),
        Change(
            "add", lambda store, n, _: store.add(f"k{n}", _value(n), ttl=600), _is_set, right=lambda told: told is True
        ),
        Change("set_many", lambda store, n, _: store.set_many(_many(n)), are_set),
        Change("delete", lambda store, n, _: store.delete([f"k{n}", f"l{n}"]), _is_gone, _set),
        Change("purge", lambda store, n, _: store.purge(f"k{n}"), _is_gone, _set),
    ]


async def _reads(store: Any, n: int) -> Any:
    return await store.get_many([f"k{n}", "none"])


fault_trials(FAULTS, CLAUSES, Faulty(_changes, _reads))
