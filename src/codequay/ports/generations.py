"""What every store of a generation shares: scope on reads, generation on writes, and begin -> stage -> seal -> drop.

A repository's generations form one line. **No store knows which generation is current**: the caller reads that
once from ``metadata`` and passes it as ``scope`` to every read. A writer takes a generation number from
``metadata.open_generation`` (never used twice), then in each store calls ``begin``, ``stage`` any number of times
and ``seal``; then one transaction in ``metadata`` publishes it. A crash anywhere leaves the published one whole.

At most one generation of a repository is not sealed, and it is the newest: every ``begin`` deletes what another
writer left unfinished. Writers may call at once; each call is one step for the others, and the loser of a race gets
``Conflict``. The caller never reuses a generation's number for other content once that was sealed and published.

A path is a placement's name inside its repository: "/" between parts, no leading "/" and no "." or ".." part.
A name that is not UTF-8 is written with each undecodable byte as ``\\xHH`` (see ``codequay.ports.paths``). Paths are
long (4,096 bytes of UTF-8 are usual as a limit of the file system) and hold any character but NUL, also "\\n", trailing
spaces and names that differ in case or Unicode form alone. A repository id has at most 512 characters. Blob ids and
chunk ids are opaque: 1 to 128 characters, printable ASCII. Generations go up to 2**53. An adapter declares a
``max_batch`` of at least 100.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .errors import InvalidArgument
from .faults import FaultClauses
from .op import Effect, op
from .paths import path_from_bytes, path_to_bytes
from .spec import Clause, Level


class ScopeEntry(NamedTuple):
    """One repository at one generation."""

    repo_id: str
    generation: int


Scope = Sequence[ScopeEntry]
"""The repositories that a read sees, each at one generation. Empty means: nothing is visible.

A read that asks for nothing (an empty batch) gives an empty answer, whether or not its scope can be read; it may also
raise ``NotIndexed``.
"""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Which store this is."""

    store_id: str
    """Random, 1 to 128 printable characters, made when the store was created."""
    fingerprint: str
    """What the content was built with (format, tokenizer, ...). The caller compares it: content that was written under
    another fingerprint is not read but built anew."""


@dataclass(frozen=True, slots=True)
class GenerationState:
    """A generation as one store has it."""

    generation: int
    sealed: bool


@dataclass(frozen=True, slots=True)
class StageResult:
    """What one ``stage`` call wrote."""

    blobs: int
    """Blobs among what was written that no generation of this store has; one at two paths counts once. A blob that was
    here earlier and is shown no more may count or not."""
    placements: int
    """Files that are new at their path or differ from what lay there in any field. Removals do not count."""


class GenerationStore(Protocol):
    """The life of a generation inside one store. The GE clauses hold for every store of generations."""

    @op(effect=Effect.READ, sync=True)
    async def identity(self) -> StoreIdentity:
        """The store's identity; the same after a reopen (GE-09)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def generations(self, repo_id: str) -> list[GenerationState]:
        """The repository's generations in this store, oldest first; [] when it has none."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        """Start to stage ``generation`` upon ``base``.

        With a ``base`` everything visible there is carried over, and every other generation above ``base`` is
        deleted, sealed or not. With ``base=None`` it starts empty, and what is sealed stays. Either way a generation
        that is not sealed is deleted, and so is ``generation`` itself if it was begun before, sealed or not (GE-01,
        GE-06). On an error nothing changes; when both errors are due, either is raised.

        :raises NotIndexed: ``base`` is not sealed here (GE-02)
        :raises Conflict: a higher generation is here (GE-03). One that was dropped may count, until ``purge``
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def seal(self, repo_id: str, *, generation: int) -> None:
        """Make the generation readable and durable, also one for which nothing was staged. Again: nothing (GE-04).

        :raises Conflict: the generation was never begun, or has been deleted (GE-03)
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def drop(self, repo_id: str, *, generation: int) -> None:
        """Forget a generation, sealed or not; what no remaining generation shows is deleted. Unknown: nothing (GE-05).

        Every other one keeps what it shows, also the one that is being staged upon this one.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def purge(self, repo_id: str) -> None:
        """Forget the repository altogether, as if it had never been here; others are untouched (GE-08).

        A generation that was being staged is gone too: its writer gets ``Conflict``.
        """
        ...


