"""Open what a plan names, in order, and close it again, last in first out.

Adapters that need others come after them; the rest of a level opens side by side, each under a deadline. When one
fails, what was opened is closed before the error is raised.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from codequay.layers import KINDS
from codequay.layers.base import Layer, Target
from codequay.ports.errors import BrokenPlugin, Closed, ConfigError, DeadlineExceeded, NotFound, NotIndexed
from codequay.ports.op import Effect, Op
from codequay.ports.spec import Capabilities, Clock, PoolStats, SystemClock

from . import datafolder
from .compose import check_fit, compose, compose_sync
from .context import Context, Keeper, Shared, Threads, settle
from .guard import Gate
from .options import load_options
from .plan import Plan, PortPlan
from .registry import resolve
from .translate import Translator, no_classify

if TYPE_CHECKING:
    import inspect

    from codequay.ports.cache import Cache
    from codequay.ports.chunks import ChunkStore
    from codequay.ports.diagnose import Finding
    from codequay.ports.lexical import LexicalIndex
    from codequay.ports.lock import Lock
    from codequay.ports.metadata import MetadataStore
    from codequay.ports.source import SourceControl

    from .health import Health

T = TypeVar("T")

OPEN_TIMEOUT = 30.0
"""Seconds for one adapter to open: a server behind a slow network, a log to be replayed."""
CLOSE_TIMEOUT = 10.0
"""Seconds for one resource to close before it is cancelled."""

log = logging.getLogger(__name__)

_OPEN = Op("open", Effect.READ, True, None, sync=False, stream=False, signature=cast("inspect.Signature", None))


class Opened:
    """One open adapter. A face is composed when first asked for: a cold search needs only the synchronous ones."""

    def __init__(
        self, plan: PortPlan, adapter: Any, translator: Translator, keeper: Keeper | None, clock: Clock
    ) -> None:
        self.plan = plan
        self.adapter = adapter
        self.translator = translator
        self.keeper = keeper
        self.gate = Gate()
        self._clock = clock

    @cached_property
    def face(self) -> Any:
        """Guard, layers, translate."""
        plan, target = self.plan, Target(self.plan.port, self.plan.adapter, self._clock)
        layers: list[Layer] = [import_module(KINDS[kind]).build(config, target) for kind, config in plan.layers.items()]
        return compose(plan.port_spec, self.adapter, plan.capabilities, self.translator, self.gate, layers)

    @cached_property
    def sync(self) -> Any | None:
        """Guard and translate, without await; None when the adapter has no such face, or a layer is configured."""
        reads = getattr(self.adapter, "sync", None)
        if reads is None or self.plan.layers:
            return None
        return compose_sync(self.plan.port_spec, reads, self.plan.capabilities, self.translator, self.gate)


class Ports:
    """The open ports, each behind its guard."""

    def __init__(self, plan: Plan, *, data: Path, readonly: bool, clock: Clock) -> None:
        self.plan = plan
        self.data = data
        self.readonly = readonly
        self.clock = clock
        self._open: dict[str, Opened] = {}
        self._threads = Threads()
        self._shared = Shared()
        self._closed = False

    @property
    def chunks(self) -> ChunkStore:
        return cast("ChunkStore", self.get("chunks"))

    @property
    def lexical(self) -> LexicalIndex:
        return cast("LexicalIndex", self.get("lexical"))

    @property
    def metadata(self) -> MetadataStore:
        return cast("MetadataStore", self.get("metadata"))

    @property
    def source(self) -> SourceControl:
        return cast("SourceControl", self.get("source"))

    @property
    def lock(self) -> Lock:
        return cast("Lock", self.get("lock"))

    @property
    def cache(self) -> Cache:
        return cast("Cache", self.get("cache"))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the open ports."""
        return tuple(self._open)

    def get(self, port: str) -> Any:
        """The guarded face of a port, also of one that a plugin registered.

        :raises ConfigError: it was not opened
        """
        return self._opened(port).face

    def sync(self, port: str) -> Any | None:
        """The guarded synchronous face; None when the adapter has none, or a layer is configured."""
        return self._opened(port).sync

    def capabilities(self, port: str) -> Capabilities:
        """What the adapter behind the port declares."""
        return self._opened(port).plan.capabilities

    def adapter_name(self, port: str) -> str:
        """Name of the adapter behind the port."""
        return self._opened(port).plan.adapter

    async def run_sync(self, fn: Callable[..., T], /, *args: Any) -> T:
        """Run blocking work in the bounded pool; a cancelled caller returns after ``fn`` has ended."""
        return await self._threads.run(fn, *args)

    async def health(self, latency_threshold_ms: float = 100) -> Health:
        """Ping every open port, all at once."""
        from .health import check

        return await check(
            [self._open[name] for name in self.plan.ports if name in self._open], latency_threshold_ms, self.clock
        )

    def pool(self, port: str) -> PoolStats | None:
        """The connections behind the port now; None for an adapter without."""
        from .health import pool_of

        return pool_of(self._opened(port).adapter)

    async def diagnose(self, port: str) -> Sequence[Finding]:
        """What the adapter says of itself (``codequay.ports.diagnose``); nothing when it cannot look.

        :raises PortError: the look was not possible
        """
        from .health import diagnose

        return await diagnose(self._opened(port))

    def _opened(self, port: str) -> Opened:
        found = self._open.get(port)
        if found is None and self._closed:
            remedy = "use the ports inside their `async with` block"
            raise Closed(f"the port {port} was asked for after close", component=port, remedy=remedy)
        if found is None:
            raise ConfigError(f"the port {port} is not open here", remedy="name it when opening: open_ports(names=...)")
        return found

    async def _start(self, names: Iterable[str]) -> None:
        plans = []
        for name in names:
            if name not in self.plan.ports:
                raise ConfigError(f"the port {name} is not in the plan", remedy="name it: make_plan(ports=...)")
            plans.append(self.plan.ports[name])
        for level in _levels(plans):
            await self._open_level([asyncio.create_task(self._open_one(plan)) for plan in level])

    async def _open_level(self, opening: Sequence[asyncio.Task[None]]) -> None:
        """Wait until all are open. When one fails the others are not waited for but undone.

        A store that is not there yet is no failure until the others are open: what is wrong with them says more.
        """
        waiting = set(opening)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
                if any(not _is_absent(one) for one in done if one.exception()):
                    break
        finally:
            failures = [one for one in opening if one.done() and not one.cancelled() and one.exception()]
            failures.sort(key=_is_absent)
            for one in opening:
                one.cancel()
            await settle(opening)
        for one in (*failures, *opening):
            one.result()

    async def _open_one(self, plan: PortPlan) -> None:
        spec, keeper = plan.spec, None
        classify = resolve(spec.classify, plan.component, spec=spec) if spec and spec.classify else no_classify
        translator = Translator(plan.component, plan.at, classify)
        if spec is None:
            adapter = plan.override
        else:
            factory = resolve(spec.factory, plan.component, plan.distribution, spec)
            reload = partial(load_options, spec, plan.options, plan.instance, self.plan.origin)
            config = reload()
            context = Context(
                data=self.data,
                readonly=self.readonly,
                instance=plan.instance,
                clock=self.clock,
                shared=self._shared,
                threads=self._threads,
                reload=reload,
            )
            try:
                keeper = Keeper(factory(config, context), plan.component)
                async with asyncio.timeout(OPEN_TIMEOUT) as timer:
                    adapter = await keeper.open()
            except Exception as exc:
                if isinstance(exc, TimeoutError) and timer.expired():
                    raise DeadlineExceeded(
                        f"{plan.component} did not open within {OPEN_TIMEOUT:g} s",
                        component=plan.component,
                        at=plan.at,
                        remedy="look whether what it connects to is up",
                    ) from exc
                error = translator.error(exc, _OPEN)
                if error is exc:
                    raise
                raise error from exc
        try:
            check_fit(plan.port_spec, adapter, plan.component)
        except BrokenPlugin:
            if keeper is not None:
                await keeper.close(CLOSE_TIMEOUT)
            raise
        self._open[plan.port] = Opened(plan, adapter, translator, keeper, self.clock)

    async def _stop(self) -> None:
        """Close everything; a resource that fails to close is logged and stops nothing."""
        self._closed = True
        while self._open:
            port, one = self._open.popitem()
            one.gate.closed = True
            if one.keeper is not None:
                try:
                    await one.keeper.close(CLOSE_TIMEOUT)
                except Exception as exc:  # noqa: BLE001 - the others must be closed too
                    log.warning("closing %s failed: %s: %s", port, type(exc).__name__, exc)
        for failure in await self._shared.close(CLOSE_TIMEOUT):
            log.warning("closing a shared resource failed: %s: %s", type(failure).__name__, failure)
        try:
            await self._threads.close(CLOSE_TIMEOUT)
        except TimeoutError as exc:
            log.warning("closing threads failed: %s", exc)


