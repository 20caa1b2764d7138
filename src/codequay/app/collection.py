"""Collecting garbage: what no name shows, what was removed, and the dead part of the lexical index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, cast

from ..indexing import filled, garbage, manifest
from ..indexing.compaction import compact, compaction_due
from ..indexing.lease import repository_lease
from ..ports.chunks import SupportsReclaim
from ..ports.errors import LockBusy, NotFound, NotIndexed, ResourceExhausted
from ..ports.metadata import WORKTREE
from . import disks
from .reports import GcAnswer, RepoGarbage

if TYPE_CHECKING:
    from ..kernel.lifecycle import Ports
    from ..kernel.settings import IndexSettings
    from ..ports.metadata import Published, Repo
    from .openings import Openings

LINKED = f"{WORKTREE}:"
"""How the name of a linked work tree begins; its folder follows."""


async def collect(openings: Openings, ports: Ports, data: Path, settings: IndexSettings, *, dry_run: bool) -> GcAnswer:
    """Go through every repository under its lease; ``dry_run`` takes none and deletes nothing."""
    from .upkeep import repositories

    started, before = perf_counter(), disks.folder_bytes(data)
    known = await repositories(ports)
    repos = []
    for repo in known:
        if dry_run:
            writer = await _writer(openings, data, repo)
            busy = RepoGarbage(repo.repo_id, skipped=writer)
            repos.append(busy if writer else await _find(ports, repo, settings, dry_run=True))
            continue
        try:
            async with repository_lease(ports.lock, repo.repo_id):
                repos.append(await _find(ports, repo, settings, dry_run=False))
        except LockBusy as exc:
            repos.append(RepoGarbage(repo.repo_id, skipped=exc.message))
    files = await _leftovers(ports, data, dry_run=dry_run)
    compacted, notes = await _compacted(ports, known, dry_run=dry_run)
    reclaimed, more = ((), ()) if dry_run else await _reclaimed(ports)
    return GcAnswer(
        data=str(data),
        dry_run=dry_run,
        repos=tuple(one for one in repos if one.generations or one.names or one.purged or one.skipped),
        files=files,
        compacted=(*compacted, *reclaimed),
        notes=(*notes, *more),
        freed=0 if dry_run else max(0, before - disks.folder_bytes(data)),
        seconds=perf_counter() - started,
    )


async def _writer(openings: Openings, data: Path, repo: Repo) -> str:
    """Who indexes the repository now, "" when nobody does: what is being staged is no garbage."""
    try:
        async with openings.alone(data, "lock") as ports:
            holder = await ports.lock.holder(f"repo:{repo.repo_id}")
    except NotFound:  # nobody has ever written here
        return ""
    return "" if holder is None else f"{repo.repo_id} is being indexed by {holder.owner or 'another process'}"


async def _find(ports: Ports, repo: Repo, settings: IndexSettings, *, dry_run: bool) -> RepoGarbage:
    shown = await ports.metadata.snapshots([repo.repo_id])
    gone = tuple(one.snapshot for one in shown if _is_gone(one))
    if not shown:
        held = await garbage.find(ports, repo.repo_id, keep=1)
        history = await ports.metadata.history(repo.repo_id)
        everything = {*held.generations, *(one.generation for one in history)}
        if not dry_run:
            await garbage.purge(ports, repo.repo_id)
        return RepoGarbage(repo.repo_id, tuple(sorted(everything)), purged=True)
    if not dry_run:
        for name in gone:
            await ports.metadata.forget(repo.repo_id, snapshot=name)
            manifest.remove(ports.data, repo.repo_id, name)
    found = await garbage.find(ports, repo.repo_id, keep=settings.keep_generations)
    if not dry_run:
        await garbage.delete(ports, repo.repo_id, found)
    return RepoGarbage(repo.repo_id, found.generations, gone)


def _is_gone(one: Published) -> bool:
    """Whether a name is of a linked work tree that was taken away."""
    return one.snapshot.startswith(LINKED) and not os.path.isdir(one.snapshot.removeprefix(LINKED))


async def _leftovers(ports: Ports, data: Path, *, dry_run: bool) -> tuple[str, ...]:
    """Manifests that belong to no name, or to a metadata store that was here before, and those half written."""
    line = (await ports.metadata.identity()).store_id
    named = {(one.repo_id, one.snapshot) for one in await ports.metadata.snapshots()}
    left = list(manifest.abandoned(ports.data))
    for file in manifest.files(ports.data):
        found = manifest.read(file)
        if found is None or found.line != line or (found.repo_id, found.snapshot) not in named:
            left.append(file)
    left += filled.strangers(ports.data, {repo_id for repo_id, _ in named})
    if not dry_run:
        for file in left:
            file.unlink(missing_ok=True)
    return tuple(sorted(str(file.relative_to(data)) for file in left))


async def _reclaimed(ports: Ports) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The stores that gave room back, and why one did not."""
    if not getattr(ports.capabilities("chunks"), "reclaim", False):
        return (), ()
    name = f"chunks.{ports.adapter_name('chunks')}"
    try:
        given_back = await cast(SupportsReclaim, ports.chunks).reclaim()
    except (LockBusy, ResourceExhausted) as exc:
        return (), (f"{name} gave no room back: {exc.message}",)
    return (name,) if given_back else (), ()


async def _compacted(ports: Ports, repos: Sequence[Repo], *, dry_run: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The stores that were written anew, and why one that should have been was not. It concerns every repository, so
    every lease is taken."""
    if not await compaction_due(ports):
        return (), ()
    name = f"lexical.{ports.adapter_name('lexical')}"
    if not dry_run:
        try:
            async with AsyncExitStack() as leases:
                for repo in repos:
                    await leases.enter_async_context(repository_lease(ports.lock, repo.repo_id))
                await compact(ports)
        except (LockBusy, NotIndexed) as exc:
            return (), (f"{name} was not compacted: {exc.message}",)
    return (name,), ()
