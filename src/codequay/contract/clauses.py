"""How the sentences of a port become something that runs.

A port's page (``PORT.clauses``) holds ids, sentences and levels. A suite, ``codequay.contract.ports.PORT``, holds the
trials of each clause: coroutines marked with ``suite.trial``. The order of trials is the order of the file.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from codequay.ports import PORTS
from codequay.ports.spec import Clause, Level, PortSpec

Body = Callable[..., Awaitable[None]]
Needs = Callable[[Any], bool]

CHILDREN_TAKE = 3
"""By how much longer a trial may take whose child processes each import the kit."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One coroutine of a clause. ``wants`` names what it takes: ``store`` (open and guarded), ``case``, or both."""

    clause: Clause
    name: str
    body: Body
    hint: str = ""
    needs: Needs | None = None
    """Capabilities without which the clause does not speak of the adapter."""
    fills: Needs | None = None
    """Whether the adapter lets the trial fill it; None when every adapter of the port does, or the trial need not."""
    machine: tuple[Any, Any] | None = None
    """Model and steps of a state machine, which covers many clauses at once; it has no body."""
    reads: bool = False
    """It also speaks of an adapter that takes no writes."""
    children: bool = False
    """It starts processes, one after the other."""
    restarts: bool = False
    """It kills the server and starts it again: nobody else may use that meanwhile."""

    @property
    def patience(self) -> int:
        """How many times the seconds of another trial it may take."""
        long = self.children or self.restarts or self.clause.level is Level.DURABILITY
        return CHILDREN_TAKE if long else 1

    @property
    def example(self) -> bool:
        return self.machine is None

    @property
    def id(self) -> str:
        return f"{self.clause.id}:{self.name}"

    @property
    def wants(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.body).parameters)


@dataclass
class Suite:
    """The trials of one port."""

    port: PortSpec
    trials: list[Trial] = field(default_factory=list)

    def trial(
        self,
        clause: str,
        *,
        hint: str = "",
        needs: Needs | None = None,
        children: bool = False,
        reads: bool = False,
        restarts: bool = False,
    ) -> Callable[[Body], Body]:
        """Mark a coroutine as a trial of the clause.

        ``children``: it starts processes. ``reads``: it also speaks of an adapter that takes no writes. ``restarts``:
        it restarts the server.
        """
        found = {one.id: one for one in self.port.clauses}
        if clause not in found:
            raise LookupError(f"the port {self.port.name} has no clause {clause}")

        def mark(body: Body) -> Body:
            name = getattr(body, "__name__", "trial")
            trial = Trial(found[clause], name, body, hint, needs, children=children, reads=reads, restarts=restarts)
            self.trials.append(trial)
            return body

        return mark

    def machine(self, clause: str, model: Any, steps: Any, *, hint: str = "") -> None:
        """Add a state machine: ``model(capabilities)`` against histories of ``steps``."""
        found = next(one for one in self.port.clauses if one.id == clause)
        self.trials.append(Trial(found, "state_machine", _no_body, hint, machine=(model, steps)))

    def fill_only(self, writable: Needs) -> None:
        """Of an adapter that somebody else fills, try the trials that say ``reads``. For the end of a suite."""
        self.trials = [one if one.reads else replace(one, fills=writable) for one in self.trials]

    def chosen(self, *, clauses: Iterable[str] = (), levels: Iterable[Level] = ()) -> list[Trial]:
        """The trials of the clauses (ids, or whole trial ids) and levels; all when neither is given.

        Those that restart the server come last.
        """
        ids, wanted = set(clauses), set(levels)
        found = [
            trial
            for trial in self.trials
            if (not ids or trial.clause.id in ids or trial.id in ids) and (not wanted or trial.clause.level in wanted)
        ]
        return sorted(found, key=lambda trial: trial.restarts)

    def uncovered(self) -> list[str]:
        """Clauses without a trial."""
        covered = {trial.clause.id for trial in self.trials}
        return [clause.id for clause in self.port.clauses if clause.id not in covered]


async def _no_body() -> None:
    """A state machine has its model instead."""


def suite(port: str) -> Suite:
    """The suite of a port.

    :raises LookupError: the kit has none for it
    """
    if port not in PORTS:
        raise LookupError(f"no port is named {port!r}; the kit knows {', '.join(PORTS)}")
    found: Suite = import_module(f"codequay.contract.ports.{port}").SUITE
    return found
