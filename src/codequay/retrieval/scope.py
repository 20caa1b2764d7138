"""What a read sees: the published generation of each repository, in stores that hold it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..ports.errors import FingerprintMismatch, NotIndexed
from ..ports.generations import Scope, ScopeEntry, StoreIdentity
from ..ports.metadata import WORKTREE, Published, Repo
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


@dataclass(frozen=True, slots=True)
class View:
    """Repositories in view. ``prefix`` is the asked folder inside the one repository that holds it; ``repos`` are all
    that the index knows, by id."""

    published: tuple[Published, ...]
    prefix: str = ""
    repos: Mapping[str, Repo] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        return tuple(ScopeEntry(p.repo_id, p.generation) for p in self.published)

    def only(self, admits: Callable[[str], bool]) -> View:
        """The view without the repositories that a filter leaves out."""
        return View(tuple(p for p in self.published if admits(p.repo_id)), self.prefix, self.repos)


def resolve(place: Place, stores: StoresInUse) -> Steps[View]:
    """What is published at the place.

    :raises NotIndexed: nothing is, or a configured store does not hold it (it was swapped in later)
    :raises FingerprintMismatch: a store was built by another format, tokenizer or chunker
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
    if place.path:
        shown, prefix = _inside(place, repos)
        published = [p for p in published if p.repo_id in shown]
    remedy = place.remedy or f"codequay index {place.label}"
    if not published:
        raise NotIndexed(f"{place.label} has no index", remedy=remedy)
    for port in stores.adapters:
        for one in published:
            problem = cold(one, port, stores, stores.identities[port])
            if problem:
                raise problem(
                    f"the {port} store ({stores.adapters[port]}) does not hold the index of {one.repo_id}"
                    if problem is NotIndexed
                    else f"the {port} store was built by another version: its content does not fit",
                    component=f"{port}.{stores.adapters[port]}",
                    remedy=remedy,
                )
    return View(tuple(published), prefix, {repo.repo_id: repo for repo in repos})


def _first_of(shown: Sequence[Sequence[Published]]) -> list[Published]:
    """Per repository what the earliest list has, by repo_id."""
    first: dict[str, Published] = {}
    for published in shown:
        for one in published:
            first.setdefault(one.repo_id, one)
    return [one for _, one in sorted(first.items())]


def cold(
    one: Published, port: str, stores: StoresInUse, identity: StoreIdentity
) -> type[NotIndexed] | type[FingerprintMismatch] | None:
    """Why a store cannot answer for a published generation; None when it can."""
    for record in one.stores:
        if record.port == port and record.adapter == stores.adapters[port] and record.store_id == identity.store_id:
            same = record.fingerprint == f"{identity.fingerprint}+{stores.chunker}"
            return None if same else FingerprintMismatch
    return NotIndexed


def _inside(place: Place, repos: Sequence[Repo]) -> tuple[set[str], str]:
    """The repositories that the place means: the one it lies in (with the prefix), or all that lie in it."""
    roots = {repo.repo_id: repo.root for repo in repos}
    if len(repos) == 1 and not os.path.isdir(repos[0].root):
        # the checkout was moved together with its index
        roots = {repos[0].repo_id: place.index_root}
    holding = [(root, repo_id) for repo_id, root in roots.items() if is_inside(place.path, root)]
    if holding:
        root, repo_id = max(holding, key=lambda pair: len(pair[0]))
        relative = os.path.relpath(place.path, root)
        return {repo_id}, "" if relative == "." else stored_path(relative)
    return {repo_id for repo_id, root in roots.items() if is_inside(root, place.path)}, ""


def is_inside(path: str, folder: str) -> bool:
    """Whether an absolute path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
