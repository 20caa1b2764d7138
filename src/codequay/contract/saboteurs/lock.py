"""Locks that are wrong in one behaviour each."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from itertools import count
from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.lock import Holder, Lease, LockCapabilities
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


class KeysByPrefix(KeysByWord):
    wrong = "a key holds every key that it begins"

    def stored(self, key: str) -> str:
        return key[:1]


class FoldsCase(KeysByWord):
    wrong = "keys that differ in case are one"

    def stored(self, key: str) -> str:
        return key.lower()


class FenceReused(Saboteur):
    wrong = "the fence stays the same when the lease before was released"

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, **options)
        return got and replace(got, fence=(got.fence or 0) // 2)


class FenceMissing(Saboteur):
    wrong = "fenced is declared, and the fence is None"

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, **options)
        return got and replace(got, fence=None)


class ReleasesForAnybody(Saboteur):
    wrong = "release frees the key whoever holds it"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._last: dict[str, Lease] = {}

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, **options)
        if got:
            self._last[key] = got
        return got

    async def release(self, lease: Lease) -> bool:
        return bool(await self.inner.release(self._last.get(lease.key, lease)))


class ReleaseAnswersTrue(Saboteur):
    wrong = "release says True for a lease that was lost"

    async def release(self, lease: Lease) -> bool:
        await self.inner.release(lease)
        return True


class ExtendsForNothing(Saboteur):
    wrong = "extend says that the lease goes on and leaves its end where it was"

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        holder = await self.inner.holder(lease.key)
        if holder is None:
            raise Conflict("gone")
        return replace(lease, ttl=ttl)


class RevivesExpired(Saboteur):
    wrong = "extend takes an expired lease again when nobody has it"

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        try:
            extended: Lease = await self.inner.extend(lease, ttl=ttl)
        except Conflict:
            if await self.inner.acquire(lease.key, ttl=ttl) is None:
                raise
            return replace(lease, ttl=ttl)
        return extended


class NeverExpires(Saboteur):
    wrong = "a lease never ends by itself"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, ttl=80_000, wait=wait, owner=owner)
        return got and replace(got, ttl=ttl)


class ExpiresEarly(Saboteur):
    wrong = "a lease ends after half of its ttl"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, ttl=ttl / 2, wait=wait, owner=owner)
        return got and replace(got, ttl=ttl)


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


class IgnoresWait(Saboteur):
    wrong = "acquire does not wait"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, owner=owner)
        return got


class WaitsForEver(Saboteur):
    wrong = "the end of the wait is not kept"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, wait=float("inf") if wait else 0.0, owner=owner)
        return got


class NoLostSignal(Saboteur):
    wrong = "wait_lost does not notice a release"

    async def wait_lost(self, lease: Lease) -> None:
        while (await self.inner.holder(lease.key)) is not None:
            await self.harness.clock.sleep(1)
        await self.harness.clock.sleep(3600)


class LostAtOnce(Saboteur):
    wrong = "wait_lost returns while the lease still holds"

    async def wait_lost(self, lease: Lease) -> None:
        await asyncio.sleep(0)


class SameToken(Saboteur):
    wrong = "every acquisition of a key has the same token"

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, **options)
        if got:
            self.inner._held[key].token = key
        return got and replace(got, token=key)


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


class HolderForgetsOwner(Saboteur):
    wrong = "holder tells nobody's name"

    async def holder(self, key: str) -> Holder | None:
        found: Holder | None = await self.inner.holder(key)
        return found and replace(found, owner="")


class NewIdentityEachTime(Saboteur):
    wrong = "identity gives another id at each call"

    async def identity(self) -> Any:
        found = await self.inner.identity()
        return replace(found, store_id=f"{found.store_id}{id(object())}{asyncio.get_running_loop().time()}")


class TrimsKeys(KeysByWord):
    wrong = "a space at the end of a key does not count"

    def stored(self, key: str) -> str:
        return key.rstrip()


class CutsLongKeys(KeysByWord):
    wrong = "keys are cut at 255 characters"

    def stored(self, key: str) -> str:
        return key[:255]


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


class LooksThenTakes(Saboteur):
    wrong = "acquire without wait looks first, and later takes the key whoever has it by then"
    level = Level.CONCURRENCY

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        if not wait and await self.inner.holder(key) is None:
            await asyncio.sleep(0)
            self.inner._held.pop(key, None)
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, wait=wait, owner=owner)
        return got


class OneLineOfIdentities(Saboteur):
    wrong = "every lock has the same id, and fences of its own"

    async def identity(self) -> Any:
        return replace(await self.inner.identity(), store_id="the lock")


class FenceNotDeclared(Saboteur):
    wrong = "fences are given and not declared"
    level = Level.CAPABILITY
    capabilities = LockCapabilities(exclusive=True)


class ExcludesUndeclared(Saboteur):
    wrong = "it excludes and does not declare it"
    level = Level.CAPABILITY
    capabilities = LockCapabilities(fenced=True)


class RefusesTheShortest(Saboteur):
    wrong = "a ttl of min_ttl is made longer"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, ttl=max(ttl, 0.01), wait=wait, owner=owner)
        return got


class CutShortUnnoticed(Saboteur):
    wrong = "extend never makes a lease end sooner"

    async def extend(self, lease: Lease, *, ttl: float) -> Lease:
        holder = await self.inner.holder(lease.key)
        extended: Lease = await self.inner.extend(lease, ttl=max(ttl, holder.expires_in if holder else 0.0))
        return replace(extended, ttl=ttl)


class AsksOfEveryKey(Saboteur):
    wrong = "acquire looks at every key that is held, one after the other"
    level = Level.BUDGET

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        for _ in self.inner._held:
            self.turn()
        got: Lease | None = await self.inner.acquire(key, **options)
        return got


class WaitsFirst(Saboteur):
    wrong = "a free key is not taken at once by one who would wait"

    async def acquire(self, key: str, *, ttl: float, wait: float = 0.0, owner: str = "") -> Lease | None:
        if wait and await self.inner.holder(key) is None:
            await self.harness.clock.sleep(0.5)
        got: Lease | None = await self.inner.acquire(key, ttl=ttl, wait=wait, owner=owner)
        return got


class HolderNamesTheFirst(Saboteur):
    wrong = "holder goes on naming the one whose lease has expired"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._owners: dict[str, str] = {}

    async def acquire(self, key: str, **options: Any) -> Lease | None:
        got: Lease | None = await self.inner.acquire(key, **options)
        held = await self.inner.holder(key)
        if got is not None and held is not None:
            self._owners.setdefault(key, held.owner)
        return got

    async def release(self, lease: Lease) -> bool:
        released = bool(await self.inner.release(lease))
        if released:
            self._owners.pop(lease.key, None)
        return released

    async def holder(self, key: str) -> Holder | None:
        held: Holder | None = await self.inner.holder(key)
        return held and replace(held, owner=self._owners.get(key, held.owner))


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
