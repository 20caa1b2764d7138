"""Exit codes: one table from error codes, one order when several causes meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codequay.ports.errors import Code, PortError

OK = 0
NO_MATCH = 1
USAGE = 2
PERMANENT = 3
INCOMPLETE = 4
TRANSIENT = 6
LOCK_BUSY = 7
DEADLINE = 124
SIGINT = 130
SIGTERM = 143

MEANING = {
    OK: "done",
    NO_MATCH: "no match, and the index is complete",
    USAGE: "usage or configuration",
    PERMANENT: "failed, and would fail again",
    INCOMPLETE: "the index is missing, cold, partial or stale",
    TRANSIENT: "failed, and may succeed later",
    LOCK_BUSY: "another process is writing the index",
    DEADLINE: "out of time",
    SIGINT: "interrupted; the index is as before",
    SIGTERM: "terminated; the index is as before",
}

PRECEDENCE = (SIGINT, SIGTERM, DEADLINE, USAGE, PERMANENT, LOCK_BUSY, TRANSIENT, INCOMPLETE, NO_MATCH, OK)

BY_ERROR = {
    Code.INVALID_CONFIG: USAGE,
    Code.UNKNOWN_ADAPTER: USAGE,
    Code.ADAPTER_CONFLICT: USAGE,
    Code.MISSING_EXTRA: USAGE,
    Code.BROKEN_PLUGIN: USAGE,
    Code.SECRET_UNAVAILABLE: USAGE,
    Code.INVALID_ARGUMENT: USAGE,
    Code.UNIMPLEMENTED: PERMANENT,
    Code.NOT_FOUND: PERMANENT,
    Code.ALREADY_EXISTS: PERMANENT,
    Code.ABORTED: TRANSIENT,
    Code.FAILED_PRECONDITION: PERMANENT,
    Code.NOT_INDEXED: INCOMPLETE,
    Code.FINGERPRINT_MISMATCH: INCOMPLETE,
    Code.PERMISSION_DENIED: PERMANENT,
    Code.LOCK_BUSY: LOCK_BUSY,
    Code.RESOURCE_EXHAUSTED: PERMANENT,
    Code.DEADLINE_EXCEEDED: DEADLINE,
    Code.UNAVAILABLE: TRANSIENT,
    Code.DATA_LOSS: PERMANENT,
    Code.CLOSED: PERMANENT,
    Code.INTERNAL: PERMANENT,
}


class Signalled(BaseException):
    """A signal ended the command after everything was put away. A BaseException, like KeyboardInterrupt."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def combine(codes: Iterable[int]) -> int:
    """The code that stands for all of them."""
    seen = set(codes)
    return next((code for code in PRECEDENCE if code in seen), OK)


def flatten(exc: BaseException) -> Iterator[BaseException]:
    """The single errors in an exception, however nested in groups."""
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from flatten(inner)
        return
    several = getattr(exc, "errors", None)
    if isinstance(exc, PortError) and isinstance(several, (list, tuple)) and several:
        for inner in several:
            yield from flatten(inner)
        return
    yield exc


def exit_code(exc: BaseException) -> int:
    """The code of an error; a bug of ours counts as permanent."""
    if isinstance(exc, Signalled):
        return 128 + exc.signal
    if isinstance(exc, PortError):
        return combine(BY_ERROR[e.code] for e in flatten(exc) if isinstance(e, PortError))
    if isinstance(exc, BaseExceptionGroup):
        return combine(exit_code(e) for e in flatten(exc))
    if isinstance(exc, TimeoutError):
        return DEADLINE
    return PERMANENT
