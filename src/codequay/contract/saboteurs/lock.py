"""Locks that are wrong in one behaviour each."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.lock import Holder, Lease, LockCapabilities
from codequay.ports.spec import Level

from . import Saboteur
from .lock_together import *  # noqa: F403 - the saboteurs of several calls and of several processes
from .lock_together import KeysByWord


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
