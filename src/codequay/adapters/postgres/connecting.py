"""One connection to the server, made as the options say."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from codequay.ports.errors import FailedPrecondition

from .config import PostgresConfig
from .errors import is_refused

LATER_S = 1.0
"""By how much longer than the server this end waits for a statement: the server's answer says more."""


class Connector:
    """Logs in. A password that is refused is looked up again, because it may have been changed since."""

    def __init__(self, config: PostgresConfig, reload: Callable[[], Any] | None) -> None:
        self._config = config
        self._reload = reload

    async def connect(self, seconds: float) -> Any:
        """A new connection.

        :raises TimeoutError: there was none within so many seconds
        :raises FailedPrecondition: the file of certificates cannot be read
        :raises SecretError: the password was refused, and cannot be looked up again
        """
        used = self._config
        try:
            return await self._connect(seconds)
        except asyncpg.PostgresError as exc:
            if not is_refused(exc):
                raise
            if self._config is used:  # else another connection has met the same and looked it up
                renewed = self._reload() if self._reload is not None else None
                if renewed is None or _login(renewed) == _login(used) or _place(renewed) != _place(used):
                    raise
                self._config = renewed
        return await self._connect(seconds)

    async def _connect(self, seconds: float) -> Any:
        config = self._config
        settings = {"application_name": config.application_name}
        if config.statement_cache_size:
            settings |= {
                "statement_timeout": str(milliseconds(config.statement_timeout)),
                "plan_cache_mode": "force_generic_plan",
                "jit": "off",
            }
        options: dict[str, Any] = {} if (tls := _tls(config)) is None else {"ssl": tls}
        return await asyncpg.connect(
            config.dsn.get_secret_value(),
            password=config.password.get_secret_value() if config.password else None,
            timeout=seconds,
            command_timeout=config.statement_timeout + LATER_S,
            statement_cache_size=config.statement_cache_size,
            server_settings=settings,
            **options,
        )


def milliseconds(seconds: float) -> int:
    """As the server's settings have it; 0 would mean for ever."""
    return max(1, round(seconds * 1000))


def _login(config: PostgresConfig) -> tuple[str, str]:
    return config.dsn.get_secret_value(), config.password.get_secret_value() if config.password else ""


def _place(config: PostgresConfig) -> tuple[str, str]:
    """Hosts and database: another server is another store, and not to be met in the middle of the work."""
    parts = urlsplit(config.dsn.get_secret_value())
    return parts.netloc.rpartition("@")[2], parts.path


def _tls(config: PostgresConfig) -> ssl.SSLContext | str | None:
    """What asyncpg is told; None leaves it to the dsn."""
    mode = config.sslmode
    if mode not in ("verify-ca", "verify-full") and not (mode == "require" and config.sslrootcert):
        return mode
    try:
        context = ssl.create_default_context(cafile=config.sslrootcert or None)
    except OSError as exc:
        raise FailedPrecondition(
            f"the certificates in {config.sslrootcert} cannot be read: {exc}",
            remedy="correct adapters.postgres.sslrootcert",
        ) from exc
    context.check_hostname = mode == "verify-full"
    return context
