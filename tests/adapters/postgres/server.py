"""A PostgreSQL of the tests' own: on a free port, as a user that is not root, ended by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncpg

from tests.contexts import run
from tests.permissions import bare_environment

START_S = 60.0
PASSWORD = 'it\'s "secret"'


def programs() -> Path | None:
    """Where initdb and postgres are; Debian does not put them on PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Server:
    """One server. Superuser ``app``, whose password is ``PASSWORD``; a database ``codequay``."""

    def __init__(self, folder: Path, bin_: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._bin = bin_
        self._process: subprocess.Popen[bytes] | None = None
        root = os.geteuid() == 0
        self.owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}

    def give(self, path: Path) -> Path:
        """A folder of the server's user."""
        path.mkdir(mode=0o700, exist_ok=True)
        if self.owner:
            entry = pwd.getpwnam("postgres")
            os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def give_file(self, path: Path, content: bytes) -> None:
        """A file that the server's user alone can read."""
        path.write_bytes(content)
        path.chmod(0o600)
        if self.owner:
            entry = pwd.getpwnam("postgres")
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def make(self) -> None:
        """Make the database, in a folder that the server's user can reach."""
        self.give(self.folder)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._do(
            "initdb", "-D", str(self.folder / "data"), "-U", "app", "-A", "scram-sha-256", "--pwfile", str(secret),
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        secret.unlink()
        self.start()
        self.administer("CREATE DATABASE codequay")

    def copy(self, folder: Path) -> Server:
        """A read-only replica of this server, made and not started."""
        one = Server(folder, self._bin)
        one.give(folder)
        self._do(
            "pg_basebackup", "-D", str(folder / "data"), "-R", "-c", "fast", "-X", "stream", "--no-sync",
            "-d", f"host=127.0.0.1 port={self.port} user=app", env={"PGPASSWORD": PASSWORD},
        )  # fmt: skip
        return one

    def start(self) -> None:
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
                    "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
                    "-c", "fsync=off", "-c", "full_page_writes=off",
                ],
                stdout=log, stderr=log, start_new_session=True,
                cwd="/", env=bare_environment(self.folder), **self.owner,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.administer("SELECT 1", database="postgres")
                return
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """End at once, open connections or not, and wait."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def url(self, database: str = "codequay", *, user: str = "app") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def administer(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Statements of the superuser, each alone; the rows of the last."""

        async def do() -> list[Any]:
            connection = await asyncpg.connect(self.url(database), password=PASSWORD)
            try:
                rows: list[Any] = []
                for statement in statements:
                    rows = list(await connection.fetch(statement))
                return rows
            finally:
                await connection.close()

        return run(do())

    def psql(self, script: str, *, database: str) -> None:
        """A script of the superuser, in the server's own client."""
        self._do(
            "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", script, env={"PGPASSWORD": PASSWORD}
        )

    def _do(self, name: str, *words: str, env: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            [str(self._bin / name), *words],
            capture_output=True, cwd="/", env=bare_environment(self.folder) | (env or {}), **self.owner,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
