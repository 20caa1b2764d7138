"""Locks that are wrong when calls meet or are cut, or when several processes use one store: see ``lock``."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from itertools import count
from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.lock import Holder, Lease
from codequay.ports.spec import Level

from . import Saboteur


class KeysByWord(Saboteur):
    """A base: keys are stored as ``stored`` says."""

    def stored(self, key: str) -> str:
        raise NotImplementedError

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(self.stored(key), **options)
        return got and replace(got, key=key)

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        extended: Lease = await self.inner.extend(replace(lease, key=self.stored(lease.key)), ttl=ttl)
        return replace(extended, key=lease.key)

    async def release(self, lease: Lease) -> bool:
        return bool(await self.inner.release(replace(lease, key=self.stored(lease.key))))

    async def holder(self, key: str) -> Holder | None:
        found: Holder | None = await self.inner.holder(self.stored(key))
        return found

    async def wait_lost(self, lease: Lease) -> None:
        await self.inner.wait_lost(replace(lease, key=self.stored(lease.key)))


class TwoHolders(Saboteur):
    wrong = "check and set are two steps with a pause between"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._mine: dict[str, Lease] = {}

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        if await self.inner.holder(key) is None:
            await asyncio.sleep(0)
            now = self._mine.get(key)
            if now is not None and wait and await self.inner.holder(key) is not None:
                return replace(now, token=now.token + "'", fence=(now.fence or 0) + 1)
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, wait=wait, owner=owner)
        if got:
            self._mine[key] = got
        return got


class LooksThenTakes(Saboteur):
    wrong = "acquire without wait looks first, and later takes the key whoever has it by then"
    level = Level.CONCURRENCY

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        if not wait and await self.inner.holder(key) is None:
            await asyncio.sleep(0)
            self.inner._held.pop(key, None)
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, wait=wait, owner=owner)
        return got


class CancelledWaiterTakes(Saboteur):
    wrong = "a waiter that was cancelled takes the key when its turn comes"
    level = Level.CANCELLATION

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        if not wait:
            got: Lease | None = await self.inner.acquire(key, ttl=ttl, owner=owner)
            return got
        turn = asyncio.ensure_future(self.inner.acquire(key, ttl=ttl, wait=wait, owner=owner))
        taken: Lease | None = await asyncio.shield(turn)
        return taken


class TakesForADay(Saboteur):
    wrong = "acquire takes the key for a day and sets the end in a second step"
    level = Level.CANCELLATION

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, ttl=80_000, wait=wait, owner=owner)
        await asyncio.sleep(0)
        return got and await self._ended(got, ttl)

    async def _ended(self, lease: Lease, ttl: float) -> Lease:
        ended: Lease = await self.inner.extend(lease, ttl=ttl)
        return ended


class HandedForADay(TakesForADay):
    wrong = "a key that is handed to a waiter who has just gone stays his for a day"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        if wait:
            return await super().acquire(key, ttl=ttl, wait=wait, owner=owner)
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, owner=owner)
        return got


class KeysOfOneProcess(KeysByWord):
    wrong = "each process has keys of its own"
    level = Level.DURABILITY
    over = "sqlite"

    def stored(self, key: str) -> str:
        return f"{key} of {os.getpid()}"


class FencesOfOneProcess(Saboteur):
    wrong = "the fence is counted in the process"
    level = Level.DURABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._fences = count(1)

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, **options)
        return got and replace(got, fence=next(self._fences))


class TrustsItsMemory(Saboteur):
    wrong = "extend of a lease that another process has replaced is granted"
    level = Level.DURABILITY
    over = "sqlite"

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        try:
            extended: Lease = await self.inner.extend(lease, ttl=ttl)
        except Conflict:
            now = await self.inner.holder(lease.key)
            if now is None or now.owner.endswith(f":{os.getpid()}"):
                raise
            return replace(lease, ttl=ttl)
        return extended


class NothingLostElsewhere(Saboteur):
    wrong = "wait_lost does not hear that another process has taken the key"
    level = Level.DURABILITY
    over = "sqlite"

    async def wait_lost(self, lease: Lease) -> None:
        await self.inner.wait_lost(lease)
        now = await self.inner.holder(lease.key)
        if now is not None and not now.owner.endswith(f":{os.getpid()}"):
            await asyncio.Event().wait()


class LooksThenTakesElsewhere(Saboteur):
    wrong = "a key that another process takes between looking and taking is given away twice"
    level = Level.DURABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._owners: set[str] = set()

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        self._owners.add(owner)
        free = not wait and await self.inner.holder(key) is None
        if free:
            await asyncio.sleep(0.02)
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, wait=wait, owner=owner)
        if got is None and free and (now := await self.inner.holder(key)) and now.owner not in self._owners:
            return Lease(key, f"{os.getpid()} {id(now)}", 1 << 40, ttl)
        return got


class SavesTheFenceLater(Saboteur):
    wrong = "the fence is written down with the call after the one that gave it"
    level = Level.DURABILITY
    over = "sqlite"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._file = self.harness.folder / "fence"
        self._last = 0

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        self._save()
        got: Lease | None = await self.inner.acquire(key, **options)
        if got is None:
            return None
        self._last = self._saved() + 1
        return replace(got, fence=self._last)

    async def holder(self, key: str) -> Holder | None:
        self._save()
        found: Holder | None = await self.inner.holder(key)
        return found

    async def release(self, lease: Lease) -> bool:
        self._save()
        return bool(await self.inner.release(lease))

    def _saved(self) -> int:
        return int(self._file.read_text()) if self._file.exists() else 0

    def _save(self) -> None:
        if self._last > self._saved():
            new = self._file.with_name(f"fence of {os.getpid()}")
            new.write_text(str(self._last))
            new.replace(self._file)
