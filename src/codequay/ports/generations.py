"""What every store of a generation shares: scope on reads, generation on writes, and begin -> stage -> seal -> drop.

A repository's generations form one line. **No store knows which generation is current**: the caller reads that
once from ``metadata`` and passes it as ``scope`` to every read. A writer takes a generation number from
``metadata.open_generation`` (never used twice), then in each store calls ``begin``, ``stage`` any number of times
and ``seal``; then one transaction in ``metadata`` publishes it. A crash anywhere leaves the published one whole.

A path is a placement's name inside its repository: "/" between parts, no leading "/" and no "." or ".." part.
A name that is not UTF-8 is written with each undecodable byte as ``\\xHH`` (see ``codequay.ports.paths``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .errors import InvalidArgument
from .op import Effect, op
from .spec import Clause, Level


class ScopeEntry(NamedTuple):
    """One repository at one generation."""

    repo_id: str
    generation: int


Scope = Sequence[ScopeEntry]
"""The repositories that a read sees, each at one generation. Empty means: nothing is visible."""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Which store this is: a random id made when it was created, and what its content was built with."""

    store_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class GenerationState:
    """A generation as one store has it."""

    generation: int
    sealed: bool


@dataclass(frozen=True, slots=True)
class StageResult:
    """What one ``stage`` call wrote: blobs whose content was new to this store, and placement rows."""

    blobs: int
    placements: int


class GenerationStore(Protocol):
    """The life of a generation inside one store. Clauses GE-01 to GE-10 hold for every store of generations."""

    @op(effect=Effect.READ, sync=True)
    async def identity(self) -> StoreIdentity:
        """The store's identity; the id is the same after a reopen (GE-09)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def generations(self, repo_id: str) -> list[GenerationState]:
        """The repository's generations in this store, oldest first; [] when it has none."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        """Start to stage ``generation`` upon ``base``.

        With ``base=None`` it starts empty; else everything visible at ``base`` is carried over. Whatever was
        staged above ``base``, by this writer or an earlier one, is deleted first (GE-01, GE-06).

        :raises NotIndexed: ``base`` is not sealed here (GE-02)
        :raises Conflict: a higher generation has begun here (GE-03)
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def seal(self, repo_id: str, *, generation: int) -> None:
        """Make the generation readable and durable. Sealing again does nothing (GE-04).

        :raises Conflict: the generation was never begun, or a newer writer has dropped it (GE-03)
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def drop(self, repo_id: str, *, generation: int) -> None:
        """Forget a generation; what no remaining generation shows is deleted. Unknown: nothing happens (GE-05)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def purge(self, repo_id: str) -> None:
        """Forget the repository altogether; others are untouched (GE-08)."""
        ...


CLAUSES: tuple[Clause, ...] = (
    Clause("GE-01", "A staged generation is the base, less what was removed or replaced, plus what was staged."),
    Clause("GE-02", "begin upon a base that is not sealed here raises NotIndexed and changes nothing."),
    Clause(
        "GE-03", "stage or seal of a generation that was not begun, or that a newer begin has dropped, raises Conflict."
    ),
    Clause("GE-04", "seal is idempotent."),
    Clause("GE-05", "drop is idempotent; what other generations show stays readable."),
    Clause("GE-06", "begin again deletes what the same or an abandoned generation had staged."),
    Clause("GE-07", "A superseded generation stays readable, unchanged, until it is dropped."),
    Clause("GE-08", "purge forgets one repository and no other."),
    Clause("GE-09", "The store id is random, and the same after a reopen.", Level.DURABILITY),
    Clause("GE-10", "A read at a generation that is not sealed here raises NotIndexed, never an empty answer."),
    Clause("GE-11", "An empty scope shows nothing; a scope of one repository shows nothing of another."),
)


def check_repo(repo_id: str) -> None:
    """A repository id is a non-empty string without control characters, at most 512 characters."""
    if not isinstance(repo_id, str) or not repo_id or len(repo_id) > 512 or not repo_id.isprintable():
        raise InvalidArgument(f"repo_id must be a printable, non-empty string, not {repo_id!r}")


def check_generation(generation: int) -> None:
    """A generation is an integer from 1 to 2**53."""
    if type(generation) is not int or not 1 <= generation <= 2**53:
        raise InvalidArgument(f"generation must be an integer from 1, not {generation!r}")


def check_scope(scope: Scope) -> None:
    """A scope names each repository once."""
    seen: set[str] = set()
    for entry in scope:
        if not isinstance(entry, tuple) or len(entry) != 2:
            raise InvalidArgument(f"scope must hold (repo_id, generation) pairs, not {entry!r}")
        check_repo(entry[0])
        check_generation(entry[1])
        if entry[0] in seen:
            raise InvalidArgument(f"scope names repository {entry[0]!r} twice")
        seen.add(entry[0])


def check_path(path: str) -> None:
    """A placement's path: relative, "/"-separated, no empty, "." or ".." part, no NUL, encodable as UTF-8."""
    ok = isinstance(path, str) and path and "\0" not in path and not path.startswith("/")
    if ok:
        ok = not any(part in ("", ".", "..") for part in path.split("/"))
    if ok:
        try:
            path.encode()
        except UnicodeEncodeError:
            ok = False
    if not ok:
        raise InvalidArgument(f"not a path inside a repository: {path!r}")


def check_limit(name: str, value: int, maximum: int) -> None:
    """A limit is an integer from 1 to the declared maximum."""
    if type(value) is not int or not 1 <= value <= maximum:
        raise InvalidArgument(f"{name} must be an integer from 1 to {maximum}, not {value!r}")


def check_batch(name: str, items: Sequence[object], maximum: int) -> None:
    """A batch is a sequence (not a string) of at most ``max_batch`` items."""
    if isinstance(items, (str, bytes)) or not isinstance(items, Sequence):
        raise InvalidArgument(f"{name} must be a sequence of items, not {type(items).__name__}")
    if len(items) > maximum:
        raise InvalidArgument(f"{name} has {len(items)} items; this adapter takes {maximum} a call")


def _begin(caps: object, repo_id: str, *, generation: int, base: int | None) -> None:
    check_repo(repo_id)
    check_generation(generation)
    if base is not None:
        check_generation(base)
        if base >= generation:
            raise InvalidArgument(f"base {base} must be below generation {generation}")


def _one(caps: object, repo_id: str, *, generation: int) -> None:
    check_repo(repo_id)
    check_generation(generation)


def _repo(caps: object, repo_id: str) -> None:
    check_repo(repo_id)


CHECKS: dict[str, Callable[..., None]] = {
    "begin": _begin,
    "seal": _one,
    "drop": _one,
    "purge": _repo,
    "generations": _repo,
}
