"""Broken servers: each a clear error with a remedy, never a write that is claimed and was not made."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from typing import Any

import pytest

from codequay.ports.diagnose import Level
from codequay.ports.errors import (
    Conflict,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)
from tests.contexts import run

from .server import Server, free_port
from .stores import cache, config, failed, lock


def test_a_server_that_is_not_there(server: Server) -> None:
    async def body() -> None:
        nowhere = config(server, url=f"redis://127.0.0.1:{free_port()}/0")

        async def opening() -> None:
            async with lock(nowhere):
                pass

        said = await failed(opening())
        assert said.error is Unavailable and "adapters.redis.url" in said.remedy and not said.ambiguous
        async with cache(nowhere) as store:
            for call in (store.get("k"), store.set("k", b""), store.ping(), anext(store.invalidations())):
                said = await failed(call)
                assert said.error is Unavailable and not said.ambiguous

    run(body())


def test_a_server_that_dies_in_the_middle_and_comes_back(make: Any) -> None:
    server = make(appendonly="yes", appendfsync="always")
    server.start()

    async def body() -> None:
        async with cache(config(server)) as store:
            await store.set("k", b"v")
            await asyncio.to_thread(server.stop)
            said = await failed(store.set("k", b"w"))
            assert said.error is Unavailable and not said.ambiguous
            await asyncio.to_thread(server.start)
            assert await store.get("k") == b"v"

    run(body())


def test_a_write_that_was_sent_and_not_answered_is_ambiguous(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with cache(config(server, timeout=0.5)) as store:
            await store.set("k", b"v")
            server.pause()
            said = await failed(store.set("k", b"w"))
            assert said.error is DeadlineExceeded and said.ambiguous
            server.resume()
            assert await store.get("k") in (b"v", b"w")

            write = asyncio.create_task(store.set("k", b"x"))
            server.pause()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.stop)
            said = await failed(write)
            assert said.error in (Unavailable, DeadlineExceeded) and said.ambiguous

    run(body())


def test_a_pool_without_a_free_connection(server: Server) -> None:
    async def body() -> None:
        async with lock(config(server, max_pool=1)) as store:
            slow = asyncio.create_task(store.client.command("BLPOP", "none", 0.3))
            await asyncio.sleep(0.01)
            assert await store.holder("k") is None  # it waits for its turn
            await slow
            slow = asyncio.create_task(store.client.command("BLPOP", "none", 2))
            await asyncio.sleep(0.01)
            store.client.timeout = 0.2
            said = await failed(store.acquire("k", ttl=1))
            assert said.error is Unavailable and "max_pool" in said.remedy and not said.ambiguous
            await slow
            assert await store.acquire("k", ttl=1)

    run(body())


def test_a_server_without_memory_takes_no_half_batch_and_lets_go_what_is_held(make: Any) -> None:
    server = make(maxmemory="4mb", maxmemory_policy="noeviction")
    server.start()

    async def body() -> None:
        chosen = config(server)
        async with cache(chosen) as store, lock(chosen) as leases:
            lease = await leases.acquire("k", ttl=60)
            assert lease is not None
            said, number = None, 0
            while said is None:
                try:
                    await store.set_many({f"{number}:{i}": b"x" * 10_000 for i in range(10)})
                    number += 1
                except Exception:
                    said = await failed(store.set_many({f"{number}:{i}": b"x" * 10_000 for i in range(10)}))
            assert said.error is ResourceExhausted and "maxmemory" in said.remedy and not said.ambiguous
            server.ask("CONFIG", "SET", "maxmemory", "1mb")
            keys = (await store.scan(limit=10_000)).keys
            assert len(keys) == number * 10
            assert (await failed(leases.acquire("other", ttl=1))).error is ResourceExhausted
            await leases.extend(lease, ttl=120)
            assert await leases.release(lease)
            await store.purge()
            server.ask("CONFIG", "SET", "maxmemory", "4mb")
            assert await leases.acquire("other", ttl=1)

    run(body())


def test_a_replica_takes_no_writes(make: Any) -> None:
    primary, replica = make(), make()
    primary.start()
    replica.configure(f"replicaof 127.0.0.1 {primary.port}")
    replica.start()

    async def body() -> None:
        async with cache(config(replica)) as store, lock(config(replica)) as leases:
            said = await failed(store.set("k", b""))
            assert said.error is FailedPrecondition and "primary" in said.remedy and not said.ambiguous
            assert (await failed(leases.acquire("k", ttl=1))).error is FailedPrecondition
            found = await leases.diagnose()
            assert any(one.level is Level.ERROR and "replica" in one.what for one in found)

    run(body())


def test_a_cluster_is_refused(make: Any) -> None:
    server = make(cluster_enabled="yes")
    server.start()

    async def opening() -> None:
        async with lock(config(server)):
            pass

    async def body() -> None:
        said = await failed(opening())
        assert said.error is FailedPrecondition and "cluster" in said.message and "sentinel://" in said.remedy
        async with cache(config(server)) as store:
            said = await failed(store.get("k"))
            assert said.error is FailedPrecondition and "cluster" in said.message
            assert (await store.diagnose())[0].level is Level.ERROR

    run(body())


class _Old(socketserver.StreamRequestHandler):
    """Answers as Redis 4.0 would to what is asked of it here."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self._word() for _ in range(int(line[1:]))]
            said = b"# Server\r\nredis_version:4.0.14\r\nredis_mode:standalone\r\n"
            self.wfile.write(b"$%d\r\n%b\r\n" % (len(said), said) if words[0] == b"INFO" else b"+OK\r\n")

    def _word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]


