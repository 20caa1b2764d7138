"""The chunk store: the text of every indexed file, in pieces, by id, by file, by line and by name.

A **chunk** is content: a span of one blob, identified by what it is made of and not by where it lies. A
**placement** puts a blob at a path for the generations ``born <= g < died``. So an edit writes only what changed,
and the same file on two branches is stored once. Chunks of one blob may overlap; a blob's text is assembled in
order of start byte, each chunk giving only the bytes that are not covered yet.

The caller guarantees: paths and spans are valid (the guard has checked them), a blob id always stands for the same
bytes, and all chunks of a blob arrive in one ``FileChunks``, in order of start byte. Together they cover the blob's
text from its first byte to its last, without a gap, and they end between characters. A chunk id stands for one chunk,
equal in every field, and occurs once in a file. The same blob may come in two languages, or cut in two ways, with
other chunk ids each time: what a placement shows is what was staged with it. Texts hold any character but lone
surrogates: NUL, "\\r\\n", a byte order mark; a chunk may be megabytes long.

The store guarantees the clauses below. Reads never see a generation other than the one in their scope, whatever a
writer does meanwhile.

Units: offsets are bytes of the decoded text in UTF-8, end exclusive; lines count from 1, both ends inclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .errors import InvalidArgument
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

FUNCTION_KINDS = frozenset({"function", "method"})
"""Kinds that ``at`` prefers first."""
CLASS_KINDS = frozenset(
    {"class", "struct", "interface", "trait", "enum", "module", "object", "protocol", "record", "type"}
)
"""Kinds that ``at`` prefers second."""


class Definition(NamedTuple):
    """A name that a chunk defines: the name as written, its kind, and the line of the name."""

    name: str
    kind: str
    line: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a blob. ``symbol`` and ``kind`` name its first definition ("" and "block" without one)."""

    id: str
    blob_id: str
    language: str
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    text: str
    kind: str = "block"
    symbol: str = ""
    content_hash: str = ""
    """blake2b-128 of the text in hex: equal texts of different blobs are found by it."""
    definitions: tuple[Definition, ...] = ()
    """Their order is kept."""


@dataclass(frozen=True, slots=True)
class FileChunks:
    """A file as it is staged: its placement and every chunk of its blob, in order of start byte.

    ``chunks`` may be empty: an empty file has a placement and no chunk.
    """

    path: str
    blob_id: str
    language: str
    mode: int
    chunks: tuple[Chunk, ...]


class ChunkRef(NamedTuple):
    """The key of a hit; fusion is on it."""

    repo_id: str
    path: str
    chunk_id: str


class FileRef(NamedTuple):
    repo_id: str
    path: str


class Location(NamedTuple):
    """A line of a file."""

    repo_id: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class PlacedChunk:
    """A chunk where it lies."""

    repo_id: str
    path: str
    chunk: Chunk


class DefinitionHit(NamedTuple):
    """A definition where it lies."""

    repo_id: str
    path: str
    chunk_id: str
    name: str
    kind: str
    line: int


class PlacedFile(NamedTuple):
    """A placement that a scope shows. ``chunks`` is how many chunks its blob has."""

    repo_id: str
    path: str
    blob_id: str
    language: str
    mode: int
    chunks: int


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page of ``scan``, ordered by (repo_id, path).

    ``after`` is the (repo_id, path) of the last file when more follow, and None when none does.
    """

    files: tuple[PlacedFile, ...]
    after: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class ChunkStats:
    """What a scope shows; content that lies at two paths counts twice."""

    files: int
    chunks: int
    bytes: int
    """Of the files' texts in UTF-8, before compression; where chunks overlap, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCapabilities(Capabilities):
    """What a chunk store declares."""

    max_limit: int = 10_000
    """Largest ``limit`` of ``scan`` and ``defined``; at least 1000, which ``scan`` takes by default."""
    reclaim: bool = False
    """Deleted content leaves room in the files until ``reclaim``; see ``SupportsReclaim``."""

    def __post_init__(self) -> None:
        check_least(max_batch=self.max_batch, max_limit=self.max_limit)


