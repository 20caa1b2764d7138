"""What a port may raise, drawn as a tree::

    PortError
    ├── ConfigError            invalid_config        what was configured cannot be built
    │   ├── UnknownAdapter     unknown_adapter       no installed distribution announces the name
    │   ├── AdapterConflict    adapter_conflict      two distributions announce one name
    │   ├── MissingExtra       missing_extra         a declared requirement is not installed
    │   ├── BrokenPlugin       broken_plugin         it is installed and fails to import or to fit its port
    │   └── SecretError        secret_unavailable    a secret reference names nothing readable
    ├── InvalidArgument        invalid_argument      the caller broke the contract; nothing was done
    ├── Unsupported            unimplemented         a capability that the adapter does not declare
    ├── NotFound               not_found             what was asked for by name is not there
    ├── AlreadyExists          already_exists
    ├── Conflict               aborted               somebody else was first: read again, then decide
    ├── FailedPrecondition     failed_precondition   the store is not in the state that the call needs
    │   ├── NotIndexed         not_indexed           the generation is not sealed in this store
    │   └── FingerprintMismatch fingerprint_mismatch built by another format, chunker or tokenizer
    ├── PermissionDenied       permission_denied
    ├── LockBusy               lock_busy             another process holds what this one needs
    ├── ResourceExhausted      resource_exhausted    disk, memory or quota
    ├── DeadlineExceeded       deadline_exceeded
    ├── Unavailable            unavailable           not reachable now
    ├── Corrupt                data_loss             stored data is damaged
    ├── Closed                 closed                used after close
    └── Internal               internal              anything that no adapter classified

Act on ``code``, never on the message. Codes are append-only; they follow gRPC's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple


class Code(StrEnum):
    """What went wrong, for programs. Append-only."""

    INVALID_CONFIG = "invalid_config"
    UNKNOWN_ADAPTER = "unknown_adapter"
    ADAPTER_CONFLICT = "adapter_conflict"
    MISSING_EXTRA = "missing_extra"
    BROKEN_PLUGIN = "broken_plugin"
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105 - a code, not a secret
    INVALID_ARGUMENT = "invalid_argument"
    UNIMPLEMENTED = "unimplemented"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    ABORTED = "aborted"
    FAILED_PRECONDITION = "failed_precondition"
    NOT_INDEXED = "not_indexed"
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"
    PERMISSION_DENIED = "permission_denied"
    LOCK_BUSY = "lock_busy"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNAVAILABLE = "unavailable"
    DATA_LOSS = "data_loss"
    CLOSED = "closed"
    INTERNAL = "internal"


class Category(StrEnum):
    """What to do about it."""

    TRANSIENT = "transient"
    """The same call may succeed later."""
    PERMANENT = "permanent"
    """The same call fails again; somebody must change something."""
    INFRASTRUCTURE = "infrastructure"
    """The component is unreachable or broken; others are affected too."""


class PortError(Exception):
    """An error of a port, classified once, by ``translate``.

    ``details`` holds JSON values and never a secret. ``ambiguous`` means a write that may have been
    applied; ``applied`` counts the items of a split batch that were; ``exhausted`` means that a layer has
    already retried, so outer layers must not.
    """

    code: ClassVar[Code] = Code.INTERNAL
    category: ClassVar[Category] = Category.PERMANENT

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        component: str = "",
        at: str = "",
        retry_after: float | None = None,
        ambiguous: bool = False,
        applied: int | None = None,
        exhausted: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.component = component
        self.at = at
        self.retry_after = retry_after
        self.ambiguous = ambiguous
        self.applied = applied
        self.exhausted = exhausted
        self.details: dict[str, Any] = dict(details or {})

    @property
    def retryable(self) -> bool:
        """Whether the category allows another try and no layer has used the tries up."""
        return self.category is Category.TRANSIENT and not self.exhausted

    def to_json(self) -> dict[str, Any]:
        """The object under ``error`` that every interface prints."""
        return {
            "code": str(self.code),
            "category": str(self.category),
            "component": self.component,
            "message": self.message,
            "at": self.at,
            "remedy": self.remedy,
            "retry_after": self.retry_after,
            "ambiguous": self.ambiguous,
            "details": self.details,
        }


class ConfigError(PortError):
    code = Code.INVALID_CONFIG


class UnknownAdapter(ConfigError):
    code = Code.UNKNOWN_ADAPTER


class AdapterConflict(ConfigError):
    code = Code.ADAPTER_CONFLICT


class MissingExtra(ConfigError):
    code = Code.MISSING_EXTRA


class BrokenPlugin(ConfigError):
    code = Code.BROKEN_PLUGIN


class SecretError(ConfigError):
    code = Code.SECRET_UNAVAILABLE


class InvalidArgument(PortError):
    code = Code.INVALID_ARGUMENT


class Unsupported(PortError):
    code = Code.UNIMPLEMENTED


class NotFound(PortError):
    code = Code.NOT_FOUND


class AlreadyExists(PortError):
    code = Code.ALREADY_EXISTS


class Conflict(PortError):
    code = Code.ABORTED


class FailedPrecondition(PortError):
    code = Code.FAILED_PRECONDITION


class NotIndexed(FailedPrecondition):
    code = Code.NOT_INDEXED


class FingerprintMismatch(FailedPrecondition):
    code = Code.FINGERPRINT_MISMATCH


class PermissionDenied(PortError):
    code = Code.PERMISSION_DENIED


class LockBusy(PortError):
    code = Code.LOCK_BUSY
    category = Category.TRANSIENT


class ResourceExhausted(PortError):
    code = Code.RESOURCE_EXHAUSTED
    category = Category.INFRASTRUCTURE


class DeadlineExceeded(PortError):
    code = Code.DEADLINE_EXCEEDED
    category = Category.TRANSIENT


class Unavailable(PortError):
    code = Code.UNAVAILABLE
    category = Category.TRANSIENT


class Corrupt(PortError):
    code = Code.DATA_LOSS
    category = Category.INFRASTRUCTURE


class Closed(PortError):
    code = Code.CLOSED


class Internal(PortError):
    code = Code.INTERNAL
    category = Category.INFRASTRUCTURE


class Verdict(NamedTuple):
    """What an adapter's ``classify(exc)`` says of a foreign exception; None means "not mine"."""

    error: type[PortError]
    message: str = ""
    remedy: str = ""
    ambiguous: bool = False
    retry_after: float | None = None
