"""How the contract kit opens the adapters: every trial in a schema of its own, on the server of the tests.

``CODEQUAY_TEST_POSTGRES_URL`` (``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``) names it. The role must be allowed to
create schemas in that database. ``CODEQUAY_TEST_POSTGRES_RESTART`` is a command that kills and starts it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from codequay.contract import Harness, Unverified

from .chunks import open_chunks
from .config import PostgresConfig
from .connecting import Connector
from .errors import FAILURES
from .lock import open_lock
from .metadata import open_metadata

URL = "CODEQUAY_TEST_POSTGRES_URL"
CONNECT_S = 10.0
GONE_S = 2.0
"""Seconds that the server gets to notice that a connection was closed."""


class PostgresHarness(Harness):
    """What the ports share."""

    adapter = "postgres"
    restarts = "CODEQUAY_TEST_POSTGRES_RESTART"
    factory: Callable[[PostgresConfig, Any], AbstractAsyncContextManager[Any]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._opened: list[Any] = []
        if os.environ.get(URL):
            parts = urlsplit(server_dsn())
            self.endpoint = (parts.hostname or "127.0.0.1", parts.port or 5432)

    @property
    def name(self) -> str:
        """Several processes may run trials at once; a trial's folder is its own, also in the child of a trial."""
        return "ct_" + blake2b(f"{self.namespace} {self.folder}".encode(), digest_size=8).hexdigest()

    def options(self) -> dict[str, Any]:
        dsn = server_dsn()
        if self.endpoint is not None:
            parts = urlsplit(dsn)
            login, at, _ = parts.netloc.rpartition("@")
            host, port = self.endpoint
            dsn = urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{port}"))
        limits = {} if self.timeout is None else {"timeout": self.timeout, "statement_timeout": self.timeout}
        place = {"dsn": dsn, "schema": self.name, "application_name": self.name}
        return {**place, **limits, "min_pool": 1, "max_pool": 8}

    async def open(self) -> Any:
        await _administer("SELECT 1")
        return await self.reopen()

    async def reopen(self, *, readonly: bool = False) -> Any:
        config = PostgresConfig(**self.options())
        store = await self.enter(type(self).factory(config, await self.context(readonly=readonly)))
        self._opened.append(store)
        return store

    async def turns(self) -> int:
        return sum(one.store.pool.trips for one in self._opened)

    async def leftovers(self) -> list[str]:
        """Connections that are still open. Tables are no leftovers: the store is durable."""
        deadline = time.monotonic() + GONE_S
        asked = "SELECT pid, state, query FROM pg_stat_activity WHERE application_name = $1"
        while (left := await _administer(asked, self.name)) and time.monotonic() < deadline:  # noqa: ASYNC110 - there
            await asyncio.sleep(0.01)
        return [f"connection {pid} ({state}: {query})" for pid, state, query in left]

    async def discard(self) -> None:
        await _administer(f'DROP SCHEMA IF EXISTS "{self.name}" CASCADE')

    @classmethod
    def server(cls) -> str:
        """``PostgreSQL 15.20``; "" when there is none."""

        def ask() -> str:
            try:
                return str(asyncio.run(_administer("SHOW server_version"))[0][0])
            except Unverified:
                return ""

        with ThreadPoolExecutor(1, thread_name_prefix="contract-server") as thread:
            version = thread.submit(ask).result()
        return f"PostgreSQL {version.partition(' ')[0]}" if version else ""


class PostgresChunksHarness(PostgresHarness):
    port = "chunks"
    factory = staticmethod(open_chunks)


class PostgresMetadataHarness(PostgresHarness):
    port = "metadata"
    factory = staticmethod(open_metadata)


class PostgresLockHarness(PostgresHarness):
    port = "lock"
    factory = staticmethod(open_lock)


def server_dsn() -> str:
    """The server of the tests.

    :raises Unverified: none is named
    """
    url = os.environ.get(URL, "")
    if not url:
        raise Unverified(f"no server: set {URL}=postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return url


async def _administer(statement: str, *values: object) -> list[Any]:
    """One statement on a connection of its own; its rows.

    :raises Unverified: the server cannot be reached
    """
    try:
        connection = await Connector(PostgresConfig(dsn=SecretStr(server_dsn())), None).connect(CONNECT_S)
    except FAILURES as exc:
        raise Unverified(f"the server named by {URL} cannot be reached: {exc}") from exc
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()
