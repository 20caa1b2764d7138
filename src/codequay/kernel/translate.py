"""Translate: innermost and always on. It turns what an adapter's client library raises into one ``PortError``.

``CancelledError`` and everything else that is no ``Exception`` passes. A ``PortError`` that the adapter raised itself
passes too, told where it came from. Anything else goes to the adapter's pure ``classify``; what that does not know is
``Internal``. The cause is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from codequay.ports.errors import Internal, PortError
from codequay.ports.op import Effect, Op
from codequay.ports.spec import Classifier

Call = Callable[..., Awaitable[Any]]


def no_classify(exc: BaseException) -> None:
    """For an adapter without foreign exceptions."""


class Translator:
    """Errors of one adapter. ``component`` is "port.adapter", ``at`` where it was configured."""

    __slots__ = ("at", "classify", "component")

    def __init__(self, component: str, at: str = "", classify: Classifier = no_classify) -> None:
        self.component = component
        self.at = at
        self.classify = classify

    def error(self, exc: Exception, op: Op) -> PortError:
        """The PortError to raise for ``exc``: the same object when it already is one."""
        if isinstance(exc, PortError):
            self.place(exc)
            return exc
        try:
            verdict = self.classify(exc)
        except Exception as broken:  # noqa: BLE001 - the error it was asked about is the one to report
            exc.add_note(f"classify of {self.component} failed: {type(broken).__name__}: {broken}")
            verdict = None
        if verdict is None:
            return Internal(
                f"{op.name} failed: {type(exc).__name__}: {exc}",
                component=self.component,
                at=self.at,
                ambiguous=op.effect is Effect.WRITE,
                remedy="run again with -v and report what it prints",
            )
        return verdict.error(  # type: ignore[no-any-return]
            verdict.message or f"{op.name} failed: {exc}",
            component=self.component,
            at=self.at,
            remedy=verdict.remedy,
            ambiguous=verdict.ambiguous,
            retry_after=verdict.retry_after,
        )

    def place(self, error: PortError) -> None:
        """Say where the error came from, unless it says so itself."""
        if not error.component:
            error.component = self.component
        if not error.at:
            error.at = self.at


def translated(call: Call, op: Op, translator: Translator) -> Call:
    """The adapter's method with errors translated: what the layers of a pipeline wrap."""

    async def translate(*args: Any, **kwargs: Any) -> Any:
        try:
            return await call(*args, **kwargs)
        except Exception as exc:
            error = translator.error(exc, op)
            if error is exc:
                raise
            raise error from exc

    return translate
