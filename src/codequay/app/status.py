"""What is indexed, what has changed since, what was skipped and why; of the whole index or of one file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..ports.chunks import FileRef
from ..ports.errors import NotFound, NotIndexed, PortError
from ..ports.generations import ScopeEntry
from ..ports.metadata import WORKTREE, Published, Repo, SkippedFile
from ..ports.paths import stored_path
from ..retrieval.scope import cold, elsewhere, is_inside, strangers
from .elsewhere import is_ours
from .openings import READ_PORTS, REVISION
from .reports import FileReport, FileState, RepoStatus, StatusAnswer, StatusRequest

if TYPE_CHECKING:
    from ..indexing.changes import Changes
    from ..kernel.lifecycle import Ports
    from ..kernel.settings import IndexSettings, Settings
    from .openings import Openings, Where

LINKED = f"{WORKTREE}:"
"""How the name of a linked work tree begins; its folder follows."""
_PAGE = 1000


async def report(settings: Settings, openings: Openings, request: StatusRequest) -> StatusAnswer:
    """The state of the index, and of the file when the request names one.

    :raises NotIndexed: the place has no index
    :raises NotFound: no repository of the index holds the file
    """
    from .upkeep import repositories

    folder, file = _place(request.path)
    try:
        where = await openings.where(folder)
    except NotIndexed as exc:
        if file and not _there(file):
            raise _no_file(file) from exc
        raise
    ports = where.ports
    repos = {repo.repo_id: repo for repo in await repositories(ports)}
    shown = [one for one in await ports.metadata.snapshots() if one.repo_id in repos]
    line = (await ports.metadata.identity()).store_id
    in_use = openings.stores(ports)
    for port in in_use.adapters:
        in_use.identities[port] = await ports.get(port).identity()
    unheld = await openings.run(ports, strangers(shown, tuple(repos.values()), str(where.data.parent), in_use))
    repos = {repo_id: repo for repo_id, repo in repos.items() if repo_id not in unheld}
    shown = [one for one in shown if one.repo_id in repos]
    external = {port: ports.adapter_name(port) for port in ("lexical",) if not is_ours(ports, port)}
    answers: list[RepoStatus] = []
    listed: list[FileReport] = []
    asked: FileReport | None = None
    target = _target(where, file, repos, shown) if file else None
    for one in shown:
        repo = repos[one.repo_id]
        root = tree_root(repo, one, where.data, alone=len(repos) == 1)
        changes = await tree_changes(openings, settings.index, ports.data, repo, one, root, line=line)
        answers.append(
            RepoStatus(
                repo=one.repo_id,
                root=root,
                generation=one.generation,
                revision=one.revision,
                files=one.files,
                chunks=one.chunks,
                bytes=one.bytes,
                skipped=one.skipped,
                published_at=one.published_at,
                stores={record.port: record.adapter for record in one.stores} | external,
                cold=(lacking := tuple(port for port in in_use.adapters if cold(one, port, in_use))),
                elsewhere=tuple(port for port in lacking if elsewhere(one, port, in_use)),
                snapshot=one.snapshot,
                pending=len(changes) if changes is not None and changes.exact else None,
                moved_to=await _moved_to(openings, repo, one, root),
            )
        )
        if target is not None and target[0] is one:
            asked = await _file(ports, one, target[1], changes)
        if request.pending and changes is not None and changes.exact:
            listed += _pending(one, changes)
        if request.skipped:
            listed += [_skipped(one, found) async for found in _all_skipped(ports, one)]
    if file and asked is None:
        raise NotFound(f"no indexed repository holds {file}", remedy="codequay repos list shows those that are indexed")
    if asked is not None and asked.state == "left_out" and not _there(file):
        raise _no_file(file)
    return StatusAnswer(
        data=str(where.data),
        repos=tuple(answers),
        capabilities={port: ports.capabilities(port).to_json() for port in READ_PORTS},
        file=asked,
        files=tuple(listed),
        unheld=tuple(sorted(unheld)),
    )


def tree_root(repo: Repo, one: Published, data: Path, *, alone: bool) -> str:
    """The folder whose files the name shows: of a linked work tree its own."""
    if one.snapshot.startswith(LINKED):
        return one.snapshot.removeprefix(LINKED)
    if alone and not os.path.isdir(repo.root):  # the checkout was moved together with its index
        return str(data.parent)
    return repo.root


async def tree_changes(
    openings: Openings, settings: IndexSettings, data: Path, repo: Repo, one: Published, root: str, *, line: str
) -> Changes | None:
    """How the tree differs from what is published; None of a revision, and where the tree cannot be read.

    :param line: id of the metadata store
    """
    from ..indexing.changes import compare
    from ..ports.source import SourceRepo

    if one.snapshot.startswith(REVISION):
        return None
    kind: Literal["git", "folder"] = "folder" if repo.source == "folder" else "git"
    try:
        return await compare(
            await openings.source(repo, root),
            data=data,
            found=SourceRepo(root, repo.root, repo.origin, one.revision, "", kind),
            repo_id=repo.repo_id,
            line=line,
            snapshot=one.snapshot,
            published=one,
            settings=settings,
        )
    except (PortError, OSError):
        return None


async def _moved_to(openings: Openings, repo: Repo, one: Published, root: str) -> str:
    if not one.snapshot.startswith(REVISION):
        return ""
    try:
        commit = await (await openings.source(repo, root)).resolve(root, one.snapshot.removeprefix(REVISION))
    except (PortError, OSError):
        return ""
    return "" if commit == one.revision else commit


def _place(path: str) -> tuple[str, str]:
    """The folder to find the index from, and the absolute path of the file when one is asked for, there or not."""
    if os.path.isdir(path):
        return path, ""
    real = os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))
    folder = os.path.dirname(real)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder, real


def _no_file(file: str) -> NotFound:
    return NotFound(f"there is no file {file}, nor was it indexed", remedy="give a path that exists")


def _there(file: str) -> bool:
    return os.path.lexists(file)


def _target(where: Where, file: str, repos: dict[str, Repo], shown: list[Published]) -> tuple[Published, str] | None:
    """The name under which the place reads the repository that holds the file, and the file's path in it."""
    stored = where.stored(file)
    holding = []
    for one in shown:
        root = tree_root(repos[one.repo_id], one, where.data, alone=len(repos) == 1)
        top = repos[one.repo_id].root if one.snapshot.startswith(LINKED) else root
        if one.snapshot in where.place.snapshots and is_inside(stored, top):
            holding.append((len(top), -where.place.snapshots.index(one.snapshot), one, top))
    if not holding:
        return None
    _, _, one, top = max(holding, key=lambda held: held[:2])
    return one, stored_path(os.path.relpath(stored, top))