class ChunkStore(GenerationStore, Protocol):
    """Chunks by id, by file, by file and line, by name. See also ``GenerationStore``."""

    @op(effect=Effect.WRITE, idempotent=True, batch="files")
    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
    ) -> StageResult:
        """Put files into the generation, replacing what lies at their paths, and take ``removed`` paths out.

        A path both removed and staged is staged. The last of equal paths wins. A removed path that is not there is no
        error. A placement that is unchanged is not written, nor is a blob that the store holds (CH-06). With
        ``atomic_batch`` the call is applied as a whole or not at all (CH-07).

        :raises Conflict: the generation was not begun, has been deleted, or is sealed (GE-03)
        """
        ...

    @op(effect=Effect.READ, batch="refs", sync=True)
    async def get(self, refs: Sequence[ChunkRef], *, scope: Scope) -> list[PlacedChunk | None]:
        """The chunks, aligned with ``refs``; None where the scope shows no such chunk at that path (CH-01).

        A chunk that is gone from its file is None, also when the store still holds it for another generation or path.
        """
        ...

    @op(effect=Effect.READ, batch="files", sync=True)
    async def of_file(self, files: Sequence[FileRef], *, scope: Scope) -> list[list[PlacedChunk] | None]:
        """Every chunk of each file, by (start_byte, end_byte, id); None where the scope shows no such file (CH-02).

        A file without chunks gives ``[]``. The lists are the caller's, who may change them.
        """
        ...

    @op(effect=Effect.READ, batch="locations", sync=True)
    async def at(self, locations: Sequence[Location], *, scope: Scope) -> list[PlacedChunk | None]:
        """The chunk that covers each line: the smallest of kind function or method, else class-like, else any.

        Class-like are ``CLASS_KINDS``. Smallest by bytes (``end_byte - start_byte``); ties: later start, then smaller
        id (CH-03). None where nothing covers the line, or the scope shows no such file.
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def defined(self, names: Sequence[str], *, scope: Scope, limit: int) -> list[DefinitionHit]:
        """Definitions with one of the names, exactly and case-sensitively, by (repo_id, path, line, name) (CH-04).

        Beyond that any order. A definition of two overlapping chunks is two hits. ``limit`` is for all names together.
        """
        ...

    @op(effect=Effect.READ, batch="blob_ids", sync=True)
    async def text(self, blob_ids: Sequence[str]) -> list[str | None]:
        """The decoded text of each blob, aligned; None for one that no generation shows (CH-05).

        What is staged and not sealed yet may be there or not. The blob of an empty file is "".
        """
        ...

    @op(effect=Effect.READ, sync=True)
    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> FilePage:
        """The placements that the scope shows above ``after``, complete and ordered, in pages (CH-08)."""
        ...

    @op(effect=Effect.READ, sync=True)
    async def stats(self, *, scope: Scope) -> ChunkStats:
        """Counts of what the scope shows (CH-09)."""
        ...


class SupportsReclaim(Protocol):
    """Optional power (capability ``reclaim``): give the room of deleted content back to the file system.

    Without this power a store looks after itself. The room is used again in any case.
    """

    async def reclaim(self) -> int:
        """Write the files anew when much of them is empty; bytes given back, 0 when it was not worth it (CH-12).

        It is worth it when a megabyte and half of the store are empty; below that the store may decide.

        What generations show stays as it is, and readers go on meanwhile. After a failure or a crash the store is as
        it was.

        :raises LockBusy: another process writes
        :raises ResourceExhausted: there is no room for the copy
        """
        ...


def _stage(
    caps: ChunkCapabilities, repo_id: str, *, generation: int, files: Sequence[FileChunks], removed: Sequence[str] = ()
) -> None:
    check_repo(repo_id)
    check_generation(generation)
    check_batch("files", files, caps.max_batch)
    check_batch("removed", removed, caps.max_batch)
    for path in removed:
        check_path(path)
    for file in files:
        check_path(file.path)
        for c in file.chunks:
            if not (
                0 <= c.start_byte < c.end_byte
                and 1 <= c.start_line <= c.end_line
                and c.blob_id == file.blob_id
                and c.id
            ):
                raise InvalidArgument(f"chunk {c.id!r} of {file.path!r} has a span or blob id that does not fit")


def _refs(caps: ChunkCapabilities, refs: Sequence[ChunkRef], *, scope: Scope) -> None:
    check_batch("refs", refs, caps.max_batch)
    check_scope(scope)


def _files(caps: ChunkCapabilities, files: Sequence[FileRef], *, scope: Scope) -> None:
    check_batch("files", files, caps.max_batch)
    check_scope(scope)


def _at(caps: ChunkCapabilities, locations: Sequence[Location], *, scope: Scope) -> None:
    check_batch("locations", locations, caps.max_batch)
    check_scope(scope)
    for location in locations:
        if type(location[2]) is not int or location[2] < 1:
            raise InvalidArgument(f"lines count from 1, not {location[2]!r}")


def _defined(caps: ChunkCapabilities, names: Sequence[str], *, scope: Scope, limit: int) -> None:
    check_batch("names", names, caps.max_batch)
    check_scope(scope)
    check_limit("limit", limit, caps.max_limit)


def _text(caps: ChunkCapabilities, blob_ids: Sequence[str]) -> None:
    check_batch("blob_ids", blob_ids, caps.max_batch)


def _scan(caps: ChunkCapabilities, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> None:
    check_scope(scope)
    check_limit("limit", limit, caps.max_limit)


def _stats(caps: ChunkCapabilities, *, scope: Scope) -> None:
    check_scope(scope)


PORT = PortSpec(
    version=(1, 1),
    name="chunks",
    protocol=ChunkStore,
    capabilities=ChunkCapabilities,
    summary="chunks by id, by file, by line and by name",
    checks={
        **GENERATION_CHECKS,
        "stage": _stage,
        "get": _refs,
        "of_file": _files,
        "at": _at,
        "defined": _defined,
        "text": _text,
        "scan": _scan,
        "stats": _stats,
    },
    clauses=(
        *GENERATION_CLAUSES,
        Clause("CH-01", "get answers in the order asked, None where the scope shows no such chunk at that path."),
        Clause("CH-02", "of_file gives every chunk by start byte, [] for an empty file and None for no file."),
        Clause(
            "CH-03", "at gives the smallest function or method, else class-like, else any; ties: later start, then id."
        ),
        Clause("CH-04", "defined matches whole names with case, and honours limit and order."),
        Clause("CH-05", "text is the blob's text, also from overlapping chunks, and None for an unknown blob."),
        Clause("CH-06", "Staging what is already there writes no blob and no placement."),
        Clause("CH-07", "One stage call is applied as a whole or not at all.", Level.CAPABILITY),
        Clause("CH-08", "scan is complete, ordered and without repetition, at any page size."),
        Clause("CH-09", "stats counts exactly what the scope shows."),
        Clause("CH-10", "Non-ASCII text, names and paths come back unchanged."),
        Clause("CH-11", "One blob at two paths is stored once and found at both."),
        Clause("CH-12", "reclaim makes the files smaller and changes no answer.", Level.CAPABILITY),
        Clause("CH-13", "A declared limit is reached, and one more is refused.", Level.CAPABILITY),
        Clause("CH-14", "Long paths, names and texts, and large batches, come back whole."),
        Clause("CH-15", "A blob in two languages, or cut in two ways, shows at each path what was staged there."),
        Clause(
            "CH-16",
            "A batch of n takes at most a turn per max_batch and a constant, for reads and for stage.",
            Level.BUDGET,
        ),
    ),
)
