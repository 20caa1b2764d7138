"""The tables, and how ids are stored.

**Content and place.** ``content`` is a blob as one chunker cut it; its chunks, pieces of text and definitions have
consecutive ids, so that a file is read by range. ``placement`` puts it at a path for the generations
``born <= g < died`` (``died`` NULL: still there).

**Text** is stored in pieces of about 4 kB, compressed by zlib at level 3. Measured on CPython's library: a piece per
chunk takes .41 of the source at 19 ms/MB, of 4 kB .34 at 12, of 32 kB .30 at 10, and reading one chunk inflates one
piece: 6, 12 and 36 us. 4 kB fill the pages better than 8 kB do, so that the whole file is no larger (.58).
Level 6 saves .02 and costs 5 ms/MB more; a preset dictionary saved .01 and cost 3.

**Ids** in hex are stored as their bytes, anything else as text.
"""

from __future__ import annotations

from codequay.adapters._schema import Schema, Step

APPLICATION_ID = 0x43515931
"""``CQY1``: marks our files for ``file(1)`` and for us."""
PIECE_BYTES = 4096
"""A piece is closed once it holds this many bytes of text."""
ZLIB_LEVEL = 3

_HIDDEN_AT = Step(
    title="publications say since when no name shows them",
    sql="""
ALTER TABLE publication ADD COLUMN hidden_at REAL;
UPDATE publication SET hidden_at = ifnull(
    (SELECT n.published_at FROM publication n WHERE n.repo_id = publication.repo_id
        AND n.snapshot = publication.snapshot AND n.generation > publication.generation ORDER BY n.generation LIMIT 1),
    published_at)
WHERE NOT EXISTS (
    SELECT 1 FROM shown s WHERE s.repo_id = publication.repo_id AND s.generation = publication.generation);
""",
    readers=1,
    writers=2,
    views="""
CREATE TEMP VIEW publication AS
SELECT repo_id, generation, base, snapshot, revision, dirty, files, chunks, bytes, published_at, stores, skipped,
    NULL AS hidden_at FROM main.publication;
""",
)
"""A release of version 1 names no columns when it inserts."""

_FENCES = Step(
    title="the last fence of each lock, not of the last lock alone",
    sql="""
ALTER TABLE fence RENAME TO fence_of_last_lock;
CREATE TABLE fence (
    repo_id TEXT NOT NULL, adapter TEXT NOT NULL, store_id TEXT NOT NULL, fence INTEGER NOT NULL,
    PRIMARY KEY (repo_id, adapter, store_id)
) WITHOUT ROWID;
INSERT INTO fence SELECT repo_id, adapter, store_id, fence FROM fence_of_last_lock WHERE fence IS NOT NULL;
DROP TABLE fence_of_last_lock;
""",
    readers=1,
    writers=3,
    views="",
)
"""A release of version 1 or 2 upserts by repository alone."""

