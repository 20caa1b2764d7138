"""Adapters that are wrong in one behaviour each, to measure whether the kit notices.

A saboteur wraps the open reference adapter and changes one thing. It passes at least half of the clauses: an adapter
that is wrong everywhere proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

from codequay.kernel.registry import Registry
from codequay.ports.spec import Level

from ..harness import Harness, Subject, subject

FAR = "behind a wire"
"""In place of a saboteur's name: the reference behind a wire, right in everything, over which those of faults stand."""


class Saboteur:
    """A wrapper around a correct adapter: what a subclass does not define goes to ``self.inner``."""

    wrong = ""
    """What is wrong, in a few words."""
    level = Level.CORE
    """The level of the kit that must notice."""
    capabilities: Any = None
    """What it claims, when that is not what the adapter beneath declares."""
    over = "memory"
    """The adapter that it wraps: one on a disk, where what is wrong shows only after a crash or between processes."""

    def __init__(self, inner: Any, harness: Harness) -> None:
        self.inner = inner
        self.harness = harness

    def __getattr__(self, name: str) -> Any:
        if name == "sync":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def turn(self) -> None:
        """Spend a trip to where the data lies, which the reference in memory never needs (level budget)."""
        if self.harness.hops is not None:
            self.harness.hops.made += 1

    def at_close(self, call: Callable[[], Any]) -> None:
        """Do something when the adapter is closed, and not when its process is killed."""
        if self.harness._stack is None:
            return
        if iscoroutinefunction(call):
            self.harness._stack.push_async_callback(call)
        else:
            self.harness._stack.callback(call)


def saboteurs(port: str) -> dict[str, type[Saboteur]]:
    """Name -> class; of level faults those that every port shares."""
    found = {
        name: one
        for module in (port, "faults")
        for name, one in vars(import_module(f"{__name__}.{module}")).items()
        if isinstance(one, type) and issubclass(one, Saboteur) and one.wrong
    }
    return {name: one for name, one in found.items() if port in getattr(one, "ports", (port,))}


def sabotaged(component: str, name: str, registry: Registry) -> Subject:
    """The subject whose adapter is the saboteur over the one of its port that it wraps."""
    port = component.partition(".")[0]
    wrong = None if name == FAR else saboteurs(port)[name]
    if wrong is None or hasattr(wrong, "subject"):
        from ..far import far

        found: Subject = far(component, registry) if wrong is None else wrong.subject(component, registry)
        found.saboteur = name
        return found
    beneath = subject(f"{port}.{wrong.over}", registry)
    found = Subject(port, wrong.over, beneath.spec, _harness(wrong, beneath.harness))
    found.saboteur = name
    return found


def _harness(wrong: type[Saboteur], beneath: type[Harness]) -> type[Harness]:
    class Sabotaged(beneath):  # type: ignore[misc, valid-type]
        capabilities = wrong.capabilities or beneath.capabilities

        async def _from_spec(self, *, readonly: bool) -> Any:
            return wrong(await super()._from_spec(readonly=readonly), self)

    return Sabotaged
