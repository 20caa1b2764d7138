"""How files are put into a generation: one trip to look, then the new rows and the commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import attrgetter

from codequay.ports.chunks import FileChunks
from codequay.ports.errors import Conflict
from codequay.ports.generations import StageResult

from . import generations, sql
from .connections import Transaction
from .schema import FOREVER, Tables

_ORDER = attrgetter("start_byte", "end_byte", "id")


async def stage(
    tx: Transaction, t: Tables, repo_id: str, generation: int, files: Sequence[FileChunks], removed: Sequence[str]
) -> StageResult:
    """One ``ChunkStore.stage``.

    :raises Conflict: the generation was not begun, or is sealed
    """
    last = {file.path: file for file in files}
    digests = {path: digest_of(file) for path, file in last.items()}
    taken_out = [path for path in dict.fromkeys(removed) if path not in last]
    paths = [*last, *taken_out]
    contents = {digests[path]: file for path, file in last.items()}

    looks = [*_lying(t, repo_id, paths)]
    state, *answers = await tx.send(
        [
            generations.begun(t, repo_id, generation),
            *looks,
            *(
                f"SELECT digest FROM {t.content} WHERE digest IN {sql.listed(some)} ORDER BY digest LOCK IN SHARE MODE"
                for some in sql.parts(map(sql.raw, sorted(contents)))
            ),
        ]
    )
    repo, sealed = generations.check_begun(state, repo_id, generation)
    if sealed:
        raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
    lying = {
        (path + rest).decode(): (born, content, mode)
        for rows in answers[: len(looks)]
        for path, rest, born, content, mode in rows
    }
    held = {digest for rows in answers[len(looks) :] for (digest,) in rows}

    changed: list[str] = []
    unborn: list[str] = []
    orphans: list[bytes] = []
    placements = 0
    for path in taken_out:
        if path in lying:
            born, content, mode = lying[path]
            if born == generation:
                unborn.append(path)
                orphans.append(content)
            else:
                changed.append(_placement(repo, path, born, generation, content, mode))
    for path, file in last.items():
        digest = digests[path]
        if path in lying:
            born, content, mode = lying[path]
            if (content, mode) == (digest, file.mode):
                continue
            if born == generation:
                orphans.append(content)
            else:
                changed.append(_placement(repo, path, born, generation, content, mode))
        changed.append(_placement(repo, path, generation, FOREVER, digest, file.mode))
        placements += 1

    new = {digest: file for digest, file in sorted(contents.items()) if digest not in held}
    statements = [
        *_rows_of(t, new),
        *_removals(t, repo, generation, unborn),
        *sql.inserts(
            f"INSERT INTO {t.placement} (repo, path, rest_key, rest, born, died, content, mode)",
            changed,
            "ON DUPLICATE KEY UPDATE died = VALUES(died), content = VALUES(content), mode = VALUES(mode)",
        ),
    ]
    if orphans:
        await tx.send(statements)
        statements = await generations.collect(tx, t, orphans)
    await tx.commit(statements)
    return StageResult(len(new), placements)


def digest_of(file: FileChunks) -> bytes:
    """The key of what was staged: the blob, and how it was cut (a chunk's id names chunker, blob and span)."""
    said = "\0".join([file.blob_id, file.language, *(c.id for c in file.chunks)])
    return blake2b(said.encode(), digest_size=16).digest()


def _placement(repo: int, path: str, born: int, died: int, content: bytes, mode: int) -> str:
    return sql.row(repo, *sql.path(path), born, died, sql.raw(content), mode)


def _lying(t: Tables, repo_id: str, paths: Iterable[str]) -> Iterator[str]:
    for some in sql.parts(sql.row(*sql.path(path)[:2]) for path in paths):
        yield (
            f"{sql.wanted('path, rest_key', some)} SELECT p.path, p.rest, p.born, p.content, p.mode FROM w"
            f" STRAIGHT_JOIN {t.repo} r ON r.name = {sql.text(repo_id)} STRAIGHT_JOIN {t.placement} p"
            f" ON p.repo = r.id AND p.path = w.path AND p.rest_key = w.rest_key AND p.died = {FOREVER}"
        )


def _removals(t: Tables, repo: int, generation: int, paths: Iterable[str]) -> Iterator[str]:
    keys = (sql.path(path) for path in paths)
    for some in sql.parts(f"(path = {head} AND rest_key = {rest_key})" for head, rest_key, _ in keys):
        yield f"DELETE FROM {t.placement} WHERE repo = {repo} AND born = {generation} AND ({' OR '.join(some)})"


def _rows_of(t: Tables, new: dict[bytes, FileChunks]) -> Iterator[str]:
    """The INSERTs of contents. Another repository's writer may put the same ones in at the same time: equal rows."""
    contents: list[str] = []
    chunks: list[str] = []
    definitions: list[str] = []
    for digest, file in new.items():
        key, size, covered = sql.raw(digest), 0, 0
        for seq, c in enumerate(sorted(file.chunks, key=_ORDER)):
            length = len(c.text.encode())
            size += max(length - max(covered - c.start_byte, 0), 0)
            covered = max(covered, c.start_byte + length)
            names = json.dumps(c.definitions, separators=(",", ":"))
            chunks.append(sql.row(
                key, seq, sql.text(c.id), c.start_byte, c.end_byte, c.start_line, c.end_line, sql.text(c.language),
                sql.text(c.kind), sql.text(c.symbol), sql.text(c.content_hash), sql.text(c.text), sql.text(names),
            ))  # fmt: skip
            for number, d in enumerate(c.definitions):
                definitions.append(sql.row(key, seq, number, sql.text(d.name), sql.text(d.kind), d.line))
        contents.append(sql.row(key, sql.text(file.blob_id), sql.text(file.language), len(file.chunks), size))
    yield from sql.inserts(f"INSERT INTO {t.content}", contents, "ON DUPLICATE KEY UPDATE digest = VALUES(digest)")
    yield from sql.inserts(f"INSERT INTO {t.chunk}", chunks, "ON DUPLICATE KEY UPDATE seq = VALUES(seq)")
    yield from sql.inserts(f"INSERT INTO {t.definition}", definitions, "ON DUPLICATE KEY UPDATE seq = VALUES(seq)")
