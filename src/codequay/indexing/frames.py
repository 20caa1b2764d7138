"""Messages between an indexer and its workers: a length in eight bytes, then marshalled plain values.

Both ends are the same interpreter version, and nothing but plain values can arrive.
"""

from __future__ import annotations

import marshal
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">Q")


def write_frame(pipe: BinaryIO, message: Any) -> None:
    """Write one message.

    :raises OSError: the other end is gone
    """
    body = marshal.dumps(message)
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def read_frame(pipe: BinaryIO) -> Any:
    """The next message.

    :raises EOFError: the other end closed or died
    """
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError("the pipe is closed")
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError("the pipe closed within a message")
    return marshal.loads(body)  # noqa: S302 - our own child wrote it