INDEX = Schema(
    application_id=APPLICATION_ID,
    script="""
CREATE TABLE repo (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, highest INTEGER NOT NULL DEFAULT 0);
CREATE TABLE generation (
    repo INTEGER NOT NULL, generation INTEGER NOT NULL, base INTEGER, sealed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repo, generation)
) WITHOUT ROWID;
CREATE TABLE content (
    id INTEGER PRIMARY KEY, blob NOT NULL, shape BLOB NOT NULL, language TEXT NOT NULL, bytes INTEGER NOT NULL,
    tiled INTEGER NOT NULL, chunk INTEGER NOT NULL, chunks INTEGER NOT NULL, piece INTEGER NOT NULL,
    pieces INTEGER NOT NULL, definition INTEGER NOT NULL, definitions INTEGER NOT NULL
);
CREATE UNIQUE INDEX idx_content_blob ON content (blob, shape);
CREATE TABLE placement (
    id INTEGER PRIMARY KEY, repo INTEGER NOT NULL, path TEXT NOT NULL, born INTEGER NOT NULL, died INTEGER,
    content INTEGER NOT NULL, mode INTEGER NOT NULL
);
CREATE UNIQUE INDEX idx_placement_path ON placement (repo, path, born);
CREATE INDEX idx_chunks_repo_snapshot ON placement (repo, born, died);
CREATE INDEX idx_placement_content ON placement (content);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, content INTEGER NOT NULL, key NOT NULL, start_byte INTEGER NOT NULL,
    end_byte INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, piece INTEGER NOT NULL,
    offset INTEGER NOT NULL, size INTEGER NOT NULL, kind NOT NULL, symbol TEXT, hash NOT NULL, language TEXT,
    definition INTEGER NOT NULL, definitions INTEGER NOT NULL
);
CREATE INDEX idx_chunks_file_span ON chunk (content, start_line, end_line);
CREATE INDEX idx_chunks_content_hash ON chunk (hash);
CREATE TABLE piece (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE definition (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, content INTEGER NOT NULL, chunk INTEGER NOT NULL, kind NOT NULL,
    line INTEGER NOT NULL
);
CREATE INDEX idx_chunks_symbol ON definition (name);

CREATE TABLE repository (
    repo_id TEXT PRIMARY KEY, root TEXT NOT NULL, origin TEXT NOT NULL, source TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE counter (repo_id TEXT PRIMARY KEY, last INTEGER NOT NULL, opened INTEGER) WITHOUT ROWID;
CREATE TABLE publication (
    repo_id TEXT NOT NULL, generation INTEGER NOT NULL, base INTEGER, snapshot TEXT NOT NULL, revision TEXT NOT NULL,
    dirty INTEGER, files INTEGER NOT NULL, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL, published_at REAL NOT NULL,
    stores TEXT NOT NULL, skipped TEXT NOT NULL, PRIMARY KEY (repo_id, generation)
) WITHOUT ROWID;
CREATE TABLE shown (
    repo_id TEXT NOT NULL, snapshot TEXT NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (repo_id, snapshot)
) WITHOUT ROWID;
CREATE TABLE fence (
    repo_id TEXT PRIMARY KEY, adapter TEXT NOT NULL, store_id TEXT NOT NULL, fence INTEGER
) WITHOUT ROWID;
CREATE TABLE skipped (
    repo_id TEXT NOT NULL, generation INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (repo_id, generation, path)
) WITHOUT ROWID;
""",
    steps=(_HIDDEN_AT, _FENCES),
)
"""``codequay.db``: the chunk store's tables, then those of metadata."""

CACHE = Schema(
    application_id=APPLICATION_ID,
    script="""
CREATE TABLE entry (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, expires REAL);
CREATE INDEX idx_entry_expires ON entry (expires) WHERE expires IS NOT NULL;
CREATE TABLE change (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL);
""",
)
"""``cache.db``: entries, and the latest changes for ``invalidations``."""

_KINDS = (
    "block", "function", "method", "class", "struct", "interface", "trait", "enum", "module", "object", "protocol",
    "record", "type", "constant", "variable", "field", "property", "macro", "namespace", "constructor", "section",
    "union", "impl", "package", "test", "table", "key", "label", "event", "attribute", "heading", "rule",
)  # fmt: skip
"""Kinds that are stored as their position here. Append only."""
_KIND_CODES = {name: code for code, name in enumerate(_KINDS)}


def pack_kind(kind: str) -> int | str:
    return _KIND_CODES.get(kind, kind)


def kind_name(stored: int | str) -> str:
    """A code that a newer release has added, or that is damaged, has no name here."""
    if isinstance(stored, int):
        return _KINDS[stored] if 0 <= stored < len(_KINDS) else f"kind {stored}"
    return stored


def pack_id(text: str) -> bytes | str:
    """The bytes of an id in lower-case hex; any other id as it is."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return text
    return raw if raw.hex() == text else text


def unpack_id(stored: bytes | str) -> str:
    return stored.hex() if isinstance(stored, bytes) else stored
