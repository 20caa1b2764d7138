"""When the lexical index is written anew, and the texts for it: those of the chunk store, so no file is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Protocol, cast

from codequay.ports.chunks import Chunk, ChunkStore, FileRef, PlacedChunk
from codequay.ports.errors import NotIndexed
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, LexicalIndex, LexRef, LexSpan, SupportsCompaction

DEAD = 0.2
"""Share of dead documents above which the index is written anew: a run that does so reads and writes all of it."""

_ORDER = attrgetter("start_byte", "end_byte", "id")


class TextPorts(Protocol):
    """The ports of a compaction."""

    @property
    def chunks(self) -> ChunkStore: ...
    @property
    def lexical(self) -> LexicalIndex: ...


async def compaction_due(ports: TextPorts) -> bool:
    """Whether the index can be compacted and so much of it is dead that it should be."""
    capabilities = getattr(ports.lexical, "capabilities", None)
    if not getattr(capabilities, "compaction", False):
        return False
    return (await ports.lexical.stats(scope=())).dead > DEAD


async def compact(ports: TextPorts) -> int:
    """Write the whole index anew; how many placements were written. See ``SupportsCompaction``.

    :raises LockBusy: a generation is being staged, or another process writes
    :raises NotIndexed: the chunk store does not hold what the index shows; nothing is changed
    """
    return await cast(SupportsCompaction, ports.lexical).compact(partial(stored_files, ports.chunks))


async def stored_files(chunks: ChunkStore, refs: Sequence[LexRef]) -> list[LexFile | None]:
    """The files as they were staged, aligned; None where the chunk store no longer has the generation or the file."""
    by_scope: dict[ScopeEntry, list[int]] = defaultdict(list)
    for n, ref in enumerate(refs):
        by_scope[ScopeEntry(ref.repo_id, ref.generation)].append(n)
    found: list[LexFile | None] = [None] * len(refs)
    for entry, numbers in by_scope.items():
        files = [FileRef(entry.repo_id, refs[n].path) for n in numbers]
        try:
            rows = await chunks.of_file(files, scope=(entry,))
        except NotIndexed:
            continue
        for n, placed in zip(numbers, rows, strict=True):
            found[n] = _file(refs[n], placed)
    return found


def _file(ref: LexRef, placed: Sequence[PlacedChunk] | None) -> LexFile | None:
    if placed is None or any(one.chunk.blob_id != ref.blob_id for one in placed):
        return None
    chunks = sorted((one.chunk for one in placed), key=_ORDER)
    return LexFile(
        ref.path,
        ref.blob_id,
        ref.language,
        ref.mode,
        _text(chunks),
        tuple(definition for chunk in chunks for definition in chunk.definitions),
        tuple(LexSpan(c.id, c.start_byte, c.end_byte, c.start_line, c.end_line) for c in chunks),
    )


def _text(chunks: Sequence[Chunk]) -> str:
    """The blob's text: each chunk gives the bytes that are not covered yet."""
    text, covered = bytearray(), 0
    for chunk in chunks:
        if chunk.end_byte > covered:
            text += chunk.text.encode()[max(0, covered - chunk.start_byte) :]
            covered = chunk.end_byte
    return text.decode()
