"""What a read sees: the published generation of each repository, in stores that hold it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..ports.errors import FingerprintMismatch, NotIndexed
from ..ports.generations import Scope, ScopeEntry, StoreIdentity
from ..ports.metadata import WORKTREE, Published, Repo, StoreRecord
from ..ports.paths import stored_path
from .rescoring import Pool
from .steps import Call, Steps

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question is asked. ``path`` "" means every repository of the index; ``label`` is for messages.

    ``snapshots``: names in order of preference; each repository is read under the first that it has.
    """

    path: str
    index_root: str
    label: str
    snapshots: tuple[str, ...] = (WORKTREE,)
    remedy: str = ""
    """The command that indexes the place; "" for ``codequay index LABEL``."""


@dataclass(frozen=True, slots=True)
class StoresInUse:
    """The stores that are configured now: port -> adapter name; and the chunker that this version uses."""

    adapters: Mapping[str, str]
    chunker: str
    identities: dict[str, StoreIdentity] = field(default_factory=dict)
    """Filled by the first read: an open store stays the one it is."""
    pool: Pool = field(default_factory=Pool)
    later: Callable[[Published], Sequence[StoreRecord]] = lambda one: ()
    """Stores of this machine that were filled with the generation after it was published."""
    apart: frozenset[str] = frozenset()
    """Ports whose stores are this machine's, while others see the metadata too."""
    unheld: dict[str, int] = field(default_factory=dict)
    """Repositories of which a store of this machine held nothing when this generation of theirs was published."""


@dataclass(frozen=True, slots=True)
class View:
    """Repositories in view. ``prefix`` is the asked folder inside the one repository that holds it; ``repos`` are all
    that the index knows, by id, but for those ``unheld``: only other machines or index folders have indexed them."""

    published: tuple[Published, ...]
    prefix: str = ""
    repos: Mapping[str, Repo] = field(default_factory=dict)
    unheld: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        return tuple(ScopeEntry(p.repo_id, p.generation) for p in self.published)

    def only(self, admits: Callable[[str], bool]) -> View:
        """The view without the repositories that a filter leaves out.

        :raises NotIndexed: it leaves only those that are indexed elsewhere
        """
        published = tuple(p for p in self.published if admits(p.repo_id))
        unheld = tuple(repo_id for repo_id in self.unheld if admits(repo_id))
        if unheld and not published:
            raise NotIndexed(
                f"only another machine or index folder has indexed {', '.join(unheld)}",
                remedy="codequay index PATH here, or share an index (docs/profiles.md)",
            )
        return View(published, self.prefix, self.repos, unheld)


def resolve(place: Place, stores: StoresInUse) -> Steps[View]:
    """What is published at the place.

    :raises NotIndexed: nothing is, or a configured store does not hold it (it was swapped in later)
    :raises FingerprintMismatch: a store was built by another format, tokenizer or chunker
    """
    view = yield from in_view(place, stores)
    for port in stores.adapters:
        for one in view.published:
            problem = cold(one, port, stores)
            if problem:
                remedy = _remedy(place)
                raise problem(
                    why_cold(one, port, stores)
                    if problem is NotIndexed
                    else f"the {port} store was built by another version: its content does not fit",
                    component=f"{port}.{stores.adapters[port]}",
                    remedy=f"{remedy}, or share an index (docs/profiles.md)"
                    if elsewhere(one, port, stores)
                    else remedy,
                )
    return view


def in_view(place: Place, stores: StoresInUse) -> Steps[View]:
    """The same, also where a store is cold.

    Every repository of the index are those that it holds: where the metadata are on a server, others publish there too,
    and what only they have indexed is not in view.

    :raises NotIndexed: nothing is published at the place
    """
    calls = [Call("metadata", "published", (), {"snapshot": name}) for name in place.snapshots]
    names = len(calls)
    unknown = [port for port in stores.adapters if port not in stores.identities]
    calls.extend(Call(port, "identity") for port in unknown)
    calls.append(Call("metadata", "scan", (), {"limit": _PAGE}))
    answers = yield tuple(calls)
    stores.identities.update(zip(unknown, answers[names:], strict=False))
    published: list[Published] = answers[0] if names == 1 else _first_of(answers[:names])
    prefix = ""
    page = answers[-1]
    repos = list(page.repos)
    while page.after is not None:
        (page,) = yield (Call("metadata", "scan", (), {"after": page.after, "limit": _PAGE}),)
        repos.extend(page.repos)
    unheld = yield from strangers(published, repos, place.index_root, stores)
    published = [p for p in published if p.repo_id not in unheld]
    repos = [repo for repo in repos if repo.repo_id not in unheld]
    if place.path:
        shown, prefix = _inside(place, repos)
        published = [p for p in published if p.repo_id in shown]
        unheld = frozenset()
    if not published:
        raise NotIndexed(f"{place.label} has no index", remedy=_remedy(place))
    return View(tuple(published), prefix, {repo.repo_id: repo for repo in repos}, tuple(sorted(unheld)))


