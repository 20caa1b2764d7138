"""The writes: what is staged goes into the spool, and a sealed generation becomes a Zoekt repository.

Sealing goes: a tar of the generation's texts, the indexer, the server lists what was made, the spool shows it. A death
at any point leaves a shard that nothing shows; the next run over the same generation replaces it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from codequay.ports.errors import Conflict, FailedPrecondition, LockBusy
from codequay.ports.generations import StageResult
from codequay.ports.lexical import LexFile
from codequay.ports.spec import BuildContext

from . import queries
from .client import Client, Listed, decoded
from .config import ZoektConfig
from .indexer import Run, WriteLock, check_folder, remove, write_tar
from .spool import FILE
from .spooling import Writer

log = logging.getLogger(__name__)

LOCK = "shards.lock"
TAR = ".tar"
MARKER = "NOT-INDEXED: "
"""What Zoekt puts in the place of a text that it leaves out."""
_POLL = 0.005
"""Seconds between two looks for a new shard, at first."""
_POLL_MOST = 0.25
_PATIENCE = 1.0
"""Seconds to wait for another writer in order to remove shards; later is early enough."""


class Job(NamedTuple):
    """A generation on its way to Zoekt."""

    number: int
    generation: int
    zoekt: str
    version: str
    """What was staged has it as long as nothing else is staged."""
    documents: int
    size: int


class Changed(Exception):
    """Something was staged while the generation was being indexed."""


class Staging:
    """The writes. Nothing is opened before the first of them."""

    def __init__(self, root: Path, config: ZoektConfig, ctx: BuildContext, client: Client) -> None:
        self._root = root
        self._config = config
        self._run = ctx.run_sync
        self._client = client
        self._folder = Path(config.index_dir)
        self._owner = blake2b(f"{socket.gethostname()}\0{root.resolve()}".encode(), digest_size=8).hexdigest()
        self._sealing = asyncio.Lock()
        self._opening = threading.Lock()
        self._opened: Writer | None = None

    def close(self) -> None:
        """Close; what could not be removed while another writer made a shard is removed now, or by the next one."""
        if self._opened is not None:
            try:
                self._bury(0.0)
            finally:
                self._opened.close()

    @property
    def _writer(self) -> Writer:
        with self._opening:
            if self._opened is None:
                self._opened = Writer(self._root / FILE, self._config.busy_timeout)
            return self._opened

    async def begin(self, repo_id: str, generation: int, base: int | None) -> None:
        def work() -> None:
            with self._writer:
                self._writer.begin(repo_id, generation, base)
            self._bury(_PATIENCE)

        await self._run(work)

    async def stage(
        self, repo_id: str, generation: int, files: Sequence[LexFile], removed: Sequence[str]
    ) -> StageResult:
        def work() -> StageResult:
            with self._writer:
                number, sealed = self._writer.staging(repo_id, generation)[:2]
                if sealed:
                    raise Conflict(f"generation {generation} of {repo_id!r} is sealed already")
                return self._writer.stage(number, generation, files, removed)

        return await self._run(work)

    async def forget(self, repo_id: str, generation: int | None) -> None:
        """Drop one generation, or the repository with all of them."""

        def work() -> None:
            with self._writer:
                self._writer.forget(repo_id, generation)
            self._bury(_PATIENCE)

        await self._run(work)

    async def seal(self, repo_id: str, generation: int) -> None:
        """See ``GenerationStore.seal``; one at a time, in this process and among all that share the spool."""
        lock = WriteLock(self._root / LOCK)
        tar = self._root / f"{secrets.token_hex(8)}{TAR}"
        async with self._sealing:
            try:
                await self._take(lock)
                while True:
                    job = await self._run(self._prepare, tar, repo_id, generation)
                    if job is None:
                        return
                    with suppress(Changed):
                        await self._make(repo_id, job, tar)
                        return
            finally:
                tar.unlink(missing_ok=True)
                lock.release()

    async def _take(self, lock: WriteLock) -> None:
        """
        :raises LockBusy: another process has it for longer than ``timeout`` seconds
        """
        deadline = time.monotonic() + self._config.timeout
        while True:
            try:
                lock.acquire(0.0)
                return
            except LockBusy:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(_POLL)

    def _prepare(self, tar: Path, repo_id: str, generation: int) -> Job | None:
        """Write the tar; None when the generation is sealed already. The caller has the lock."""
        for left in self._root.glob(f"*{TAR}"):  # of a writer that died: whoever lives has the lock
            left.unlink(missing_ok=True)
        with self._writer:
            number, sealed, stamp = self._writer.staging(repo_id, generation)
            if sealed:
                return None
            documents, size = self._writer.totals(number, generation)
        if documents:
            check_folder(self._folder)
            write_tar(tar, self._writer.texts(number, generation))
        name = f"{self._config.namespace}{repo_id}@{generation}"
        return Job(number, generation, name, self._owner + stamp, documents, size)

    async def _make(self, repo_id: str, job: Job, tar: Path) -> None:
        """Index, and show what was indexed.

        :raises Changed: something else was staged meanwhile
        """
        shards, left = 0, list[str]()
        if not job.documents:
            await self._run(self._show, repo_id, job, shards, left)
            return
        job = await self._named(job)
        try:
            warning = await self._index(job, tar)
            shards = (await self._await_listed(job, warning)).shards
            left = await self._left_out(job)
            await self._run(self._show, repo_id, job, shards, left)
        finally:
            if not self._writer.shows(job.zoekt, job.version):
                remove(self._folder, [job.zoekt])

    async def _named(self, job: Job) -> Job:
        """The job under a name that no other index of this server has."""
        for one in await self._client.listed(queries.repositories([job.zoekt])):
            if not one.version.startswith(self._owner):
                name, _, generation = job.zoekt.rpartition("@")
                return job._replace(zoekt=f"{name}~{self._owner}@{generation}")
        return job

    async def _index(self, job: Job, tar: Path) -> str:
        """Run the indexer; when the caller is cancelled, end it first."""
        run = Run(self._config.indexer, self._folder, job.zoekt, job.version, tar)
        work = asyncio.ensure_future(self._run(run.wait, self._config.index_timeout))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            run.stop()
            await asyncio.wait((work,))
            if not work.cancelled():
                work.exception()  # that it was given up
            raise

    async def _await_listed(self, job: Job, warning: str) -> Listed:
        """Wait until the server lists all of what was made.

        :raises FailedPrecondition: it does not, so it serves another folder
        """
        query = queries.repositories([job.zoekt])
        deadline, pause = time.monotonic() + self._config.timeout, _POLL
        self._client.trips += 1
        while True:
            for one in await self._client.listed_again(query):
                if one.version == job.version and one.documents == job.documents:
                    if warning:
                        log.warning("%s", warning)
                    return one
            if time.monotonic() > deadline:
                said = f" ({warning})" if warning else ""
                raise FailedPrecondition(
                    f"{self._client.url} does not list {job.zoekt!r}, which was written to {self._folder}{said}",
                    remedy="adapters.zoekt.index_dir must be the folder that this server serves (its -index)",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _POLL_MOST)

    async def _left_out(self, job: Job) -> list[str]:
        """The paths of which Zoekt has the name only, and of texts that hold its mark for these."""
        query = f'{queries.repositories([job.zoekt])} (type:file case:yes content:"{MARKER}")'
        answer = await self._client.names(query)
        return decoded([file.name for file in answer.files])

    def _show(self, repo_id: str, job: Job, shards: int, left: Sequence[str]) -> None:
        """Let reads see the generation, and remove the shards that nothing shows any more."""
        self._writer.durable(True)
        try:
            with self._writer:
                number, sealed, stamp = self._writer.staging(repo_id, job.generation)
                if sealed:
                    return
                if number != job.number or not job.version.endswith(stamp):
                    raise Changed
                what = (job.zoekt, job.version, shards, job.documents, job.size)
                self._writer.seal(number, job.generation, what, left)
        finally:
            self._writer.durable(False)
        self._remove_doomed()

    def _bury(self, patience: float) -> None:
        """Remove the shards of what was dropped, unless another writer is making one for longer than that: it does."""
        if not self._writer.doomed():
            return
        lock = WriteLock(self._root / LOCK)
        try:
            lock.acquire(patience)
            self._remove_doomed()
        except LockBusy:
            log.debug("shards to remove are left to the writer that makes one")
        finally:
            lock.release()

    def _remove_doomed(self) -> None:
        """The same for one who has the lock."""
        names = self._writer.doomed()
        if names:
            remove(self._folder, names)
            with self._writer:
                self._writer.forgotten(names)
