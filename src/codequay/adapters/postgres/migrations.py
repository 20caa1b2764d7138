"""The version of the tables, and how they are made and brought forward.

PostgreSQL makes tables inside of transactions: all pending steps are applied or none. A lock of that transaction keeps
two from migrating at once; the second finds nothing to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import asyncpg

from codequay.ports.errors import FailedPrecondition, FingerprintMismatch, NotFound, PermissionDenied
from codequay.ports.generations import StoreIdentity
from codequay.ports.migrations import Migration
from codequay.ports.spec import BuildContext, SupportsReload

from .config import PostgresConfig
from .errors import NO_PRIVILEGE, NO_TABLE, Damaged, state_of
from .pool import Pool, Transaction, opened_pool
from .privileges import missing_grants, missing_to_make_tables
from .schema import FINGERPRINT, STEPS

OLDEST_SERVER = 130_000
"""Incremental sorts: the oldest release that was still supported when this was written."""
APPLY = "codequay migrations --apply"


class Store:
    """The tables of one schema, whatever version they have."""

    def __init__(self, pool: Pool, config: PostgresConfig) -> None:
        self.pool = pool
        self._config = config
        self.place = f"schema {config.db_schema}"
        self.max_pool = config.max_pool

    async def prepare(self, *, readonly: bool) -> None:
        """Make the tables, or migrate them, as far as the options and the context allow.

        :raises NotFound: there are none, and the context only reads, under ``auto``
        :raises FailedPrecondition: the server is too old, or its database is not in UTF-8
        :raises FingerprintMismatch: the tables are missing or of another release, and may not be changed here
        """
        mode = self._config.migrations
        if mode == "off":
            return
        await self._check_server()
        version = await self._version(write=not readonly)
        if version >= len(STEPS):
            return
        if not version and readonly and mode == "auto":
            grant = await missing_to_make_tables(self.pool)
            remedy = f"{grant}, or let a role run {APPLY} that may; then codequay index" if grant else "codequay index"
            raise NotFound(f"there is no store in {self.place}", remedy=remedy)
        if readonly or mode == "check":
            what = f"has version {version}" if version else "is missing"
            raise FingerprintMismatch(
                f"the store in {self.place} {what}; this release needs version {len(STEPS)}", remedy=APPLY
            )
        await self.migrate()

    async def identity(self) -> StoreIdentity:
        rows = await self.pool.read(f"SELECT value FROM {self.pool.schema}.meta WHERE name = 'store_id'")
        if not rows:
            raise Damaged("the store has lost its id")
        return StoreIdentity(rows[0][0], FINGERPRINT)

    async def migrations(self) -> list[Migration]:
        """Every step, also when there is no store yet: on a server another role may have to make it."""
        return self._listed(await self._version(write=False))

    async def migrate(self) -> list[Migration]:
        await self._check_server()
        try:
            before = await self.pool.write(self._migrate, alone=_number(f"migrate {self.pool.schema}"))
        except asyncpg.PostgresError as exc:
            if state_of(exc) != NO_PRIVILEGE:
                raise
            grant = await missing_to_make_tables(self.pool)
            raise PermissionDenied(
                f"the role may not make tables in {self.place} ({exc})",
                remedy=f"{f'{grant}, or ' if grant else ''}let a role run {APPLY} that may"
                f" ({APPLY.removesuffix('apply')}sql prints what it would run)",
            ) from exc
        return [replace(one, applied=True) for one in self._listed(before) if not one.applied]

    async def _migrate(self, tx: Transaction) -> int:
        schema = self.pool.schema
        there = (await tx.fetch("SELECT to_regnamespace($1) IS NOT NULL", schema))[0][0]
        if not there:
            await tx.script(f"CREATE SCHEMA {schema}")
        said = await _said(tx, schema)
        before = self._checked(said, write=True)
        if before >= len(STEPS):
            return before
        for number in range(before + 1, len(STEPS) + 1):
            await tx.script(sql_of(number, schema))
        return before

    async def _version(self, *, write: bool) -> int:
        """The version of the tables, 0 when there are none.

        :raises FingerprintMismatch: a newer release has migrated them, and this one may not use them
        """
        try:
            rows = await self.pool.read(f"SELECT name, value FROM {self.pool.schema}.meta")
        except asyncpg.PostgresError as exc:
            if state_of(exc) == NO_PRIVILEGE:
                await self._name_missing(exc)
            if state_of(exc) not in NO_TABLE:
                raise
            return 0
        return self._checked(dict(rows), write=write)

    def _checked(self, said: dict[str, str], *, write: bool) -> int:
        version = int(said.get("version", 0))
        if version > len(STEPS) and int(said["writable_from" if write else "readable_from"]) > len(STEPS):
            raise FingerprintMismatch(
                f"a newer release has made version {version} of the store in {self.place}; this one"
                f" {'writes' if write else 'reads'} up to {len(STEPS)}",
                remedy="upgrade codequay, or choose another adapters.postgres.schema and index again",
            )
        return version

    async def _name_missing(self, exc: asyncpg.PostgresError) -> None:
        """:raises PermissionDenied: with the GRANT that is missing, when the catalogue can tell"""
        grants = await missing_grants(self.pool)
        if grants:
            raise PermissionDenied(
                f"the role may not use the store in {self.place} ({exc})", remedy="; ".join(grants)
            ) from exc

    async def _check_server(self) -> None:
        sql = "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')"
        number, encoding = (await self.pool.read(sql))[0]
        if number < OLDEST_SERVER:
            raise FailedPrecondition(
                f"the server is PostgreSQL {number // 10_000}; this adapter needs {OLDEST_SERVER // 10_000} or later",
                remedy="use such a server",
            )
        if encoding != "UTF8":
            raise FailedPrecondition(
                f"the database is encoded in {encoding}",
                remedy="CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it in adapters.postgres.dsn",
            )

    def _listed(self, version: int) -> list[Migration]:
        listed = [
            Migration(self.place, number, step.title, sql_of(number, self.pool.schema), number <= version)
            for number, step in enumerate(STEPS, 1)
        ]
        if not version:
            listed[0] = replace(listed[0], sql=f"CREATE SCHEMA IF NOT EXISTS {self.pool.schema};\n{listed[0].sql}")
        return listed


def sql_of(number: int, schema: str) -> str:
    """All that leads to a version, so that it may also be run by hand."""
    done = STEPS[:number]
    said = {
        "version": number,
        "readable_from": max(step.readers for step in done),
        "writable_from": max(step.writers for step in done),
    }
    rows = ", ".join(f"('{name}', '{value}')" for name, value in said.items())
    return (
        f"{done[-1].script.format(schema=schema).strip()}\n"
        f"INSERT INTO {schema}.meta VALUES ('store_id', replace(gen_random_uuid()::text, '-', ''))"
        " ON CONFLICT (name) DO NOTHING;\n"
        f"INSERT INTO {schema}.meta VALUES {rows} ON CONFLICT (name) DO UPDATE SET value = excluded.value;"
    )


@asynccontextmanager
async def open_migrations(config: PostgresConfig, ctx: BuildContext) -> AsyncIterator[Store]:
    """The store for its migrations alone."""
    async with opened_pool(config, _reload(ctx)) as pool:
        yield Store(pool, config)


async def opened_store(config: PostgresConfig, ctx: BuildContext) -> Store:
    """The store of this instance with its pool, opened and prepared once for all of its ports."""

    @asynccontextmanager
    async def prepared() -> AsyncIterator[Store]:
        async with opened_pool(config, _reload(ctx)) as pool:
            store = Store(pool, config)
            await store.prepare(readonly=ctx.readonly)
            yield store

    return await ctx.shared("store", prepared)


def _reload(ctx: BuildContext) -> Callable[[], Any] | None:
    return ctx.reload if isinstance(ctx, SupportsReload) else None


def writer(schema: str, repo_id: str) -> int:
    """The number of the lock under which one repository is written; equal numbers only make two wait."""
    return _number(f"{schema} {repo_id}")


def _number(name: str) -> int:
    return int.from_bytes(blake2b(f"codequay {name}".encode(), digest_size=8).digest(), "big", signed=True)


async def _said(tx: Transaction, schema: str) -> dict[str, str]:
    if not (await tx.fetch("SELECT to_regclass($1) IS NOT NULL", f"{schema}.meta"))[0][0]:
        return {}
    return dict(await tx.fetch(f"SELECT name, value FROM {schema}.meta"))
