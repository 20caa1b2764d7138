"""What the operating system said, as errors of the port."""

from __future__ import annotations

from codequay.ports.errors import NotFound, PermissionDenied, Verdict


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on the operating system's errors."""
    if isinstance(exc, PermissionError):
        return Verdict(PermissionDenied, str(exc))
    if isinstance(exc, (FileNotFoundError, NotADirectoryError)):
        return Verdict(NotFound, str(exc))
    return None