def test_a_server_that_is_too_old_is_refused() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Old) as old:
        old.daemon_threads = True
        threading.Thread(target=old.serve_forever, daemon=True).start()
        chosen = config(url=f"redis://127.0.0.1:{old.server_address[1]}")

        async def opening() -> None:
            async with lock(chosen):
                pass

        said = run(failed(opening()))
        old.shutdown()
    assert said.error is FailedPrecondition and "4.0.14" in said.message and "6.2" in said.remedy


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_the_doctor_finds_a_server_that_evicts_leases(make: Any, policy: str) -> None:
    server = make(maxmemory_policy=policy)
    server.start()

    async def body() -> None:
        async with cache(config(server)) as store, lock(config(server)) as leases:
            evicts, forgets = await leases.diagnose()
            assert evicts.level is Level.ERROR and policy in evicts.what and "noeviction" in evicts.remedy
            assert forgets.level is Level.WARNING and "appendonly" in forgets.remedy
            (well,) = await store.diagnose()
            assert well.level is Level.OK and policy in well.what

    run(body())


def test_the_doctor_finds_a_server_that_keeps_what_it_is_given_well(make: Any) -> None:
    server = make(appendonly="yes")
    server.start()

    async def body() -> None:
        async with lock(config(server)) as leases:
            (well,) = await leases.diagnose()
            assert well.level is Level.OK and "Redis" in well.what
        async with lock(config(server, max_pool=10_000)) as leases:
            server.ask("CONFIG", "SET", "maxclients", 100)
            (few,) = await leases.diagnose()
            assert few.level is Level.WARNING and "max_pool" in few.remedy

    run(body())


def test_a_lease_that_the_server_evicted_is_lost(make: Any) -> None:
    server = make()
    server.start()

    async def body() -> None:
        async with lock(config(server)) as leases:
            lease = await leases.acquire("k", ttl=60)
            assert lease is not None
            server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
            server.ask("CONFIG", "SET", "maxmemory", "1kb")
            await asyncio.wait_for(leases.wait_lost(lease), 5)
            server.ask("CONFIG", "SET", "maxmemory", "0")
            with pytest.raises(Conflict):
                await leases.extend(lease, ttl=1)

    run(body())
