"""Broken servers, programs and folders: each a clear error with a remedy, never an answer that looks whole."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from codequay.adapters.zoekt.client import Client
from codequay.ports.diagnose import Level
from codequay.ports.errors import (
    Corrupt,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotIndexed,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from codequay.ports.generations import GenerationState, ScopeEntry
from codequay.ports.lexical import AllOf, Literal_, Term
from tests.contexts import run

from .stores import REPO, SCOPE, Server, answering, failed, fill, opened, paths, programs, text


def test_a_server_that_is_not_there_and_then_is(server: Server, tmp_path: Path) -> None:
    server.stop()

    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await store.begin(REPO, generation=1, base=None)
            await store.stage(REPO, generation=1, files=[text("a", "needle")])
            said = await failed(store.seal(REPO, generation=1))
            assert said.error is Unavailable and "adapters.zoekt.url" in said.remedy and not said.ambiguous
            assert await store.generations(REPO) == [GenerationState(1, False)]
            assert server.shards() == []
            await asyncio.to_thread(server.start)
            await store.seal(REPO, generation=1)
            assert await paths(store, "needle") == ["a"]

    run(body())


def test_a_server_that_dies_in_the_middle_and_comes_back(server: Server, tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await fill(store, text("a", "needle"))
            await asyncio.to_thread(server.stop)
            for call in (paths(store, "needle"), store.candidates(Literal_("need"), scope=SCOPE)):
                said = await failed(call)
                assert said.error is Unavailable and said.remedy
            assert [file.path for file in (await store.scan(scope=SCOPE)).files] == ["a"]
            await asyncio.to_thread(server.start)
            assert await paths(store, "needle") == ["a"]

    run(body())


def test_a_missing_program_names_where_to_get_it_and_what_to_take_instead(server: Server, tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(server.config(indexer="zoekt-not-there"), tmp_path / "data") as store:
            said = await failed(fill(store, text("a", "needle")))
            assert said.error is FailedPrecondition and "zoekt-not-there" in said.message
            assert "github.com/sourcegraph/zoekt" in said.remedy and "tantivy" in said.remedy
            await fill(store)  # nothing to index needs no program
            assert await paths(store, "needle") == []

    run(body())


def test_a_folder_that_the_server_does_not_serve(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    async def body() -> None:
        config = server.config(index_dir=str(other), timeout=0.5)
        async with opened(config, tmp_path / "data") as store:
            said = await failed(fill(store, text("a", "needle")))
            assert said.error is FailedPrecondition and "adapters.zoekt.index_dir" in said.remedy
            assert list(other.iterdir()) == []
            with pytest.raises(NotIndexed):
                await paths(store, "needle")

    run(body())


def test_a_folder_that_is_not_there(server: Server, tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(server.config(index_dir=str(tmp_path / "nowhere")), tmp_path / "data") as store:
            said = await failed(fill(store, text("a", "needle")))
            assert said.error is FailedPrecondition and "index_dir" in said.remedy

    run(body())


def test_a_shard_that_vanishes_is_damage_and_no_empty_answer(server: Server, tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await fill(store, text("a", "needle"))
            await fill(store, text("b", "needle"), repo="kept")
            assert [one.level for one in await store.diagnose()] == [Level.OK]  # type: ignore[attr-defined]
            for name in server.shards():
                if name.startswith(REPO):
                    (server.folder / name).unlink()
            said = await failed(_until_gone(store))
            assert said.error is Corrupt and "codequay index" in said.remedy
            assert (await failed(store.candidates(Literal_("need"), scope=SCOPE))).error is Corrupt
            found = await store.diagnose()  # type: ignore[attr-defined]
            assert [one.level for one in found] == [Level.ERROR] and "repo@1" in found[0].what
            assert await paths(store, "needle", [ScopeEntry("kept", 1)]) == ["b"]

    run(body())


async def _until_gone(store: Any) -> None:
    """The server notices within milliseconds."""
    for _ in range(500):
        assert await paths(store, "needle") == ["a"]
        await asyncio.sleep(0.01)


def test_shards_that_another_index_has_put_there(server: Server, tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(server.config(), tmp_path / "one") as one, opened(server.config(), tmp_path / "two") as two:
            await fill(one, text("a", "needle"))
            await fill(two, text("b", "needle thread"))
            assert await paths(one, "needle thread") == ["a"]
            assert await paths(two, "needle thread") == ["b"]
            await one.purge(REPO)
            assert await paths(two, "needle") == ["b"]
            assert len(server.shards()) == 1

    run(body())


def _result(**changes: int) -> bytes:
    counts = {"Crashes": 0, "FilesSkipped": 0, "ShardsSkipped": 0, "FlushReason": 0, "FileCount": 0}
    return json.dumps({
        "Result": {**counts, "ShardsScanned": 1, "ShardsSkippedFilter": 0, "Files": None, **changes}
    }).encode()  # fmt: skip


@pytest.mark.parametrize("cut", ["Crashes", "FilesSkipped", "ShardsSkipped", "FlushReason"])
def test_an_answer_that_is_not_whole_is_none(cut: str) -> None:
    async def body() -> None:
        with answering(200, _result(**{cut: 1})) as url:
            client = Client(url, 5.0)
            said = await failed(client.ranked("needle", 10))
            assert said.error is Unavailable and said.remedy
            await client.close()

    run(body())


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (200, b"<html>a shop</html>", FailedPrecondition),
        (200, b'{"Result": {}}', FailedPrecondition),
        (200, b"[]", FailedPrecondition),
        (404, b"not found", FailedPrecondition),
        (400, b'{"Error": "error parsing regexp: missing closing ): `(`"}', InvalidArgument),
        (500, b'{"Error": "out of memory"}', Unavailable),
    ],
)
def test_what_is_no_answer_of_zoekt(status: int, answer: bytes, error: type[Exception]) -> None:
    async def body() -> None:
        with answering(status, answer) as url:
            client = Client(url, 5.0)
            for call in (client.ranked("needle", 10), client.names("needle"), client.listed("repo:a")):
                said = await failed(call)
                assert said.error is error and said.remedy, said
            await client.close()

    run(body())


def test_a_query_that_the_server_rejects(server: Server) -> None:
    async def body() -> None:
        client = Client(server.url, 5.0)
        said = await failed(client.ranked("(unclosed", 10))
        assert said.error is InvalidArgument and "closing )" in said.message
        await client.close()

    run(body())


def _script(path: Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return str(path)


def test_an_indexer_that_fails_after_its_work(server: Server, tmp_path: Path, caplog: Any) -> None:
    program = _script(tmp_path / "index", f'{programs()}/zoekt-archive-index "$@"; exit 3')

    async def body() -> None:
        async with opened(server.config(indexer=program), tmp_path / "data") as store:
            await fill(store, text("a", "needle"))
            assert await paths(store, "needle") == ["a"]

    run(body())
    assert "exits with 3" in caplog.text


def test_an_indexer_that_fails(server: Server, tmp_path: Path) -> None:
    program = _script(tmp_path / "index", "echo panic: no such luck >&2; exit 2")

    async def body() -> None:
        async with opened(server.config(indexer=program), tmp_path / "data") as store:
            said = await failed(fill(store, text("a", "needle")))
            assert said.error is FailedPrecondition and "no such luck" in said.message and said.remedy
            assert server.shards() == []
            assert list((tmp_path / "data" / "zoekt").glob("*.tar")) == []
        async with opened(server.config(), tmp_path / "data") as store:
            await store.seal(REPO, generation=1)
            assert await paths(store, "needle") == ["a"]

    run(body())


@pytest.mark.parametrize(
    ("does", "error"),
    [
        ("echo write shard: no space left on device; exit 1", ResourceExhausted),
        ("echo open shard: permission denied; exit 1", PermissionDenied),
        ("kill -9 $$", Unavailable),
        ("sleep 60", DeadlineExceeded),
    ],
)
def test_what_ends_an_indexer(server: Server, tmp_path: Path, does: str, error: type[Exception]) -> None:
    program = _script(tmp_path / "index", does)

    async def body() -> None:
        async with opened(server.config(indexer=program, index_timeout=1.0), tmp_path / "data") as store:
            said = await failed(fill(store, text("a", "needle")))
            assert said.error is error and said.remedy

    run(body())


def test_an_indexer_that_says_success_and_makes_nothing(server: Server, tmp_path: Path) -> None:
    program = _script(tmp_path / "index", "echo Finished shard; exit 1")

    async def body() -> None:
        async with opened(server.config(indexer=program, timeout=0.5), tmp_path / "data") as store:
            said = await failed(fill(store, text("a", "needle")))
            assert said.error is FailedPrecondition and "exits with 1" in said.message
            with pytest.raises(NotIndexed):
                await paths(store, "needle")

    run(body())


def test_a_cancelled_seal_ends_the_indexer(server: Server, tmp_path: Path) -> None:
    program = _script(tmp_path / "index", f"echo $$ > '{tmp_path}/pid'; exec sleep 60")

    async def body() -> None:
        async with opened(server.config(indexer=program), tmp_path / "data") as store:
            task = asyncio.ensure_future(fill(store, text("a", "needle")))
            pid = tmp_path / "pid"
            while not (pid.exists() and pid.read_text().strip()):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid.read_text()), 0)
            assert server.shards() == []

    run(body())


def test_texts_that_zoekt_leaves_out_are_found_all_the_same(server: Server, tmp_path: Path) -> None:
    big = "needle " + "".join(f"w{n:07} " for n in range(1_000_000))
    odd = "".join(chr(c) for c in range(0x4E00, 0x9F00)) + "".join(chr(c) for c in range(0xAC00, 0xD7A0))
    files = [
        text("nul", "needle \0 thread"),
        text("two", "ok"),
        text("empty", ""),
        text("big", big),
        text("trigrams", f"needle {odd}"),
        text("plain", "needle and thread"),
        text("none", "nothing of it"),
    ]

    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await fill(store, *files)
            assert set(await paths(store, "needle")) == {"nul", "big", "trigrams", "plain"}
            assert await paths(store, "ok") == ["two"]
            assert set(await paths(store, "thread")) == {"nul", "plain"}
            for plan in (Literal_("dle \0 th"), Literal_("needle", True), Literal_("needle and"), Literal_("\0")):
                found = {one.path for one in await store.candidates(plan, scope=SCOPE)}
                assert {"nul", "big", "trigrams", "two"} <= found and "none" not in found, plan
            assert len(await store.candidates(AllOf(()), scope=SCOPE)) == len(files)

    run(body())


NASTY = (
    "it's", 'say "x"', "a\\b", "'; drop table repo; --", "a.*(b|c)[d]{2}^$", "repo:^x$ or y", "-type:file", "%00",
    "ä/ß", "x or (case:yes", "<&>", "\u2028",
)  # fmt: skip


@pytest.mark.parametrize("what", NASTY)
def test_quotes_and_syntax_in_every_string(server: Server, tmp_path: Path, what: str) -> None:
    repo = what if what.isprintable() else "repo"
    scope = [ScopeEntry(repo, 1), ScopeEntry("other", 1)]

    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await fill(store, text(f"src/{what}", f"before {what} needle", language=what), repo=repo)
            await fill(store, text("plain", "needle"), repo="other")
            hits = await store.rank([Term("needle"), Term(what)], scope=scope, unit="file", k=9)
            assert {(hit.repo_id, hit.path) for hit in hits} == {(repo, f"src/{what}"), ("other", "plain")}
            found = await store.candidates(Literal_(f" {what} "), scope=scope)
            assert [(one.repo_id, one.path, one.language) for one in found] == [(repo, f"src/{what}", what)]
            assert len(await store.candidates(Literal_(what.upper(), True), scope=scope)) >= 1
            await store.purge(repo)
            assert await paths(store, "needle", [ScopeEntry("other", 1)]) == ["plain"]

    run(body())
