"""Which adapters there are: names from the entry points of every installed distribution, specs on demand.

Names are scanned once; a spec is imported only when somebody asks for it by name, so a broken distribution that
nobody names hurts nobody. ``importlib.metadata`` takes 40 ms to import, more than the rest of a cold search, so
ordinary ``.dist-info`` and ``.egg-info`` folders are read here, and only unusual places are left to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from codequay.ports import PORTS
from codequay.ports.errors import AdapterConflict, BrokenPlugin, ConfigError, MissingExtra, UnknownAdapter
from codequay.ports.spec import AdapterSpec, PortSpec

from .errors import did_you_mean, nearest

GROUP = "codequay.adapters"


class Announcement(NamedTuple):
    """An entry point: ``value`` is "module:attribute"."""

    port: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def module(self) -> str:
        """The module that holds the spec."""
        return self.value.partition(":")[0]


class Registry:
    """The adapters that are announced. An object to pass around; ``default_registry()`` reads the environment."""

    def __init__(self, announcements: Iterable[Announcement], ports: Mapping[str, str] = PORTS) -> None:
        self._modules = dict(ports)
        self._by_port: dict[str, dict[str, list[Announcement]]] = {}
        for one in announcements:
            self._by_port.setdefault(one.port, {}).setdefault(one.name, []).append(one)
        self._ports: dict[str, PortSpec] = {}
        self._specs: dict[Announcement, AdapterSpec] = {}

    @property
    def ports(self) -> tuple[str, ...]:
        """Names of the ports, in the order of the page."""
        return tuple(self._modules)

    def with_ports(self, ports: Mapping[str, str]) -> Registry:
        """This registry with further ports (name -> module that holds ``PORT``)."""
        return Registry(self.announcements(), {**self._modules, **ports})

    def announcements(self) -> list[Announcement]:
        """Every entry point found, without importing anything."""
        return [one for by_name in self._by_port.values() for many in by_name.values() for one in many]

    def port(self, port: str) -> PortSpec:
        """The port's specification.

        :raises ConfigError: no port has that name
        """
        found = self._ports.get(port)
        if found is None:
            module = self._modules.get(port)
            if module is None:
                raise ConfigError(
                    f'no port is named "{port}"{did_you_mean(port, self._modules)}',
                    remedy=f"use one of: {', '.join(self._modules)}",
                )
            found = self._ports[port] = import_module(module).PORT
        return found

    def names(self, port: str) -> tuple[str, ...]:
        """Names of the adapters announced for the port."""
        return tuple(sorted(self._by_port.get(port, ())))

    def technologies(self) -> frozenset[str]:
        """Adapter names over all ports: the names that ``[adapters.NAME]`` may have without ``use``."""
        return frozenset(name for by_name in self._by_port.values() for name in by_name)

    def announcement(self, port: str, name: str) -> Announcement:
        """The one entry point of that name; ``distribution:name`` picks among several.

        :raises UnknownAdapter: nobody announces it
        :raises AdapterConflict: two distributions do
        """
        distribution, _, bare = name.rpartition(":")
        found = self._by_port.get(port, {}).get(bare, [])
        if distribution:
            found = [one for one in found if _normal(one.distribution) == _normal(distribution)]
        if not found:
            raise self._unknown(port, name)
        if len(found) > 1:
            who = " and ".join(f"{one.distribution} {one.version}".strip() for one in found)
            raise AdapterConflict(
                f'two distributions announce an adapter "{name}" for {port}: {who}',
                component=f"{port}.{bare}",
                remedy=f'uninstall one, or pick one: {port} = "{found[0].distribution}:{bare}"',
            )
        return found[0]

    def spec(self, port: str, name: str) -> AdapterSpec:
        """The adapter's spec, imported.

        :raises BrokenPlugin: the entry point cannot be imported, or is not a fitting ``AdapterSpec``
        """
        one = self.announcement(port, name)
        found = self._specs.get(one)
        if found is None:
            found = self._specs[one] = self._load(one)
        return found

    def _load(self, one: Announcement) -> AdapterSpec:
        spec = resolve(one.value, f"{one.port}.{one.name}", one.distribution)
        if not isinstance(spec, AdapterSpec) or (spec.port, spec.name) != (one.port, one.name):
            raise self._broken(one, f'"{one.value}" is not the AdapterSpec of {one.port}.{one.name}')
        version = self.port(one.port).version
        if not satisfies(version, spec.contract):
            raise self._broken(
                one, f"it was made for contract {spec.contract} of {one.port}, which is at {version[0]}.{version[1]}"
            )
        if not isinstance(spec.capabilities, self.port(one.port).capabilities):
            raise self._broken(one, f"its capabilities are no {self.port(one.port).capabilities.__name__}")
        return spec

    @staticmethod
    def _broken(one: Announcement, why: str) -> BrokenPlugin:
        return BrokenPlugin(
            f"{one.distribution} is broken: {why}",
            component=f"{one.port}.{one.name}",
            remedy=f"update or uninstall {one.distribution}",
        )

    def _unknown(self, port: str, name: str) -> UnknownAdapter:
        known = self.names(port)
        near = nearest(name, known)
        remedy = f'use "{near}"' if near else "install the distribution that announces it"
        if not known and port in PORTS:
            remedy = "install codequay into this interpreter: pip install codequay"
        elif near:
            remedy += self._extra_of(port, near)
        installed = f"installed: {', '.join(known)}" if known else "no adapter is installed"
        return UnknownAdapter(
            f'no adapter "{name}" for {port}{did_you_mean(name, known)} ({installed})',
            component=f"{port}.{name}",
            remedy=remedy,
        )

    def _extra_of(self, port: str, name: str) -> str:
        """What else to install for an adapter that is only a guess; "" when it cannot be told."""
        try:
            missing = missing_requirement(self.spec(port, name))
        except ConfigError:
            return ""
        return f", and {missing.remedy}" if missing else ""


def missing_requirement(spec: AdapterSpec) -> MissingExtra | None:
    """The error for the first declared requirement that is not installed; looks without importing."""
    for need in spec.requires:
        if need.module.partition(".")[0] not in sys.modules and find_spec(need.module.partition(".")[0]) is None:
            return missing_extra(spec, need.module)
    return None


def missing_extra(spec: AdapterSpec, module: str) -> MissingExtra:
    """The error for a declared requirement that is not installed."""
    extra = next((r.extra for r in spec.requires if r.module == module), "")
    return MissingExtra(
        f"{spec.port}.{spec.name} needs the module {module}, which is not installed",
        component=f"{spec.port}.{spec.name}",
        remedy=f"pip install 'codequay[{extra}]'" if extra else f"pip install {module}",
        details={"module": module, "extra": extra},
    )


def resolve(reference: str, component: str, distribution: str = "", spec: AdapterSpec | None = None) -> Any:
    """What ``module:attribute`` names.

    :raises MissingExtra: a module that ``spec`` declares is not installed
    :raises BrokenPlugin: anything else that goes wrong, with its cause
    """
    module, _, attribute = reference.partition(":")
    try:
        target: Any = import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
    except Exception as exc:
        if isinstance(exc, ModuleNotFoundError) and spec is not None:
            absent = exc.name or ""
            for need in spec.requires:
                if absent == need.module or need.module.startswith(f"{absent}."):
                    raise missing_extra(spec, need.module) from exc
        raise BrokenPlugin(
            f'"{reference}" cannot be loaded: {type(exc).__name__}: {exc}',
            component=component,
            remedy=f"update or uninstall {distribution or 'the distribution that provides it'}",
        ) from exc
    return target


def satisfies(version: tuple[int, int], wanted: str) -> bool:
    """Whether a contract version lies in a range such as ``>=1.0,<2``."""
    for clause in wanted.split(","):
        text = clause.strip()
        sign = text.rstrip("0123456789.")
        parts = [int(part) for part in text[len(sign) :].split(".") if part]
        limit = (*parts, 0, 0)[:2]
        holds = {
            ">=": version >= limit,
            ">": version > limit,
            "<=": version <= limit,
            "<": version < limit,
            "==": version == limit,
            "!=": version != limit,
        }.get(sign.strip())
        if not holds:
            return False
    return True


_default: tuple[tuple[str, ...], Registry] | None = None


def default_registry() -> Registry:
    """The registry of this interpreter; scanned again only when ``sys.path`` has changed."""
    global _default
    key = tuple(sys.path)
    if _default is None or _default[0] != key:
        _default = (key, Registry(scan(GROUP)))
    return _default[1]


def scan(group: str) -> list[Announcement]:
    """Entry points named ``PORT.NAME`` of one group, over all distributions on ``sys.path``, the first of each."""
    found: list[Announcement] = []
    for name, value, distribution, version in entry_points(group):
        port, dot, adapter = name.partition(".")
        if dot and adapter:
            found.append(Announcement(port, adapter, value, distribution, version))
    return found


def entry_points(group: str) -> list[tuple[str, str, str, str]]:
    """(name, value, distribution, version) of every entry point of the group."""
    if _unusual_path():
        return _entry_points_by_importlib(group)
    found: list[tuple[str, str, str, str]] = []
    seen: set[str] = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if ending not in (".dist-info", ".egg-info"):
                continue
            distribution, _, rest = stem.partition("-")
            key = _normal(distribution)
            if key in seen:
                continue
            seen.add(key)
            try:
                with open(os.path.join(folder or ".", name, "entry_points.txt"), encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError):
                continue
            if group in text:
                version = rest.partition("-")[0]
                shown = distribution.replace("_", "-")
                found += [(entry, value, shown, version) for entry, value in _section(text, group)]
    return found


def _section(text: str, group: str) -> Iterable[tuple[str, str]]:
    inside = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()


def _unusual_path() -> bool:
    """Whether distributions may lie where only ``importlib.metadata`` finds them: in archives, or by other finders."""
    if any(entry.endswith((".egg", ".pyz", ".whl")) and os.path.isfile(entry) for entry in sys.path):
        return True
    return any(
        hasattr(finder, "find_distributions") and getattr(finder, "__name__", "") != "PathFinder"
        for finder in sys.meta_path
    )


def _entry_points_by_importlib(group: str) -> list[tuple[str, str, str, str]]:
    from importlib import metadata

    found: list[tuple[str, str, str, str]] = []
    for entry in metadata.entry_points(group=group):
        dist = entry.dist
        found.append((entry.name, entry.value, dist.name if dist else "?", dist.version if dist else ""))
    return found


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")
