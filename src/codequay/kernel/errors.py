"""Errors of configuration: all of them at once, each with where it was said and what to do.

::

    ConfigError (codequay.ports.errors)
    └── PlanError    several ConfigErrors, as an ExceptionGroup; ``errors`` lists them
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from codequay.ports.errors import ConfigError


class PlanError(ConfigError, ExceptionGroup[ConfigError]):
    """Everything that is wrong with a configuration. ``except*`` and ``except ConfigError`` both catch it."""

    message = ""  # ExceptionGroup's own is read-only; this one is set like that of every PortError

    def __new__(cls, errors: Sequence[ConfigError]) -> Self:
        return ExceptionGroup.__new__(cls, _headline(errors), list(errors))

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__(
            _headline(errors),
            remedy=errors[0].remedy,
            component=errors[0].component,
            at=errors[0].at,
            details={"errors": [error.to_json() for error in errors]},
        )

    @property
    def errors(self) -> tuple[ConfigError, ...]:
        return tuple(self.exceptions)  # type: ignore[arg-type]

    def derive(self, excs: Sequence[ConfigError]) -> PlanError:  # type: ignore[override]
        return PlanError(excs)


def _headline(errors: Sequence[ConfigError]) -> str:
    first = errors[0].message
    return first if len(errors) == 1 else f"{len(errors)} errors in the configuration; the first: {first}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` did you mean "sqlite"?``, or "" when nothing is near."""
    near = nearest(word, known)
    return f'; did you mean "{near}"?' if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like the given one, "" when none is."""
    import difflib

    found: list[Any] = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return str(found[0]) if found else ""
