"""How the contract kit opens the adapter: every trial in a database of its own, on the server of the tests.

``CODEQUAY_TEST_MARIADB_URL`` (``mariadb://USER:PASSWORD@HOST:PORT/DATABASE``) names it. The user must be allowed to
create and drop databases whose names begin with DATABASE and ``_``. ``CODEQUAY_TEST_MARIADB_RESTART`` is a command that
kills and starts it.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncmy

from codequay.contract import Harness, Unverified

from .chunks import MariadbChunks, open_chunks
from .config import MariadbConfig

URL = "CODEQUAY_TEST_MARIADB_URL"
GONE_S = 2.0
"""Seconds that the server gets to notice that a connection was closed."""


class MariadbHarness(Harness):
    port = "chunks"
    adapter = "mariadb"
    restarts = "CODEQUAY_TEST_MARIADB_RESTART"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._opened: list[MariadbChunks] = []
        if os.environ.get(URL):
            found = server_options()
            self.endpoint = (found["host"], found["port"])

    @property
    def database(self) -> str:
        """Several processes may run trials at once; a trial's folder is its own, also in the child of a trial."""
        name = blake2b(f"{self.namespace} {self.folder}".encode(), digest_size=8).hexdigest()
        return f"{server_options()['database']}_{name}"

    def options(self) -> dict[str, Any]:
        options = {**server_options(), "database": self.database}
        if self.endpoint is not None:
            options["host"], options["port"] = self.endpoint
        if self.timeout is not None:
            options |= {"connect_timeout": self.timeout, "timeout": self.timeout}
        return options

    async def open(self) -> MariadbChunks:
        await administer(f"CREATE DATABASE IF NOT EXISTS `{self.database}`")
        return await self.reopen()

    async def reopen(self, *, readonly: bool = False) -> MariadbChunks:
        config = MariadbConfig(**self.options())
        store = await self.enter(open_chunks(config, await self.context(readonly=readonly)))
        self._opened.append(store)
        return store

    async def turns(self) -> int:
        return sum(store.trips for store in self._opened)

    async def leftovers(self) -> list[str]:
        """Connections that are still open. The tables are no leftovers: the store is durable."""
        asked = f"SELECT id, command FROM information_schema.processlist WHERE db = '{self.database}'"
        deadline = time.monotonic() + GONE_S
        while (left := await administer(asked)) and time.monotonic() < deadline:  # noqa: ASYNC110 - on the server
            await asyncio.sleep(0.01)
        return [f"connection {number} ({command})" for number, command in left]

    async def discard(self) -> None:
        await administer(f"DROP DATABASE IF EXISTS `{self.database}`")

    @classmethod
    def server(cls) -> str:
        """``MariaDB 10.11.6``; "" when there is none."""

        def ask() -> str:
            try:
                return str(asyncio.run(administer("SELECT VERSION()"))[0][0])
            except (Unverified, asyncmy.errors.MySQLError, OSError):
                return ""

        with ThreadPoolExecutor(1, thread_name_prefix="contract-server") as thread:
            version = thread.submit(ask).result()
        return f"MariaDB {version.partition('-')[0]}" if version else ""


def server_options() -> dict[str, Any]:
    """The adapter's options for the server of the tests.

    :raises Unverified: none is named
    """
    url = os.environ.get(URL, "")
    if not url:
        raise Unverified(f"no server: set {URL}=mariadb://USER:PASSWORD@HOST:PORT/DATABASE")
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.strip("/")) or "codequay",
    }


async def administer(statement: str) -> list[tuple[Any, ...]]:
    """One statement on a connection of its own; its rows.

    :raises Unverified: the server cannot be reached
    """
    options = server_options()
    del options["database"]
    try:
        connection = await asyncmy.connect(**options, autocommit=True, init_command="SET SESSION sql_notes = 0")
    except (asyncmy.errors.MySQLError, OSError) as exc:
        raise Unverified(f"the server named by {URL} cannot be reached: {exc}") from exc
    try:
        cursor = connection.cursor()
        await cursor.execute(statement)
        return list(await cursor.fetchall()) if cursor.description else []
    finally:
        await connection.ensure_closed()
