"""The life of a generation, the plainest way: every generation holds its whole map of path -> placement.

Chunk store and lexical index inherit it and add their own content. Nothing here awaits, so every operation is
atomic among the tasks of a loop; a lock makes it so among the threads of the sync face too.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity


class StagedFile(Protocol):
    """What both ports stage."""

    @property
    def path(self) -> str: ...
    @property
    def blob_id(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def mode(self) -> int: ...


class Placement(NamedTuple):
    """What lies at a path."""

    blob_id: str
    language: str
    mode: int
    cut: tuple[str, ...]
    """Ids of its chunks: the same bytes may be cut in more than one way."""

    @property
    def content(self) -> tuple[str, str, tuple[str, ...]]:
        """The key of what was staged."""
        return self.blob_id, self.language, self.cut


F = TypeVar("F", bound=StagedFile)
R = TypeVar("R")


@dataclass(slots=True)
class _Generation:
    files: dict[str, Placement]
    sealed: bool = False


@dataclass(slots=True)
class _Repo:
    generations: dict[int, _Generation] = field(default_factory=dict)
    highest: int = 0
    """Highest generation begun here since the last purge."""


class Generations(Generic[F]):
    """``GenerationStore`` without await, over files of type ``F``.

    Content is kept once per blob, language and cut, for as long as some generation shows it.
    """

    def __init__(self, fingerprint: str, cut: Callable[[F], tuple[str, ...]]) -> None:
        self._identity = StoreIdentity(uuid.uuid4().hex, fingerprint)
        self._repos: dict[str, _Repo] = {}
        self._content: dict[tuple[str, str, tuple[str, ...]], F] = {}
        self._cut = cut
        self._lock = threading.RLock()

    def identity(self) -> StoreIdentity:
        return self._identity

    def generations(self, repo_id: str) -> list[GenerationState]:
        with self._lock:
            repo = self._repos.get(repo_id, _Repo())
            return [GenerationState(g, state.sealed) for g, state in sorted(repo.generations.items())]

    def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        with self._lock:
            repo = self._repos.get(repo_id, _Repo())
            if base is not None and not (base in repo.generations and repo.generations[base].sealed):
                raise NotIndexed(f"generation {base} of {repo_id!r} is not sealed in this store")
            if repo.highest > generation:
                raise Conflict(f"generation {repo.highest} of {repo_id!r} has begun after {generation}")
            for g, state in list(repo.generations.items()):
                abandoned = not state.sealed if base is None else g > base
                if abandoned or g == generation:
                    del repo.generations[g]
            files = {} if base is None else dict(repo.generations[base].files)
            repo.generations[generation] = _Generation(files)
            repo.highest = generation
            self._repos[repo_id] = repo
            self._forget_unshown()

    def stage(self, repo_id: str, *, generation: int, files: Sequence[F], removed: Sequence[str] = ()) -> StageResult:
        with self._lock:
            state = self._begun(repo_id, generation)
            if state.sealed:
                raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
            last = {file.path: file for file in files}
            for path in removed:
                if path not in last:
                    state.files.pop(path, None)
            blobs = placements = 0
            for path, file in last.items():
                placement = Placement(file.blob_id, file.language, file.mode, self._cut(file))
                if placement.content not in self._content:
                    self._content[placement.content] = file
                    blobs += 1
                if state.files.get(path) != placement:
                    state.files[path] = placement
                    placements += 1
            return StageResult(blobs, placements)

    def seal(self, repo_id: str, *, generation: int) -> None:
        with self._lock:
            self._begun(repo_id, generation).sealed = True
            self._forget_unshown()

    def drop(self, repo_id: str, *, generation: int) -> None:
        with self._lock:
            repo = self._repos.get(repo_id)
            if repo is not None and repo.generations.pop(generation, None) is not None:
                self._forget_unshown()

    def purge(self, repo_id: str) -> None:
        with self._lock:
            self._repos.pop(repo_id, None)
            self._forget_unshown()

    def _begun(self, repo_id: str, generation: int) -> _Generation:
        repo = self._repos.get(repo_id)
        if repo is None or generation not in repo.generations:
            raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
        return repo.generations[generation]

    def _forget_unshown(self) -> None:
        shown = {
            p.content
            for repo in self._repos.values()
            for state in repo.generations.values()
            for p in state.files.values()
        }
        for key in self._content.keys() - shown:
            del self._content[key]

    def _files_at(self, repo_id: str, generation: int) -> dict[str, Placement]:
        repo = self._repos.get(repo_id)
        state = repo.generations.get(generation) if repo else None
        if state is None or not state.sealed:
            raise NotIndexed(f"generation {generation} of {repo_id!r} is not indexed in this store")
        return state.files

    def _visible(self, scope: Scope) -> dict[str, dict[str, Placement]]:
        """Repository -> path -> placement. Every entry is checked, also one that holds no file."""
        return {repo_id: self._files_at(repo_id, generation) for repo_id, generation in sorted(scope)}

    def _placed(self, scope: Scope) -> Iterator[tuple[str, str, Placement, F]]:
        """What the scope shows, by (repo_id, path), with the content as it was staged first."""
        for repo_id, files in self._visible(scope).items():
            for path, placement in sorted(files.items()):
                yield repo_id, path, placement, self._content[placement.content]


def page(
    rows: Iterable[tuple[tuple[str, str], R]], after: tuple[str, str] | None, limit: int
) -> tuple[tuple[R, ...], tuple[str, str] | None]:
    """The first ``limit`` of ordered, keyed rows above ``after``, and the key to go on from (None at the end)."""
    rest = [(key, row) for key, row in rows if after is None or key > tuple(after)]
    taken = rest[:limit]
    return tuple(row for _, row in taken), taken[-1][0] if len(rest) > limit else None
