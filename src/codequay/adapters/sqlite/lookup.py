"""``ChunkStore.get``: where the files lie, then the chunks that are not held already, in one statement each."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from codequay.ports.chunks import Chunk, ChunkRef, Definition, PlacedChunk
from codequay.ports.generations import Scope

from . import generations, rows
from .connection import Reading
from .generations import VISIBLE
from .schema import kind_name, pack_id

PER_STATEMENT = 200
MANY = 8
"""From so many chunks of one content on, one pass over it finds them all; fewer are each looked for alone."""
HELD = 4000
"""Chunks held, about 8 MB: questions that follow each other often show the same ones. Then it starts anew."""
HELD_AT_ONCE = 100
"""A larger call reads in bulk: what it reads is not held."""

Held = dict[tuple[bytes | str, bytes, bytes | str], Chunk]
"""Chunks by blob, shape of its cutting, and id. Equal keys are equal chunks, in whatever generation."""

ONE = (
    f"SELECT {rows.CHUNK}, d.name, d.kind, d.line FROM repo r"
    " CROSS JOIN generation g ON g.repo = r.id AND g.generation = :g AND g.sealed"
    f" CROSS JOIN placement p ON p.repo = r.id AND p.path = :path AND {VISIBLE}"
    " CROSS JOIN content c ON c.id = p.content"
    " CROSS JOIN chunk k ON k.id >= c.chunk AND k.id < c.chunk + c.chunks AND k.key = :key"
    " LEFT JOIN piece t ON t.id = k.piece"
    " LEFT JOIN definition d ON d.id >= k.definition AND d.id < k.definition + k.definitions WHERE r.name = :repo"
)
"""A row per definition of the chunk, one when it has none: for one chunk a statement costs more than the rows."""
LYING = (
    "WITH want(path) AS (VALUES {}) SELECT p.path, c.id, c.blob, c.shape FROM want CROSS JOIN placement p"
    f" ON p.repo = ? AND p.path = want.path AND {VISIBLE.replace(':g', '?')} CROSS JOIN content c ON c.id = p.content"
)
FEW = (
    f"WITH want(content, key) AS (VALUES {{}}) SELECT {rows.CHUNK}, c.id, c.shape FROM want"
    " CROSS JOIN content c ON c.id = want.content"
    " CROSS JOIN chunk k ON k.id >= c.chunk AND k.id < c.chunk + c.chunks AND k.key = want.key"
    " LEFT JOIN piece t ON t.id = k.piece"
)
_ALL = (
    f"SELECT {rows.CHUNK}, c.id, c.shape FROM content c"
    " CROSS JOIN chunk k ON k.id >= c.chunk AND k.id < c.chunk + c.chunks"
    " LEFT JOIN piece t ON t.id = k.piece WHERE c.id = ?"
)

_Content = tuple[int, bytes | str, bytes]
"""A content's row, blob and shape."""
_Wanted = dict[tuple[int, bytes | str], list[int]]
"""Content and chunk id -> places in the answer."""


def get(connection: Reading, refs: Sequence[ChunkRef], scope: Scope, held: Held) -> list[PlacedChunk | None]:
    """The chunks, aligned with ``refs``. What was read is added to ``held``."""
    if len(refs) == 1:
        return [_one(connection, refs[0], scope)]
    answer: list[PlacedChunk | None] = [None] * len(refs)
    lying = _lying(connection, refs, scope)
    wanted: _Wanted = {}
    for i, (repo_id, path, chunk_id) in enumerate(refs):
        content = lying.get((repo_id, path))
        if content is None:
            continue
        number, blob, shape = content
        key = pack_id(chunk_id)
        known = held.get((blob, shape, key))
        if known is not None:
            answer[i] = PlacedChunk(repo_id, path, known)
        else:
            wanted.setdefault((number, key), []).append(i)
    if wanted:
        hold = len(wanted) <= HELD_AT_ONCE
        if hold and len(held) + len(wanted) > HELD:
            held.clear()
        found = sorted(_rows(connection, wanted), key=itemgetter(12))  # by piece, so that each is inflated once
        inflated = rows.Inflated()
        for row, names in zip(found, rows.definitions_of(connection, found), strict=True):
            chunk = rows.chunk(row, inflated.text(row), names)
            if hold:
                held[row[1], row[17], row[0]] = chunk
            for i in wanted[row[16], row[0]]:
                answer[i] = PlacedChunk(refs[i][0], refs[i][1], chunk)
    return answer


def _one(connection: Reading, ref: ChunkRef, scope: Scope) -> PlacedChunk | None:
    repo_id, path, chunk_id = ref
    if len(scope) > 1:
        generations.resolve(connection, scope)
    where = {"repo": repo_id, "path": path, "g": dict(scope).get(repo_id, 0), "key": pack_id(chunk_id)}
    found = connection.execute(ONE, where).fetchall()
    if not found:
        generations.resolve(connection, scope)
        return None
    row = found[0]
    names = tuple([Definition(one[16], kind_name(one[17]), one[18]) for one in found if one[16] is not None])
    return PlacedChunk(repo_id, path, rows.chunk(row, rows.Inflated().text(row), names))


def _lying(connection: Reading, refs: Sequence[ChunkRef], scope: Scope) -> dict[tuple[str, str], _Content]:
    """File -> its content."""
    paths: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for repo_id, path, _ in refs:
        paths[repo_id][path] = None
    found: dict[tuple[str, str], _Content] = {}
    memo = connection.memo
    for repo_id, (repo, generation) in generations.resolve(connection, scope).items():
        unknown = []
        for path in paths[repo_id]:
            known = memo.get(("lies", repo, generation, path))
            if known is None:
                unknown.append(path)
            else:
                found[repo_id, path] = known
        for start in range(0, len(unknown), PER_STATEMENT):
            some = unknown[start : start + PER_STATEMENT]
            sql = LYING.format(", ".join(["(?)"] * len(some)))
            for path, *content in connection.execute(sql, [*some, repo, generation, generation]):
                found[repo_id, path] = connection.keep(("lies", repo, generation, path), tuple(content))
    return found


def _rows(connection: sqlite3.Connection, wanted: _Wanted) -> Iterator[Sequence[Any]]:
    """The chunks' rows, with content and shape behind the columns of ``rows.CHUNK``."""
    keys: defaultdict[int, list[bytes | str]] = defaultdict(list)
    for content, key in wanted:
        keys[content].append(key)
    few: list[int | bytes | str] = []
    for content, some in keys.items():
        if len(some) < MANY:
            for key in some:
                few += (content, key)
        else:
            yield from (row for row in connection.execute(_ALL, (content,)) if (content, row[0]) in wanted)
    for start in range(0, len(few), 2 * PER_STATEMENT):
        pairs = few[start : start + 2 * PER_STATEMENT]
        yield from connection.execute(FEW.format(", ".join(["(?, ?)"] * (len(pairs) // 2))), pairs)
