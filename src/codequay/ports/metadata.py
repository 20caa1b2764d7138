"""Metadata: which repositories there are, which generation of each is published, and what it was built with.

This store alone knows what is current. A writer opens a generation (its number is never used again, and earlier
unpublished ones of the repository are thereby abandoned), fills the stores, and publishes with a compare-and-set:
one transaction that succeeds only if the generation was upon the one published now. So two writers that hold no
lock waste work and never mix.

Ids, names and paths are ordered by code point, and are equal only when every character is. ``max_batch`` is declared
as at least 1000. ``reach`` must not be narrower than that of the stores whose generations are published here (the
embedded ones reach the host): with ``process``, the default, ``plan`` accepts it beside stores of one process only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .errors import InvalidArgument
from .faults import FaultClauses
from .generations import StoreIdentity, check_batch, check_generation, check_limit, check_repo
from .op import Effect, op
from .spec import Capabilities, Clause, Level, PortSpec

WORKTREE = "worktree"
"""The name of the default snapshot."""
LEAST = 1000
"""The least ``max_batch`` and ``max_limit`` that a store may declare."""


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository: id, folder as last seen, normalised origin ("" without one), and its source adapter."""

    repo_id: str
    root: str
    origin: str = ""
    source: str = "git"


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """A store that holds a generation: a store swapped in later is thereby known to be cold."""

    port: str
    adapter: str
    store_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Fence:
    """The fencing token of the lease that a writer held; ``fence`` is None when the lock has none.

    A repository remembers the highest of each lock (adapter and store_id) that it saw, and refuses a lower one of the
    same lock. None is neither compared nor remembered.
    """

    adapter: str
    store_id: str
    fence: int | None


