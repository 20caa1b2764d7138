"""Settings: what is configured, merged from all sources and checked, with where each value was said.

Precedence: flags (``--set``, ``--profile``, ``--config``) > environment > project file > user file > profile. Choose
per port, configure per technology: ``[ports] lexical = "zoekt"`` names an adapter, ``[adapters.zoekt]`` holds its
options, and only the chosen adapter's table is read, by the adapter's own model, when a plan is made.

Nothing raises here: what is wrong is kept in ``Settings.problems``, and ``make_plan`` reports it together with all
else that is wrong. Without file, variable and flag, no parser and no validator is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from codequay.ports.errors import ConfigError

if TYPE_CHECKING:
    from .sources import Source

FILE = "codequay.toml"

PROFILES: Mapping[str, Mapping[str, str]] = {
    "embedded": {
        "chunks": "sqlite",
        "lexical": "tantivy",
        "metadata": "sqlite",
        "source": "git",
        "lock": "sqlite",
        "cache": "memory",
    },
    "test": {
        "chunks": "memory",
        "lexical": "memory",
        "metadata": "memory",
        "source": "git",
        "lock": "memory",
        "cache": "memory",
    },
    "server": {
        "chunks": "postgres",
        "lexical": "auto",
        "metadata": "postgres",
        "source": "git",
        "lock": "redis",
        "cache": "redis",
    },
}
"""A profile is a set of defaults. ``auto`` takes the adapter whose address is there, else the embedded default."""

PROFILE_OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {"server": {"postgres": {"migrations": "check"}}}
"""What a profile says beside: options by technology, for each of its instances, below whatever else says them."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What stands behind a port. ``layers`` maps a kind to its options, over those of ``[layers]``."""

    adapter: str
    require: tuple[str, ...] = ()
    layers: Mapping[str, Any] = field(default_factory=dict)
    certificate: Literal["off", "warn", "require"] = "off"


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """``[index]``. ``workers`` None: as many as help; ``name``: the repository's id ("" takes its origin).

    ``refresh_files``: a search indexes at most so many changed files before it answers. ``keep_generations``: how many
    published generations gc keeps beside those that a name shows.
    """

    enable: tuple[str, ...] = ("lexical", "chunks")
    max_file_bytes: int = 5_000_000
    scan_budget_ms: int = 2000
    workers: int | None = None
    inline_below_bytes: int = 3_000_000
    chunk_bytes: int = 1500
    batch_bytes: int = 4_000_000
    name: str = ""
    refresh_files: int = 200
    keep_generations: int = 2


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """``[retrieval]``. ``weights`` by name over the defaults of the ranking; ``refresh``: what a question on the
    command line does about files that changed since."""

    weights: Mapping[str, float] = field(default_factory=dict)
    limit: int = 10
    refresh: Literal["auto", "never", "always"] = "auto"


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """``[logging]``."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything configured. ``notes`` are lines for a person; ``problems`` make ``make_plan`` raise."""

    profile: str = "embedded"
    ports: Mapping[str, Binding] = field(
        default_factory=lambda: {port: Binding(adapter) for port, adapter in PROFILES["embedded"].items()}
    )
    adapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)
    index: IndexSettings = IndexSettings()
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    plugins: tuple[str, ...] = ()
    strict_plugins: bool = False
    logging: LoggingSettings = LoggingSettings()
    notes: tuple[str, ...] = ()
    problems: tuple[ConfigError, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """Where ``env:NAME`` references are looked up."""

    def origin(self, path: str) -> str:
        """Where the value at a dotted path was said: "codequay.toml:7", "environment CODEQUAY_...", "--set ...",
        or the profile. Of a table: where it, else one of its values, was said."""
        at = path
        while at:
            found = self.origins.get(at)
            if found:
                return found
            at = at.rpartition(".")[0]
        below = [where for key, where in self.origins.items() if key.startswith(f"{path}.")]
        return below[-1] if below else f"profile {self.profile}"


def load_settings(
    *,
    config: Path | None = None,
    profile: str | None = None,
    sets: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    project: Path | None = None,
    user: Path | None = None,
) -> Settings:
    """Read and merge all sources.

    ``config`` is the file of ``--config``. ``project`` is where the search for the project file begins (default: the
    working directory): the nearest ``codequay.toml`` at or above it, up to the top of its repository. ``user`` is
    the user's configuration folder.
    """
    from .trust import user_folder

    environ: Mapping[str, str] = os.environ if env is None else env
    folder = user_folder(environ) if user is None else user
    user_file = os.path.join(folder, FILE)
    project_file = find_project_file(os.fspath(project) if project is not None else os.getcwd())
    configured = (
        config is not None
        or profile is not None
        or bool(sets)
        or project_file is not None
        or any(name.startswith("CODEQUAY_") and not name.startswith("CODEQUAY_TEST_") for name in environ)
        or os.path.exists(user_file)
    )
    if not configured:
        return Settings(environment=environ)

    from .validate import build

    sources, notes, problems = _read(config, profile, sets, environ, project_file, folder)
    return build(sources, notes, problems, environ)


def find_project_file(start: str) -> str | None:
    """The nearest ``codequay.toml`` at or above a place, not above the top of a git work tree or the home folder."""
    at = os.path.abspath(start)
    if not os.path.isdir(at):
        at = os.path.dirname(at)
    home = os.path.expanduser("~")
    while True:
        candidate = os.path.join(at, FILE)
        if os.path.lexists(candidate):
            return candidate
        parent = os.path.dirname(at)
        if parent == at or at == home or os.path.lexists(os.path.join(at, ".git")):
            return None
        at = parent


def _read(
    config: Path | None,
    profile: str | None,
    sets: Sequence[str],
    env: Mapping[str, str],
    project_file: str | None,
    user: Path,
) -> tuple[list[Source], list[str], list[ConfigError]]:
    """The sources from the lowest precedence to the highest."""
    from .sources import from_env, from_flags, from_toml
    from .trust import Trust, read_config

    sources: list[Source] = []
    notes: list[str] = []
    problems: list[ConfigError] = []

    def file(path: str, *, required: bool, trusted: bool) -> None:
        try:
            content = read_config(path)
            source = from_toml(content, _short(path))
            if not trusted:
                source, note = restricted(source, path, Trust(user).is_trusted(Path(path), content))
                notes.extend(note)
            sources.append(source)
        except ConfigError as error:
            problems.append(error)
        except OSError as exc:
            if required or not isinstance(exc, FileNotFoundError):
                remedy = "name a file that can be read"
                problems.append(ConfigError(f"{path} cannot be read: {exc.strerror}", at=path, remedy=remedy))

    file(os.path.join(user, FILE), required=False, trusted=True)
    explicit = os.path.realpath(config) if config is not None else ""
    if project_file is not None and os.path.realpath(project_file) != explicit:
        file(project_file, required=False, trusted=False)
    sources.append(from_env(env))
    if config is not None:
        file(os.fspath(config), required=True, trusted=True)
    flags, wrong = from_flags(sets, profile)
    problems += wrong
    sources.append(flags)
    return sources, notes, problems


OPEN_TABLES = ("index", "retrieval")
"""What a file found inside a repository may set without being trusted, but for ``index.name``: with it a clone could
claim, and so replace, the index of another repository in a shared data folder."""


def restricted(source: Source, path: str, trusted: bool) -> tuple[Source, list[str]]:
    """A project file's settings, less what an untrusted file may not set, and the line that says so."""
    ignored = sorted(key for key in source.tree if key not in OPEN_TABLES)
    index = source.tree.get("index")
    if isinstance(index, dict) and "name" in index:
        ignored.append("index.name")
    if trusted or not ignored:
        return source, []
    import shlex

    from .sources import Source

    tree = {key: source.tree[key] for key in source.tree if key in OPEN_TABLES}
    if isinstance(index, dict):
        tree["index"] = {key: value for key, value in index.items() if key != "name"}
    kept = Source(tree, source.origins)
    shown = ", ".join(ignored[:8]).encode("unicode_escape").decode()
    accept = f"codequay trust {shlex.quote(path)}"
    return kept, [f"{_short(path)} is not trusted, ignored in it: {shown} (to accept the file: {accept})"]


def _short(path: str) -> str:
    """The path as a person would write it from here."""
    here = os.getcwd() + os.sep
    return path.removeprefix(here)
