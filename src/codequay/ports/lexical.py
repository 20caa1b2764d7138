"""The lexical index: ranked words over files and chunks, and candidates for literals and regular expressions.

It must fit Tantivy (ranked, pre-tokenised chunks) and Zoekt (files, substrings) alike, so a ``LexFile`` carries
everything and an adapter takes what it needs. Tokenisation belongs to the adapter and enters its fingerprint.
Signals, fusion and the verification of matches live above the port, over text from the chunk store.

The caller guarantees valid arguments and that a blob id always stands for the same text. Spans end between characters,
and may overlap. Texts hold any character but lone surrogates, also NUL and "\\r\\n". The index guarantees the
clauses; a repository outside the scope never takes a place in the top k.

**Words.** A word is a run of letters, digits and underscores. Its parts are what remains when it is cut at underscores,
between letters and digits, and where the case says so: ``getHTTPResponse2`` has get, HTTP, Response and 2. A document
holds a term when one of its words, or a part of one, is the term without regard to case, in any script (by
``str.lower`` or ``str.casefold``: whether "STRASSE" finds "straße" is free). It does not when the term is merely a
substring ("etti" of "getting"). An index may go further: to inflected forms, to the words of a path (unit "file") and,
for a term of several words or parts, to each of these. Single letters and digits that are parts need not be found, and
words of scripts without spaces may be cut in any way that finds them.

**Scores** are the index's own, finite and above 0; they compare within one answer only. Repetition, rarity and length
may count or not. Two things are promised, each between documents alike otherwise: one that holds another term of the
query is above one that does not, and so is one whose term weighs a hundred times as much as the other's (LX-14).
Alike means as long, as often and as rare: one that is longer by the other term may rank lower. Weights of one query
differ by up to 1e6; beyond that the lighter may count as nothing. The weight of a term of several words or parts counts
once for the whole; how it is divided among them is free.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Literal, NamedTuple, Protocol, get_args

from .chunks import Definition, FileRef
from .errors import InvalidArgument, Unsupported
from .generations import (
    CHECKS as GENERATION_CHECKS,
)
from .generations import (
    CLAUSES as GENERATION_CLAUSES,
)
from .generations import (
    GenerationStore,
    Scope,
    StageResult,
    check_batch,
    check_generation,
    check_least,
    check_limit,
    check_path,
    check_repo,
    check_scope,
)
from .op import Effect, op
from .spec import Capabilities, Clause, Level, PortSpec


class LexSpan(NamedTuple):
    """A chunk of the file: id, bytes of the text in UTF-8 (end exclusive), lines (inclusive)."""

    chunk_id: str
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class LexFile:
    """A file as it is staged: placement, decoded text, definitions, chunk spans in order.

    Without spans no chunk of it ranks; the file does.
    ``prepared`` is what the capability ``prepare`` made of the rest in another process, else None.
    """

    path: str
    blob_id: str
    language: str
    mode: int
    text: str
    definitions: tuple[Definition, ...]
    spans: tuple[LexSpan, ...]
    prepared: object = field(default=None, compare=False, repr=False)


class Term(NamedTuple):
    """A word of a query, as typed, and its weight (1.0 is usual, fractions count). The weights of equal words add up.

    It has no syntax: any character that belongs to no word only separates words, and no word is left out for being
    frequent ("the", "not").
    """

    text: str
    weight: float = 1.0


Unit = Literal["file", "chunk"]


@dataclass(frozen=True, slots=True)
class Where:
    """Filters applied before top k. All given ones must hold.

    ``prefix`` is a folder or file inside the repository ("src/a" holds for "src/a" and "src/a/b", not for "src/ab");
    ``contains``/``excludes`` are substrings of the path, all and none of which it must hold when both are lower-cased
    (``str.lower``); languages are names such as "python", compared exactly.
    """

    prefix: str = ""
    contains: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    not_languages: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.prefix or self.contains or self.excludes or self.languages or self.not_languages)

    def admits(self, path: str, language: str) -> bool:
        """Whether a placement passes: the meaning of the fields above, for adapters to use or to match."""
        if self.prefix and path != self.prefix and not path.startswith(self.prefix + "/"):
            return False
        low = path.lower()
        if any(c.lower() not in low for c in self.contains) or any(c.lower() in low for c in self.excludes):
            return False
        return (not self.languages or language in self.languages) and language not in self.not_languages


class RankPlace(NamedTuple):
    """A file or chunk that ranks; ``chunk_id`` is "" and the lines are 0 when the unit is a file.

    Places sort as hits of one score do.
    """

    file: FileRef
    start_line: int
    chunk_id: str
    end_line: int
    language: str


class RankHit(NamedTuple):
    """A ranked file or chunk. Score > 0. An adapter may give the same ``place`` in many answers."""

    place: RankPlace
    score: float

    @property
    def repo_id(self) -> str:
        return self.place.file.repo_id

    @property
    def path(self) -> str:
        return self.place.file.path

    @property
    def language(self) -> str:
        return self.place.language

    @property
    def chunk_id(self) -> str:
        return self.place.chunk_id

    @property
    def start_line(self) -> int:
        return self.place.start_line

    @property
    def end_line(self) -> int:
        return self.place.end_line


class Placed(NamedTuple):
    """A placement that may match."""

    repo_id: str
    path: str
    blob_id: str
    language: str


@dataclass(frozen=True, slots=True)
class Literal_:
    """A candidates plan: the text holds this literal, which may be of any characters, or empty.

    With ``ignore_case`` it does when either ``re.search(..., re.IGNORECASE)`` or a comparison of ``str.casefold``
    says so: "ß" and "ss" are alike, and so are "i", "I", "İ" and "ı". An index that folds less looks for less.
    """

    text: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """A candidates plan: every part holds. Without parts: everything."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A candidates plan: some part holds. Without parts: nothing."""

    parts: tuple[Plan, ...]


