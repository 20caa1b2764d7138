"""One connection to the server, made as the options say."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from .config import PostgresConfig
from .errors import is_refused, state_of
from .tls import ways

NOBODY_THIS_WAY = "28000"
"""The server's rules let nobody in with encryption, or nobody without."""
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
        :raises FailedPrecondition: a file of certificates cannot be read, or nobody knows which user is meant
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
        address = config.address
        user, database = address.login()
        options = {
            "user": user,
            "database": database,
            "password": config.password.get_secret_value() if config.password else address.password,
            "command_timeout": config.statement_timeout + LATER_S,
            "statement_cache_size": config.statement_cache_size,
            "server_settings": {**address.settings, **settings},
            "direct_tls": address.direct_tls,
            "target_session_attrs": address.session,
            "krbsrvname": address.options.get("krbsrvname", "postgres"),
            "gsslib": address.options.get("gsslib", "sspi" if os.name == "nt" else "gssapi"),
        }
        places = [[one] for one in address.hosts] if address.session == "any" else [address.hosts]
        return await _first(places, ways(config.encryption, config.certificates), seconds, options)


async def _first(
    places: Sequence[Sequence[tuple[str, int]]],
    ways: Sequence[ssl.SSLContext | None],
    seconds: float,
    options: dict[str, Any],
) -> Any:
    """A connection to the first place that takes one, by the first way that it takes.

    asyncpg would do ``prefer`` and ``allow`` by itself, but with certificates that its caller has not named.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    turns = [(place, way, way is ways[-1]) for place in places for way in ways]
    for number, (place, way, last) in enumerate(turns, 1):
        try:
            return await asyncpg.connect(
                host=[host for host, _ in place],
                port=[port for _, port in place],
                ssl=way or False,
                timeout=max(deadline - loop.time(), 0.001),
                **options,
            )
        except TimeoutError:
            raise
        except (OSError, asyncpg.CannotConnectNowError):
            if number == len(turns):
                raise
        except asyncpg.InvalidAuthorizationSpecificationError as exc:
            if last or state_of(exc) != NOBODY_THIS_WAY:
                raise
    raise AssertionError("the last turn returns or raises")


def milliseconds(seconds: float) -> int:
    """As the server's settings have it; 0 would mean for ever."""
    return max(1, round(seconds * 1000))


def _login(config: PostgresConfig) -> tuple[str, str]:
    return config.dsn.get_secret_value(), config.password.get_secret_value() if config.password else ""


def _place(config: PostgresConfig) -> tuple[tuple[tuple[str, int], ...], str]:
    """Hosts and database: another server is another store, and not to be met in the middle of the work."""
    address = config.address
    return address.hosts, address.database
