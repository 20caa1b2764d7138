"""``@op`` marks the operations of a port; layers, guard and kit read the mark."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Effect(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: its name, effect, whether a repetition is harmless, which argument is the batch.

    ``sync`` says that an adapter which offers the sync face has this operation on it. ``stream`` says that it
    is an async iterator, which layers pass through.
    """

    name: str
    effect: Effect
    idempotent: bool
    batch: str | None
    sync: bool
    stream: bool
    signature: inspect.Signature


def op(
    *,
    effect: Effect,
    idempotent: bool | None = None,
    batch: str | None = None,
    sync: bool = False,
    stream: bool = False,
) -> Callable[[F], F]:
    """Mark a Protocol method as an operation. A READ is idempotent unless said otherwise."""

    def mark(fn: F) -> F:
        fn.__codequay_op__ = Op(  # type: ignore[attr-defined]
            name=fn.__name__,
            effect=effect,
            idempotent=effect is Effect.READ if idempotent is None else idempotent,
            batch=batch,
            sync=sync,
            stream=stream,
            signature=inspect.signature(fn),
        )
        return fn

    return mark


def operations(protocol: type) -> dict[str, Op]:
    """The operations of a Protocol class, inherited ones first, in the order of the page."""
    found: dict[str, Op] = {}
    for cls in reversed(protocol.__mro__):
        for name, member in vars(cls).items():
            mark = getattr(member, "__codequay_op__", None)
            if mark is not None:
                found[name] = mark
    return found
