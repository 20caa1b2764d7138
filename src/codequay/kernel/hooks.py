"""Plugins: rare, synchronous contributions of which there may be any number. Never called per item.

A plugin is a module or object behind an entry point in ``codequay.plugins``. Only what the setting ``plugins`` names is
imported. One that fails is left out with a warning, or stops everything under ``strict_plugins``. Implementations are
marked with ``hookimpl``; a misspelt hook is a failure of its plugin.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from codequay.ports.errors import BrokenPlugin, ConfigError

from .errors import did_you_mean
from .registry import entry_points

if TYPE_CHECKING:
    from .lifecycle import Ports
    from .settings import Settings

GROUP = "codequay.plugins"
PROJECT = "codequay"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

log = logging.getLogger(__name__)


class Hooks:
    """What a plugin may implement."""

    @hookspec
    def codequay_register_ports(self) -> Mapping[str, str]:
        """Further ports: name -> module that holds ``PORT``. Called before a plan is made."""
        return {}

    @hookspec
    def codequay_started(self, ports: Ports) -> None:
        """Called after the ports were opened."""

    @hookspec
    def codequay_stopping(self, ports: Ports) -> None:
        """Called before the ports are closed."""


class Plugins:
    """The plugins that were loaded."""

    def __init__(self, *, strict: bool) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._strict = strict

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._manager.list_name_plugin())

    def add(self, name: str, value: str, distribution: str) -> None:
        """Import and register one.

        :raises BrokenPlugin: it cannot be imported, or implements a hook that does not exist
        """
        try:
            module, _, attribute = value.partition(":")
            plugin: Any = import_module(module)
            for part in filter(None, attribute.split(".")):
                plugin = getattr(plugin, part)
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except Exception as exc:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise BrokenPlugin(
                f"the plugin {name} of {distribution} cannot be loaded: {type(exc).__name__}: {exc}",
                component=f"plugins.{name}",
                remedy=f"update {distribution}, or take {name} out of plugins",
            ) from exc

    def ports(self) -> dict[str, str]:
        """What the plugins register, later ones over earlier ones."""
        found: dict[str, str] = {}
        for contribution in self.call("codequay_register_ports"):
            found.update(contribution)
        return found

    def call(self, hook: str, **arguments: Any) -> list[Any]:
        """Call one hook on each plugin, apart from the others.

        :raises BrokenPlugin: one fails and plugins are strict
        """
        answers: list[Any] = []
        everything = dict(self._manager.list_name_plugin())
        for name, plugin in everything.items():
            others = [other for other in everything.values() if other is not plugin]
            try:
                answers += self._manager.subset_hook_caller(hook, others)(**arguments)
            except Exception as exc:
                message = f"the plugin {name} failed in {hook}: {type(exc).__name__}: {exc}"
                if self._strict:
                    remedy = f"update it, or take {name} out of plugins"
                    raise BrokenPlugin(message, component=f"plugins.{name}", remedy=remedy) from exc
                log.warning(message)
        return answers


def load_plugins(settings: Settings, problems: list[ConfigError], warnings: list[str]) -> Plugins:
    """Load the plugins that the settings name, and no other."""
    plugins = Plugins(strict=settings.strict_plugins)
    installed = {name: (value, distribution) for name, value, distribution, _ in entry_points(GROUP)}
    for name in dict.fromkeys(settings.plugins):
        at = f"plugins ({settings.origin('plugins')})"
        if name not in installed:
            problems.append(_unknown(name, installed, at))
            continue
        try:
            plugins.add(name, *installed[name])
        except BrokenPlugin as error:
            error.at = at
            if settings.strict_plugins:
                problems.append(error)
            else:
                warnings.append(error.message)
    return plugins


def _unknown(name: str, installed: Iterable[str], at: str) -> ConfigError:
    known = sorted(installed)
    return ConfigError(
        f'no plugin is named "{name}"{did_you_mean(name, known)}',
        at=at,
        remedy=f"use one of: {', '.join(known)}" if known else "install the distribution that announces it",
    )
