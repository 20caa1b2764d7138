"""How the kit opens an adapter. A third party writes one of these; an adapter without options needs none."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from codequay.kernel.context import Context, Shared, Threads
from codequay.kernel.options import load_options
from codequay.kernel.registry import Registry, resolve
from codequay.ports.errors import BrokenPlugin
from codequay.ports.spec import AdapterSpec, Capabilities, Classifier, Clock

from .clock import ManualClock
from .expect import Failed, Unverified
from .report import Waiver

T = TypeVar("T")

CLOSE_S = 5.0
RESTART_S = 30.0
"""Seconds that a server gets to be back."""


class Hops:
    """Hops to a thread, over all contexts of one harness."""

    made: int = 0


class _CountedThreads(Threads):
    """The kernel's threads; each call is a hop."""

    def __init__(self, hops: Hops) -> None:
        super().__init__()
        self._hops = hops

    async def run(self, fn: Callable[..., T], /, *args: Any) -> T:
        self._hops.made += 1
        return await super().run(fn, *args)


class Harness:
    """One adapter in one place of its own, for one trial.

    Override ``open``; and ``reopen`` where what was acknowledged must survive. ``namespace`` is unique per trial: use
    it to keep apart what lies on a shared server.
    """

    port: str = ""
    adapter: str = ""
    capabilities: Capabilities | None = None
    """What the adapter declares; taken from its spec when None."""
    endpoint: tuple[str, int] | None = None
    """Host and port of the server; None: there is none. The kit puts its proxy there before ``open``, so ``options``
    must be built from it; ``leftovers``, ``discard`` and ``restart`` must not."""
    timeout: float | None = None
    """Seconds after which a call that is not answered is to end by itself; None: as usual. The kit sets it before
    ``open``, for the level faults: ``options`` hands it to the adapter."""
    restarts: str = ""
    """Name of an environment variable with a command that kills the server (SIGKILL) and starts the same again, on the
    same port and data; it ends once that answers."""
    waivers: tuple[Waiver, ...] = ()
    """Clauses that the adapter is known to break."""
    double: bool = False
    """The server behind is a stand-in: its certificate says so and satisfies no ``certificate = require``."""

    def __init__(self, spec: AdapterSpec | None, namespace: str, folder: Path, clock: Clock) -> None:
        self.spec = spec
        self.namespace = namespace
        self.folder = folder
        self.clock = clock
        self._stack: AsyncExitStack | None = None
        self.hops: Hops | None = None

    async def open(self) -> Any:
        """The bare adapter, empty. Enter what must be closed with ``self.enter``.

        Without an override: the factory of the adapter's spec with its default options.
        """
        return await self._from_spec(readonly=False)

    async def reopen(self, *, readonly: bool = False) -> Any:
        """The adapter again, over what an earlier ``open`` of this harness left.

        :raises NotImplementedError: the harness cannot; durability is then unverified
        """
        if type(self).open is not Harness.open:
            raise NotImplementedError(f"{type(self).__name__} has no reopen()")
        return await self._from_spec(readonly=readonly)

    @classmethod
    def server(cls) -> str:
        """Name and version of the server behind the adapter, "" when there is none."""
        return ""

    async def leftovers(self) -> list[str]:
        """What still lies outside ``folder`` after close: keys, tables, connections. Each is a failure."""
        return []

    async def discard(self) -> None:
        """Remove what a durable adapter rightly keeps outside ``folder``: databases, tables, keys."""

    @classmethod
    def restart_command(cls) -> str:
        """The command in the variable ``restarts``, "" when there is none."""
        return os.environ.get(cls.restarts, "") if cls.restarts else ""

    async def restart(self) -> None:
        """Kill the server as by SIGKILL and start the same again, on the same port and data; back when it answers.

        :raises NotImplementedError: the harness cannot; the clauses about it are then unverified
        """
        command = self.restart_command()
        if not command:
            how = f": set {self.restarts} to a command that does" if self.restarts else ", and has no restart()"
            raise NotImplementedError(f"{type(self).__name__} cannot restart the server{how}")
        await asyncio.to_thread(_run, shlex.split(command))

    async def turns(self) -> int | None:
        """Trips to where the data lies that were made so far; None when they cannot be counted.

        Without an override: calls of ``ctx.run_sync``, for an adapter that declares no reach beyond this machine. The
        harness of a server counts requests and their answers.
        """
        declared = self.capabilities or (self.spec.capabilities if self.spec else None)
        if self.hops is None or declared is None or declared.reach == "network":
            return None
        return self.hops.made

    async def plant(self, adapter: Any) -> Any:
        """What trials change outside the adapter, offered on the store beside its operations; None: nothing.

        A source has a tree of files: see ``codequay.contract.tree``.
        """
        return None

    def options(self) -> dict[str, Any]:
        """Options of the adapter, as under ``[adapters.NAME]``."""
        return {}

    # -- for overrides --------------------------------------------------------------------------------------------

    async def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter a context manager that is left when the adapter is closed."""
        if self._stack is None:
            raise RuntimeError("enter() is for open() and reopen()")
        return await self._stack.enter_async_context(manager)

    async def context(self, *, readonly: bool = False, instance: str = "contract") -> Context:
        """A ``BuildContext`` over ``folder``, closed with the adapter."""
        if self._stack is None:
            raise RuntimeError("context() is for open() and reopen()")
        data = self.folder / ".codequay"
        if not readonly:
            data.mkdir(parents=True, exist_ok=True)
        if self.hops is None:
            self.hops = Hops()
        threads, shared = _CountedThreads(self.hops), Shared()
        self._stack.push_async_callback(threads.close, CLOSE_S)
        self._stack.push_async_callback(shared.close, CLOSE_S)
        return Context(
            data=data, readonly=readonly, instance=instance, clock=self.clock, shared=shared, threads=threads
        )

    # -- for the kit ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(self, *, again: bool = False, readonly: bool = False) -> AsyncIterator[Any]:
        """The bare adapter, closed at the end of the block."""
        async with AsyncExitStack() as stack:
            self._stack = stack
            yield (await self.reopen(readonly=readonly)) if again else (await self.open())

    async def _from_spec(self, *, readonly: bool) -> Any:
        spec = self.spec
        if spec is None:
            raise NotImplementedError(f"{type(self).__name__} has no open()")
        config = load_options(spec, self.options(), spec.name, lambda path: "the harness")
        factory = resolve(spec.factory, f"{spec.port}.{spec.name}", spec=spec)
        return await self.enter(factory(config, await self.context(readonly=readonly)))


def _run(command: list[str]) -> None:
    """Run it; what it starts keeps none of our descriptors.

    :raises Unverified: it did not do what it is for
    """
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=RESTART_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise Unverified(f"the server could not be restarted: {exc}") from exc
        if done.returncode:
            said.seek(0)
            text = said.read()[-500:].decode(errors="replace").strip()
            raise Unverified(f"the server could not be restarted: status {done.returncode}: {text}")


class Subject:
    """What is checked: an adapter by its spec, and how to make harnesses for it."""

    def __init__(
        self, port: str, adapter: str, spec: AdapterSpec | None, harness: type[Harness] = Harness, seed: int = 0
    ) -> None:
        self.port = port
        self.adapter = adapter
        self.spec = spec
        self.harness = harness
        self.seed = seed
        self.saboteur = ""
        """Name of the saboteur that stands before the adapter, for a child process that must open the same."""

    @property
    def origin(self) -> Origin:
        """How another process makes the same."""
        path = "" if self.saboteur else importable(self.harness)
        return Origin(self.component, self.saboteur, path, self.seed)

    @property
    def component(self) -> str:
        return f"{self.port}.{self.adapter}"

    @property
    def capabilities(self) -> Capabilities:
        declared = self.harness.capabilities or (self.spec.capabilities if self.spec else None)
        if declared is None:
            raise LookupError(f"{self.component} declares no capabilities: give its harness some, or an AdapterSpec")
        return declared

    @property
    def classify(self) -> Classifier | None:
        if self.spec is None or not self.spec.classify:
            return None
        found: Classifier = resolve(self.spec.classify, self.component, spec=self.spec)
        return found

    @asynccontextmanager
    async def place(self, clock: Clock | None = None) -> AsyncIterator[Harness]:
        """A harness in a new folder, which is removed.

        :raises Failed: something was left outside of the folder, or the harness is broken
        """
        folder = Path(tempfile.mkdtemp(prefix="codequay-contract-"))
        namespace = f"ct{secrets.token_hex(6)}"
        try:
            try:
                harness = self.harness(self.spec, namespace, folder, clock or ManualClock())
            except Exception as exc:
                raise Failed(
                    f"the harness {self.harness.__name__} cannot be made: {type(exc).__name__}: {exc}"
                ) from exc
            try:
                yield harness
                left = await harness.leftovers()
            finally:
                await harness.discard()
            if left:
                raise Failed("\n".join(f"left behind after close: {one}" for one in left))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Origin(NamedTuple):
    """How another process makes a ``Subject``: all of it text and numbers."""

    component: str
    saboteur: str = ""
    harness: str = ""
    """``module:class`` in place of the harness that is announced."""
    seed: int = 0

    def subject(self, registry: Registry) -> Subject:
        """The subject.

        :raises ConfigError: the adapter is not announced, or it is broken
        """
        if self.saboteur:
            from .saboteurs import sabotaged

            found = sabotaged(self.component, self.saboteur, registry)
            found.seed = self.seed
            return found
        given = {self.component: self.harness} if self.harness else None
        return subject(self.component, registry, harnesses=given, seed=self.seed)


def importable(harness: type[Harness]) -> str:
    """``module:class`` by which another process finds the class, "" for one made inside of a function."""
    path = f"{harness.__module__}:{harness.__qualname__}"
    return "" if "<" in path or harness.__module__ == "__main__" else path


HARNESSES = "codequay.contracts"
"""Entry-point group: ``"PORT.NAME" = "module:Harness subclass"``."""


def subject(name: str, registry: Registry, *, harnesses: dict[str, str] | None = None, seed: int = 0) -> Subject:
    """What ``PORT.NAME`` names: the adapter that is announced, with the harness that is announced for it.

    :raises ConfigError: nobody announces it, or it is broken
    """
    port, _, adapter = name.partition(".")
    spec = registry.spec(port, adapter)
    if harnesses is None:
        from codequay.kernel.registry import scan

        harnesses = {f"{one.port}.{one.name}": one.value for one in scan(HARNESSES)}
    found = harnesses.get(name)
    harness = resolve(found, name) if found else Harness
    if not isinstance(harness, type) or not issubclass(harness, Harness):
        raise BrokenPlugin(
            f'"{found}", announced as the harness of {name}, is no subclass of codequay.contract.Harness',
            component=name,
            remedy=f'name the class itself under [project.entry-points."{HARNESSES}"]',
        )
    return Subject(port, adapter, spec, harness, seed)
