"""Making and removing shards: a tar of exactly our files, one run of the indexer, one writer at a time."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha1
from io import BytesIO
from pathlib import Path
from urllib.parse import quote_plus

from codequay.ports.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    LockBusy,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)

from .errors import missing_indexer

BRANCH = "HEAD"
SUCCESS = ("finished shard", "files processed")
"""What the indexer says, lower-cased, when it has made shards whatever its exit code."""
_STEP = 0.01
"""Seconds between two looks at a lock or a process."""
_LONGEST = 200
"""Zoekt cuts a longer name of a shard and appends a part of its hash."""


class WriteLock:
    """The right to make and remove shards, among all processes that share the spool. It goes with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, timeout: float) -> None:
        """
        :raises LockBusy: another writer has it for longer than ``timeout`` seconds
        """
        if self._file is not None:
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(file)
                    raise LockBusy(
                        "another writer is making a shard", remedy="wait until it has ended, then try again"
                    ) from None
                time.sleep(_STEP)
            else:
                self._file = file
                return

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def check_folder(folder: Path) -> None:
    """
    :raises FailedPrecondition: it is no folder
    :raises PermissionDenied: it cannot be written
    """
    if not folder.is_dir():
        raise FailedPrecondition(
            f"there is no folder {folder}",
            remedy="set adapters.zoekt.index_dir to the folder that zoekt-webserver serves",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionDenied(
            f"{folder} cannot be written",
            remedy="give this user write access to it, or set adapters.zoekt.mode = external",
        )


def write_tar(path: Path, texts: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar of the files."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, text in texts:
            info = tarfile.TarInfo(member)
            info.size = len(text)
            tar.addfile(info, BytesIO(text))


class Run:
    """One run of the indexer, which another thread may end."""

    def __init__(self, program: str, folder: Path, name: str, version: str, tar: Path) -> None:
        self._command = [
            program,
            f"-index={folder}",
            f"-name={name}",
            f"-branch={BRANCH}",
            f"-commit={version}",
            "-incremental=false",
            "-disable_ctags",
            str(tar),
        ]
        self._program = program
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the indexer, which makes no shard then, or has made it."""
        self._stop.set()

    def wait(self, timeout: float) -> str:
        """Run to the end. What to warn of: an exit code that does not fit what the indexer says, else "".

        :raises FailedPrecondition: the program is not there, or has failed
        :raises DeadlineExceeded: it took longer than ``timeout`` seconds
        """
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (FileNotFoundError, PermissionError) as exc:
                raise missing_indexer(self._program) from exc
            deadline = time.monotonic() + timeout
            with process:
                try:
                    self._watch(process, deadline)
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
            said.seek(0)
            return _judge(self._program, process.returncode, said.read().decode("utf-8", "replace"))

    def _watch(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STEP)
                return
            if self._stop.is_set():
                raise Unavailable("the run of the indexer was given up")
            if time.monotonic() > deadline:
                raise DeadlineExceeded(
                    f"{self._program} did not end in time", remedy="raise adapters.zoekt.index_timeout"
                )


def _judge(program: str, code: int, said: str) -> str:
    if code == 0:
        return ""
    if code < 0:
        raise Unavailable(
            f"{program} was killed by signal {-code}", remedy="free some memory, then run `codequay index` again"
        )
    last = said.strip()[-500:]
    if any(sign in said.lower() for sign in SUCCESS):
        return f"{program} exits with {code} and says: {last}"
    if "no space left" in said.lower():
        raise ResourceExhausted(f"the disk is full: {last}", remedy="free some space, then run `codequay index` again")
    if "permission denied" in said.lower():
        raise PermissionDenied(f"{program} may not write: {last}", remedy="give this user write access to index_dir")
    raise FailedPrecondition(
        f"{program} exits with {code}: {last}", remedy="run `codequay index` again; codequay doctor checks the index"
    )


def shards_of(folder: Path, name: str) -> list[Path]:
    """The files of a Zoekt repository, half-written ones too."""
    prefix = quote_plus(name, safe="")
    if len(prefix) > _LONGEST:
        prefix = prefix[:_LONGEST] + sha1(prefix.encode(), usedforsecurity=False).hexdigest()[:8]
    shard = re.compile(re.escape(prefix) + r"_v\d+\.\d{5}\.zoekt(\.\w+)*")
    return [path for path in folder.iterdir() if shard.fullmatch(path.name)]


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove the shards of Zoekt repositories."""
    for name in names:
        for path in shards_of(folder, name):
            path.unlink(missing_ok=True)
