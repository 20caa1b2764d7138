"""The plan: which adapter stands behind each port, why, and everything that is wrong with the configuration, at once.

A plan imports specs and configuration models, no client library, and opens nothing. It can be shown as it is: secrets
appear as their references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from codequay.layers import KINDS
from codequay.ports.errors import BrokenPlugin, ConfigError, SecretError
from codequay.ports.generations import GenerationStore
from codequay.ports.spec import AdapterSpec, Capabilities, PortSpec, Reach

from . import certificates
from .errors import PlanError, did_you_mean
from .options import load_options
from .registry import Registry, missing_requirement, resolve
from .secrets import masked, references, with_references
from .settings import PROFILE_OPTIONS, PROFILES, Binding, Settings

if TYPE_CHECKING:
    from .hooks import Plugins

__all__ = ["Plan", "PlanError", "PortPlan", "make_plan"]

_REACH = ("process", "host", "network")


@dataclass(frozen=True, slots=True)
class PortPlan:
    """One port: ``instance`` is the configured table of options, ``at`` where the choice was made, ``why`` for people.

    ``spec`` is None for an object given as an override. ``module`` holds the spec; "" when the caller gave it.
    """

    port: str
    port_spec: PortSpec
    adapter: str
    instance: str
    at: str
    why: str
    capabilities: Capabilities
    spec: AdapterSpec | None = None
    distribution: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    layers: Mapping[str, Any] = field(default_factory=dict)
    override: Any = field(default=None, repr=False)
    module: str = ""

    @property
    def component(self) -> str:
        return f"{self.port}.{self.adapter}"

    @property
    def certificate(self) -> certificates.State:
        """What the kit has certified of the adapter. Reads its folder, so nobody asks on the way to an answer."""
        if self.spec is None:
            return "double"
        return certificates.state(self.component, self.module, self.port_spec) if self.module else "none"

    def to_json(self) -> dict[str, Any]:
        """For ``codequay plan``."""
        return {
            "adapter": self.adapter,
            "instance": self.instance,
            "distribution": self.distribution,
            "at": self.at,
            "why": self.why,
            "options": masked(dict(self.options)),
            "layers": {
                kind: {f.name: getattr(config, f.name) for f in fields(config)} for kind, config in self.layers.items()
            },
            "capabilities": self.capabilities.to_json(),
            "stability": self.spec.stability if self.spec else "double",
            "certificate": self.certificate,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be opened. ``notes`` and ``warnings`` are lines for a person."""

    profile: str
    ports: Mapping[str, PortPlan]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    plugins: Plugins | None = None
    apart: str = ""
    """Folder inside that of the index for the stores of this machine and the manifests; "" for none. A metadata store
    on a server counts generations of its own, and each counting keeps its stores apart, so that neither deletes what
    only the other knows."""
    of_machines: tuple[str, ...] = ()
    """Lines about stores of this machine whose generations other machines publish too."""
    origin: Callable[[str], str] = field(default=str, repr=False)
    """Where the value at a dotted path was said."""

    def to_json(self) -> dict[str, Any]:
        """For ``codequay plan --format json``; holds no secret."""
        return {
            "profile": self.profile,
            "ports": {name: port.to_json() for name, port in self.ports.items()},
            "plugins": list(self.plugins.names) if self.plugins else [],
            "warnings": list(self.warnings),
            "notes": [*self.notes, *self.of_machines],
        }


