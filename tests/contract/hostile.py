"""Adapters that misbehave, each announced by a small real distribution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.distributions import CACHE_SPEC, distribution, on_path

COMPONENT = "cache.hostile"

GOOD = """
import asyncio, os, sys, threading, time, warnings
from contextlib import asynccontextmanager

from codequay.adapters.memory.cache import MemoryCache

class Hostile(MemoryCache):
{methods}

@asynccontextmanager
async def open_cache(config, ctx):
{opening}
    store = Hostile(ctx.clock)
    yield store
{closing}
"""

HARNESS = """
from codequay.contract import Harness, Waiver

class Wrong(Harness):
{body}
"""


def implementation(methods: str = "    pass", *, opening: str = "    pass", closing: str = "    pass") -> str:
    """A cache that is right but for what is given: methods, and statements before and after."""
    return GOOD.format(methods=methods, opening=opening, closing=closing)


@contextmanager
def announced(
    folder: Path, impl: str = "", *, spec: str = "", harness: str = "", capabilities: str = ""
) -> Iterator[str]:
    """The name of an adapter whose implementation (or spec, or harness) is the text that is given."""
    groups = {"codequay.adapters": {COMPONENT: "hostile_spec:SPEC"}}
    described = CACHE_SPEC.format(name="hostile", module="hostile", capabilities=capabilities, more="")
    modules = {"hostile_spec": spec or described, "hostile_impl": impl or implementation()}
    if harness:
        groups["codequay.contracts"] = {COMPONENT: "hostile_harness:Wrong"}
        modules["hostile_harness"] = harness
    distribution(folder, "hostile", groups, modules)
    with on_path(folder):
        yield COMPONENT
