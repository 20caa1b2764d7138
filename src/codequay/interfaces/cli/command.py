"""What a command is: a frozen value from which parser, help and documentation come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .output import Output

Format = Literal["text", "json", "jsonl"]
FORMATS: tuple[str, ...] = ("text", "json", "jsonl")


@dataclass(frozen=True, slots=True)
class Argument:
    """A positional argument. ``many`` takes all that remain."""

    name: str
    help: str
    default: str | None = None
    required: bool = False
    many: bool = False

    @property
    def usage(self) -> str:
        shown = f"{self.name}..." if self.many else self.name
        return shown if self.required else f"[{shown}]"


@dataclass(frozen=True, slots=True)
class Option:
    """An option. Without ``metavar`` it is a switch; ``number`` wants a whole number from ``least``."""

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeat: bool = False
    number: bool = False
    least: int = 1

    @property
    def name(self) -> str:
        """The key of its value: the long flag without dashes."""
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def usage(self) -> str:
        metavar = "|".join(self.choices) or self.metavar
        return ", ".join(self.flags) + (f" {metavar}" if metavar else "")


@dataclass(frozen=True, slots=True)
class Globals:
    """Options that every command takes."""

    config: str | None = None
    profile: str | None = None
    sets: tuple[str, ...] = ()
    data: str | None = None
    format: Format = "text"
    progress: Literal["auto", "json", "off"] = "auto"
    verbose: int = 0
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command as typed: its values by name, the global options, and where its output goes."""

    values: Mapping[str, Any]
    options: Globals
    out: Output


@dataclass(frozen=True, slots=True)
class Command:
    """A command. ``run`` turns the values into one request, calls the library and renders; it gives the exit code."""

    name: str
    summary: str
    run: Callable[[Invocation], int]
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    exits: Mapping[int, str] = field(default_factory=dict)
    notes: str = ""


REV = Option(("--rev",), "as of this revision, which must be indexed: codequay index --rev REV", metavar="REV")
REFRESH = Option(
    ("--refresh",),
    "index changed files first: when they are few (auto, the default), never, or always",
    choices=("auto", "never", "always"),
)

GLOBAL_OPTIONS: tuple[Option, ...] = (
    Option(("--format",), "how to print the answer (default: text)", choices=FORMATS),
    Option(("--config",), "read this configuration file and trust it", metavar="FILE"),
    Option(("--profile",), "a set of defaults: embedded, test or server", metavar="NAME"),
    Option(("--set",), "one setting, e.g. --set ports.lock=memory; may be repeated", metavar="KEY=VALUE", repeat=True),
    Option(("--data",), "keep the index in this folder", metavar="DIR"),
    Option(("--progress",), "progress on stderr (default: auto, on a terminal only)", choices=("auto", "json", "off")),
    Option(("-v", "--verbose"), "say more on stderr; -vv says most"),
    Option(("-q", "--quiet"), "no notes on stderr"),
    Option(("-h", "--help"), "print help"),
    Option(("--version",), "print the version"),
)
