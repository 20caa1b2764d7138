"""The adapters that every behaviour test runs over, and the decorator that ties a test to its clauses."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from codequay.ports import PORTS
from codequay.ports.spec import AdapterSpec, Capabilities, Clause, Level, PortSpec
from tests.contexts import ManualClock, build_context, run

ADAPTERS: dict[str, tuple[str, ...]] = {
    "chunks": ("codequay.adapters.memory:CHUNKS", "codequay.adapters.sqlite:CHUNKS"),
    "lexical": ("codequay.adapters.memory:LEXICAL", "codequay.adapters.tantivy:LEXICAL"),
    "metadata": ("codequay.adapters.memory:METADATA", "codequay.adapters.sqlite:METADATA"),
    "source": (
        "codequay.adapters.memory:SOURCE",
        "codequay.adapters.git:SOURCE",
        "codequay.adapters.folder:SOURCE",
    ),
    "lock": ("codequay.adapters.memory:LOCK", "codequay.adapters.noop:LOCK", "codequay.adapters.sqlite:LOCK"),
    "cache": ("codequay.adapters.memory:CACHE", "codequay.adapters.sqlite:CACHE"),
}


def resolve(dotted: str) -> Any:
    """What ``module:name`` names."""
    module, name = dotted.split(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Adapter:
    """An adapter by the place of its spec; nothing of it is imported before a test asks."""

    reference: str

    @property
    def name(self) -> str:
        return self.reference.split(":")[0].rsplit(".", 1)[1]

    @property
    def spec(self) -> AdapterSpec:
        found: AdapterSpec = resolve(self.reference)
        return found


@dataclass
class Case:
    """One adapter in one empty folder, under a clock that the test moves."""

    adapter: Adapter
    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)

    @property
    def capabilities(self) -> Any:
        return self.adapter.spec.capabilities

    @asynccontextmanager
    async def open(self, *, readonly: bool = False) -> AsyncIterator[Any]:
        """The adapter itself, over the case's folder."""
        spec = self.adapter.spec
        async with (
            build_context(self.folder / "data" / ".codequay", readonly=readonly, clock=self.clock) as ctx,
            resolve(spec.factory)(resolve(spec.config)(), ctx) as opened,
        ):
            yield opened


Behaviour = Callable[..., Awaitable[None]]
Needs = Callable[[Any], bool]


def behaviour(port: str, *clauses: str, needs: Needs | None = None) -> Callable[[Behaviour], Callable[..., None]]:
    """Make a test of every adapter of the port that has the capabilities which ``needs`` asks for.

    The coroutine takes ``store`` (opened), ``case`` (to open itself), or both.
    """

    def mark(body: Behaviour) -> Callable[..., None]:
        wanted = inspect.signature(body).parameters

        async def perform(case: Case) -> None:
            offered: dict[str, Any] = {"case": case}
            async with AsyncExitStack() as stack:
                if "store" in wanted:
                    offered["store"] = await stack.enter_async_context(case.open())
                await body(**{name: offered[name] for name in wanted})

        def test(adapter: Adapter, tmp_path: Path) -> None:
            if needs is not None and not needs(adapter.spec.capabilities):
                pytest.skip(f"{adapter.name} does not declare it")
            run(perform(Case(adapter, tmp_path)))

        test.__name__ = test.__qualname__ = getattr(body, "__name__", "test")
        test.__module__ = body.__module__
        test.__doc__ = body.__doc__
        test.clauses = clauses  # type: ignore[attr-defined]
        params = [pytest.param(Adapter(ref), id=f"{Adapter(ref).name}-{'-'.join(clauses)}") for ref in ADAPTERS[port]]
        marked: Callable[..., None] = pytest.mark.parametrize("adapter", params)(test)
        return marked

    return mark


def port_spec(port: str) -> PortSpec:
    found: PortSpec = importlib.import_module(PORTS[port]).PORT
    return found


def uncovered(port: str, *modules: ModuleType) -> list[str]:
    """Clauses of the levels core and capability that no test of the modules carries."""
    covered = {
        clause for module in modules for test in vars(module).values() for clause in getattr(test, "clauses", ())
    }
    unknown = covered - {clause.id for clause in port_spec(port).clauses}
    assert not unknown, f"no such clause: {unknown}"
    due: tuple[Clause, ...] = port_spec(port).clauses
    return [c.id for c in due if c.level in (Level.CORE, Level.CAPABILITY) and c.id not in covered]


def durable(capabilities: Capabilities) -> bool:
    return capabilities.durable


async def assert_pages(scan: Callable[..., Awaitable[Any]], field_name: str, expected: list[Any]) -> None:
    """``scan(after=, limit=)`` gives exactly ``expected`` at every page size from 1 to one above all."""
    for limit in range(1, len(expected) + 2):
        seen: list[Any] = []
        after = None
        for _ in range(len(expected) + 2):
            found = await scan(after=after, limit=limit)
            rows = list(getattr(found, field_name))
            assert len(rows) <= limit
            assert len(rows) == limit or found.after is None, "only the last page may be short"
            seen += rows
            after = found.after
            if after is None:
                break
        assert seen == expected, f"at limit {limit}"
        assert after is None
