"""Secrets by reference: ``env:NAME`` or ``file:PATH`` in place of any option of an adapter.

A reference is looked up when an adapter is opened, and again at each later open, so a rotated secret is picked up. Its
value never appears in a repr, an error, a log or a plan; the reference may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from codequay.ports.errors import SecretError

MASK = "***"
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)


class Secret:
    """A reference to a secret."""

    __slots__ = ("_env", "reference")

    def __init__(self, reference: str, env: Mapping[str, str]) -> None:
        self.reference = reference
        self._env = env

    def __repr__(self) -> str:
        return f"Secret({self.reference})"

    def reveal(self) -> str:
        """The value now; a file's last line break is no part of it.

        :raises SecretError: the variable is not set, or the file cannot be read
        """
        kind, _, name = self.reference.partition(":")
        if kind == "env":
            value = self._env.get(name)
            if value is None:
                raise SecretError(f"the variable {name} is not set", remedy=f"export {name}=...")
            return value
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError, RuntimeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else str(exc)
            if isinstance(exc, UnicodeDecodeError):
                why = "it is not UTF-8"
            raise SecretError(f"the secret file {name} cannot be read: {why}", remedy=f"create {name}") from exc


def with_references(value: Any, env: Mapping[str, str]) -> Any:
    """An options table with each reference as a ``Secret``."""
    if isinstance(value, dict):
        return {key: with_references(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [with_references(item, env) for item in value]
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return Secret(value, env)
    return value


def revealed(value: Any) -> Any:
    """An options table with each ``Secret`` replaced by its value.

    :raises SecretError: one of them cannot be looked up
    """
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revealed(item) for item in value]
    return value.reveal() if isinstance(value, Secret) else value


def references(value: Any, path: str = "") -> Iterable[tuple[str, Secret]]:
    """(dotted path, secret) of each reference in an options table."""
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from references(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, f"{path}.{index}")


def masked(value: Any, name: str = "") -> Any:
    """An options table fit to be shown: references as they are, literal secrets and passwords in URLs masked."""
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, name) for item in value]
    if isinstance(value, Secret):
        return value.reference
    if value is not None and _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, str) and "://" in value:
        return _masked_url(value)
    return value


def _masked_url(text: str) -> str:
    from urllib.parse import urlsplit, urlunsplit

    try:
        url = urlsplit(text)
        if url.password is None:
            return text
        user_and_host = f"{url.username or ''}:{MASK}@{url.netloc.rpartition('@')[2]}"
    except ValueError:
        return MASK
    return urlunsplit((url.scheme, user_and_host, url.path, url.query, url.fragment))


def scrubbed(text: str, options: Any) -> str:
    """A message without the values that ``options`` refers to."""
    for _, secret in references(options):
        try:
            value = secret.reveal()
        except SecretError:
            continue
        if value:
            text = text.replace(value, MASK)
    return text
