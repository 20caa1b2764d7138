"""Connections that are lost, cancelled, busy or deadlocked."""

import asyncio

import pytest
from store import connected, database, file, fill, opened, paths, run

from codequay.ports.errors import DeadlineExceeded, LockBusy, Unavailable
from codequay_mariadb.errors import CommitLost, NoConnection, classify
from codequay_mariadb.harness import administer
from codequay_mariadb.schema import Tables
from codequay_mariadb.staging import stage


async def connections_of(options):
    return [n for (n,) in await administer(
        f"SELECT id FROM information_schema.processlist WHERE db = '{options['database']}'"
    )]  # fmt: skip


async def transactions_of(options):
    return await administer(
        "SELECT trx_state FROM information_schema.innodb_trx JOIN information_schema.processlist p"
        f" ON p.id = trx_mysql_thread_id WHERE p.db = '{options['database']}'"
    )


def test_connections_that_the_server_closed_are_replaced(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            scope = await fill(store, "r", 1, file("k", "one"))
            await asyncio.gather(*(store.stats(scope=scope) for _ in range(5)))
            for number in await connections_of(options):
                await administer(f"KILL {number}")
            assert await paths(store, scope) == ["k"]
            for number in await connections_of(options):
                await administer(f"KILL {number}")
            await fill(store, "r", 2, file("l", "two"), base=1)
            assert await paths(store, [("r", 2)]) == ["k", "l"]

    run(main())


def test_a_connection_lost_within_a_transaction_leaves_nothing(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store, connected(options) as other:

            async def work(tx):
                await tx.send(["INSERT INTO codequay_meta VALUES ('x', 'y')"])
                (rows,) = await tx.send(["SELECT CONNECTION_ID()"])
                await administer(f"KILL {rows[0][0]}")
                await asyncio.sleep(0.05)
                await tx.commit(["INSERT INTO codequay_meta VALUES ('z', 'y')"])

            with pytest.raises(CommitLost):
                await other.write(work)
            assert other.idle == 0
            (rows,) = await other.read(["SELECT COUNT(*) FROM codequay_meta WHERE value = 'y'"])
            assert rows[0][0] == 0
            assert await store.identity()

    run(main())


def test_a_cancelled_call_leaves_no_transaction_and_no_connection_too_many(tmp_path):
    async def main():
        async with database() as options, opened({**options, "max_connections": 3}, tmp_path) as store:
            scope = await fill(store, "r", 1, *(file(f"k{n}", f"text {n}") for n in range(50)))
            calls = [
                lambda: store.stats(scope=scope),
                lambda: store.scan(scope=scope),
                lambda: fill(store, "r", 2, *(file(f"l{n}", f"more {n}") for n in range(200)), base=1),
                lambda: store.drop("r", generation=2),
            ]
            for delay in range(25):
                tasks = [asyncio.create_task(call()) for call in calls for _ in range(2)]
                await asyncio.sleep(delay / 1000)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                # the server hears of a closed connection a moment later
                for _ in range(100):
                    if not await transactions_of(options):
                        break
                    await asyncio.sleep(0.01)
                assert not await transactions_of(options)
                assert await paths(store, scope) == sorted(f"k{n}" for n in range(50))
            for _ in range(100):
                if len(await connections_of(options)) <= 3:
                    break
                await asyncio.sleep(0.01)
            assert len(await connections_of(options)) <= 3

    run(main())


def test_a_cancelled_write_is_not_applied_afterwards(tmp_path):
    """Cancelled while it waits for a row: it must not go on once it gets it."""

    async def main():
        async with database() as options, opened(options, tmp_path) as store, connected(options) as other:
            await fill(store, "r", 1, file("k", "one"))
            release = asyncio.Event()
            locked = asyncio.Event()

            async def hold(tx):
                await tx.send(["SELECT * FROM codequay_repo FOR UPDATE"])
                locked.set()
                await release.wait()
                await tx.commit()

            holder = asyncio.create_task(other.write(hold))
            await locked.wait()
            writer = asyncio.create_task(store.begin("r", generation=2, base=1))
            await asyncio.sleep(0.1)
            writer.cancel()
            await asyncio.sleep(0.05)
            release.set()
            await asyncio.gather(holder, writer, return_exceptions=True)
            assert writer.cancelled()
            assert [one.generation for one in await store.generations("r")] == [1]

    run(main())


def test_a_commit_under_way_is_waited_for(tmp_path):
    """What the caller sees once it is told of its cancellation does not change any more."""

    async def main():
        async with database() as options, opened(options, tmp_path), connected(options) as other:

            async def count():
                (rows,) = await other.read(["SELECT COUNT(*) FROM codequay_meta WHERE value = 'late'"])
                return rows[0][0]

            async def work(tx):
                await tx.send(["SELECT 1"])
                await tx.commit(["DO SLEEP(0.3)", "INSERT INTO codequay_meta VALUES ('x', 'late')"])

            task = asyncio.create_task(other.write(work))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            assert await count() == 1
            assert other.idle == 1

    run(main())


class Paused:
    """A transaction that waits before it commits."""

    def __init__(self, tx, ready, go):
        self._tx, self._ready, self._go = tx, ready, go

    async def send(self, statements):
        return await self._tx.send(statements)

    async def commit(self, statements=()):
        self._ready.set()
        await self._go.wait()
        await self._tx.commit(statements)


async def beside_a_stage(options, files, meanwhile):
    """Begin ``meanwhile`` while generation 2 of r is being staged; it must wait for that."""
    ready, go = asyncio.Event(), asyncio.Event()
    async with connected(options) as other:
        tables = Tables("codequay_")
        staging = asyncio.create_task(other.write(lambda tx: stage(Paused(tx, ready, go), tables, "r", 2, files, ())))
        await ready.wait()
        waiting = asyncio.create_task(meanwhile())
        try:
            await asyncio.sleep(0.2)
            assert not waiting.done()
        finally:
            go.set()
        await asyncio.gather(staging, waiting)


def test_content_that_is_being_placed_is_not_deleted_under_it(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            await fill(store, "r", 1, file("k", "one"))
            await fill(store, "other", 1, file("k", "shared"))
            await store.begin("r", generation=2, base=1)
            await beside_a_stage(options, [file("l", "shared")], lambda: store.purge("other"))
            await store.seal("r", generation=2)
            (placed,) = await store.of_file([("r", "l")], scope=[("r", 2)])
            assert [one.chunk.text for one in placed] == ["shared"]

    run(main())


def test_a_newer_writer_waits_for_a_stage_under_way_and_then_undoes_it(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            await fill(store, "r", 1, file("k", "one"))
            await store.begin("r", generation=2, base=1)
            begin = lambda: store.begin("r", generation=3, base=1)  # noqa: E731
            await beside_a_stage(options, [file("l", "two")], begin)
            await store.seal("r", generation=3)
            assert await paths(store, [("r", 3)]) == ["k"]
            assert await store.text(["blob two"]) == [None]

    run(main())


def test_a_lock_that_is_not_given_up_is_lock_busy(tmp_path):
    async def main():
        async with database() as options, opened({**options, "lock_timeout": 1}, tmp_path) as store:
            await fill(store, "r", 1, file("k", "one"))
            async with connected(options) as other:
                done = asyncio.Event()
                locked = asyncio.Event()

                async def hold(tx):
                    await tx.send(["SELECT * FROM codequay_repo FOR UPDATE"])
                    locked.set()
                    await done.wait()
                    await tx.commit()

                holder = asyncio.create_task(other.write(hold))
                await locked.wait()
                with pytest.raises(Exception, match="Lock wait timeout") as caught:
                    await store.begin("r", generation=2, base=1)
                assert classify(caught.value).error is LockBusy
                done.set()
                await holder
            await fill(store, "r", 2, file("l", "two"), base=1)

    run(main())


def test_a_deadlock_is_tried_again(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path), connected(options) as other:
            both = asyncio.Barrier(2)
            tries = 0

            def work(first, second):
                async def run_once(tx):
                    nonlocal tries
                    tries += 1
                    await tx.send([f"UPDATE codequay_meta SET value = value WHERE name = '{first}'"])
                    await tx.send([f"INSERT INTO codequay_meta VALUES ('{first} {second}', 'y')"])
                    if tries <= 2:
                        await both.wait()
                    await tx.commit([f"UPDATE codequay_meta SET value = value WHERE name = '{second}'"])

                return run_once

            await asyncio.gather(
                other.write(work("version", "fingerprint")), other.write(work("fingerprint", "version"))
            )
            assert tries == 3
            (rows,) = await other.read(["SELECT COUNT(*) FROM codequay_meta WHERE value = 'y'"])
            assert rows[0][0] == 2

    run(main())


def test_two_repositories_written_side_by_side_share_and_drop_content(tmp_path):
    """Writers meet at the contents that both place and both forget."""

    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            files = [file(f"k{n}", f"text {n}") for n in range(20)]

            async def live(repo):
                for generation in range(1, 16):
                    base = generation - 1 or None
                    some = files[generation % 5 :]
                    await fill(store, repo, generation, *some, base=base, removed=[f"k{generation % 5}"])
                    if base:
                        await store.drop(repo, generation=base)
                    await store.get([], scope=[(repo, generation)])

            repos = [f"r{n}" for n in range(4)]
            await asyncio.gather(*map(live, repos))
            for repo in repos:
                page = await store.scan(scope=[(repo, 15)])
                held = await store.of_file([(repo, one.path) for one in page.files], scope=[(repo, 15)])
                assert all(held)
            await asyncio.gather(*map(store.purge, repos))
            assert await store.text([one.blob_id for one in files]) == [None] * 20

    run(main())


def test_a_call_waits_for_a_connection_and_then_says_so(tmp_path):
    async def main():
        async with database() as options:
            few = {**options, "max_connections": 1, "connect_timeout": 0.3}
            async with connected(few) as connections, connections.alone():
                with pytest.raises(NoConnection) as caught:
                    await connections.read(["SELECT 1"])
                assert classify(caught.value).error is Unavailable
            async with connected({**few, "connect_timeout": 5}) as connections:
                answers = await asyncio.gather(*(connections.read(["SELECT SLEEP(0.01), 1"]) for _ in range(5)))
                assert [rows[0][1] for (rows,) in answers] == [1] * 5

    run(main())


def test_a_slow_statement_is_given_up_once(tmp_path):
    async def main():
        async with database() as options, connected({**options, "timeout": 0.3}) as connections:
            await connections.read(["SELECT 1"])
            before = connections.trips
            with pytest.raises(Exception, match="timeout") as caught:
                await connections.read(["SELECT SLEEP(5)"])
            assert classify(caught.value).error is DeadlineExceeded
            assert connections.trips - before == 1
            assert (await connections.read(["SELECT 1"]))[0][0][0] == 1

    run(main())


def test_one_trip_reads_and_two_trips_write(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            scope = await fill(store, "r", 1, *(file(f"k{n}", f"text {n}") for n in range(100)))
            for work, most in (
                (lambda: store.stats(scope=scope), 1),
                (lambda: store.of_file([("r", f"k{n}") for n in range(100)], scope=scope), 1),
                (lambda: store.defined(["f"], scope=scope, limit=10), 1),
                (lambda: store.begin("r", generation=2, base=1), 2),
                (lambda: store.stage("r", generation=2, files=[file("l", "two")]), 2),
                (lambda: store.seal("r", generation=2), 2),
            ):
                before = store.trips
                await work()
                assert store.trips - before == most

    run(main())
