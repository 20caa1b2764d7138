"""The tables, their names, and the steps that make them.

``content`` is a blob as one chunker cut it; its key is a digest of the blob's id, the language and the chunks' ids, so
that a writer knows it without asking. ``placement`` puts it at a path for the generations ``born <= g < died``. InnoDB
indexes 3,072 bytes; of a longer path, ``path`` is the beginning, ``rest`` the rest and ``rest_key`` a digest of that.
Every text is VARBINARY or MEDIUMBLOB, compared byte by byte.

MariaDB commits each CREATE or ALTER by itself. So every step may be run again, the version is written last, and a lock
of the server's keeps two from migrating at once.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b

from asyncmy.errors import MySQLError

from codequay.ports.errors import FailedPrecondition, FingerprintMismatch, LockBusy, NotFound
from codequay.ports.migrations import Migration
from codequay.ports.spec import BuildContext

from . import sql
from .config import MariadbConfig
from .connections import Connection, Connections
from .errors import NO_TABLE, number_of

FINGERPRINT = "mariadb-chunks-1"
FOREVER = 2**63 - 1
"""``died`` of a placement that is still there."""
OLDEST_SERVER = (10, 6)
"""Common table expressions over VALUES, and packed sort keys: the oldest release that MariaDB still supports."""

NAMES = ("meta", "repo", "generation", "content", "placement", "chunk", "definition")


class Tables:
    """The names of one store's tables: ``tables.chunk`` with its prefix."""

    def __init__(self, prefix: str) -> None:
        self.meta, self.repo, self.generation, self.content, self.placement, self.chunk, self.definition = (
            f"`{prefix}{name}`" for name in NAMES
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the schema; ``{table}`` stands for a table's name. It may be run again after it was cut short."""

    title: str
    script: str

    def statements(self, tables: Tables) -> list[str]:
        return [one.strip() for one in self.script.format(**vars(tables)).split(";") if one.strip()]


STEPS = (
    Step(
        "the first tables",
        """
CREATE TABLE IF NOT EXISTS {meta} (
    name VARBINARY(64) NOT NULL PRIMARY KEY, value VARBINARY(255) NOT NULL
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {repo} (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARBINARY(2048) NOT NULL,
    highest BIGINT UNSIGNED NOT NULL DEFAULT 0, UNIQUE KEY name (name)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {generation} (
    repo BIGINT UNSIGNED NOT NULL, generation BIGINT UNSIGNED NOT NULL, base BIGINT UNSIGNED,
    sealed BOOLEAN NOT NULL DEFAULT 0, PRIMARY KEY (repo, generation)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {content} (
    digest BINARY(16) NOT NULL PRIMARY KEY, blob_id VARBINARY(512) NOT NULL, language VARBINARY(255) NOT NULL,
    chunks INT UNSIGNED NOT NULL, bytes BIGINT UNSIGNED NOT NULL, KEY blob_id (blob_id)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {placement} (
    repo BIGINT UNSIGNED NOT NULL, path VARBINARY(2900) NOT NULL, rest_key BINARY(16) NOT NULL,
    rest VARBINARY(5200) NOT NULL, born BIGINT UNSIGNED NOT NULL,
    died BIGINT UNSIGNED NOT NULL DEFAULT 9223372036854775807, content BINARY(16) NOT NULL, mode INT UNSIGNED NOT NULL,
    PRIMARY KEY (repo, path, rest_key, born), KEY content (content), KEY born (repo, born), KEY died (repo, died)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {chunk} (
    content BINARY(16) NOT NULL, seq INT UNSIGNED NOT NULL, id VARBINARY(512) NOT NULL,
    start_byte BIGINT UNSIGNED NOT NULL, end_byte BIGINT UNSIGNED NOT NULL, start_line BIGINT UNSIGNED NOT NULL,
    end_line BIGINT UNSIGNED NOT NULL, language VARBINARY(255) NOT NULL, kind VARBINARY(255) NOT NULL,
    symbol MEDIUMBLOB NOT NULL, content_hash VARBINARY(255) NOT NULL, text MEDIUMBLOB NOT NULL,
    definitions MEDIUMBLOB NOT NULL, PRIMARY KEY (content, seq)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {definition} (
    content BINARY(16) NOT NULL, chunk INT UNSIGNED NOT NULL, seq INT UNSIGNED NOT NULL, name MEDIUMBLOB NOT NULL,
    kind VARBINARY(255) NOT NULL, line BIGINT UNSIGNED NOT NULL, PRIMARY KEY (content, chunk, seq),
    KEY name (name(255))
) ENGINE = InnoDB;
""",
    ),
)


class Store:
    """The tables of one store on a server, whatever version they have."""

    def __init__(self, connections: Connections, config: MariadbConfig) -> None:
        self.tables = Tables(config.prefix)
        self._connections = connections
        self._config = config
        self._place = f"database {config.database!r}, tables {config.prefix}*"

    async def prepare(self, *, readonly: bool) -> None:
        """Make the tables, or migrate them, as far as the options and the context allow.

        :raises NotFound: there are none, and the context only reads
        :raises FailedPrecondition: the server is not a MariaDB that is new enough
        :raises FingerprintMismatch: another release made them
        """
        async with self._connections.alone() as connection:
            _check_server(str((await connection.send(["SELECT VERSION()"]))[0][0][0]))
            version = await self._version(connection)
            if readonly and not version:
                raise NotFound(f"there is no store in {self._place}", remedy="codequay index")
            if version == len(STEPS):
                return
            if version and (readonly or self._config.migrations == "check"):
                raise FingerprintMismatch(
                    f"an older release made the store in {self._place}", remedy="codequay migrations --apply"
                )
            await self._migrate(connection)

    async def migrations(self) -> list[Migration]:
        async with self._connections.alone() as connection:
            version = await self._version(connection)
        return self._listed(version) if version else []

    async def migrate(self) -> list[Migration]:
        async with self._connections.alone() as connection:
            before = await self._version(connection)
            if not before or before == len(STEPS):
                return []
            await self._migrate(connection)
        return [
            Migration(one.store, one.version, one.title, one.sql, True)
            for one in self._listed(before)
            if not one.applied
        ]

    async def _version(self, connection: Connection) -> int:
        """The version of the tables, 0 when there are none.

        :raises FingerprintMismatch: a newer release has migrated them, or something else lies there
        """
        try:
            rows = (await connection.send([f"SELECT name, value FROM {self.tables.meta}"]))[0]
        except MySQLError as exc:
            if number_of(exc) != NO_TABLE:
                raise
            await connection.roll_back()
            return 0
        found = {name.decode(): value.decode() for name, value in rows}
        if not found:
            return 0
        version = int(found.get("version", 0))
        if version > len(STEPS) or found.get("fingerprint") != FINGERPRINT:
            raise FingerprintMismatch(
                f"another release of codequay-mariadb made the store in {self._place}",
                remedy="upgrade codequay-mariadb, or choose another prefix and index again",
            )
        return version

    async def _migrate(self, connection: Connection) -> None:
        lock = sql.text("codequay " + blake2b(self._place.encode(), digest_size=16).hexdigest())
        got = (await connection.send([f"SELECT GET_LOCK({lock}, {self._config.lock_timeout})"]))[0][0][0]
        if got != 1:
            raise LockBusy(f"another process migrates the store in {self._place}", remedy="try again when it is done")
        try:
            version = await self._version(connection)
            for step in STEPS[version:]:
                await connection.send(step.statements(self.tables))
            meta = self.tables.meta
            values = {"store_id": uuid.uuid4().hex, "version": str(len(STEPS)), "fingerprint": FINGERPRINT}
            rows = [sql.row(sql.text(name), sql.text(value)) for name, value in values.items()]
            # One statement, because others read while this one writes: half of the rows is no store of ours.
            kept = f"ON DUPLICATE KEY UPDATE value = IF(name = {sql.text('store_id')}, value, VALUES(value))"
            await connection.send(list(sql.inserts(f"INSERT INTO {meta}", rows, kept)))
        except BaseException:
            connection.drop()
            raise
        await connection.send([f"DO RELEASE_LOCK({lock})"])

    def _listed(self, version: int) -> list[Migration]:
        return [
            Migration(self._place, number, step.title, ";\n".join(step.statements(self.tables)), number <= version)
            for number, step in enumerate(STEPS, 1)
        ]


@asynccontextmanager
async def opened(config: MariadbConfig) -> AsyncIterator[Connections]:
    """The connections to the configured server, closed at the end."""
    connections = Connections(config)
    try:
        yield connections
    finally:
        await connections.close()


@asynccontextmanager
async def open_migrations(config: MariadbConfig, ctx: BuildContext) -> AsyncIterator[Store]:
    """The store for its migrations alone."""
    connections = await ctx.shared("connections", lambda: opened(config))
    yield Store(connections, config)


def _check_server(version: str) -> None:
    number = tuple(int(part) for part in version.partition("-")[0].split(".")[:2] if part.isdigit())
    if "MariaDB" not in version or number < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise FailedPrecondition(
            f"the server is {version}; this adapter needs MariaDB {oldest} or newer", remedy="use such a server"
        )