FAULTS = FaultClauses("GE-19", "GE-20", "GE-21", "GE-22", "GE-23")
CLAUSES: tuple[Clause, ...] = (
    Clause("GE-01", "A staged generation is the base, less what was removed or replaced, plus what was staged."),
    Clause("GE-02", "begin upon a base that is not sealed here raises NotIndexed and changes nothing."),
    Clause(
        "GE-03",
        "stage or seal of what was not begun or is deleted, stage of what is sealed, and begin below a newer one raise"
        " Conflict.",
    ),
    Clause("GE-04", "seal is idempotent."),
    Clause("GE-05", "drop is idempotent; every other generation keeps what it shows."),
    Clause("GE-06", "begin deletes what the same or an abandoned generation had staged."),
    Clause("GE-07", "A superseded generation stays readable, unchanged, until it is dropped."),
    Clause("GE-08", "purge forgets one repository and no other."),
    Clause("GE-09", "The store id is random, and the same after a reopen.", Level.DURABILITY),
    Clause(
        "GE-10",
        "A read with a scope of which one generation is not sealed here raises NotIndexed, never an empty answer.",
    ),
    Clause(
        "GE-11",
        "An empty scope shows nothing; a scope of one repository shows nothing of another, however alike their ids.",
    ),
    Clause(
        "GE-12",
        "Reads beside a writer see a sealed generation whole, and the next once it is sealed. Beside a drop or purge a"
        " read of what goes gives the whole answer or NotIndexed.",
        Level.CONCURRENCY,
    ),
    Clause(
        "GE-13",
        "A write that is cancelled at any point is applied whole or not at all (stage: with atomic_batch), and the next"
        " call works.",
        Level.CANCELLATION,
    ),
    Clause("GE-14", "A sealed generation survives the death of the process.", Level.DURABILITY),
    Clause(
        "GE-15",
        "Writers at once: every answer is one that some order of their calls gives, and stage calls add up.",
        Level.CONCURRENCY,
    ),
    Clause("GE-16", "A cancelled read leaves nothing behind, and the next call works.", Level.CANCELLATION),
    Clause(
        "GE-17",
        "The turns of begin, seal, drop, purge and of each read do not grow with what the generation holds.",
        Level.BUDGET,
    ),
    Clause(
        "GE-18",
        "With reach host or network another process has the store open too, writes it in its turn, and sees at once"
        " what was sealed and dropped.",
        Level.CAPABILITY,
    ),
    *FAULTS.clauses(since="1.1"),
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


_NO_PART = frozenset(("", ".", ".."))


def check_path(path: str) -> None:
    """A placement's path: relative, "/"-separated, no empty, "." or ".." part, no NUL, encodable as UTF-8,
    and no ``\\xHH`` but as ``codequay.ports.paths`` writes it."""
    ok = isinstance(path, str) and path and "\0" not in path and not path.startswith("/")
    if ok:
        ok = _NO_PART.isdisjoint(path.split("/"))
    if ok:
        try:
            path.encode()
        except UnicodeEncodeError:
            ok = False
    if ok and "\\x" in path:
        ok = path_from_bytes(path_to_bytes(path)) == path  # "\\x2e\\x2e/a" would lead out of the tree
    if not ok:
        raise InvalidArgument(f"not a path inside a repository: {path!r}")


def check_least(*, max_batch: int, **limits: int) -> None:
    """What an adapter must take at least: batches of 100, and answers of 1000 rows.

    :raises ValueError: it declares less
    """
    for name, value, least in (("max_batch", max_batch, 100), *((name, one, 1000) for name, one in limits.items())):
        if value < least:
            raise ValueError(f"{name} is at least {least}, not {value}: split what the server takes less of")


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
