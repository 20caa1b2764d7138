"""``codequay``: find the command, read what was typed, run it, and give its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from codequay.ports.errors import PortError

from . import exit_codes, parse
from .command import Command, Globals, Invocation
from .output import Output

COMMANDS = (
    "index",
    "search",
    "show",
    "status",
    "watch",
    "repos",
    "gc",
    "doctor",
    "plan",
    "adapters",
    "migrations",
    "trust",
    "contract",
)
"""Each is the value ``COMMAND`` of the module of that name, loaded when it is called for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is as ``exit_codes`` says."""
    words = list(sys.argv[1:] if argv is None else argv)
    out = Output(Globals(format=parse.wanted_format(words)))
    try:
        try:
            code = _run(words, out)
        except KeyboardInterrupt:
            code = exit_codes.SIGINT
        except (Exception, exit_codes.Signalled) as exc:  # noqa: BLE001 - every error is told
            code = _failed(exc, out)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has what it wants. Python flushes stdout once more at exit: let that succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK
    return code


def command(name: str) -> Command:
    """The command of that name."""
    found: Command = import_module(f"{__package__}.{name}").COMMAND
    return found


def _run(words: list[str], out: Output) -> int:
    name = parse.command_name(words)
    asked = words[: words.index("--")] if "--" in words else words
    helping = not words or name == "help" or "-h" in asked or "--help" in asked
    if "--version" in asked:
        from importlib.metadata import version

        out.data(f"codequay {version('codequay')}")
        return exit_codes.OK
    if helping:
        return _help(words, name, out)
    if name not in COMMANDS:
        near = parse.did_you_mean(name, COMMANDS)
        raise parse.usage_error(
            f"no command is named {name!r}" if name else "a command is missing",
            command="",
            remedy=(f"did you mean {near}? " if near else "") + f"one of: {', '.join(COMMANDS)}",
        )
    found = command(name)
    out.command = f"codequay {name}"
    values, options = parse.parse(words, found)
    out.options = options
    return found.run(Invocation(values, options, out))


def _help(words: list[str], name: str, out: Output) -> int:
    from . import help as pages

    wanted = next((word for word in words if word in COMMANDS), "") if name == "help" else name
    out.data(pages.page(command(wanted)) if wanted in COMMANDS else pages.overview([command(c) for c in COMMANDS]))
    return exit_codes.OK


def _failed(exc: BaseException, out: Output) -> int:
    if isinstance(exc, BrokenPipeError):
        raise exc
    if isinstance(exc, exit_codes.Signalled):
        return 128 + exc.signal
    from . import render

    render.error(out, exc)
    if out.options.verbose and (exc.__cause__ is not None or not isinstance(exc, PortError)):
        import traceback

        traceback.print_exception(exc, file=out.stderr)
    return exit_codes.exit_code(exc)