def strangers(
    published: Sequence[Published], repos: Sequence[Repo], index_root: str, stores: StoresInUse
) -> Steps[frozenset[str]]:
    """Repositories that other machines or index folders have indexed: a store here has never held any generation of
    theirs, and they do not lie beside the index, or one that it holds lies at their place. ``stores.identities`` are
    known."""
    lacking = {
        one.repo_id: port for port in sorted(stores.apart) for one in published if cold(one, port, stores) is NotIndexed
    }
    if not lacking:
        return frozenset()
    taken = {repo.root for repo in repos if repo.repo_id not in lacking}
    ours = {repo.repo_id for repo in repos if is_inside(repo.root, index_root) and repo.root not in taken}
    doubtful = [one for one in published if one.repo_id in lacking and one.repo_id not in ours]
    unasked = [one for one in doubtful if stores.unheld.get(one.repo_id) != one.generation]
    if unasked:
        answers = yield tuple(Call(lacking[one.repo_id], "generations", (one.repo_id,)) for one in unasked)
        for one, held in zip(unasked, answers, strict=True):
            if not held:
                stores.unheld[one.repo_id] = one.generation
    return frozenset(one.repo_id for one in doubtful if stores.unheld.get(one.repo_id) == one.generation)


def _remedy(place: Place) -> str:
    return place.remedy or f"codequay index {place.label}"


def _first_of(shown: Sequence[Sequence[Published]]) -> list[Published]:
    """Per repository what the earliest list has, by repo_id."""
    first: dict[str, Published] = {}
    for published in shown:
        for one in published:
            first.setdefault(one.repo_id, one)
    return [one for _, one in sorted(first.items())]


def cold(one: Published, port: str, stores: StoresInUse) -> type[NotIndexed] | type[FingerprintMismatch] | None:
    """Why a store cannot answer for a published generation; None when it can. Its identity is known."""
    identity = stores.identities[port]
    for record in _records(one, stores):
        if record.port == port and record.adapter == stores.adapters[port] and record.store_id == identity.store_id:
            same = record.fingerprint == f"{identity.fingerprint}+{stores.chunker}"
            return None if same else FingerprintMismatch
    return NotIndexed


def why_cold(one: Published, port: str, stores: StoresInUse) -> str:
    """What a cold store lacks; and whose the generation is, where that is known."""
    store = f"the {port} store ({stores.adapters[port]})"
    if elsewhere(one, port, stores):
        return (
            f"{store} of this machine does not hold generation {one.generation} of {one.repo_id}, which another machine"
            " or index folder has published"
        )
    return f"{store} does not hold the index of {one.repo_id}"


def elsewhere(one: Published, port: str, stores: StoresInUse) -> bool:
    """Of a cold store: whether the generation was published with one like it on another machine, or in another index
    folder of this one."""
    return port in stores.apart and any(
        record.port == port and record.adapter == stores.adapters[port] for record in one.stores
    )


def _records(one: Published, stores: StoresInUse) -> Iterator[StoreRecord]:
    yield from one.stores
    yield from stores.later(one)


def _inside(place: Place, repos: Sequence[Repo]) -> tuple[set[str], str]:
    """The repositories that the place means: the one it lies in (with the prefix), or all that lie in it."""
    roots = tops(repos, place)
    holding = [(root, repo_id) for repo_id, root in roots.items() if is_inside(place.path, root)]
    if holding:
        root, repo_id = max(holding, key=lambda pair: len(pair[0]))
        return {repo_id}, "" if place.path == root else stored_path(os.path.relpath(place.path, root))
    return {repo_id for repo_id, root in roots.items() if is_inside(root, place.path)}, ""


def tops(repos: Iterable[Repo], place: Place) -> dict[str, str]:
    """The tops of the repositories by id: that of a single one is beside its index where they were moved together."""
    roots = {repo.repo_id: repo.root for repo in repos}
    if len(roots) == 1 and not any(map(os.path.isdir, roots.values())):
        return dict.fromkeys(roots, place.index_root)
    return roots


def is_inside(path: str, folder: str) -> bool:
    """Whether an absolute path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
