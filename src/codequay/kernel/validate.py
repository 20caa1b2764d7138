"""From merged sources to checked ``Settings``; everything that is wrong is collected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codequay.layers import KINDS
from codequay.layers.base import number, whole
from codequay.ports.errors import ConfigError

from .errors import did_you_mean
from .settings import (
    PROFILES,
    Binding,
    IndexSettings,
    LoggingSettings,
    RetrievalSettings,
    Settings,
)
from .sources import Source, merge

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
ADAPTER = re.compile(rf"([A-Za-z0-9][A-Za-z0-9._-]*:)?{NAME.pattern}")
TOP = ("profile", "ports", "adapters", "layers", "index", "retrieval", "plugins", "strict_plugins", "logging")

Read = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError(f"must be true or false, not {value!r}")


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) for part in value):
        raise ValueError(f"must be a list of names, not {value!r}")
    return tuple(value)


def _among(*known: str) -> Read:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}, not {value!r}")
        return str(value)

    return read


def _between(low: int, high: int) -> Read:
    return lambda value: whole(value, low, high)


def _workers(value: Any) -> int | None:
    return None if value == "auto" else whole(value, 0, 256)


def _stages(value: Any) -> tuple[str, ...]:
    stages = _words(value)
    for stage in stages:
        if stage not in ("lexical", "chunks"):
            raise ValueError(f'has no stage "{stage}"; it has lexical, chunks')
    return stages


def _repo_name(value: Any) -> str:
    text = _text(value)
    if len(text) > 512 or not text.isprintable():
        raise ValueError("must be printable text of at most 512 characters")
    return text


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of numbers, not {value!r}")
    return {str(name): number(weight, 0, 1e6) for name, weight in value.items()}


INDEX: dict[str, Read] = {
    "enable": _stages,
    "max_file_bytes": _between(1, 1 << 31),
    "scan_budget_ms": _between(1, 600_000),
    "workers": _workers,
    "inline_below_bytes": _between(0, 1 << 40),
    "chunk_bytes": _between(64, 1_000_000),
    "batch_bytes": _between(1, 1 << 31),
    "name": _repo_name,
    "refresh_files": _between(0, 1_000_000),
    "keep_generations": _between(1, 1000),
}
RETRIEVAL: dict[str, Read] = {
    "weights": _weights,
    "limit": _between(1, 1000),
    "refresh": _among("auto", "never", "always"),
}
LOGGING: dict[str, Read] = {"level": _among("debug", "info", "warning", "error"), "format": _among("text", "json")}
BINDING: dict[str, Read] = {
    "adapter": _text,
    "require": _words,
    "layers": lambda value: value,
    "certificate": _among("off", "warn", "require"),
}


class _Checker:
    """Collects what is wrong, each with path, origin, did-you-mean and remedy."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._origins = origins
        self.problems: list[ConfigError] = []

    def at(self, path: str) -> str:
        where = path
        while where and where not in self._origins:
            where = where.rpartition(".")[0]
        origin = self._origins.get(where)
        return f"{path} ({origin})" if origin else path

    def wrong(self, path: str, message: str, remedy: str = "") -> None:
        self.problems.append(ConfigError(f"{path} {message}", at=self.at(path), remedy=remedy))

    def unknown(self, path: str, key: str, known: Sequence[str]) -> None:
        full = f"{path}.{key}" if path else key
        below = (self._origins[name] for name in self._origins if name.startswith(f"{full}."))
        origin = self._origins.get(full) or next(below, "")
        variable = origin.removeprefix("environment ") if origin.startswith("environment ") else ""
        what = f"{variable} names no setting" if variable else f"{full} is no setting"
        guess = did_you_mean(key, known)
        at = f"{full} ({origin})" if origin else full
        self.problems.append(ConfigError(f"{what}{guess}", at=at, remedy=f"use one of: {', '.join(known)}"))

    def table(self, value: Any, path: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            # Of an adapter it may be an address with a password.
            shown = f"a {type(value).__name__}" if path.startswith("adapters") else repr(value)
            self.wrong(path, f"must be a table, not {shown}", remedy=f"write [{path}]")
            return {}
        return value

    def fields(self, value: Any, path: str, known: Mapping[str, Read]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, raw in self.table(value, path).items():
            if key not in known:
                self.unknown(path, key, tuple(known))
                continue
            ok, checked = self.value(raw, f"{path}.{key}" if path else key, known[key])
            if ok:
                found[key] = checked
        return found

    def value(self, raw: Any, path: str, read: Read) -> tuple[bool, Any]:
        try:
            return True, read(raw)
        except ValueError as exc:
            self.wrong(path, str(exc), remedy="correct the value")
            return False, None

    def layers(self, value: Any, path: str) -> dict[str, Any]:
        """Options per kind as ``Config`` objects; None switches a kind off."""
        from importlib import import_module

        found: dict[str, Any] = {}
        for kind, raw in self.table(value, path).items():
            if kind not in KINDS:
                self.unknown(path, kind, tuple(KINDS))
            elif raw is False or (isinstance(raw, str) and raw.lower() in ("false", "off")):
                found[kind] = None
            else:
                ok, config = self.value(raw, f"{path}.{kind}", import_module(KINDS[kind]).Config.parse)
                if ok:
                    found[kind] = config
        return found


def build(
    sources: Sequence[Source], notes: Sequence[str], problems: Sequence[ConfigError], env: Mapping[str, str]
) -> Settings:
    """Settings from sources, lowest precedence first."""
    merged = Source()
    for source in sources:
        merged = merge(merged, source)
    tree, check = merged.tree, _Checker(merged.origins)
    for key in tree:
        if key not in TOP:
            check.unknown("", key, TOP)
    _, profile = check.value(tree.get("profile", "embedded"), "profile", _among(*PROFILES))
    profile = profile or "embedded"
    plugins = check.value(tree.get("plugins", ()), "plugins", _words)[1] or ()
    strict = check.value(tree.get("strict_plugins", False), "strict_plugins", _flag)[1] or False
    return Settings(
        profile=profile,
        ports=_bindings(check, tree.get("ports"), PROFILES[profile]),
        adapters=_adapters(check, tree.get("adapters")),
        layers=check.layers(tree.get("layers"), "layers"),
        index=IndexSettings(**check.fields(tree.get("index"), "index", INDEX)),
        retrieval=RetrievalSettings(**check.fields(tree.get("retrieval"), "retrieval", RETRIEVAL)),
        plugins=plugins,
        strict_plugins=strict,
        logging=LoggingSettings(**check.fields(tree.get("logging"), "logging", LOGGING)),
        notes=tuple(notes),
        problems=(*problems, *check.problems),
        origins=merged.origins,
        environment=env,
    )


def _bindings(check: _Checker, value: Any, defaults: Mapping[str, str]) -> dict[str, Binding]:
    bindings = {port: Binding(adapter) for port, adapter in defaults.items()}
    for port, raw in check.table(value, "ports").items():
        path = f"ports.{port}"
        given = check.fields(raw, path, BINDING)
        adapter = given.pop("adapter", defaults.get(port, ""))
        if not adapter and port not in defaults and isinstance(raw, dict):
            check.unknown("ports", port, tuple(defaults))
            continue
        if not ADAPTER.fullmatch(adapter):
            check.wrong(path, f'names an adapter by lower-case words and "_", not {adapter!r}')
            continue
        if "layers" in given:
            given["layers"] = check.layers(given["layers"], f"{path}.layers")
        bindings[port] = Binding(adapter=adapter, **given)
    return bindings


def _adapters(check: _Checker, value: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, raw in check.table(value, "adapters").items():
        path = f"adapters.{name}"
        if not NAME.fullmatch(name):
            check.wrong(path, f'must be named by lower-case words and "_", not {name!r}')
            continue
        options = check.table(raw, path)
        if "use" in options:
            check.value(options["use"], f"{path}.use", _text)
        found[name] = options
    return found
