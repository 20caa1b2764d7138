"""The life of a generation, the plainest way: every generation holds its whole map of path -> file.

Chunk store and lexical index inherit it and add their own reads. Nothing here awaits, so every operation is
atomic among the tasks of a loop; a lock makes it so among the threads of the sync face too.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity


class StagedFile(Protocol):
    """What both ports stage."""

    @property
    def path(self) -> str: ...
    @property
    def blob_id(self) -> str: ...


class Row(Protocol):
    """A line of a page."""

    @property
    def repo_id(self) -> str: ...
    @property
    def path(self) -> str: ...


F = TypeVar("F", bound=StagedFile)
R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class _Generation(Generic[F]):
    files: dict[str, F]
    sealed: bool = False


class Generations(Generic[F]):
    """``GenerationStore`` without await, over files of type ``F``."""

    def __init__(self, fingerprint: str) -> None:
        self._identity = StoreIdentity(uuid.uuid4().hex, fingerprint)
        self._repos: dict[str, dict[int, _Generation[F]]] = {}
        self._lock = threading.RLock()

    def identity(self) -> StoreIdentity:
        return self._identity

    def generations(self, repo_id: str) -> list[GenerationState]:
        with self._lock:
            return [GenerationState(g, state.sealed) for g, state in sorted(self._repos.get(repo_id, {}).items())]

    def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        with self._lock:
            repo = self._repos.get(repo_id, {})
            if base is not None and not (base in repo and repo[base].sealed):
                raise NotIndexed(f"generation {base} of {repo_id!r} is not sealed in this store")
            if any(g > generation for g in repo):
                raise Conflict(f"generation {max(repo)} of {repo_id!r} has begun after {generation}")
            files = {} if base is None else dict(repo[base].files)
            kept = {g: state for g, state in repo.items() if state.sealed and (base is None or g <= base)}
            self._repos[repo_id] = {**kept, generation: _Generation(files)}

    def stage(self, repo_id: str, *, generation: int, files: Sequence[F], removed: Sequence[str] = ()) -> StageResult:
        with self._lock:
            state = self._begun(repo_id, generation)
            if state.sealed:
                raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
            last = {file.path: file for file in files}
            changed = [file for path, file in last.items() if state.files.get(path) != file]
            new = {file.blob_id for file in changed} - {file.blob_id for file in self._held()}
            for path in removed:
                state.files.pop(path, None)
            state.files.update(last)
            return StageResult(len(new), len(changed))

    def seal(self, repo_id: str, *, generation: int) -> None:
        with self._lock:
            self._begun(repo_id, generation).sealed = True

    def drop(self, repo_id: str, *, generation: int) -> None:
        with self._lock:
            self._repos.get(repo_id, {}).pop(generation, None)

    def purge(self, repo_id: str) -> None:
        with self._lock:
            self._repos.pop(repo_id, None)

    def _begun(self, repo_id: str, generation: int) -> _Generation[F]:
        state = self._repos.get(repo_id, {}).get(generation)
        if state is None:
            raise Conflict(f"generation {generation} of {repo_id!r} was not begun here, or a newer writer dropped it")
        return state

    def _held(self) -> Iterator[F]:
        """Every file of every generation."""
        for repo in self._repos.values():
            for state in repo.values():
                yield from state.files.values()

    def _placed(self, scope: Scope) -> list[tuple[str, F]]:
        """What the scope shows: repository and file, by (repo_id, path)."""
        placed: list[tuple[str, F]] = []
        with self._lock:
            for repo_id, generation in sorted(scope):
                state = self._repos.get(repo_id, {}).get(generation)
                if state is None or not state.sealed:
                    raise NotIndexed(f"generation {generation} of {repo_id!r} is not indexed in this store")
                placed += [(repo_id, file) for _, file in sorted(state.files.items())]
        return placed


def page(rows: Iterable[R], after: tuple[str, str] | None, limit: int) -> tuple[tuple[R, ...], tuple[str, str] | None]:
    """The first ``limit`` of ordered rows above ``after``, and the place to go on from (None at the end)."""
    rest = [row for row in rows if after is None or (row.repo_id, row.path) > after]
    taken = tuple(rest[:limit])
    return taken, (taken[-1].repo_id, taken[-1].path) if len(rest) > limit else None