async def _file(ports: Ports, one: Published, path: str, changes: Changes | None) -> FileReport:
    """What became of one file."""
    scope = (ScopeEntry(one.repo_id, one.generation),)
    (placed,) = await ports.chunks.of_file([FileRef(one.repo_id, path)], scope=scope)
    said = await _why(ports, one, path)
    reason, detail = (said.reason, said.detail) if said else ("", "")
    state: FileState = "indexed" if placed is not None else "skipped" if said else "left_out"
    if changes is not None and changes.exact:
        if path in changes.removed:
            state = "removed"
        elif path in changes.changed:
            state = "changed" if placed is not None or said else "new"
    return FileReport(
        repo=one.repo_id,
        path=path,
        state=state,
        reason=reason,
        detail=detail,
        language=placed[0].chunk.language if placed else "",
        chunks=len(placed or ()),
        snapshot=one.snapshot,
        generation=one.generation,
    )


async def _why(ports: Ports, one: Published, path: str) -> SkippedFile | None:
    """What was noted of the file: pages are by path, so it is the first at or after it."""
    after: str | None = path[:-1] or None
    while True:
        page = await ports.metadata.skipped(one.repo_id, generation=one.generation, after=after, limit=_PAGE)
        for found in page.files:
            if found.path >= path:
                return found if found.path == path else None
        after = page.after
        if after is None:
            return None


async def _all_skipped(ports: Ports, one: Published) -> AsyncIterator[SkippedFile]:
    after: str | None = None
    while True:
        page = await ports.metadata.skipped(one.repo_id, generation=one.generation, after=after, limit=_PAGE)
        for found in page.files:
            yield found
        after = page.after
        if after is None:
            return


def _pending(one: Published, changes: Changes) -> Iterator[FileReport]:
    """The files that differ, by path."""
    removed = set(changes.removed)
    for path in sorted({*changes.changed, *removed}):
        state: FileState = "removed" if path in removed else "changed"
        yield FileReport(one.repo_id, path, state, snapshot=one.snapshot, generation=one.generation)


def _skipped(one: Published, found: SkippedFile) -> FileReport:
    return FileReport(
        one.repo_id, found.path, "skipped", found.reason, found.detail, snapshot=one.snapshot, generation=one.generation
    )
