"""A store in a database of its own, and what tests do with it."""

import asyncio
import os
import uuid
from contextlib import asynccontextmanager

from codequay.contract import Harness, ManualClock
from codequay.ports.chunks import Chunk, Definition, FileChunks
from codequay.ports.generations import ScopeEntry
from codequay_mariadb.chunks import open_chunks
from codequay_mariadb.config import MariadbConfig
from codequay_mariadb.connections import Connections
from codequay_mariadb.harness import administer, server_options


@asynccontextmanager
async def database():
    """Options for a new, empty database, which is dropped."""
    name = f"{server_options()['database']}_t{uuid.uuid4().hex[:12]}"
    await administer(f"CREATE DATABASE `{name}`")
    try:
        yield {**server_options(), "database": name}
    finally:
        await administer(f"DROP DATABASE `{name}`")


class Place(Harness):
    """Opens what a factory opens, with any options."""

    def __init__(self, folder, opener, options):
        super().__init__(None, "", folder, ManualClock())
        self._opener, self._config = opener, MariadbConfig(**options)

    async def open(self):
        return await self.reopen()

    async def reopen(self, *, readonly=False):
        return await self.enter(self._opener(self._config, await self.context(readonly=readonly)))


def opened(options, tmp_path, *, readonly=False, opener=open_chunks):
    """The store as codequay opens it."""
    return Place(tmp_path, opener, options).opened(again=True, readonly=readonly)


@asynccontextmanager
async def connected(options):
    """Connections of their own to the same database."""
    connections = Connections(MariadbConfig(**options))
    try:
        yield connections
    finally:
        await connections.close()


def file(path, text, *, name="f"):
    blob = f"blob {text}"
    size = len(text.encode())
    definitions = (Definition(name, "function", 1),)
    chunk = Chunk(f"{blob}@0", blob, "python", 0, size, 1, 1, text, "function", name, "hash", definitions)
    return FileChunks(path, blob, "python", 0o100644, (chunk,))


async def fill(store, repo, generation, *files, base=None, removed=()):
    await store.begin(repo, generation=generation, base=base)
    await store.stage(repo, generation=generation, files=files, removed=removed)
    await store.seal(repo, generation=generation)
    return [ScopeEntry(repo, generation)]


async def paths(store, scope):
    return [one.path for one in (await store.scan(scope=scope)).files]


def run(work):
    asyncio.run(asyncio.wait_for(work, 60))


def password():
    return os.environ["CODEQUAY_TEST_MARIADB_URL"].split(":")[2].split("@")[0]