Plan = Literal_ | AllOf | AnyOf
"""What a regular expression or a literal requires of a text, weakened to what an index can answer."""


@dataclass(frozen=True, slots=True)
class LexStats:
    """What a scope shows, and what the whole index carries along."""

    files: int
    chunks: int
    """Spans of the visible files."""
    dead: float
    """Share of documents that no generation shows any more (0 to 1); 0 where nothing was ever removed or dropped."""
    revision: str = ""
    """Of an index that somebody else fills, and a scope of one repository: the commit that the files are of."""


@dataclass(frozen=True, slots=True)
class LexPage:
    """One page of ``scan``, ordered by (repo_id, path).

    ``after`` is the (repo_id, path) of the last file when more follow, and None when none does.
    """

    files: tuple[Placed, ...]
    after: tuple[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalCapabilities(Capabilities):
    """What a lexical index declares."""

    units: tuple[Unit, ...] = ("file", "chunk")
    """Units that ``rank`` knows; "file" is always among them."""
    max_k: int = 10_000
    """Largest ``k`` of ``rank`` and largest ``limit`` of ``scan``; at least 1000, which ``scan`` takes by default."""
    writable: bool = True
    """False: somebody else fills the index; the guard refuses every write."""
    prepare: str = ""
    """``module:function``, which does the part of ``stage`` that needs no index, in a worker process: it takes a
    ``LexFile`` (whose mode is not known yet) and gives what ``stage`` finds in ``prepared`` (LX-13). It is made of
    tuples, strings, bytes and numbers. ``stage`` also takes files without."""
    compaction: bool = False
    """Removed documents stay in the files until ``compact``; see ``SupportsCompaction``."""

    def __post_init__(self) -> None:
        check_least(max_batch=self.max_batch, max_k=self.max_k)
        if "file" not in self.units:
            raise ValueError("units must name file")


class LexicalIndex(GenerationStore, Protocol):
    """Ranked words and candidates. See also ``GenerationStore``."""

    @op(effect=Effect.WRITE, idempotent=True, batch="files")
    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        """Put files into the generation, replacing what lies at their paths, and take ``removed`` paths out.

        A path both removed and staged is staged. The last of equal paths wins. A removed path that is not there is no
        error. Staged files become visible when the generation is sealed (LX-01). Definitions follow from text and
        language, and bytes of spans from their ids: an index need not notice that they alone differ.

        :raises Conflict: the generation was not begun, has been deleted, or is sealed (GE-03)
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        """The k best files or chunks that hold at least one term, best first (LX-02, LX-14).

        Equal scores are ordered by (repo_id, path, start_line, chunk_id). A word matches without regard to case, and
        as a part of a compound identifier ("session" finds ``getSessionId``) (LX-03). Scope and ``where`` apply before
        top k (LX-04, LX-05): a smaller k gives the beginning of what a larger one gives. Without terms: ``[]``.
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        """Placements whose text may satisfy the plan, by (repo_id, path): a superset, no false negative (LX-06).

        An index may give every placement that scope and ``where`` admit, and never one that they do not.
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        """The placements that the scope shows above ``after``, complete and ordered, in pages (LX-07)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def stats(self, *, scope: Scope) -> LexStats:
        """Counts of what the scope shows (LX-08)."""
        ...


class LexRef(NamedTuple):
    """A placement that an index still shows, and the newest of the sealed generations that show it."""

    repo_id: str
    generation: int
    path: str
    blob_id: str
    language: str
    mode: int


ReadFiles = Callable[[Sequence[LexRef]], Awaitable[Sequence[LexFile | None]]]
"""The files as they were staged, aligned with the placements; None where nobody holds the text any more."""


class SupportsCompaction(Protocol):
    """Optional power (capability ``compaction``): write the index anew, without what no generation shows.

    Deleted documents stay in the files and in the statistics of the scores until then. Without this power an index
    looks after itself.
    """

    async def compact(self, read: ReadFiles) -> int:
        """Write every document of a sealed generation anew; how many placements were written.

        Answers stay the same but for the scores, which become those of an index that never held anything else;
        ``stats.dead`` becomes 0 (LX-12). Generations that another process had begun and not sealed are dropped.
        Readers go on meanwhile. After a failure, a cancellation or a crash the index is as it was.

        :raises LockBusy: a generation is being staged, or another process writes
        :raises NotIndexed: ``read`` does not have a file, or has another one; nothing is changed
        """
        ...


def _writable(check: Callable[..., None]) -> Callable[..., None]:
    """The check of a write, which an index that somebody else fills refuses."""

    @wraps(check)
    def checked(caps: LexicalCapabilities, *args: object, **options: object) -> None:
        if not caps.writable:
            raise Unsupported("this index is filled by somebody else: it declares writable=False")
        check(caps, *args, **options)

    return checked


@_writable
def _stage(
    caps: LexicalCapabilities, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
) -> None:
    check_repo(repo_id)
    check_generation(generation)
    check_batch("files", files, caps.max_batch)
    check_batch("removed", removed, caps.max_batch)
    for path in removed:
        check_path(path)
    for file in files:
        check_path(file.path)


def _rank(
    caps: LexicalCapabilities, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
) -> None:
    check_batch("terms", terms, caps.max_batch)
    check_scope(scope)
    check_limit("k", k, caps.max_k)
    if unit not in get_args(Unit):
        raise InvalidArgument(f"unit must be one of {', '.join(get_args(Unit))}, not {unit!r}")
    if unit not in caps.units:
        raise Unsupported(f"this index ranks by {', '.join(caps.units)} only, not by {unit}")
    for term in terms:
        if not term[0] or not 0 < term[1] < 1e6:
            raise InvalidArgument(f"a term needs text and a weight above 0, not {term!r}")


def _candidates(caps: LexicalCapabilities, plan: Plan, *, scope: Scope, where: Where | None = None) -> None:
    check_scope(scope)


def _scan(caps: LexicalCapabilities, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> None:
    check_scope(scope)
    check_limit("limit", limit, caps.max_k)


def _stats(caps: LexicalCapabilities, *, scope: Scope) -> None:
    check_scope(scope)


PORT = PortSpec(
    version=(1, 1),
    name="lexical",
    protocol=LexicalIndex,
    capabilities=LexicalCapabilities,
    summary="ranked words over files and chunks; candidates for literals and regular expressions",
    checks={
        **GENERATION_CHECKS,
        **{name: _writable(GENERATION_CHECKS[name]) for name in ("begin", "seal", "drop", "purge")},
        "stage": _stage,
        "rank": _rank,
        "candidates": _candidates,
        "scan": _scan,
        "stats": _stats,
    },
    clauses=(
        *GENERATION_CLAUSES,
        Clause("LX-01", "What is staged is found once its generation is sealed, and not before."),
        Clause("LX-02", "rank gives at most k hits, best first, each with a score above 0, ties by place."),
        Clause("LX-03", "A word matches without regard to case and as a part of a compound identifier."),
        Clause("LX-04", "Scope applies before top k: another repository never takes a place."),
        Clause("LX-05", "where applies before top k."),
        Clause("LX-06", "candidates holds every placement whose text satisfies the plan."),
        Clause("LX-07", "scan is complete, ordered and without repetition, at any page size."),
        Clause("LX-08", "stats counts exactly what the scope shows."),
        Clause("LX-09", "One blob at two paths is found at both."),
        Clause("LX-10", "Non-ASCII words are found; paths come back unchanged."),
        Clause("LX-11", "A removed or replaced text is found no more in the new generation."),
        Clause(
            "LX-12",
            "compact keeps what every sealed generation shows; then nothing is dead and scores are a new index's.",
            Level.CAPABILITY,
        ),
        Clause("LX-13", "A file staged with what prepare made of it is found as one staged without.", Level.CAPABILITY),
        Clause("LX-14", "Alike otherwise, what holds another term, or one that weighs more, ranks above."),
        Clause(
            "LX-15", "A declared limit is reached; one more, and what is not declared, is refused.", Level.CAPABILITY
        ),
        Clause("LX-16", "rank and candidates take a number of turns that does not grow with the answer.", Level.BUDGET),
        Clause("LX-17", "stage of n files takes at most a turn per max_batch and a constant.", Level.BUDGET),
    ),
)
