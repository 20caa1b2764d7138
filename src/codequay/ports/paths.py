"""Names of files as text: reversible, encodable as UTF-8, readable when they already are.

A byte that is not UTF-8 becomes ``\\xHH``; a backslash that already begins such a sequence becomes ``\\x5c``.
"""

from __future__ import annotations

import os
import re

_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_AMBIGUOUS = re.compile(r"\\(?=x[0-9a-f]{2})")
_SURROGATE = re.compile("[\udc80-\udcff]")


def path_from_bytes(raw: bytes) -> str:
    """The text form of a file name as the operating system or git gives it."""
    if b"\\x" not in raw:
        try:
            return raw.decode()  # as nearly every name is: a listing of thousands comes this way
        except UnicodeDecodeError:
            pass
    text = _AMBIGUOUS.sub(r"\\x5c", raw.decode("utf-8", "surrogateescape"))
    return _SURROGATE.sub(lambda m: f"\\x{ord(m[0]) - 0xDC00:02x}", text)


def path_to_bytes(path: str) -> bytes:
    """The inverse of ``path_from_bytes``."""
    if "\\x" not in path:
        return path.encode()
    out, end = bytearray(), 0
    for m in _ESCAPED.finditer(path):
        out += path[end : m.start()].encode() + bytes((int(m[1], 16),))
        end = m.end()
    return bytes(out + path[end:].encode())


def stored_path(relative: str) -> str:
    """The text form of a relative path as Python spells it. What is already in the text form stays as it is."""
    if os.sep != "/":
        relative = relative.replace(os.sep, "/")
    return path_from_bytes(os.fsencode(relative)) if _SURROGATE.search(relative) else relative


def os_path(root: str, path: str) -> str:
    """The operating system's name for ``path`` under ``root``."""
    plain = path.isascii() and "\\" not in path
    return os.path.join(root, path if plain else os.fsdecode(path_to_bytes(path)))