def make_plan(
    settings: Settings,
    registry: Registry,
    *,
    ports: Iterable[str],
    needs: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Plan:
    """Resolve the named ports.

    ``needs`` maps a port to what a service asks of it (``LockNeeds(exclusive=True)``). ``overrides`` maps a port to
    an adapter's name, an ``AdapterSpec``, or an object that serves as the adapter.

    :raises PlanError: with every error found
    """
    problems: list[ConfigError] = list(settings.problems)
    warnings: list[str] = []
    plugins: Plugins | None = None
    if settings.plugins:
        from .hooks import load_plugins

        plugins = load_plugins(settings, problems, warnings)
        registry = registry.with_ports(plugins.ports())
    for port in settings.ports:
        if port not in registry.ports:
            at = f"ports.{port} ({settings.origin(f'ports.{port}')})"
            problems.append(
                ConfigError(
                    f'no port is named "{port}"{did_you_mean(port, registry.ports)}',
                    at=at,
                    remedy=f"use one of: {', '.join(registry.ports)}",
                )
            )
    planned: dict[str, PortPlan] = {}
    for port in dict.fromkeys(ports):
        try:
            one = _plan_port(port, settings, registry, (overrides or {}).get(port))
        except PlanError as several:
            problems += several.errors
            continue
        except ConfigError as error:
            if not error.at:
                error.at = f"ports.{port} ({settings.origin(f'ports.{port}.adapter')})"
            problems.append(error)
            continue
        _check_needs(one, settings, (needs or {}).get(port), problems)
        _check_certificate(one, settings, problems, warnings)
        planned[port] = one
    apart = _apart(planned.get("metadata"), settings, registry, (overrides or {}).get("metadata"))
    _check_reach(planned, registry, problems, warnings)
    _check_tables(settings, registry, warnings)
    if problems:
        raise PlanError(_once(problems))
    return Plan(
        profile=settings.profile,
        ports=planned,
        warnings=tuple(warnings),
        notes=settings.notes,
        plugins=plugins,
        apart=apart,
        of_machines=tuple(_of_machines(planned, registry)),
        origin=settings.origin,
    )


def _plan_port(
    port: str,
    settings: Settings,
    registry: Registry,
    override: object,
) -> PortPlan:
    port_spec = registry.port(port)
    binding = settings.ports.get(port)
    layers = _layers(settings, binding)
    if override is not None and not isinstance(override, (str, AdapterSpec)):
        declared = getattr(override, "capabilities", None)
        caps = declared if isinstance(declared, port_spec.capabilities) else port_spec.capabilities()
        why = "given by the caller"
        return PortPlan(
            port, port_spec, "override", "override", "overrides", why, caps, layers=layers, override=override
        )
    module = ""
    if isinstance(override, AdapterSpec):
        spec, name, at, why, distribution = override, override.name, "overrides", "given by the caller", ""
    else:
        name, why = _choice(port, settings, registry, binding, override)
        at = "overrides" if override is not None else f"ports.{port} ({settings.origin(f'ports.{port}.adapter')})"
        technology = settings.adapters.get(name, {}).get("use", name)
        announced = registry.announcement(port, technology)
        spec, distribution = registry.spec(port, technology), f"{announced.distribution} {announced.version}".strip()
        module = announced.module
    instance = name.rpartition(":")[2]
    said = settings.adapters.get(instance, {})
    usual = PROFILE_OPTIONS.get(settings.profile, {}).get(spec.name, {})
    raw = {key: value for key, value in {**usual, **said}.items() if key != "use"}
    options = with_references(raw, settings.environment)
    missing = missing_requirement(spec)
    if missing is not None:
        missing.at = at
        raise missing
    secrets = list(_missing_secrets(options, instance, settings))
    if secrets:
        raise PlanError(secrets)
    caps = spec.capabilities
    if options or spec.narrow:
        config = load_options(spec, options, instance, settings.origin)
        if spec.narrow:
            caps = resolve(spec.narrow, f"{port}.{spec.name}", distribution)(config)
    return PortPlan(
        port, port_spec, spec.name, instance, at, why, caps, spec, distribution, options, layers, module=module
    )


def _choice(
    port: str, settings: Settings, registry: Registry, binding: Binding | None, override: object
) -> tuple[str, str]:
    """Name of the adapter's instance, and why."""
    if isinstance(override, str):
        return override, "given by the caller"
    if binding is None:
        raise ConfigError(f"no adapter is configured for {port}", remedy=f"set ports.{port}")
    if binding.adapter != "auto":
        return binding.adapter, settings.origin(f"ports.{port}.adapter")
    for name in registry.names(port):
        options = settings.adapters.get(name)
        if not options:
            continue
        try:
            trigger = registry.spec(port, name).extra.get("auto", "")
        except BrokenPlugin:
            continue
        if trigger and trigger in options:
            return name, f"auto: adapters.{name}.{trigger} is set ({settings.origin(f'adapters.{name}.{trigger}')})"
    default = PROFILES["embedded"].get(port, "")
    return default, "auto: no server is configured, so the embedded default"


def _layers(settings: Settings, binding: Binding | None) -> dict[str, Any]:
    merged = {**settings.layers, **(binding.layers if binding else {})}
    return {kind: merged[kind] for kind in KINDS if merged.get(kind) is not None}


def _missing_secrets(options: Any, instance: str, settings: Settings) -> Iterable[SecretError]:
    for path, secret in references(options):
        try:
            secret.reveal()
        except SecretError as error:
            where = f"adapters.{instance}.{path}"
            error.at = f"{where} ({settings.origin(where)})"
            yield error


def _check_needs(one: PortPlan, settings: Settings, needs: object, problems: list[ConfigError]) -> None:
    """What services and ``require`` ask for must be declared."""
    caps = one.capabilities
    known = [f.name for f in fields(caps)]
    binding = settings.ports.get(one.port)
    for name in binding.require if binding else ():
        where = f"ports.{one.port}.require"
        at = f"{where} ({settings.origin(where)})"
        if name not in known:
            message = f'{one.port} has no capability "{name}"{did_you_mean(name, known)}'
            problems.append(ConfigError(message, at=at, remedy=f"use one of: {', '.join(known)}"))
        elif not getattr(caps, name):
            problems.append(_lacks(one, name, at, "the configuration requires it"))
    for item in fields(needs) if needs is not None else ():  # type: ignore[arg-type]
        wanted, have = getattr(needs, item.name), getattr(caps, item.name, None)
        short = (isinstance(wanted, bool) and wanted and not have) or (
            isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and (have is None or have < wanted)
        )
        if short:
            problems.append(_lacks(one, item.name, one.at, "a service needs it"))


_UNCERTIFIED: Mapping[certificates.State, str] = {
    "none": "has no certificate",
    "stale": "has changed since it was certified",
    "other contract": "was certified for another version of the port",
    "double": "was certified on a stand-in for its server",
    "unverified": "has a certificate that leaves clauses unverified",
    "failed": "has a certificate that says that it failed",
}


def _check_certificate(one: PortPlan, settings: Settings, problems: list[ConfigError], warnings: list[str]) -> None:
    """``certificate = "require"`` makes an error of what ``"warn"`` warns of; ``"off"`` does not even look."""
    binding = settings.ports.get(one.port)
    wanted = binding.certificate if binding else "off"
    if wanted == "off" or one.certificate == "certified":
        return
    if one.spec is None:
        message = f"{one.port} is served by an object that the caller gave: it has no certificate"
    else:
        message = f"{one.component} {_UNCERTIFIED[one.certificate]}"
    if wanted == "warn":
        warnings.append(f"{message} (codequay contract check {one.component})" if one.spec else message)
        return
    where = f"ports.{one.port}.certificate"
    problems.append(
        ConfigError(
            message,
            component=one.component,
            at=f"{where} ({settings.origin(where)})",
            remedy=f"take an adapter that is certified (codequay adapters), or set {where} to warn",
        )
    )


def _lacks(one: PortPlan, capability: str, at: str, why: str) -> ConfigError:
    return ConfigError(
        f"{one.component} does not declare {capability}, and {why}",
        component=one.component,
        at=at,
        remedy=f"choose another adapter for {one.port}: codequay adapters",
    )


def _once(problems: Iterable[ConfigError]) -> list[ConfigError]:
    """What is wrong with a table is told once, not for each port that reads it."""
    kept: dict[tuple[str, str], ConfigError] = {}
    for error in problems:
        kept.setdefault((error.at, error.message.removeprefix(error.component)), error)
    return list(kept.values())


def _apart(planned: PortPlan | None, settings: Settings, registry: Registry, override: object) -> str:
    """See ``Plan.apart``. Also of a plan without the port ``metadata``: what is wrong with it is told by others."""
    if planned is None and "metadata" in registry.ports:
        try:
            planned = _plan_port("metadata", settings, registry, override)
        except ConfigError:
            return ""
    return f"at-{planned.instance}" if planned is not None and planned.capabilities.reach == "network" else ""


def _check_reach(
    planned: Mapping[str, PortPlan], registry: Registry, problems: list[ConfigError], warnings: list[str]
) -> None:
    """What is published must be seen as far as the stores are; a lock should reach as far as what it guards."""
    stores = [one for one in planned.values() if GenerationStore in registry.port(one.port).protocol.__mro__]
    metadata, lock = planned.get("metadata"), planned.get("lock")
    for store in stores:
        published = getattr(store.capabilities, "writable", True)
        if metadata is not None and published and _wider(store, metadata):
            problems.append(
                ConfigError(
                    f"{metadata.component} reaches one {metadata.capabilities.reach}, narrower than "
                    f"{store.component} ({store.capabilities.reach}), whose generations it publishes",
                    component=metadata.component,
                    at=metadata.at,
                    remedy=_one_that_reaches(store.capabilities.reach, "metadata", registry),
                )
            )
        if lock is not None and published and getattr(lock.capabilities, "exclusive", False) and _wider(store, lock):
            warnings.append(
                f"{lock.component} reaches one {lock.capabilities.reach}, narrower than {store.component}: "
                "two writers waste work, and the later one starts anew"
            )
    if lock is not None and not getattr(lock.capabilities, "exclusive", False):
        warnings.append(f"{lock.component} does not exclude: two writers waste work, and never mix")


def _of_machines(planned: Mapping[str, PortPlan], registry: Registry) -> Iterable[str]:
    """What to know where other machines publish in the same metadata: each has stores of its own beside it."""
    metadata = planned.get("metadata")
    if metadata is None or metadata.capabilities.reach != "network":
        return
    for store in planned.values():
        ours = GenerationStore in registry.port(store.port).protocol.__mro__ and store.capabilities.reach != "network"
        if ours:
            yield (
                f"{store.component} is this machine's, {metadata.component} is for all: another machine fills one of"
                " its own (docs/profiles.md)"
            )


def _one_that_reaches(reach: Reach, port: str, registry: Registry) -> str:
    """The remedy that names the installed adapters which are seen as far."""
    fitting = []
    for name in registry.names(port):
        try:
            spec = registry.spec(port, name)
        except ConfigError:
            continue
        if _REACH.index(spec.capabilities.reach) >= _REACH.index(reach):
            fitting.append(name)
    choices = " or ".join(f"ports.{port} = {name}" for name in fitting)
    return f"set {choices}" if choices else f"install an adapter for {port} that reaches the {reach}"


def _wider(one: PortPlan, other: PortPlan) -> bool:
    return _REACH.index(one.capabilities.reach) > _REACH.index(other.capabilities.reach)


def _check_tables(settings: Settings, registry: Registry, warnings: list[str]) -> None:
    known = registry.technologies()
    for name, options in settings.adapters.items():
        if name not in known and "use" not in options:
            guess = did_you_mean(name, known)
            warnings.append(f"adapters.{name} ({settings.origin(f'adapters.{name}')}) is no installed adapter{guess}")
