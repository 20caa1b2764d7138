"""SQL as text: values are quoted here and nowhere else.

Every string is bytes to the server (``_binary``), so that no collation has a say: case, accents and trailing spaces
count, and the order of UTF-8 bytes is that of code points. Several statements go in one packet, which prepared
statements cannot; so quoting must be right: the session's ``sql_mode`` is set by us, without ``NO_BACKSLASH_ESCAPES``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

STATEMENT_BYTES = 500_000
"""Characters of one INSERT: the server's ``max_allowed_packet`` is 16 MB, and its plans grow with the rows."""
ROWS = 5000
"""Rows of one statement at most."""

PATH_BYTES = 2900
"""Bytes of a path that are in the column ``path``; see ``schema``."""
NO_REST = "x'" + 32 * "0" + "'"
"""``rest_key`` of a path that fits."""

_ESCAPES = {ord("\\"): "\\\\", ord("'"): "\\'", 0: "\\0"}


def text(value: str) -> str:
    """A string as the bytes of its UTF-8.

    :raises UnicodeEncodeError: it holds a lone surrogate, of which the driver would make another byte
    """
    value.encode()
    return f"_binary'{value.translate(_ESCAPES)}'"


def raw(value: bytes) -> str:
    """Bytes, for digests."""
    return f"x'{value.hex()}'"


def path(value: str) -> tuple[str, str, str]:
    """``path``, ``rest_key`` and ``rest`` of a path. It is cut between bytes: (path, rest) has the order of paths."""
    whole = value.encode()
    if len(whole) <= PATH_BYTES:
        return text(value), NO_REST, "''"
    rest = whole[PATH_BYTES:]
    return raw(whole[:PATH_BYTES]), raw(blake2b(rest, digest_size=16).digest()), raw(rest)


def row(*values: str | int) -> str:
    """``(1, _binary'a')`` of an integer and a value that is quoted already."""
    return f"({', '.join([value if isinstance(value, str) else str(int(value)) for value in values])})"


def listed(values: Iterable[str]) -> str:
    """What stands behind IN."""
    return f"({', '.join(values)})"


def wanted(columns: str, rows: Iterable[str]) -> str:
    """The beginning of a statement that joins a table ``w`` of given rows, of which there must be one."""
    return f"WITH w ({columns}) AS (VALUES {', '.join(rows)})"


def inserts(head: str, rows: Iterable[str], tail: str = "") -> Iterator[str]:
    """``INSERT`` statements of as many rows as suit one statement."""
    held: list[str] = []
    size = 0
    for one in rows:
        if held and (size + len(one) > STATEMENT_BYTES or len(held) == ROWS):
            yield f"{head} VALUES {', '.join(held)} {tail}"
            held, size = [], 0
        held.append(one)
        size += len(one)
    if held:
        yield f"{head} VALUES {', '.join(held)} {tail}"


def parts(values: Iterable[str]) -> Iterator[list[str]]:
    """The values in lists of as many as suit one statement."""
    held: list[str] = []
    for one in values:
        held.append(one)
        if len(held) == ROWS:
            yield held
            held = []
    if held:
        yield held
