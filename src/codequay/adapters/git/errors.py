"""What git said, as errors of the port."""

from __future__ import annotations

import re

from codequay.ports.errors import Internal, NotFound, PermissionDenied, PortError, Unavailable, Verdict

_REMEDY = re.compile(r"git config --global --add safe\.directory .+")

_ABSENT = (
    "not a git repository",
    "must be run in a work tree",
    "bare repository",
    "no such path",
    "unknown revision",
    "Needed a single revision",
)


class GitError(Exception):
    """Git ended with an error; ``stderr`` is what it said (in English: it runs with LC_ALL=C)."""

    def __init__(self, command: str, status: int, stderr: str) -> None:
        super().__init__(f"git {command} ended with {status}: {stderr.strip()[-500:]}")
        self.stderr = stderr


class GitMissing(Exception):
    """The git program cannot be started."""


def classify(exc: BaseException) -> Verdict | None:
    """The verdict on git's own errors and the operating system's."""
    if isinstance(exc, GitMissing):
        return Verdict(Unavailable, str(exc), "install git, or set adapters.git.binary")
    if isinstance(exc, GitError):
        return _verdict(exc)
    if isinstance(exc, PermissionError):
        return Verdict(PermissionDenied, str(exc))
    if isinstance(exc, FileNotFoundError):
        return Verdict(NotFound, str(exc))
    return None


def _verdict(exc: GitError) -> Verdict:
    text = exc.stderr
    error: type[PortError] = Internal
    remedy = ""
    if "dubious ownership" in text:
        found = _REMEDY.search(text)
        remedy = found[0].strip() if found else "git config --global --add safe.directory PATH"
        return Verdict(PermissionDenied, "git refuses the repository: another user owns it", remedy)
    if any(phrase in text for phrase in _ABSENT):
        error = NotFound
    elif "Permission denied" in text:
        error = PermissionDenied
    return Verdict(error, str(exc), remedy)
