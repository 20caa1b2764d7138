"""The writes of a metadata store, as the trials of level faults make them."""

from __future__ import annotations

from typing import Any

from codequay.ports.errors import Conflict
from codequay.ports.metadata import FAULTS as CLAUSES
from codequay.ports.metadata import PORT, WORKTREE, Publication, Repo, SkippedFile, StoreRecord

from ..case import Case
from ..clauses import Suite
from ..expect import Failed
from ..faults import Change
from .faults import Faulty, fault_trials

FAULTS = Suite(PORT)
SKIPPED = tuple(SkippedFile(f"a folder with a long name/file {n:03}", "too_large", "x" * 50) for n in range(60))


def _repo(n: int) -> Repo:
    return Repo(f"r{n:05}", f"/somewhere/{n}", f"https://example.org/{n}")


def _publication(n: int, generation: int, base: int | None = None) -> Publication:
    stores = (StoreRecord("chunks", "some", "id", "print"),)
    return Publication(_repo(n).repo_id, generation, base, files=n, stores=stores, skipped=SKIPPED)


async def _put(store: Any, n: int) -> None:
    await store.put_repo(_repo(n))


async def _opened(store: Any, n: int) -> int:
    await _put(store, n)
    return int(await store.open_generation(_repo(n).repo_id, base=None))


async def _published(store: Any, n: int) -> int:
    generation = await _opened(store, n)
    await store.publish(_publication(n, generation))
    return generation


async def _superseded(store: Any, n: int) -> int:
    first = await _published(store, n)
    second = await store.open_generation(_repo(n).repo_id, base=first)
    await store.publish(_publication(n, second, first))
    return first


async def _is_known(store: Any, n: int, before: Any) -> bool:
    page = await store.scan(after=f"{_repo(n).repo_id[:-1]}", limit=1000)
    found = [one for one in page.repos if one.repo_id == _repo(n).repo_id]
    if found and found != [_repo(n)]:
        raise Failed(f"a repository is there in part: {found}")
    return bool(found)


async def _is_forgotten(store: Any, n: int, before: Any) -> bool:
    return not await _is_known(store, n, before)


async def _is_abandoned(store: Any, n: int, earlier: int) -> bool:
    """Whether another generation was opened after ``earlier``, which then cannot be published."""
    try:
        await store.publish(_publication(n, earlier))
    except Conflict:
        return True
    return False


async def _is_published(store: Any, n: int, generation: int) -> bool:
    found = await store.published([_repo(n).repo_id])
    skipped = (await store.skipped(_repo(n).repo_id, generation=generation)).files
    if found and ([one.generation for one in found] != [generation] or len(skipped) != len(SKIPPED)):
        raise Failed(f"a publication is there in part: {len(skipped)} of {len(SKIPPED)} skipped files")
    return bool(found)


async def _is_nameless(store: Any, n: int, before: Any) -> bool:
    return not await store.published([_repo(n).repo_id])


async def _is_retired(store: Any, n: int, generation: int) -> bool:
    return generation not in [one.generation for one in await store.history(_repo(n).repo_id)]


def _changes(case: Case) -> list[Change]:
    return [
        Change("publish", lambda store, n, g: store.publish(_publication(n, g)), _is_published, _opened),
        Change("put_repo", lambda store, n, _: store.put_repo(_repo(n)), _is_known),
        Change(
            "open_generation",
            lambda store, n, _: store.open_generation(_repo(n).repo_id, base=None),
            _is_abandoned,
            _opened,
        ),
        Change(
            "forget",
            lambda store, n, _: store.forget(_repo(n).repo_id, snapshot=WORKTREE),
            _is_nameless,
            _published,
        ),
        Change("retire", lambda store, n, g: store.retire(_repo(n).repo_id, generation=g), _is_retired, _superseded),
        Change("purge", lambda store, n, _: store.purge(_repo(n).repo_id), _is_forgotten, _published),
    ]


async def _reads(store: Any, n: int) -> Any:
    return [(one.repo_id, one.generation, one.files) for one in await store.published([_repo(n).repo_id])]


fault_trials(FAULTS, CLAUSES, Faulty(_changes, _reads))
