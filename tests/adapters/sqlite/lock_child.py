"""``python -m tests.adapters.sqlite.lock_child FOLDER``: a process that takes leases as it is told.

It reads a command a line and answers each with a line of JSON: ``acquire KEY TTL WAIT`` (fence or null), ``extend KEY
TTL`` and ``release KEY`` (true or false), ``lost KEY`` (true, when the lease is lost), ``turns KEY COUNT LOG`` (takes
the key so many times; writes to LOG when it enters with which fence, and when it leaves).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.adapters.sqlite.lock import SqliteLock, open_lock
from codequay.ports.errors import Conflict
from codequay.ports.lock import Lease
from tests.contexts import build_context


class Child:
    """The lock and the leases it has given."""

    def __init__(self, lock: SqliteLock) -> None:
        self.lock = lock
        self.leases: dict[str, Lease] = {}

    async def acquire(self, key: str, ttl: str, wait: str) -> object:
        lease = await self.lock.acquire(key, ttl=float(ttl), wait=float(wait))
        if lease is None:
            return None
        self.leases[key] = lease
        return lease.fence

    async def extend(self, key: str, ttl: str) -> object:
        try:
            await self.lock.extend(self.leases[key], ttl=float(ttl))
        except Conflict:
            return False
        return True

    async def release(self, key: str) -> object:
        return await self.lock.release(self.leases[key])

    async def lost(self, key: str) -> object:
        await self.lock.wait_lost(self.leases[key])
        return True

    async def turns(self, key: str, count: str, log: str) -> object:
        with open(log, "a", buffering=1) as out:
            for _ in range(int(count)):
                lease = await self.lock.acquire(key, ttl=30, wait=60)
                assert lease is not None
                out.write(f"in {lease.fence} {os.getpid()}\n")
                out.write(f"out {lease.fence} {os.getpid()}\n")
                assert await self.lock.release(lease)
        return True


async def main(folder: Path) -> None:
    async with build_context(folder) as ctx, open_lock(SqliteDefaults(), ctx) as lock:
        child = Child(lock)
        print(json.dumps(os.getpid()), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            name, *words = line.split()
            answer: Any = await getattr(child, name)(*words)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
