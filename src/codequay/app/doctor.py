"""What is wrong with an index and what to do about it: every part is opened and looked at on its own."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..indexing import garbage, manifest
from ..indexing.compaction import DEAD, compaction_due
from ..indexing.roots import new_data
from ..ports.diagnose import Finding, Level
from ..ports.errors import Code, PortError
from ..ports.generations import ScopeEntry
from ..retrieval.scope import cold, elsewhere, strangers
from ..retrieval.steps import await_steps
from . import disks, migrations, runlog
from .elsewhere import REMEDY, difference, is_ours
from .openings import stores_in_use
from .reports import DoctorAnswer, Verdict
from .status import tree_changes, tree_root

if TYPE_CHECKING:
    from ..kernel.lifecycle import Ports
    from ..kernel.settings import Settings
    from ..ports.metadata import Published, Repo
    from ..ports.source import SourceRepo
    from ..retrieval.scope import StoresInUse
    from .openings import Openings

LOW_BYTES = 64_000_000
"""Less free room than this and the next run may not end."""
MODEST_BYTES = 512_000_000
"""Less than this beside the size of the index and a compaction, which writes the words anew, may not fit."""
PAGE = 5000

_ABSENT = (Code.NOT_FOUND, Code.NOT_INDEXED, Code.FINGERPRINT_MISMATCH)
"""A store that is not there or of another version is filled by the next run: nothing is broken."""


async def examine(settings: Settings, openings: Openings, path: str) -> DoctorAnswer:
    """Everything that can be looked at for a path."""
    look = _Look(settings, openings, path)
    await look.all()
    verdict: Verdict = "incomplete" if look.incomplete else "ok"
    if any(finding.level is Level.ERROR for finding in look.findings):
        verdict = "wrong"
    return DoctorAnswer(str(look.data or ""), verdict, tuple(look.findings))


class _Look:
    """One examination: what was found so far."""

    def __init__(self, settings: Settings, openings: Openings, path: str) -> None:
        self.findings: list[Finding] = []
        self.incomplete = False
        self.data: Path | None = None
        self._pools: set[str] = set()
        self._settings = settings
        self._openings = openings
        self._path = path
        self._reindex = f"codequay index {shlex.quote(path)}"

    async def all(self) -> None:
        found = await self._place()
        if self.data is None:
            return
        self._disk(self.data)
        there = self._folder(self.data)
        async with AsyncExitStack() as stack:
            opened = await self._stores(stack, self.data, remote=not there)
            if not there:
                return
            if "metadata" in opened:
                try:
                    await self._repositories(opened, self.data, found)
                except PortError as exc:
                    self._failed("metadata", exc)
        await self._migrations()
        self._runs(self.data)

    def _ok(self, component: str, what: str) -> None:
        self.findings.append(Finding(Level.OK, component, what))

    def _warn(self, component: str, what: str, remedy: str) -> None:
        self.findings.append(Finding(Level.WARNING, component, what, remedy))

    def _missing(self, component: str, what: str, remedy: str = "") -> None:
        """Nothing is broken, and an answer is not to be had or is old."""
        self.incomplete = True
        self._warn(component, what, remedy or self._reindex)

    def _wrong(self, component: str, what: str, remedy: str) -> None:
        self.findings.append(Finding(Level.ERROR, component, what, remedy))

    def _failed(self, component: str, exc: PortError) -> None:
        self._wrong(exc.component or component, exc.message, exc.remedy or "run again with -v to see the cause")

    async def _place(self) -> SourceRepo | None:
        """Find the index folder and the repository; either may fail alone."""
        try:
            real, self.data = self._openings.locate(self._path)
        except PortError as exc:
            self._failed("index folder", exc)
            return None
        try:
            found, source = await self._openings.describe(real)
        except PortError as exc:
            self._failed("source", exc)
            return None
        at = f" at {found.head[:12]}" if found.head else ""
        self._ok(f"source.{source.adapter_name('source')}", f"{found.kind} {found.root}{at}")
        if self.data is None:
            self.data = new_data(real, found)
        return found

    def _disk(self, data: Path) -> None:
        at = data
        while not at.exists():
            at = at.parent
        kind = disks.filesystem(at)
        if disks.is_network(kind):
            self._wrong(
                "file system",
                f"{data} lies on {kind}: locks and shared memory of a network file system cannot be relied on",
                "keep the index on a disk of this machine: --data DIR",
            )
        else:
            self._ok("file system", kind or "its kind is not known here")
        free, size = shutil.disk_usage(at).free, disks.folder_bytes(data)
        told = f"{free / 1e9:.1f} GB free, the index has {size / 1e6:.1f} MB"
        if free < LOW_BYTES:
            self._wrong("disk", told, "free some space: the next index run needs it")
        elif free < size + MODEST_BYTES:
            self._warn("disk", told, "free some space: the words are written anew when the index is compacted")
        else:
            self._ok("disk", told)

    def _folder(self, data: Path) -> bool:
        """Whether it is there."""
        if not data.is_dir():
            self._missing("index folder", f"nothing is indexed: there is no {data}")
            return False
        mode = stat.S_IMODE(os.stat(data).st_mode)
        if os.name == "posix" and mode & 0o022:
            self._warn(
                "index folder",
                f"others may write {data}, and what is in it is believed",
                f"chmod go-w {shlex.quote(str(data))}",
            )
        elif not os.access(data, os.W_OK | os.X_OK):
            self._warn(
                "index folder",
                f"{data} is read-only: searching works, indexing does not",
                f"chmod u+w {shlex.quote(str(data))}",
            )
        else:
            self._ok("index folder", f"{data} is ours")
        return True

    async def _stores(self, stack: AsyncExitStack, data: Path, *, remote: bool) -> dict[str, Ports]:
        """Open each part apart and let it look at itself; those that can be read.

        ``remote``: there is no index folder yet, so only what lies on a server can be looked at.
        """
        opened: dict[str, Ports] = {}
        plan = self._openings.plan()
        for warning in plan.warnings:
            self._warn("plan", warning, "codequay plan shows what is configured")
        for note in plan.of_machines:
            self._ok("plan", note)
        for port, planned in plan.ports.items():
            if port in ("chunks", "lexical") and port not in self._settings.index.enable:
                continue
            if remote and (planned.capabilities is None or planned.capabilities.reach != "network"):
                continue
            try:
                ports = await stack.enter_async_context(self._openings.alone(data, port))
                findings = await ports.diagnose(port)
            except PortError as exc:
                if exc.code not in _ABSENT:
                    self._failed(planned.component, exc)
                elif port == "lock":
                    self._ok(planned.component, "nobody has written yet")
                else:
                    self._missing(planned.component, exc.message, exc.remedy)
                continue
            self.findings += findings or [Finding(Level.OK, planned.component, "opens and answers")]
            self._pool(planned.instance, ports, port)
            if all(finding.level is not Level.ERROR for finding in findings):
                opened[port] = ports
        return opened

    def _pool(self, instance: str, ports: Ports, port: str) -> None:
        """The connections, once for each technology: its ports share them."""
        pool = ports.pool(port)
        if pool is None or instance in self._pools:
            return
        self._pools.add(instance)
        told = f"{pool.size} open: {pool.active} active, {pool.free} free; {pool.waiting} calls wait for one"
        self._ok(f"pool of {instance}", f"{told}; {pool.utilisation:.0%} of what it may open is in use")

    async def _repositories(self, opened: dict[str, Ports], data: Path, found: SourceRepo | None) -> None:
        from .upkeep import repositories

        metadata = opened["metadata"].metadata
        repos = await repositories(opened["metadata"])
        shown: dict[str, list[Published]] = {repo.repo_id: [] for repo in repos}
        line = (await metadata.identity()).store_id
        for one in await metadata.snapshots():
            shown[one.repo_id].append(one)
        if not any(shown.values()):
            self._missing("index", "nothing is published")
        unheld = await self._unheld(opened, repos, [one for every in shown.values() for one in every], data)
        repos = [repo for repo in repos if repo.repo_id not in unheld]
        for repo in repos:
            if len(repos) > 1:
                self._root(repo)
            if not shown[repo.repo_id]:
                self._warn("index", f"{repo.repo_id} was removed, its data is still there", "codequay gc")
                continue
            for one in shown[repo.repo_id]:
                await self._snapshot(opened, one)
                await self._elsewhere(opened, one, repo, tree_root(repo, one, data, alone=len(repos) == 1), line=line)
                await self._tree(opened["metadata"].data, data, repo, one, alone=len(repos) == 1, line=line)
            busy = await self._lease(opened, repo)
            if not busy and {"chunks", "lexical"} <= opened.keys():
                await self._garbage(opened, repo)
        if {"chunks", "lexical"} <= opened.keys() and await compaction_due(_Apart(opened)):
            self._warn("lexical", f"more than {DEAD:.0%} of its documents are dead", "codequay gc")

    async def _unheld(
        self, opened: dict[str, Ports], repos: Sequence[Repo], shown: Sequence[Published], data: Path
    ) -> frozenset[str]:
        """The repositories that only other machines or index folders have indexed: they have doctors of their own."""
        in_use = await self._in_use(opened)
        faces = {port: opened[port].get(port) for port in in_use.adapters}
        found = await await_steps(strangers(shown, repos, str(data.parent), in_use), faces, opened["metadata"].run_sync)
        if found:
            self._ok("index", f"only another machine or index folder has indexed {', '.join(sorted(found))}")
        return found

    async def _in_use(self, opened: dict[str, Ports]) -> StoresInUse:
        """The stores that could be opened and that we fill."""
        ours: dict[str, Ports] = {
            port: opened[port] for port in ("chunks", "lexical") if port in opened and is_ours(opened[port], port)
        }
        in_use = stores_in_use(ours, opened["metadata"])
        for port in ours:
            in_use.identities[port] = await opened[port].get(port).identity()
        return in_use

    def _root(self, repo: Repo) -> None:
        if not os.path.isdir(repo.root):
            gone = f"{repo.root} is gone: {repo.repo_id} cannot be kept current"
            self._warn("index", gone, f"codequay repos rm {shlex.quote(repo.repo_id)}, or index it where it is now")

    async def _snapshot(self, opened: dict[str, Ports], one: Published) -> None:
        """Whether every store holds what is published under a name, and all hold the same."""
        name = f"{one.repo_id} ({one.snapshot})"
        in_use = await self._in_use(opened)
        scope = (ScopeEntry(one.repo_id, one.generation),)
        holding = []
        for port in in_use.adapters:
            store: Any = opened[port].get(port)
            component = f"{port}.{in_use.adapters[port]}"
            if cold(one, port, in_use):
                theirs = elsewhere(one, port, in_use)
                whose = ", which another machine or index folder has published" if theirs else ""
                self._missing(component, f"cold: it does not hold {name}{whose}")
                continue
            states = await store.generations(one.repo_id)
            if not any(state.generation == one.generation and state.sealed for state in states):
                self._wrong(component, f"it has lost generation {one.generation} of {name}", self._reindex)
                continue
            files = (await store.stats(scope=scope)).files
            if files != one.files:
                self._wrong(component, f"it shows {_files(files)} of {name}, {one.files} were published", self._anew())
                continue
            holding.append(store)
        if len(holding) == 2 and not await _same(holding, scope):
            self._wrong("index", f"the stores hold different files of {name}", self._anew())
        elif len(holding) == len(in_use.adapters):
            self._ok("index", f"{name}: generation {one.generation}, {_files(one.files)} in every store")

    async def _elsewhere(self, opened: dict[str, Ports], one: Published, repo: Repo, root: str, *, line: str) -> None:
        """Whether a lexical index that somebody else fills has what is published."""
        if "lexical" not in opened or is_ours(opened["lexical"], "lexical"):
            return
        component = f"lexical.{opened['lexical'].adapter_name('lexical')}"
        try:
            lacking = await difference(self._openings, opened["lexical"], one, repo, root, line=line)
        except PortError as exc:
            self._missing(component, exc.message, exc.remedy)
            return
        if lacking:
            self._missing(component, lacking, REMEDY)
        else:
            self._ok(component, f"{one.repo_id} ({one.snapshot}) is there at {one.revision[:12]}")

    async def _tree(self, kept_in: Path, data: Path, repo: Repo, one: Published, *, alone: bool, line: str) -> None:
        """Whether the published generation is behind its tree, and whether the manifest can tell."""
        name = f"{one.repo_id} ({one.snapshot})"
        kept = manifest.load(kept_in, one.repo_id, one.snapshot, line=line, generation=one.generation)
        if kept is None or kept.generation != one.generation:
            why = "is missing or damaged" if kept is None else f"is of generation {kept.generation}"
            self._warn("manifest", f"that of {name} {why}: the next run reads every file", self._reindex)
            return
        root = tree_root(repo, one, data, alone=alone)
        changes = await tree_changes(self._openings, self._settings.index, kept_in, repo, one, root, line=line)
        if changes is None or not len(changes):
            return
        limit = self._settings.index.refresh_files
        what = f"{name}: {_files(len(changes))} changed since"
        if len(changes) > limit:
            self._missing("index", f"{what}, more than a search indexes by itself ({limit})")
        else:
            self._ok("index", f"{what}; the next search indexes them")

    def _anew(self) -> str:
        return f"rm -r {shlex.quote(str(self.data))}, then {self._reindex}"

    async def _lease(self, opened: dict[str, Ports], repo: Repo) -> bool:
        """Whether somebody writes the repository now."""
        if "lock" not in opened:
            return False
        holder = await opened["lock"].lock.holder(f"repo:{repo.repo_id}")
        if holder is None:
            return False
        who = holder.owner or "another process"
        self._ok("lease", f"{repo.repo_id} is being indexed by {who} (for {holder.expires_in:.0f} s more at most)")
        return True

    async def _garbage(self, opened: dict[str, Ports], repo: Repo) -> None:
        stores = _Apart(opened)
        left = await garbage.find(stores, repo.repo_id, keep=self._settings.index.keep_generations)
        if left.generations:
            count = len(left.generations)
            self._warn("index", f"{count} old generations of {repo.repo_id} are still stored", "codequay gc")

    async def _migrations(self) -> None:
        """Steps that an older store still needs. One that does not open, or is missing, was told of before."""
        try:
            answer = await migrations.examine(self._openings, migrations.MigrationsRequest(self._path))
        except PortError:
            return
        for store in answer.stores:
            pending = sum(not step.applied for step in store.migrations)
            if pending and store.version:
                what = f"{store.store} has schema {store.version} of an older release, {pending} steps are pending"
                self._warn("migrations", what, "codequay migrations --apply, or the next index run")

    def _runs(self, data: Path) -> None:
        latest = next(iter(runlog.read(data, limit=1)), None)
        if latest is None:
            return
        if latest.state == "killed":
            what = f"the last run on {latest.path} did not end; what was published before is whole"
            self._warn("runs", what, f"codequay index {shlex.quote(latest.path)}")
        elif latest.state == "failed":
            self._warn("runs", f"the last run on {latest.path} failed: {latest.message}", self._reindex)
        else:
            self._ok("runs", f"the last run: {latest.state}")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


class _Apart:
    """Ports that were opened one by one, as one object."""

    def __init__(self, opened: dict[str, Ports]) -> None:
        self.chunks = opened["chunks"].chunks
        self.lexical = opened["lexical"].lexical
        self.metadata = opened["metadata"].metadata


async def _same(stores: Sequence[Any], scope: tuple[ScopeEntry, ...]) -> bool:
    """Whether two stores place the same blobs at the same paths."""
    after: tuple[str, str] | None = None
    while True:
        first, second = [await store.scan(scope=scope, after=after, limit=PAGE) for store in stores]
        if [(f.path, f.blob_id) for f in first.files] != [(f.path, f.blob_id) for f in second.files]:
            return False
        after = first.after
        if after is None or second.after is None:
            return first.after is second.after
