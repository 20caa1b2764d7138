"""Help, written from the command values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .command import GLOBAL_OPTIONS, Command
from .exit_codes import MEANING


def overview(commands: Sequence[Command]) -> str:
    """What ``codequay --help`` prints."""
    lines = [
        "Search code by words. No service, no model, no network.",
        "",
        "usage: codequay COMMAND [OPTION...]",
        "",
        "commands:",
        *_columns([(command.name, command.summary) for command in commands]),
        "",
        "options of every command:",
        *_columns([(option.usage, option.help) for option in GLOBAL_OPTIONS]),
        "",
        "exit codes:",
        *_columns([(str(code), meaning) for code, meaning in MEANING.items()]),
        "",
        "Help on a command: codequay COMMAND --help",
    ]
    return "\n".join(lines)


def page(command: Command) -> str:
    """What ``codequay COMMAND --help`` prints."""
    usage = " ".join(["codequay", command.name, "[OPTION...]", *(argument.usage for argument in command.arguments)])
    lines = [command.summary[0].upper() + command.summary[1:] + ".", "", f"usage: {usage}"]
    lines += _section("arguments", [(argument.name, argument.help) for argument in command.arguments])
    lines += _section("options", [(option.usage, option.help) for option in command.options])
    lines += _section("options of every command", [(option.usage, option.help) for option in GLOBAL_OPTIONS])
    lines += _section("examples", list(command.examples))
    lines += _section("exit codes", [(str(code), text) for code, text in command.exits.items()])
    if command.notes:
        lines += ["", command.notes]
    return "\n".join(lines)


def _section(title: str, rows: list[tuple[str, str]]) -> list[str]:
    return ["", f"{title}:", *_columns(rows)] if rows else []


def _columns(rows: list[tuple[str, str]]) -> Iterator[str]:
    width = min(40, max(len(left) for left, _ in rows))
    for left, right in rows:
        yield f"  {left:<{width}}  {right}" if len(left) <= width else f"  {left}\n  {'':<{width}}  {right}"
