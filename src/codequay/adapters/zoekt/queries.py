"""Zoekt's query language, as this adapter writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from codequay.ports.lexical import AllOf, AnyOf, Literal_, Plan, Where

from .words import TRIGRAM, Key

_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_ASCII_RUN = re.compile("[\x01-\x7f]+")


def literal(text: str) -> str:
    """A regular expression (RE2) for the text itself."""
    return _META.sub(r"\\\g<0>", text)


def quoted(pattern: str) -> str:
    """A regular expression in quotes, in which Zoekt unescapes ``\\\\`` and ``\\"`` and nothing else."""
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'


def everything() -> str:
    """Every file."""
    return 'f:"."'


def repositories(names: Sequence[str]) -> str:
    """The atom that admits exactly these Zoekt repositories."""
    return "repo:" + quoted(f"^(?:{'|'.join(map(literal, names))})$")


def any_key(keys: Sequence[Key]) -> str:
    """Files whose text or name has one of the keys, without regard to case."""
    atoms = (quoted(key.text if key.pattern else literal(key.text)) for key in keys)
    return f"(case:no {' or '.join(atoms)})"


def paths(where: Where | None) -> str:
    """What of the filters can be left to Zoekt; it admits more, never less, but for paths with odd characters.

    Twice negated, since what a plain ``f:`` finds counts in the score.
    """
    if not where:
        return ""
    atoms = []
    if where.prefix:
        atoms.append(f"-(-(case:yes f:{quoted('^' + literal(where.prefix) + '(?:/|$)')}))")
    atoms += [f"-(-(case:no f:{quoted(literal(c))}))" for c in where.contains if c and c.isascii()]
    atoms += [f"-(case:no f:{quoted(literal(c))})" for c in where.excludes if c and c.isascii()]
    return " ".join(atoms)


def required(plan: Plan) -> str | bool:
    """What the plan requires of an indexed text: a query, True for any, False for none."""
    if isinstance(plan, Literal_):
        return _literal(plan)
    sides = [required(part) for part in plan.parts]
    some = [side for side in sides if isinstance(side, str)]
    if isinstance(plan, AllOf):
        if False in sides:
            return False
        return f"({' '.join(some)})" if some else True
    if isinstance(plan, AnyOf):
        if True in sides:
            return True
        return f"({' or '.join(some)})" if some else False
    raise TypeError(f"not a plan: {plan!r}")


def _literal(plan: Literal_) -> str | bool:
    if "\0" in plan.text:
        return False  # Zoekt leaves out every text with a NUL
    if not plan.ignore_case:
        return _content("yes", plan.text) if plan.text else True
    runs = [run for run in _ASCII_RUN.findall(plan.text) if len(run) >= TRIGRAM or plan.text == run]
    return f"({' '.join(_content('no', run) for run in runs)})" if runs else True


def _content(case: str, text: str) -> str:
    return f"(case:{case} content:{quoted(literal(text))})"
