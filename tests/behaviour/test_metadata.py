"""Behaviour of every metadata store."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Any

import pytest

from codequay.ports.errors import Conflict, FailedPrecondition, NotFound
from codequay.ports.metadata import Fence, Publication, Published, Repo, SkippedFile, StoreRecord
from tests.behaviour.adapters import Case, assert_pages, behaviour, durable, uncovered

A, B = "a", "ab"


async def publish(store: Any, repo: str, base: int | None, **more: Any) -> Published:
    """Open a generation upon ``base`` and publish it."""
    number = await store.open_generation(repo, base=base)
    found: Published = await store.publish(Publication(repo, number, base, **more))
    return found


async def put(store: Any, *repos: str) -> None:
    for repo in repos:
        await store.put_repo(Repo(repo, f"/{repo}"))


@behaviour("metadata", "MD-01")
async def test_put_repo_replaces_what_was_known_under_the_id_and_nothing_else(store: Any) -> None:
    await put(store, A, B)
    first = await publish(store, A, None)
    moved = Repo(A, "/neu/größe", "host/path", "folder")
    await store.put_repo(moved)
    assert (await store.scan()).repos == (moved, Repo(B, "/ab", "", "git"))
    assert await store.published() == [first]


@behaviour("metadata", "MD-02")
async def test_scan_is_complete_and_ordered_at_any_page_size(store: Any) -> None:
    names = ["k", "k/x", "K", "kä", "k\U0001f511", "k x", "github.com/a/b"]
    await put(store, *names)
    await assert_pages(store.scan, "repos", [Repo(name, f"/{name}") for name in sorted(names)])


@behaviour("metadata", "MD-03")
async def test_a_number_is_never_given_twice(store: Any) -> None:
    await put(store, A, B)
    numbers = [await store.open_generation(A, base=None) for _ in range(3)]
    numbers += await asyncio.gather(*(store.open_generation(A, base=None) for _ in range(5)))
    last = await publish(store, A, None)
    numbers.append(last.generation)
    await store.purge(A)
    await put(store, A)
    numbers.append(await store.open_generation(A, base=None))
    assert sorted(set(numbers)) == sorted(numbers)
    assert numbers[0] >= 1 and numbers[-1] == max(numbers) and numbers[-2] == sorted(numbers)[-2]
    assert await store.published([A]) == []


@behaviour("metadata", "MD-16")
async def test_a_number_is_above_what_a_store_knows(store: Any) -> None:
    await put(store, A, B)
    assert await store.open_generation(A, base=None, above=7) == 8
    published = await store.publish(Publication(A, 8, None))
    assert await store.open_generation(A, base=8, above=3) == 9
    assert await store.open_generation(A, base=8, above=20) == 21
    assert await store.open_generation(B, base=None) < 8
    assert await store.history(A) == [published]


@behaviour("metadata", "MD-03", "MD-09", "MD-12", needs=durable)
async def test_identity_numbers_and_publications_survive_a_reopen(case: Case) -> None:
    async with case.open() as store:
        identity = await store.identity()
        await put(store, A, B)
        kept = await publish(store, A, None, files=3, skipped=(SkippedFile("x", "binary"),))
        lost = await publish(store, B, None)
        abandoned = await store.open_generation(A, base=kept.generation)
        await store.purge(B)
    async with case.open(readonly=True) as store:
        assert await store.identity() == identity
        assert await store.published() == [kept]
    async with case.open() as store:
        assert (await store.identity()) == identity
        assert await store.open_generation(A, base=kept.generation) > abandoned
        await put(store, B)
        assert await store.open_generation(B, base=None) > lost.generation
        assert (await store.skipped(A, generation=kept.generation)).files == (SkippedFile("x", "binary"),)


@behaviour("metadata", "MD-09")
async def test_two_stores_have_two_ids(case: Case) -> None:
    async with case.open() as store, Case(case.adapter, case.folder / "other").open() as other:
        assert (await store.identity()).store_id != (await other.identity()).store_id


@behaviour("metadata", "MD-04")
async def test_a_generation_is_opened_only_upon_what_is_published(store: Any) -> None:
    with pytest.raises(NotFound):
        await store.open_generation(A, base=None)
    await put(store, A)
    with pytest.raises(Conflict):
        await store.open_generation(A, base=1)
    first = await publish(store, A, None)
    for base in (None, first.generation + 1):
        with pytest.raises(Conflict):
            await store.open_generation(A, base=base)
    second = await publish(store, A, first.generation)
    with pytest.raises(Conflict):
        await store.open_generation(A, base=first.generation)
    assert await store.open_generation(A, base=second.generation) > second.generation


@behaviour("metadata", "MD-05")
async def test_a_publication_is_seen_whole_by_the_next_read(case: Case, store: Any) -> None:
    await put(store, B, A)
    await case.clock.advance(500)
    records = (StoreRecord("chunks", "sqlite", "id ü", "f1"), StoreRecord("lexical", "tantivy", "id2", "f2"))
    skipped = (SkippedFile("b", "binary"), SkippedFile("a", "too_large", "9 MB"), SkippedFile("c", "binary"))
    numbers: dict[str, Any] = {"files": 3, "chunks": 5, "bytes": 2**40, "revision": "abc", "dirty": 0}
    number = await store.open_generation(A, base=None)
    assert await store.published() == []
    assert await store.history(A) == []
    answer = await store.publish(Publication(A, number, None, stores=records, skipped=skipped, **numbers))
    assert answer == Published(
        repo_id=A,
        generation=number,
        snapshot="worktree",
        published_at=case.clock.time(),
        stores=records,
        skipped={"binary": 2, "too_large": 1},
        **numbers,
    )
    assert await store.published() == await store.published([A]) == await store.history(A) == [answer]
    assert await store.published([B, "x"]) == await store.published([]) == []
    other = await publish(store, B, None)
    assert other.dirty is None
    assert await store.published([B, A]) == await store.published() == [answer, other]


@behaviour("metadata", "MD-05")
async def test_a_snapshot_shows_its_own_generation(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    second = await publish(store, A, first.generation, snapshot="v1")
    assert await store.published() == [first]
    assert await store.published(snapshot="v1") == [second]
    assert await store.published(snapshot="v2") == []
    for shown in (first, second):
        with pytest.raises(FailedPrecondition):
            await store.retire(A, generation=shown.generation)


@behaviour("metadata", "MD-06")
async def test_a_late_writer_is_refused_and_changes_nothing(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    base = first.generation
    abandoned = await store.open_generation(A, base=base)
    current = await store.open_generation(A, base=base)
    refused = [
        Publication(A, abandoned, base),
        Publication(A, current, None),
        Publication(A, current, abandoned),
        Publication(A, current + 1, base),
        Publication(A, base, None, files=9),
    ]
    for publication in refused:
        with pytest.raises(Conflict):
            await store.publish(publication)
        assert await store.published() == await store.history(A) == [first]
    second = await store.publish(Publication(A, current, base))
    assert await store.published() == [second]
    with pytest.raises(Conflict):
        await store.publish(Publication(A, abandoned, base))
    assert await store.history(A) == [first, second]


@behaviour("metadata", "MD-06")
async def test_one_of_two_racing_writers_publishes(store: Any) -> None:
    await put(store, A)
    numbers = [await store.open_generation(A, base=None) for _ in range(4)]
    answers = await asyncio.gather(
        *(store.publish(Publication(A, number, None)) for number in numbers), return_exceptions=True
    )
    assert [isinstance(answer, Conflict) for answer in answers] == [True, True, True, False]
    assert await store.published() == answers[3:]


@behaviour("metadata", "MD-07")
async def test_a_lower_fence_of_the_same_lock_is_refused(store: Any) -> None:
    await put(store, A, B)

    async def attempt(base: int | None, fence: Fence | None, repo: str = A) -> int:
        found = await publish(store, repo, base, fence=fence)
        return found.generation

    base = await attempt(None, Fence("redis", "one", 7))
    with pytest.raises(Conflict):
        await attempt(base, Fence("redis", "one", 6))
    assert [p.generation for p in await store.published()] == [base]
    base = await attempt(base, Fence("redis", "one", 7))
    base = await attempt(base, Fence("redis", "one", 9))
    await attempt(None, Fence("redis", "one", 1), B)
    base = await attempt(base, Fence("redis", "two", 1))
    with pytest.raises(Conflict):
        await attempt(base, Fence("redis", "two", 0))
    with pytest.raises(Conflict):
        await attempt(base, Fence("redis", "one", 8))
    base = await attempt(base, Fence("sqlite", "two", 1))
    base = await attempt(base, Fence("noop", "three", None))
    base = await attempt(base, Fence("redis", "one", None))
    await attempt(base, None)


@behaviour("metadata", "MD-08")
async def test_a_superseded_generation_stays_until_retired(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    second = await publish(store, A, first.generation)
    third = await publish(store, A, second.generation)
    assert await store.history(A) == [first, second, third]
    with pytest.raises(FailedPrecondition):
        await store.retire(A, generation=third.generation)
    for _ in range(2):
        await store.retire(A, generation=second.generation)
        assert await store.history(A) == [first, third]
    assert await store.history(B) == []
    assert await store.published() == [third]


@behaviour("metadata", "MD-10")
async def test_publishing_again_answers_as_the_first_time(case: Case, store: Any) -> None:
    await put(store, A)
    number = await store.open_generation(A, base=None)
    fence = Fence("memory", "one", 3)
    again = Publication(A, number, None, files=2, skipped=(SkippedFile("x", "binary"),), fence=fence)
    first = await store.publish(again)
    await case.clock.advance(60)
    assert await store.publish(replace(again)) == first
    assert await store.published() == await store.history(A) == [first]
    assert (await store.skipped(A, generation=number)).files == again.skipped


@behaviour("metadata", "MD-11")
async def test_skipped_gives_the_files_of_that_generation_by_path_in_pages(store: Any) -> None:
    await put(store, A, B)
    files = [SkippedFile(path, "binary", f"why {path}") for path in ("k", "k/x", "K", "kä", "k.x", "k\U0001f511")]
    first = await publish(store, A, None, skipped=tuple(files))
    second = await publish(store, A, first.generation, skipped=(SkippedFile("l", "budget"),))
    await publish(store, B, None, skipped=(SkippedFile("b", "binary"),))

    async def page(*, after: str | None, limit: int) -> Any:
        return await store.skipped(A, generation=first.generation, after=after, limit=limit)

    await assert_pages(page, "files", sorted(files))
    assert (await store.skipped(A, generation=second.generation)).files == (SkippedFile("l", "budget"),)


@behaviour("metadata", "MD-12")
async def test_purge_forgets_one_repository_and_no_other(store: Any) -> None:
    await put(store, A, B)
    first = await publish(store, A, None, skipped=(SkippedFile("x", "binary"),))
    other = await publish(store, B, None, skipped=(SkippedFile("y", "binary"),))
    for _ in range(2):
        await store.purge(A)
        assert await store.history(A) == []
        assert (await store.scan()).repos == (Repo(B, "/ab"),)
        assert await store.published() == [other]
    assert (await store.skipped(B, generation=other.generation)).files == (SkippedFile("y", "binary"),)
    await put(store, A)
    assert await store.published([A]) == []
    with pytest.raises(Conflict):
        await store.open_generation(A, base=first.generation)


@behaviour("metadata", "MD-13")
async def test_snapshots_gives_what_every_name_shows(store: Any) -> None:
    await put(store, B, A)
    assert await store.snapshots() == await store.snapshots([A]) == []
    first = await publish(store, A, None)
    tag = await publish(store, A, first.generation, snapshot="rev:v1", revision="c1")
    linked = await publish(store, A, tag.generation, snapshot="worktree:/a/ü")
    other = await publish(store, B, None, snapshot="rev:v1")
    second = await publish(store, A, linked.generation)
    assert await store.snapshots() == [tag, second, linked, other]
    assert await store.snapshots([B, "x", B]) == [other]
    assert await store.snapshots([]) == []
    await store.open_generation(A, base=second.generation)
    assert await store.snapshots([A]) == [tag, second, linked]
    await store.purge(A)
    assert await store.snapshots() == [other]


@behaviour("metadata", "MD-14")
async def test_forget_takes_one_name_away_and_nothing_else(store: Any) -> None:
    await put(store, A, B)
    first = await publish(store, A, None)
    tag = await publish(store, A, first.generation, snapshot="rev:v1")
    other = await publish(store, B, None, snapshot="rev:v1")
    opened = await store.open_generation(A, base=tag.generation)
    for _ in range(2):
        await store.forget(A, snapshot="rev:v1")
        assert await store.published(snapshot="rev:v1") == [other]
        assert await store.snapshots() == [first, other]
        assert [one.generation for one in await store.history(A)] == [first.generation, tag.generation]
    await store.forget("unknown", snapshot="rev:v1")
    third = await store.publish(Publication(A, opened, tag.generation, snapshot="rev:v1"))
    assert await store.published(snapshot="rev:v1") == [third, other]


@behaviour("metadata", "MD-04", "MD-14")
async def test_what_a_forgotten_name_showed_may_be_retired_and_is_then_no_base(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    tag = await publish(store, A, first.generation, snapshot="rev:v1")
    await store.forget(A, snapshot="rev:v1")
    with pytest.raises(Conflict):
        await store.open_generation(A, base=first.generation)
    await store.retire(A, generation=tag.generation)
    with pytest.raises(Conflict):
        await store.open_generation(A, base=tag.generation)
    second = await publish(store, A, first.generation)
    assert second.generation > tag.generation
    assert await store.snapshots() == [second]
    await store.forget(A, snapshot="worktree")
    for old in (first, second):
        await store.retire(A, generation=old.generation)
    assert await store.history(A) == []
    assert (await publish(store, A, None)).generation > second.generation


@behaviour("metadata", "MD-15")
async def test_a_generation_says_since_when_no_name_shows_it(case: Case, store: Any) -> None:
    await put(store, A)

    async def hidden() -> list[float | None]:
        return [one.hidden_at for one in await store.history(A)]

    first = await publish(store, A, None)
    assert first.hidden_at is None
    await case.clock.advance(100)
    tag = await publish(store, A, first.generation, snapshot="rev:v1")
    assert await hidden() == [None, None]
    await case.clock.advance(100)
    superseded = case.clock.time()
    second = await publish(store, A, tag.generation)
    assert await hidden() == [superseded, None, None]
    await case.clock.advance(100)
    forgotten = case.clock.time()
    await store.forget(A, snapshot="rev:v1")
    await case.clock.advance(100)
    await store.forget(A, snapshot="rev:v1")
    assert await hidden() == [superseded, forgotten, None]
    assert [one.hidden_at for one in await store.snapshots()] == [None]
    await publish(store, A, second.generation, snapshot="rev:v1")
    assert await hidden() == [superseded, forgotten, None, None]


@behaviour("metadata", "MD-02", "MD-05", "MD-13")
async def test_the_sync_face_answers_the_same(store: Any) -> None:
    await put(store, A, B)
    shown = await publish(store, A, None)
    assert store.sync.identity() == await store.identity()
    assert store.sync.scan(limit=1) == await store.scan(limit=1)
    assert store.sync.published([A]) == store.sync.published(snapshot="worktree") == [shown]
    assert store.sync.snapshots() == store.sync.snapshots([A]) == [shown]


def test_every_clause_has_a_test() -> None:
    assert uncovered("metadata", sys.modules[__name__]) == []
