"""Optional power of a store: look at itself and say what is wrong and what to do.

``codequay doctor`` opens each part on its own and calls ``diagnose`` of those that have it. Without it a part is well
when it opens and answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from .op import Effect, op


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """Looked at, and well."""
    WARNING = "warning"
    """Answers are right; something is incomplete, out of date or in danger."""
    ERROR = "error"
    """Answers are missing or would be wrong until somebody acts."""


class Finding(NamedTuple):
    """What one look showed.

    ``component`` is a part as configured ("lexical.tantivy") or a thing looked at ("disk"). ``remedy`` is a command
    or an instruction; "" only when the level is ``ok``.
    """

    level: Level
    component: str
    what: str
    remedy: str = ""


class SupportsDiagnose(Protocol):
    """Look for damage. It only reads, may take seconds on a large store, and never repairs."""

    @op(effect=Effect.READ)
    async def diagnose(self) -> Sequence[Finding]:
        """What was looked at, the well parts included; at least one finding.

        Damage is a finding of level ``error``, not an exception.

        :raises PortError: the look itself was not possible
        """
        ...
