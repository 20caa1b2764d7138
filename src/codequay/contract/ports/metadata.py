"""The clauses of the port ``metadata``, as trials."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from codequay.ports.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound
from codequay.ports.metadata import PORT, Fence, Publication, Published, Repo, SkippedFile, StoreRecord

from ..case import Case
from ..clauses import Suite
from ..expect import NotOffered, assert_pages, raises
from ..models.metadata import STEPS, MetadataModel
from ..needs import durable
from . import metadata_writers
from .metadata_faults import FAULTS
from .metadata_writers import A, B, publish, put

SUITE = Suite(PORT)

ALIKE = ("a_c", "abc", "A_C", "a%", "a c", "a c ", "ä", "a\u0308", "a.b/c:d")
"""Ids and names that a careless comparison takes for one another."""


@SUITE.trial("MD-01")
async def put_repo_replaces_what_was_known_under_the_id_and_nothing_else(store: Any) -> None:
    await put(store, A, B)
    first = await publish(store, A, None)
    for moved in (Repo(A, "/neu/Große ü u\u0308 ", "host/path ", "folder"), Repo(A, "/neu/Große ü u\u0308")):
        await store.put_repo(moved)
        assert (await store.scan()).repos == (moved, Repo(B, "/ab", "", "git"))
    assert await store.published() == [first]


@SUITE.trial("MD-02")
async def scan_is_complete_and_ordered_at_any_page_size(store: Any) -> None:
    names = ["k", "k/x", "K", "Z", "kä", "k\U0001f511", "k x", "github.com/a/b"]
    await put(store, *names)
    await assert_pages(store.scan, "repos", [Repo(name, f"/{name}") for name in sorted(names)])
    assert (await store.scan(limit=len(names))).after is None
    page = await store.scan(limit=3)
    await store.purge(page.repos[-1].repo_id)
    rest = await store.scan(after=page.repos[-1].repo_id)
    assert [repo.repo_id for repo in page.repos + rest.repos] == sorted(names)


@SUITE.trial("MD-03")
async def a_number_is_never_given_twice(store: Any) -> None:
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


@SUITE.trial("MD-16")
async def a_number_is_above_what_a_store_knows(store: Any) -> None:
    await put(store, A, B)
    first = await store.open_generation(A, base=None, above=7)
    published = await store.publish(Publication(A, first, None))
    second = await store.open_generation(A, base=first, above=3)
    third = await store.open_generation(A, base=first, above=second + 10)
    assert 7 < first < second < second + 10 < third
    assert await store.open_generation(A, base=first) > third
    assert await store.history(A) == [published]


@SUITE.trial("MD-03", needs=durable)
async def identity_numbers_and_publications_survive_a_reopen(case: Case) -> None:
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


@SUITE.trial("MD-09")
async def two_stores_have_two_ids(case: Case) -> None:
    async with case.open() as store, case.another() as elsewhere, elsewhere.open() as other:
        assert (await store.identity()).store_id != (await other.identity()).store_id


@SUITE.trial("MD-04")
async def a_generation_is_opened_only_upon_what_is_published(store: Any) -> None:
    with raises(NotFound):
        await store.open_generation(A, base=None)
    await put(store, A)
    with raises(Conflict):
        await store.open_generation(A, base=1)
    first = await publish(store, A, None)
    for base in (None, first.generation + 1):
        with raises(Conflict):
            await store.open_generation(A, base=base)
    second = await publish(store, A, first.generation)
    with raises(Conflict):
        await store.open_generation(A, base=first.generation)
    assert await store.open_generation(A, base=second.generation) > second.generation


@SUITE.trial("MD-05")
async def a_publication_is_seen_whole_by_the_next_read(case: Case, store: Any) -> None:
    await put(store, B, A)
    await case.advance(500.25)
    records = tuple(StoreRecord(port, name, f"id ü {name}", "f") for port, name in (("l", "t"), ("l", "s"), ("c", "s")))
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
    assert await store.published([B, A, B]) == await store.published() == [answer, other]


@SUITE.trial("MD-05")
async def a_snapshot_shows_its_own_generation(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    second = await publish(store, A, first.generation, snapshot="v1")
    assert await store.published() == [first]
    assert await store.published(snapshot="v1") == [second]
    assert await store.published(snapshot="v2") == []
    for shown in (first, second):
        with raises(FailedPrecondition):
            await store.retire(A, generation=shown.generation)


@SUITE.trial("MD-06")
async def a_late_writer_is_refused_and_changes_nothing(store: Any) -> None:
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
        with raises(Conflict):
            await store.publish(publication)
        assert await store.published() == await store.history(A) == [first]
    second = await store.publish(Publication(A, current, base))
    assert await store.published() == [second]
    with raises(Conflict):
        await store.publish(Publication(A, abandoned, base))
    assert await store.history(A) == [first, second]


@SUITE.trial("MD-06")
async def a_generation_is_not_published_upon_a_retired_one(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    second = await publish(store, A, first.generation, snapshot="rev:v1")
    third = Publication(A, await store.open_generation(A, base=second.generation), second.generation)
    await store.forget(A, snapshot="rev:v1")
    await store.retire(A, generation=second.generation)
    for late in (third, replace(third, base=first.generation - 1 or None)):
        with raises(Conflict):
            await store.publish(late)
    assert await store.history(A) == await store.published() == [first]


@SUITE.trial("MD-06")
async def what_was_retired_or_purged_is_not_published_again(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    second = Publication(A, await store.open_generation(A, base=first.generation), first.generation)
    await store.publish(second)
    await store.forget(A, snapshot="worktree")
    await store.retire(A, generation=second.generation)
    with raises(Conflict):
        await store.publish(second)
    assert await store.history(A) == [first]
    third = Publication(A, await store.open_generation(A, base=first.generation), first.generation)
    await store.purge(A)
    with raises(Conflict):
        await store.publish(third)
    await put(store, A)
    with raises(Conflict):
        await store.publish(replace(third, base=None))
    assert await store.history(A) == await store.snapshots() == []
    with raises(InvalidArgument):
        await store.publish(replace(third, base=third.generation))


@SUITE.trial("MD-08")
async def a_superseded_generation_stays_until_retired(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    second = await publish(store, A, first.generation, skipped=(SkippedFile("x", "binary"),))
    third = await publish(store, A, second.generation)
    assert await store.history(A) == [first, second, third]
    with raises(FailedPrecondition):
        await store.retire(A, generation=third.generation)
    for _ in range(2):
        await store.retire(A, generation=second.generation)
        assert await store.history(A) == [first, third]
        assert (await store.skipped(A, generation=second.generation)).files == ()
    assert await store.history(B) == []
    assert await store.published() == [third]
    await store.retire(A, generation=third.generation + 1)
    await store.retire(B, generation=1)
    opened = await store.open_generation(A, base=third.generation)
    await store.retire(A, generation=opened)
    assert await store.history(A) == [first, third]
    fourth = await store.publish(Publication(A, opened, third.generation))
    assert await store.history(A) == [first, third, fourth]


@SUITE.trial("MD-10")
async def publishing_again_answers_as_the_first_time(case: Case, store: Any) -> None:
    await put(store, A)
    number = await store.open_generation(A, base=None)
    fence = Fence("memory", "one", 3)
    again = Publication(A, number, None, files=2, skipped=(SkippedFile("x", "binary"),), fence=fence)
    first = await store.publish(again)
    await case.advance(60)
    assert await store.publish(replace(again)) == first
    assert await store.publish(replace(again, fence=replace(fence, fence=2), skipped=())) == first
    with raises(Conflict):
        await store.publish(replace(again, files=3))
    assert await store.published() == await store.history(A) == [first]
    assert (await store.skipped(A, generation=number)).files == again.skipped
    second = await publish(store, A, number)
    assert await store.publish(again) == first
    assert await store.published() == [second]
    assert await store.history(A) == [first, second]


@SUITE.trial("MD-11")
async def skipped_gives_the_files_of_that_generation_by_path_in_pages(store: Any) -> None:
    await put(store, A, B)
    files = [SkippedFile(path, "binary", f"why {path}") for path in ("k", "k/x", "Z", "kä", "k.x", "k\U0001f511")]
    first = await publish(store, A, None, skipped=tuple(files))
    second = await publish(store, A, first.generation, skipped=(SkippedFile("l", "budget"),))
    await publish(store, B, None, skipped=(SkippedFile("b", "binary"),))

    async def page(*, after: str | None, limit: int) -> Any:
        return await store.skipped(A, generation=first.generation, after=after, limit=limit)

    await assert_pages(page, "files", sorted(files))
    assert (await page(after=None, limit=len(files))).after is None
    assert (await store.skipped(A, generation=second.generation + 1)).files == ()
    assert (await store.skipped("unknown", generation=first.generation)).files == ()
    assert (await store.skipped(A, generation=second.generation)).files == (SkippedFile("l", "budget"),)


@SUITE.trial("MD-11")
async def of_two_skipped_files_with_one_path_the_later_counts(store: Any) -> None:
    await put(store, A)
    files = (SkippedFile("x", "binary"), SkippedFile("y", "budget"), SkippedFile("x", "budget", "again"))
    found = await publish(store, A, None, skipped=files)
    assert found.skipped == {"budget": 2}
    assert (await store.skipped(A, generation=found.generation)).files == (files[2], files[1])


@SUITE.trial("MD-12")
async def purge_forgets_one_repository_and_no_other(store: Any) -> None:
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
    assert await store.published([A]) == await store.history(A) == []
    assert (await store.skipped(A, generation=first.generation)).files == ()
    with raises(Conflict):
        await store.open_generation(A, base=first.generation)


@SUITE.trial("MD-12", hint="compare ids as they are: no pattern, no case, no form of a letter")
async def ids_that_look_alike_are_kept_apart(store: Any) -> None:
    await put(store, *ALIKE)
    shown = {repo: await publish(store, repo, None, skipped=(SkippedFile(repo, "binary"),)) for repo in ALIKE}
    for gone in ALIKE:
        await store.purge(gone)
        del shown[gone]
        assert await store.published() == [shown[repo] for repo in sorted(shown)]
        assert [repo.repo_id for repo in (await store.scan()).repos] == sorted(shown)
        for repo, one in shown.items():
            assert await store.published([repo]) == await store.snapshots([repo]) == await store.history(repo) == [one]
            assert (await store.skipped(repo, generation=one.generation)).files == (SkippedFile(repo, "binary"),)


@SUITE.trial("MD-12")
async def purge_forgets_fences(store: Any) -> None:
    await put(store, A, B)
    high, low = Fence("redis", "one", 7), Fence("redis", "one", 6)
    for repo in (A, B):
        base = (await publish(store, repo, None, fence=high)).generation
    await store.purge(A)
    await put(store, A)
    await publish(store, A, None, fence=low)
    with raises(Conflict):
        await publish(store, B, base, fence=low)


@SUITE.trial("MD-13")
async def snapshots_gives_what_every_name_shows(store: Any) -> None:
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


@SUITE.trial("MD-14")
async def forget_takes_one_name_away_and_nothing_else(store: Any) -> None:
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


@SUITE.trial("MD-14", hint="compare names as they are: no pattern, no case, no form of a letter")
async def names_that_look_alike_are_kept_apart(store: Any) -> None:
    await put(store, A)
    base: int | None = None
    shown = {}
    for name in ALIKE:
        shown[name] = await publish(store, A, base, snapshot=name)
        base = shown[name].generation
    for gone in ALIKE:
        await store.forget(A, snapshot=gone)
        del shown[gone]
        assert await store.snapshots() == [one for _, one in sorted(shown.items())]
        assert [await store.published(snapshot=name) for name in shown] == [[one] for one in shown.values()]


@SUITE.trial("MD-04")
async def what_a_forgotten_name_showed_may_be_retired_and_is_then_no_base(store: Any) -> None:
    await put(store, A)
    first = await publish(store, A, None)
    tag = await publish(store, A, first.generation, snapshot="rev:v1")
    await store.forget(A, snapshot="rev:v1")
    with raises(Conflict):
        await store.open_generation(A, base=first.generation)
    await store.retire(A, generation=tag.generation)
    with raises(Conflict):
        await store.open_generation(A, base=tag.generation)
    second = await publish(store, A, first.generation)
    assert second.generation > tag.generation
    assert await store.snapshots() == [second]
    await store.forget(A, snapshot="worktree")
    for old in (first, second):
        await store.retire(A, generation=old.generation)
    assert await store.history(A) == []
    assert (await publish(store, A, None)).generation > second.generation


@SUITE.trial("MD-15")
async def a_generation_says_since_when_no_name_shows_it(case: Case, store: Any) -> None:
    await put(store, A)

    async def hidden() -> list[float | None]:
        return [one.hidden_at for one in await store.history(A)]

    first = await publish(store, A, None)
    assert first.hidden_at is None
    await case.advance(100)
    tag = await publish(store, A, first.generation, snapshot="rev:v1")
    assert await hidden() == [None, None]
    await case.advance(100)
    superseded = case.clock.time()
    second = await publish(store, A, tag.generation)
    assert await hidden() == [superseded, None, None]
    await case.advance(100)
    forgotten = case.clock.time()
    await store.forget(A, snapshot="rev:v1")
    await case.advance(100)
    await store.forget(A, snapshot="rev:v1")
    assert await hidden() == [superseded, forgotten, None]
    assert [one.hidden_at for one in await store.snapshots()] == [None]
    await publish(store, A, second.generation, snapshot="rev:v1")
    assert await hidden() == [superseded, forgotten, None, None]


@SUITE.trial("MD-02")
async def the_sync_face_answers_the_same(store: Any) -> None:
    if store.sync is None:
        raise NotOffered("it has no sync face")
    await put(store, A, B)
    shown = await publish(store, A, None)
    assert store.sync.identity() == await store.identity()
    assert store.sync.scan(limit=1) == await store.scan(limit=1)
    assert store.sync.published([A]) == store.sync.published(snapshot="worktree") == [shown]
    assert store.sync.snapshots() == store.sync.snapshots([A]) == [shown]


SUITE.trials += metadata_writers.SUITE.trials
SUITE.trials += FAULTS.trials
SUITE.machine("MD-05", MetadataModel, STEPS)