class SkippedFile(NamedTuple):
    """A file that was not indexed as usual, and why ("too_large", "binary", "budget", ...)."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """A generation on its way to be published. ``base`` is what it was built upon (None: nothing).

    Of two skipped files with one path the later counts.
    """

    repo_id: str
    generation: int
    base: int | None
    snapshot: str = WORKTREE
    revision: str = ""
    """Commit of HEAD when the tree was read; "" outside git."""
    dirty: int | None = None
    """Files that differed from ``revision``; None when not counted."""
    files: int = 0
    chunks: int = 0
    bytes: int = 0
    stores: tuple[StoreRecord, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A published generation; ``skipped`` counts by reason; times are in seconds since the epoch, by the
    ``clock`` of the context."""

    repo_id: str
    generation: int
    snapshot: str
    revision: str
    dirty: int | None
    files: int
    chunks: int
    bytes: int
    published_at: float
    stores: tuple[StoreRecord, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    hidden_at: float | None = field(default=None, compare=False)
    """When its name went to a newer generation or was forgotten; None while the name shows it. Not compared: it is
    the one thing that changes after publishing."""


@dataclass(frozen=True, slots=True)
class RepoPage:
    """One page of ``scan``, ordered by repo_id."""

    repos: tuple[Repo, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """One page of ``skipped``, ordered by path."""

    files: tuple[SkippedFile, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataCapabilities(Capabilities):
    """What a metadata store declares."""

    max_limit: int = 10_000
    """Largest ``limit`` of ``scan`` and ``skipped``; at least 1000, which they take by default."""

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_limit"):
            if getattr(self, name) < LEAST:
                raise ValueError(f"{name} is at least {LEAST}, not {getattr(self, name)}")


class MetadataStore(Protocol):
    """Repositories, snapshots and generations."""

    @op(effect=Effect.READ, sync=True)
    async def identity(self) -> StoreIdentity:
        """The store's identity; the id is the same after a reopen (MD-09)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def put_repo(self, repo: Repo) -> None:
        """Remember a repository, replacing what was known under its id; its generations stay (MD-01)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def scan(self, *, after: str | None = None, limit: int = 1000) -> RepoPage:
        """The repositories, complete and ordered, in pages (MD-02)."""
        ...

    @op(effect=Effect.WRITE, idempotent=False)
    async def open_generation(self, repo_id: str, *, base: int | None, above: int = 0) -> int:
        """A number above all that the repository ever had (MD-03), at most 2**53. Earlier unpublished ones are
        abandoned.

        ``base`` is the newest generation of ``history``, whatever its snapshot; None when there is none. The number is
        also higher than ``above`` (below 2**53), the highest that a store knows: this store may have been lost and the
        others not.
        It need not be the next one.

        :raises NotFound: the repository is unknown
        :raises Conflict: ``base`` is another (MD-04)
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def publish(self, publication: Publication) -> Published:
        """Make the generation what its snapshot shows: one transaction (MD-05).

        Its name goes from the generation that it showed to this one; other names stay. Publishing the same again,
        whatever its fence and skipped files, while the generation is kept, answers as the first time and changes
        nothing (MD-10).

        :raises Conflict: the generation is not the last one opened; or ``base`` is not the newest that is kept, because
            another one was published since or ``base`` was retired; or other content was published under its number;
            or the repository is unknown; or the fence is lower than the last one seen from the same lock for this
            repository (MD-06, MD-07). Nothing is changed
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def published(self, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> list[Published]:
        """What each repository shows under the snapshot, by repo_id; None means every repository (MD-05).

        Of ``repo_ids`` unknown ones show nothing, and one that is named twice shows once.
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def snapshots(self, repo_ids: Sequence[str] | None = None) -> list[Published]:
        """What every name shows, by repo_id and then by name; ``repo_ids`` as for ``published`` (MD-13)."""
        ...

    @op(effect=Effect.READ)
    async def history(self, repo_id: str) -> list[Published]:
        """Every generation that is still kept, oldest first (MD-08), and since when no name shows it (MD-15).

        Of an unknown repository none.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def forget(self, repo_id: str, *, snapshot: str) -> None:
        """Take the name away: it shows nothing until something is published under it again (MD-14).

        The generation stays in ``history``, and may now be retired. An unknown name is no error.
        """
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def retire(self, repo_id: str, *, generation: int) -> None:
        """Forget a superseded generation. Its number is not given or published again.

        An unknown generation or repository is no error; one that was opened and not published stays as it is.

        :raises FailedPrecondition: a snapshot shows it (MD-08)
        """
        ...

    @op(effect=Effect.READ)
    async def skipped(
        self, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000
    ) -> SkippedPage:
        """The skipped files of a generation that is still kept, by path, in pages; none of another (MD-11)."""
        ...

    @op(effect=Effect.WRITE, idempotent=True)
    async def purge(self, repo_id: str) -> None:
        """Forget the repository altogether, also the fences seen for it; others are untouched.

        It is then unknown until it is put again, and begins without generations. Its numbers are still never used
        again, and what was opened can no longer be published (MD-12).
        """
        ...


def _put_repo(caps: MetadataCapabilities, repo: Repo) -> None:
    check_repo(repo.repo_id)


def _scan(caps: MetadataCapabilities, *, after: str | None = None, limit: int = 1000) -> None:
    check_limit("limit", limit, caps.max_limit)


def _open(caps: MetadataCapabilities, repo_id: str, *, base: int | None, above: int = 0) -> None:
    check_repo(repo_id)
    for generation in (base, above + 1):
        if generation is not None:
            check_generation(generation)


def _check_snapshot(name: str) -> None:
    if not name:
        raise InvalidArgument("a snapshot needs a name")


def _publish(caps: MetadataCapabilities, publication: Publication) -> None:
    check_repo(publication.repo_id)
    check_generation(publication.generation)
    if publication.base is not None:
        check_generation(publication.base)
        if publication.base >= publication.generation:
            raise InvalidArgument(f"base {publication.base} must be below generation {publication.generation}")
    _check_snapshot(publication.snapshot)


def _published(caps: MetadataCapabilities, repo_ids: Sequence[str] | None = None, *, snapshot: str = WORKTREE) -> None:
    if repo_ids is not None:
        check_batch("repo_ids", repo_ids, caps.max_batch)


def _snapshots(caps: MetadataCapabilities, repo_ids: Sequence[str] | None = None) -> None:
    _published(caps, repo_ids)


def _repo(caps: MetadataCapabilities, repo_id: str) -> None:
    check_repo(repo_id)


def _forget(caps: MetadataCapabilities, repo_id: str, *, snapshot: str) -> None:
    check_repo(repo_id)
    _check_snapshot(snapshot)


def _retire(caps: MetadataCapabilities, repo_id: str, *, generation: int) -> None:
    check_repo(repo_id)
    check_generation(generation)


def _skipped(
    caps: MetadataCapabilities, repo_id: str, *, generation: int, after: str | None = None, limit: int = 1000
) -> None:
    check_repo(repo_id)
    check_generation(generation)
    check_limit("limit", limit, caps.max_limit)


FAULTS = FaultClauses("MD-23", "MD-24", "MD-25", "MD-26", "MD-27")
PORT = PortSpec(
    version=(1, 1),
    name="metadata",
    protocol=MetadataStore,
    capabilities=MetadataCapabilities,
    summary="repositories, snapshots, generations, store identities, skipped files",
    checks={
        "put_repo": _put_repo,
        "scan": _scan,
        "open_generation": _open,
        "publish": _publish,
        "published": _published,
        "snapshots": _snapshots,
        "history": _repo,
        "forget": _forget,
        "retire": _retire,
        "skipped": _skipped,
        "purge": _repo,
    },
    clauses=(
        Clause("MD-01", "put_repo replaces what was known under the id and nothing else."),
        Clause("MD-02", "scan is complete, ordered and without repetition, at any page size."),
        Clause("MD-03", "A generation number is never given twice, not even after purge or reopen."),
        Clause("MD-04", "open_generation upon anything but the newest generation that is still kept raises Conflict."),
        Clause("MD-05", "publish is seen by the next read, whole."),
        Clause(
            "MD-06", "publish of an abandoned generation, or upon another base, raises Conflict and changes nothing."
        ),
        Clause("MD-07", "A fence lower than the last one of the same lock is refused; another lock starts anew."),
        Clause("MD-08", "A superseded generation stays in history until retired; a shown one cannot be retired."),
        Clause("MD-09", "The store id is random, and the same after a reopen.", Level.DURABILITY),
        Clause("MD-10", "publish repeated answers as the first time."),
        Clause("MD-11", "skipped gives every skipped file of that generation, by path, in pages."),
        Clause("MD-12", "purge forgets one repository and no other."),
        Clause("MD-13", "snapshots gives what every name shows, once each, by repository and name."),
        Clause("MD-14", "forget takes one name away and nothing else; the generation may then be retired."),
        Clause("MD-15", "hidden_at says when a generation lost its name, to another generation or to forget."),
        Clause("MD-16", "open_generation gives a number above ``above`` too."),
        Clause("MD-17", "A limit and a batch are taken up to what is declared, and refused above.", Level.CAPABILITY),
        Clause(
            "MD-18", "Writers side by side are in one order; only one that saw the others publishes.", Level.CONCURRENCY
        ),
        Clause("MD-19", "A cancelled call is applied whole or not at all, and the next one works.", Level.CANCELLATION),
        Clause(
            "MD-20",
            "What was published is whole after the process was killed, and no number is given again.",
            Level.DURABILITY,
        ),
        Clause("MD-21", "The turns of a call do not grow with what the store holds.", Level.BUDGET),
        Clause(
            "MD-22",
            "With reach host or network another process has the store open too, publishes in its turn, and sees at once"
            " what was published.",
            Level.CAPABILITY,
        ),
        *FAULTS.clauses(since="1.1"),
    ),
)
