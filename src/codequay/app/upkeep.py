"""What keeps an index in order: its repositories, its garbage, its log of runs. The base of ``Quay``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..ports.errors import InvalidArgument, NotFound, NotIndexed
from ..ports.metadata import Published, Repo
from .openings import Openings, revision_name

if TYPE_CHECKING:
    from ..kernel.lifecycle import Ports
    from ..kernel.settings import Settings
    from .migrations import MigrationsAnswer, MigrationsRequest
    from .reports import (
        DoctorAnswer,
        DoctorRequest,
        GcAnswer,
        GcRequest,
        RemoveAnswer,
        RemoveRequest,
        ReposAnswer,
        ReposRequest,
        RunsAnswer,
        RunsRequest,
        SnapshotReport,
        StatusAnswer,
        StatusRequest,
    )


class Upkeep:
    """The part of the library that looks after an index. Made as a part of ``Quay``."""

    def __init__(self, settings: Settings, openings: Openings, *, readonly: bool) -> None:
        self._settings = settings
        self._openings = openings
        self._readonly = readonly

    async def status(self, request: StatusRequest | str = ".") -> StatusAnswer:
        """The repositories of the index, what has changed since, and which configured stores do not hold them.

        :raises NotIndexed: the place has no index
        """
        from .reports import StatusRequest
        from .status import report

        if isinstance(request, str):
            request = StatusRequest(request)
        return await report(self._settings, self._openings, request)

    async def runs(self, request: RunsRequest | str = ".") -> RunsAnswer:
        """The latest index runs, newest first.

        :raises NotIndexed: the place has no index folder
        """
        from . import runlog
        from .reports import RunsAnswer, RunsRequest

        if isinstance(request, str):
            request = RunsRequest(request)
        data = _existing(await self._openings.folder(request.path), request.path)
        return RunsAnswer(str(data), runlog.read(data, limit=request.limit))

    async def repos(self, request: ReposRequest | str = ".") -> ReposAnswer:
        """Every repository of the index, by id, with what its names show.

        :raises NotIndexed: the place has no index
        """
        from .reports import RepoReport, ReposAnswer, ReposRequest

        if isinstance(request, str):
            request = ReposRequest(request)
        where = await self._openings.where(request.path)
        shown = _by_repo(await where.ports.metadata.snapshots())
        return ReposAnswer(
            str(where.data),
            tuple(
                RepoReport(
                    repo=repo.repo_id,
                    root=repo.root,
                    origin=repo.origin,
                    snapshots=tuple(_snapshot(one) for one in shown.get(repo.repo_id, ())),
                )
                for repo in await repositories(where.ports)
            ),
        )

    async def remove(self, request: RemoveRequest | str) -> RemoveAnswer:
        """Take a repository, or one revision of it, out of the index. Its data goes with the next gc.

        :raises NotFound: the index has no such repository or revision
        :raises LockBusy: it is being indexed
        """
        from ..indexing import manifest
        from ..indexing.garbage import purge
        from ..indexing.lease import repository_lease
        from .reports import RemoveAnswer, RemoveRequest

        if isinstance(request, str):
            request = RemoveRequest(request)
        if request.purge and request.rev is not None:
            raise InvalidArgument("a revision alone cannot be purged", remedy="leave --purge out, then codequay gc")
        ports, data = await self._writer(request.path)
        repo = _named(request.repo, await repositories(ports))
        name = None if request.rev is None else revision_name(request.rev)
        async with repository_lease(ports.lock, repo.repo_id):
            shown = [one.snapshot for one in await ports.metadata.snapshots([repo.repo_id])]
            if name is not None and name not in shown:
                raise NotFound(f"{repo.repo_id} is not indexed at {request.rev}", remedy="see: codequay repos list")
            gone = shown if name is None else [name]
            for one in gone:
                await ports.metadata.forget(repo.repo_id, snapshot=one)
            if request.purge:
                await purge(ports, repo.repo_id)
                for one in gone:
                    manifest.remove(ports.data, repo.repo_id, one)
        return RemoveAnswer(str(data), repo.repo_id, tuple(gone), request.purge)

    async def gc(self, request: GcRequest | str = ".") -> GcAnswer:
        """Delete what nothing shows any more, repository by repository; one that is being indexed is left out.

        :raises NotIndexed: the place has no index
        """
        from .collection import collect
        from .reports import GcRequest

        if isinstance(request, str):
            request = GcRequest(request)
        if request.dry_run:
            where = await self._openings.where(request.path)
            ports, data = where.ports, where.data
        else:
            ports, data = await self._writer(request.path)
        return await collect(self._openings, ports, data, self._settings.index, dry_run=request.dry_run)

    async def doctor(self, request: DoctorRequest | str = ".") -> DoctorAnswer:
        """Look at every part on its own, so that one that is damaged hides no other. Never raises for what it finds."""
        from .doctor import examine
        from .reports import DoctorRequest

        if isinstance(request, str):
            request = DoctorRequest(request)
        return await examine(self._settings, self._openings, request.path)

    async def migrations(self, request: MigrationsRequest | str = ".") -> MigrationsAnswer:
        """The versions of the stores, with every step; ``apply`` runs the pending ones.

        :raises NotIndexed: the place has no index
        :raises FingerprintMismatch: a newer release has migrated a store, and this one may not use it
        """
        from .migrations import MigrationsRequest, examine

        if isinstance(request, str):
            request = MigrationsRequest(request)
        if request.apply and self._readonly:
            raise InvalidArgument("this App runs readonly and changes nothing", remedy="App.run(readonly=False)")
        return await examine(self._openings, request)

    async def _writer(self, path: str) -> tuple[Ports, Path]:
        """The stores of an index that exists, open for writing.

        :raises NotIndexed: there is none; nothing is made
        """
        if self._readonly:
            raise InvalidArgument("this App runs readonly and changes nothing", remedy="App.run(readonly=False)")
        data = (await self._openings.where(path)).data
        return await self._openings.ports(data, "write"), data


def _existing(data: Path, path: str) -> Path:
    if not data.is_dir():
        raise NotIndexed(f"{path} has no index", remedy=f"codequay index {path}")
    return data


async def repositories(ports: Ports) -> list[Repo]:
    """Every repository that the metadata knows, by id."""
    repos: list[Repo] = []
    after: str | None = None
    while True:
        page = await ports.metadata.scan(after=after, limit=1000)
        repos.extend(page.repos)
        after = page.after
        if after is None:
            return repos


def _named(name: str, repos: list[Repo]) -> Repo:
    """The repository with that id, or the innermost one that holds that path."""
    from ..retrieval.scope import is_inside

    for repo in repos:
        if repo.repo_id == name:
            return repo
    path = os.path.realpath(name)
    holding = [repo for repo in repos if os.path.exists(path) and is_inside(path, os.path.realpath(repo.root))]
    if holding:
        return max(holding, key=lambda repo: len(repo.root))
    import difflib

    near = difflib.get_close_matches(name, [repo.repo_id for repo in repos], 1, 0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    raise NotFound(f"the index has no repository {name}", remedy=f"{guess}see: codequay repos list")


def _by_repo(published: list[Published]) -> dict[str, list[Published]]:
    found: dict[str, list[Published]] = {}
    for one in published:
        found.setdefault(one.repo_id, []).append(one)
    return found


def _snapshot(one: Published) -> SnapshotReport:
    from .reports import SnapshotReport

    return SnapshotReport(
        one.snapshot, one.generation, one.revision, one.files, one.chunks, one.bytes, one.published_at
    )
