"""Git's id of a file's bytes, apart from the chunker: a comparison needs nothing else of it."""

from __future__ import annotations

import hashlib


def blob_id_of(raw: bytes) -> str:
    """The SHA-1 that git gives a blob of exactly these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