def _is_absent(opening: asyncio.Task[None]) -> bool:
    """Whether a store could not be opened because nobody has written one yet."""
    return isinstance(opening.exception(), (NotFound, NotIndexed))


def _levels(plans: list[PortPlan]) -> list[list[PortPlan]]:
    """Ports by what they need, the needed ones first.

    :raises ConfigError: they need each other
    """
    levels: list[list[PortPlan]] = []
    waiting = {plan.port: plan for plan in plans}
    while waiting:
        level = [
            plan
            for plan in waiting.values()
            if not any(need in waiting for need in (plan.spec.needs if plan.spec else ()))
        ]
        if not level:
            raise ConfigError(f"these ports need each other: {', '.join(waiting)}", remedy="choose another adapter")
        levels.append(level)
        for plan in level:
            del waiting[plan.port]
    return levels


@asynccontextmanager
async def open_ports(
    plan: Plan,
    *,
    data: Path,
    readonly: bool,
    names: Iterable[str] | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Ports]:
    """Open the named ports of the plan (default: all of it).

    ``data`` is the index folder; it is made unless ``readonly``. ``Ports.data`` is where embedded stores lie in it.

    :raises FailedPrecondition: something that is no folder has its name
    :raises PermissionDenied: the folder cannot be made
    :raises PortError: an adapter could not be opened
    """
    if not readonly:
        datafolder.prepare(data)
    ports = Ports(plan, data=data / plan.apart, readonly=readonly, clock=clock or SystemClock())
    hook = partial(plan.plugins.call, ports=ports) if plan.plugins else None
    try:
        await ports._start(plan.ports if names is None else names)
        if hook is None:
            yield ports
            return
        try:
            hook("codequay_started")
            yield ports
        finally:
            hook("codequay_stopping")
    finally:
        await _undisturbed(ports._stop())


async def _undisturbed(closing: Any) -> None:
    """Finish closing even when the caller is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(closing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
