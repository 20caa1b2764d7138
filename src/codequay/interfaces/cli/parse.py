"""From typed text to values.

Written here because importing ``argparse`` costs more than a query, and because its messages name no remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codequay.ports.errors import InvalidArgument

from .command import GLOBAL_OPTIONS, Argument, Command, Format, Globals, Option


def usage_error(message: str, *, command: str, remedy: str) -> InvalidArgument:
    """An error of what was typed."""
    return InvalidArgument(message, component="cli", at=f"codequay {command}".strip(), remedy=remedy)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The closest known word, or nothing."""
    import difflib

    return next(iter(difflib.get_close_matches(word, known, 1, 0.6)), "")


def wanted_format(argv: Sequence[str]) -> Format:
    """The format asked for, known before anything else so that a usage error can honour it."""
    for i, word in enumerate(argv):
        if word == "--":
            break
        flag, _, value = word.partition("=")
        if flag != "--format":
            continue
        value = value or next(iter(argv[i + 1 : i + 2]), "")
        if value == "json":
            return "json"
        if value == "jsonl":
            return "jsonl"
    return "text"


def command_name(argv: Sequence[str]) -> str:
    """The first word that is neither an option nor an option's value."""
    valued = {flag for option in GLOBAL_OPTIONS if option.metavar or option.choices for flag in option.flags}
    rest = iter(argv)
    for word in rest:
        if word in valued:
            next(rest, None)
        elif not _is_option(word) and word != "--":
            return word
    return ""


def parse(argv: Sequence[str], command: Command) -> tuple[dict[str, Any], Globals]:
    """The values of the command and the global options.

    :raises InvalidArgument: what was typed fits neither
    """
    table = {flag: option for option in (*GLOBAL_OPTIONS, *command.options) for flag in option.flags}
    values: dict[str, Any] = {}
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not _is_option(word):
            words.append(word)
            continue
        flag, glued, value = _split(word, table)
        option = table.get(flag)
        if option is None:
            near = did_you_mean(flag, list(table))
            raise usage_error(
                f"unknown option {flag}",
                command=command.name,
                remedy=(f"did you mean {near}? " if near else "") + f"see: codequay {command.name} --help",
            )
        if not (option.metavar or option.choices):
            if glued == "=":
                raise usage_error(f"{flag} takes no value", command=command.name, remedy=f"write {flag} alone")
            values[option.name] = values.get(option.name, 0) + 1
            if value:  # -vq: the rest are switches too
                rest.insert(0, "-" + value)
            continue
        if not glued:
            if not rest:
                raise usage_error(
                    f"{flag} needs a value", command=command.name, remedy=f"write {flag} {option.usage.split()[-1]}"
                )
            value = rest.pop(0)
        converted = _convert(option, flag, value, command.name)
        values[option.name] = (*values.get(option.name, ()), converted) if option.repeat else converted
    del words[:1]  # the command's own name
    names = {option.name for option in GLOBAL_OPTIONS}
    given = {name: value for name, value in values.items() if name in names}
    own = {name: value for name, value in values.items() if name not in names}
    return {**own, **_positional(command, words)}, Globals(
        config=given.get("config"),
        profile=given.get("profile"),
        sets=given.get("set", ()),
        data=given.get("data"),
        format=given.get("format", "text"),
        progress=given.get("progress", "auto"),
        verbose=given.get("verbose", 0),
        quiet=bool(given.get("quiet")),
    )


def _is_option(word: str) -> bool:
    """A word with a blank in it is a query that starts by excluding, not an option."""
    return len(word) > 1 and word[0] == "-" and not any(c.isspace() for c in word.split("=", 1)[0])


def _split(word: str, table: Mapping[str, Option]) -> tuple[str, str, str]:
    """(flag, how its value is attached: "" | "=" | "glued", value)."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, equals, value
    flag, value = word[:2], word[2:]
    if word in table or not value or flag not in table:
        return word, "", ""
    return flag, "glued", value


def _convert(option: Option, flag: str, value: str, command: str) -> Any:
    if option.choices and value not in option.choices:
        near = did_you_mean(value, option.choices)
        raise usage_error(
            f"{flag} cannot be {value!r}",
            command=command,
            remedy=(f"did you mean {near}? " if near else "") + f"one of: {', '.join(option.choices)}",
        )
    if not option.number:
        return value
    if not (value.isascii() and value.isdigit() and len(value) < 11 and int(value) >= option.least):
        message = f"{flag} wants a whole number from {option.least}, not {value!r}"
        raise usage_error(message, command=command, remedy=f"write {flag} 10")
    return int(value)


def _positional(command: Command, words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    left = list(words)
    for argument in command.arguments:
        values[argument.name] = _take(command, argument, left)
    if left:
        remedy = f"see: codequay {command.name} --help"
        if command.name == "search":
            remedy = f'quote the words: codequay search "{" ".join(words)}"'
        raise usage_error(f"unexpected argument {left[0]!r}", command=command.name, remedy=remedy)
    return values


def _take(command: Command, argument: Argument, left: list[str]) -> Any:
    if argument.many:
        taken = tuple(left) or ((argument.default,) if argument.default is not None else ())
        left.clear()
        return taken
    if left:
        return left.pop(0)
    if argument.required:
        example = command.examples[0][0] if command.examples else f"codequay {command.name} --help"
        raise usage_error(f"{argument.name} is missing", command=command.name, remedy=f"for example: {example}")
    return argument.default
