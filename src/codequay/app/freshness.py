"""Fresh answers: what changed since it was indexed; indexing it first when it is little; saying so when it is not.

A question does not fail because the index cannot be brought up to date: it is answered from the published generation,
and what is behind is counted and marked. Only ``refresh="always"`` fails instead. A refresh never makes a first index
and never fills a store that was swapped in: the question then fails with the command that does. A store that was
swapped out and is back is brought along like any other: flipping back needs nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..ports.errors import Conflict, LockBusy, NotIndexed, PortError
from .openings import REVISION, Where, revision_name

if TYPE_CHECKING:
    from ..indexing.changes import Changes
    from ..kernel.settings import Settings
    from ..ports.metadata import Published, Repo
    from ..ports.source import SourceControl, SourceRepo
    from ..retrieval.scope import View
    from ..retrieval.steps import Steps
    from .messages import Refresh
    from .openings import Openings

WAIT_S = 60.0
"""How long ``refresh="always"`` waits for another writer: as long as a lease lives that nobody extends."""
CATCH_UP_S = 10.0
"""How long a question waits for another process to end before a store that is back can catch up."""
AT_ONCE = 4
"""Repositories compared side by side: each takes a git process, and the processors are few."""
COMPARISONS = 3
"""A writer that publishes at every one of them is faster than the comparison, and one behind is as good as it gets."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One repository on disk, as the question finds it."""

    repo: Repo
    root: str
    commit: str | None = None
    """The commit to read at; None for the working tree."""
    changed: frozenset[str] | None = None
    """Paths that differ from what the answer comes from; None when that is not known."""
    pending: int | None = None
    """How many these are, or may be at most; None when nobody compared."""

    def in_doubt(self, path: str) -> bool:
        """Whether the file may differ from what was indexed."""
        return self.changed is None or path in self.changed


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a look at the trees found, by repository, and lines for a person. A repository that is missing cannot be
    looked at."""

    trees: Mapping[str, Tree] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def pending(self, repo_id: str) -> int | None:
        """Files of the repository that the answer does not know as they are now; None when nobody compared."""
        tree = self.trees.get(repo_id)
        return None if tree is None else tree.pending


class Seen(NamedTuple):
    """A repository that the question is asked of, and its top on disk."""

    published: Published
    repo: Repo
    root: str

    @property
    def there(self) -> bool:
        """Whether there is a tree at all: an index may outlive its checkout."""
        return os.path.isdir(self.root)


class Freshness:
    """Compares and refreshes; one per library."""

    def __init__(self, openings: Openings, settings: Settings, *, readonly: bool) -> None:
        self._openings = openings
        self._settings = settings
        self._readonly = readonly
        self._turns: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def named(self, where: Where, rev: str) -> Where:
        """The place, under a name that shows the revision: as typed, else one that shows the same commit.

        :raises NotIndexed: it is not indexed
        """
        from ..retrieval.scope import resolve

        try:
            await self._openings.run(where.ports, resolve(where.place, self._openings.stores(where.ports)))
        except NotIndexed as exc:
            names = await self._same_commit(where, rev)
            if not names:
                if exc.component:  # a store that does not hold it, which says so itself
                    raise
                raise NotIndexed(f"revision {rev} of {where.place.label} is not indexed", remedy=exc.remedy) from exc
            where = replace(where, place=replace(where.place, snapshots=(revision_name(rev), *names)))
        return where

    async def look(
        self, where: Where, refresh: Refresh, *, rev: str | None, admits: Callable[[str], bool] | None = None
    ) -> Outlook:
        """Compare the trees that the place means with what is indexed, and index what changed as ``refresh`` allows.

        :raises NotIndexed: the place has no index, or a configured store does not hold it
        :raises PortError: under ``always``, when something cannot be indexed
        """
        try:
            seen = await self._openings.run(where.ports, self._seen(where))
        except NotIndexed as cold:
            seen = await self._back(where, rev, cold)
        if admits is not None:
            seen = [one for one in seen if admits(one.repo.repo_id)]
        at_once = asyncio.Semaphore(AT_ONCE)

        async def brought(one: Seen) -> tuple[Tree | None, str]:
            try:
                async with at_once:
                    return await self._bring(where, one, refresh, rev)
            except (PortError, OSError) as exc:
                if refresh == "always":
                    raise
                tree = Tree(one.repo, one.root) if rev is None and one.there else None
                return tree, f"{one.repo.repo_id} could not be compared with its index: {_said(exc)}"

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(brought(one)) for one in seen]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        results = [task.result() for task in tasks]
        return Outlook(
            {tree.repo.repo_id: tree for tree, _ in results if tree is not None},
            tuple(note for _, note in results if note),
        )

    async def _back(self, where: Where, rev: str | None, cold: NotIndexed) -> list[Seen]:
        """What is in view after each store has caught up that had held the index and was swapped out meanwhile.

        :raises NotIndexed: ``cold``, when one never held it, or no longer, or too much has changed since
        :raises LockBusy: another process indexes for longer than somebody waits
        """
        from ..retrieval.scope import in_view

        if self._readonly or rev is not None or not cold.component:
            raise cold
        view = await self._openings.run(where.ports, in_view(where.place, self._openings.stores(where.ports)))
        try:
            for one in seen_in(view, where):
                async with self._turns[where.data]:
                    await self._index(where, one, None, None, wait=CATCH_UP_S)
        except LockBusy:
            raise
        except Conflict:
            pass  # another process was faster, for the same stores perhaps
        except (PortError, OSError) as exc:
            raise cold from exc
        return await self._openings.run(where.ports, self._seen(where))

    def _seen(self, where: Where) -> Steps[list[Seen]]:
        from ..retrieval.scope import resolve

        view = yield from resolve(where.place, self._openings.stores(where.ports))
        return seen_in(view, where)

    async def _bring(self, where: Where, one: Seen, refresh: Refresh, rev: str | None) -> tuple[Tree, str]:
        """One repository: what still differs after what could be done about it, and the line that says why."""
        source = await self._openings.source(one.repo, one.root)
        commit = None
        if rev is not None:
            commit = await _commit(source, one, rev)
            if commit == one.published.revision:
                return Tree(one.repo, one.root, commit, frozenset(), 0), ""
        one, changes = await self._compared(where, one, source, commit)
        tree = _differing(Tree(one.repo, one.root, commit), changes)
        if not tree.pending and _own_name(where, one) == one.published.snapshot:
            if changes.worth_keeping and not self._readonly:
                with suppress(PortError, OSError):
                    async with self._turns[where.data]:
                        await self._index(where, one, changes, commit, wait=0)
            return tree, ""
        remedy = f"run: {where.place.remedy}"
        limit = self._settings.index.refresh_files
        if self._readonly:
            why = "this library was opened readonly"
        elif refresh == "auto" and len(changes) > limit:
            why = f"more than index.refresh_files = {limit}"
        elif refresh == "auto" and not changes.exact:
            why = ""
        else:
            try:
                async with self._turns[where.data]:
                    await self._index(where, one, changes, commit, wait=WAIT_S if refresh == "always" else 0)
            except (PortError, OSError) as exc:
                if refresh == "always":
                    raise
                why = f"they could not be indexed: {_said(exc)}"
                if isinstance(exc, (LockBusy, Conflict)):
                    why, remedy = "another process is indexing", "ask again when it has ended"
            else:
                return replace(tree, changed=frozenset(), pending=0), ""
        return tree, _behind(changes, why, remedy)

    async def _compared(
        self, where: Where, one: Seen, source: SourceControl, commit: str | None
    ) -> tuple[Seen, Changes]:
        """What differs from the published generation; looked at anew when another writer has published meanwhile."""
        from ..indexing.changes import compare

        line = (await where.ports.metadata.identity()).store_id
        for _ in range(COMPARISONS):
            changes = await compare(
                source,
                data=where.ports.data,
                found=_found(one),
                repo_id=one.repo.repo_id,
                line=line,
                snapshot=_own_name(where, one),
                published=one.published,
                settings=self._settings.index,
                revision=commit,
            )
            if changes.exact:
                break
            seen = await self._openings.run(where.ports, self._seen(where))
            latest = next((other for other in seen if other.repo.repo_id == one.repo.repo_id), one)
            if latest.published.generation == one.published.generation:
                break
            one = latest
        return one, changes

    async def _index(
        self, where: Where, one: Seen, changes: Changes | None, commit: str | None, *, wait: float
    ) -> None:
        """Index what changed, and nothing else: somebody waits for the answer. When nobody knows what changed, the
        run finds out. ``changes`` is None before anything was compared."""
        from ..indexing.indexer import index_repository
        from ..indexing.lease import lease_key
        from .writing import IndexPorts, logged

        (found, source), stores = await asyncio.gather(
            self._openings.describe_again(one.repo, one.root), self._openings.ports(where.data, "write")
        )
        repo_id = one.repo.repo_id
        if not wait and await stores.lock.holder(lease_key(repo_id)) is not None:
            raise LockBusy(f"{repo_id} is being indexed")  # asked first: no attempt is to fill the log of runs
        run = index_repository(
            IndexPorts(stores, source),
            repo=replace(one.repo, root=found.main_root),
            found=found,
            settings=self._settings.index,
            data=stores.data,
            snapshot=_own_name(where, one),
            revision=commit,
            changes=changes,
            compact=False,
            fill_cold=changes is not None and not changes.exact,
            wait=wait,
        )
        await logged(where.data, "refresh", one.root, repo_id, run)

    async def _same_commit(self, where: Where, rev: str) -> tuple[str, ...]:
        """Names of revisions that show the commit which ``rev`` names, in every repository that has the name."""
        commits: dict[str, str] = {}
        fits: dict[str, bool] = {}
        for one, repo in await self._openings.run(where.ports, _names()):
            if one.snapshot.startswith(REVISION):
                if one.repo_id not in commits:
                    commits[one.repo_id] = await self._resolved(repo, rev)
                fits[one.snapshot] = fits.get(one.snapshot, True) and one.revision == commits[one.repo_id]
        return tuple(name for name, same in fits.items() if same)

    async def _resolved(self, repo: Repo, rev: str) -> str:
        """The commit that the revision names in the repository, "" when none."""
        try:
            return await (await self._openings.source(repo, repo.root)).resolve(repo.root, rev)
        except (PortError, OSError):
            return ""


def unlooked(view: View, where: Where, rev: str | None) -> Outlook:
    """The trees of which nobody knows whether they have changed. What a revision names now is not asked, so its files
    cannot be checked."""
    trees = {} if rev is not None else {s.repo.repo_id: Tree(s.repo, s.root) for s in seen_in(view, where) if s.there}
    return Outlook(trees)


def seen_in(view: View, where: Where) -> list[Seen]:
    """What is in view, with the tops of the trees on disk."""
    from ..retrieval.scope import tops

    seen = []
    roots = tops(view.repos.values(), where.place)
    for published in view.published:
        repo = view.repos.get(published.repo_id)
        if repo is None:  # purged since
            continue
        root = roots[published.repo_id]
        if where.worktree and repo.root == where.main:
            root = where.worktree
        seen.append(Seen(published, repo, root))
    return seen


def _names() -> Steps[list[tuple[Published, Repo]]]:
    """What every name shows."""
    from ..retrieval.steps import Call

    (shown,) = yield (Call("metadata", "snapshots"),)
    repos: dict[str, Repo] = {}
    after: str | None = None
    while True:
        (page,) = yield (Call("metadata", "scan", (), {"after": after, "limit": 1000}),)
        repos.update((repo.repo_id, repo) for repo in page.repos)
        after = page.after
        if after is None:
            return [(one, repos[one.repo_id]) for one in shown if one.repo_id in repos]


async def _commit(source: SourceControl, one: Seen, rev: str) -> str:
    """The commit that the revision names now. A full commit id cannot move, so nobody is asked."""
    return rev if rev == one.published.revision else await source.resolve(one.root, rev)


def _own_name(where: Where, one: Seen) -> str:
    """The name under which the repository is indexed again: the linked worktree's own, else the one it is shown by."""
    linked = where.worktree and one.root == where.worktree and not one.published.snapshot.startswith(REVISION)
    return where.place.snapshots[0] if linked else one.published.snapshot


def _found(one: Seen) -> SourceRepo:
    """The repository as it was found when it was indexed: enough to compare, and version control need not be asked."""
    from ..ports.source import SourceRepo

    kind: Literal["git", "folder"] = "folder" if one.repo.source == "folder" else "git"
    return SourceRepo(one.root, one.repo.root, one.repo.origin, one.published.revision, "", kind)


def _differing(tree: Tree, changes: Changes) -> Tree:
    """The tree with what differs; a list that is not exact names every file."""
    paths = frozenset((*changes.changed, *changes.removed)) if changes.exact else None
    return replace(tree, changed=paths, pending=len(changes))


def _behind(changes: Changes, why: str, remedy: str) -> str:
    """The line that says what is not in the answer; "" when nothing is missing."""
    count = len(changes)
    if not changes.exact:
        what = "it is not known which files have changed since the last index: its manifest is missing or damaged"
    elif count:
        files = "1 file has" if count == 1 else f"{count} files have"
        what = f"{files} changed since the last index, and the answer is as of then ({why})"
    else:
        return ""
    return f"{what}; {remedy}"


def _said(exc: PortError | OSError) -> str:
    return exc.message if isinstance(exc, PortError) else str(exc)
