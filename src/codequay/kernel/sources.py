"""Where settings come from: files, environment, flags; each read into one tree of plain values with its origins.

A tree is nested dictionaries; a path into it is written with dots ("ports.lexical.adapter"). Each source's short
forms are written out before anything is merged, so that a change of the adapter alone keeps ``require``,
``certificate`` and ``layers``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codequay.ports.errors import ConfigError

PREFIX = "CODEQUAY_"
RESERVED = "CODEQUAY_TEST_"
"""Variables of test harnesses, never read as settings."""

Tree = dict[str, Any]


@dataclass(slots=True)
class Source:
    """One source: its tree, and where each path was said ("codequay.toml:7")."""

    tree: Tree = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    strings: bool = False
    """Values came as text and are converted by whoever knows their type."""


def from_toml(content: bytes, name: str) -> Source:
    """A file's settings.

    :raises ConfigError: it is not TOML in UTF-8
    """
    import tomllib

    try:
        text = content.decode("utf-8-sig")
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # of the encoding, the syntax, a number of thousands of digits
        line = re.search(r"line (\d+)", str(exc))
        at = f"{name}:{line[1]}" if line else name
        raise ConfigError(f"{name} is not TOML: {exc}", at=at, remedy="correct the file") from exc
    return normalised(Source(tree, {path: f"{name}:{line}" for path, line in _lines(text)} | {"": name}))


def from_env(env: Mapping[str, str]) -> Source:
    """The ``CODEQUAY_`` variables; ``__`` goes one level down. Values stay text."""
    source = Source(strings=True)
    for name in sorted(env):
        if name.startswith(PREFIX) and not name.startswith(RESERVED):
            path = name.removeprefix(PREFIX).lower().split("__")
            _put(source, path, env[name], f"environment {name}")
    return normalised(source)


def from_flags(sets: Sequence[str], profile: str | None) -> tuple[Source, list[ConfigError]]:
    """``--set KEY=VALUE`` and ``--profile``. Values stay text."""
    source, errors = Source(strings=True), []
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            errors.append(ConfigError(f'"{text}" is not KEY=VALUE', at="--set", remedy="--set ports.lexical=memory"))
            continue
        _put(source, key.strip().lower().split("."), value, f"--set {key.strip()}")
    if profile is not None:
        _put(source, ["profile"], profile, "--profile")
    return normalised(source), errors


def merge(low: Source, high: Source) -> Source:
    """``high`` over ``low``, tables merged, everything else replaced."""
    return Source(_merge(low.tree, high.tree), {**low.origins, **high.origins})


def _merge(low: Tree, high: Tree) -> Tree:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def normalised(source: Source) -> Source:
    """Write short forms out: a port's bare name is its adapter."""
    ports = source.tree.get("ports")
    if isinstance(ports, dict):
        for port, value in ports.items():
            if isinstance(value, str):
                ports[port] = {"adapter": value}
                where = source.origins.get(f"ports.{port}")
                if where:
                    source.origins[f"ports.{port}.adapter"] = where
    return source


def decoded(text: str) -> Any:
    """Text that is a JSON list or object, as such; any other text as it is."""
    if text[:1] in ("[", "{"):
        import json

        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _put(source: Source, path: Sequence[str], value: str, origin: str) -> None:
    at: Tree = source.tree
    for part in path[:-1]:
        below = at.get(part)
        if isinstance(below, str):
            if path[0] != "ports":
                return  # a text where a table belongs: it stays, and is refused
            below = {"adapter": below}
        at[part] = below = below if isinstance(below, dict) else {}
        at = below
    key = path[-1]
    if isinstance(at.get(key), dict) and path[0] == "ports":
        at[key]["adapter"] = value
    else:
        at[key] = decoded(value) if path[0] != "adapters" else value
    source.origins[".".join(path)] = origin


_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=")


def _lines(text: str) -> list[tuple[str, int]]:
    """(path, line) of each key of a TOML text: good enough to point a person at the line."""
    found: list[tuple[str, int]] = []
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header and "=" not in header[1]:
            table = _bare(header[1])
            found.append((table, number))
            continue
        key = _KEY.match(line)
        if key:
            found.append((f"{table}.{_bare(key[1])}" if table else _bare(key[1]), number))
    return found


def _bare(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
