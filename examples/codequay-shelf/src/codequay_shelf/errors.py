"""What the operating system's errors mean."""

from __future__ import annotations

import errno

from codequay.ports.errors import PermissionDenied, ResourceExhausted, Verdict

FULL = {errno.ENOSPC, errno.EDQUOT}


def classify(exc: BaseException) -> Verdict | None:
    """The meaning of an exception, None when it is not known. Pure: it looks at ``exc`` only."""
    if isinstance(exc, PermissionError):
        return Verdict(
            PermissionDenied, "the shelf's folder cannot be used", "give its files to the user who runs this"
        )
    if isinstance(exc, OSError) and exc.errno in FULL:
        return Verdict(ResourceExhausted, "the disk of the shelf is full", "make room on it")
    return None
