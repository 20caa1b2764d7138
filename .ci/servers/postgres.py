"""PostgreSQL, and pgbouncer in front of it."""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import struct
from pathlib import Path

from . import process
from .service import Service, State, file_of

USER = "codequay"
SESSIONS = 4
"""Of the pooler with the server: fewer than connections of one client, so that its transactions change places."""


class Postgres(Service):
    """A database ``codequay`` whose owner, ``codequay``, may make databases and roles and is no superuser."""

    name = "postgres"
    package = "postgresql"
    user = "postgres"
    stop = signal.SIGINT

    def prepare(self, owner: pwd.struct_passwd | None, state: State) -> State:
        data = self.home / "data"
        first = process.secret_file(self.home / "first", secrets.token_urlsafe(18), owner)
        process.run_as(owner, [
            _program("initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={first}",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        ], self.log)  # fmt: skip
        first.unlink()
        password = secrets.token_urlsafe(18)
        process.run_as(
            owner,
            [_program("postgres"), "--single", "-D", str(data), "-c", "fsync=off", "postgres"],
            self.log,
            f"CREATE ROLE {USER} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'\n"
            f"CREATE DATABASE {USER} OWNER {USER}\n",
        )
        return {"password": password}

    def command(self, state: State) -> list[str]:
        # Without fsync a killed server has lost nothing, as long as the machine goes on; all else stays as it is.
        fsync = "on" if state["durable"] else "off"
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 300}
        chosen = [word for key, value in (options | {"fsync": fsync}).items() for word in ("-c", f"{key}={value}")]
        return [_program("postgres"), "-D", str(self.home / "data"), "-p", str(state["port"]), *chosen]

    def bury(self) -> None:
        # The dead keep their numbers until somebody has asked for their status, and count as alive in this file.
        (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)

    def answers(self, state: State) -> bool:
        return asks_for_password(state["port"])

    def test_settings(self, state: State) -> dict[str, str]:
        return {"CODEQUAY_TEST_POSTGRES_URL": _url(state, with_password=True)}

    def settings(self, state: State) -> dict[str, str]:
        options = {"DSN": _url(state), "PASSWORD": file_of(self, state["password"])}
        return {f"CODEQUAY_ADAPTERS__POSTGRES__{key}": value for key, value in options.items()}


class PgBouncer(Service):
    """A pooler in transaction mode."""

    name = "pgbouncer"
    package = "pgbouncer"
    user = "postgres"
    needs = ("postgres",)

    def up(self, *, durable: bool) -> State:
        found, server = self.state(), Postgres(self.folder).state()
        if found and server and found["password"] != server["password"]:
            self.down()  # the server behind it is another one now
        return super().up(durable=durable)

    def prepare(self, owner: pwd.struct_passwd | None, state: State) -> State:
        server = Postgres(self.folder).state()
        if server is None:
            raise process.Failed("there is no postgres server behind it")
        users = process.secret_file(self.home / "users", f'"{USER}" "{server["password"]}"\n', owner)
        ini = {
            "listen_addr": "127.0.0.1", "listen_port": state["port"], "unix_socket_dir": "",
            "auth_type": "scram-sha-256", "auth_file": users, "pool_mode": "transaction",
            "default_pool_size": SESSIONS, "max_client_conn": 1000,
            "server_login_retry": 0.2,  # seconds; a server that was killed is asked again at once
        }  # fmt: skip
        lines = "".join(f"{key} = {value}\n" for key, value in ini.items())
        there = f"[databases]\n* = host=127.0.0.1 port={server['port']}\n[pgbouncer]\n"
        process.secret_file(self.home / "ini", there + lines, owner)
        return {"password": server["password"]}

    def command(self, state: State) -> list[str]:
        return [process.program("pgbouncer", self.package), "-q", str(self.home / "ini")]

    def answers(self, state: State) -> bool:
        return asks_for_password(state["port"])

    def test_settings(self, state: State) -> dict[str, str]:
        return {"CODEQUAY_TEST_PGBOUNCER_URL": _url(state, with_password=True)}

    def settings(self, state: State) -> dict[str, str]:
        options = {"DSN": _url(state), "PASSWORD": file_of(self, state["password"]), "STATEMENT_CACHE_SIZE": "0"}
        return {f"CODEQUAY_ADAPTERS__POSTGRES__{key}": value for key, value in options.items()}


def asks_for_password(port: int) -> bool:
    """Whether a server takes sessions: one that is still starting answers with an error."""
    wanted = struct.pack("!i", 3 << 16) + f"user\0{USER}\0database\0{USER}\0\0".encode()
    return process.says(port, struct.pack("!i", len(wanted) + 4) + wanted, b"R")


def _url(state: State, *, with_password: bool = False) -> str:
    login = f"{USER}:{state['password']}" if with_password else USER
    return f"postgresql://{login}@127.0.0.1:{state['port']}/{USER}"


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH, by release."""
    releases = Path("/usr/lib/postgresql")
    found = (
        sorted((int(one) for one in os.listdir(releases) if one.isdigit()), reverse=True) if releases.exists() else []
    )
    return process.program(name, Postgres.package, *(releases / str(one) / "bin" for one in found))
