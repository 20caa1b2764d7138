"""Redis servers of the tests' own: on free ports, in folders of their own, ended by their process ids."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import redis as client

START_S = 20.0


def program() -> str | None:
    return shutil.which("redis-server")


def free_port() -> int:
    """Below 55536: a cluster's second port lies 10,000 above."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
        if port < 55_536:
            return port


class Server:
    """One server; ``words`` are options as in its file, such as ``{"maxmemory": "3mb"}``."""

    def __init__(self, folder: Path, *, sentinel: bool = False, **words: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "s"
        self._sentinel = sentinel
        self._file = folder / "conf"
        self._process: subprocess.Popen[bytes] | None = None
        options = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(folder), "daemonize": "no"}
        if not sentinel:
            options |= {"save": '""', "appendonly": "no", "unixsocket": str(self.socket)}
            options["repl-diskless-sync-delay"] = "0"
        options |= {name.replace("_", "-"): value for name, value in words.items()}
        quoted = {name: f'"{value}"' if value.startswith("/") else value for name, value in options.items()}
        self._file.write_text("".join(f"{name} {value}\n" for name, value in quoted.items()))

    def configure(self, *lines: str) -> None:
        """Lines more for the server's file, before it is started."""
        with self._file.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, answers: bool = True) -> None:
        words = [str(program()), str(self._file), *(["--sentinel"] if self._sentinel else [])]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while True:
            try:
                if answers:
                    self.ask("PING")
                else:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except (client.RedisError, OSError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """kill -9, and wait."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """The server says nothing until ``resume``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str | int | bytes) -> Any:
        """One command, on a connection of its own."""
        one = client.Redis(port=self.port, socket_timeout=5, protocol=2)
        try:
            return one.execute_command(*words)
        finally:
            one.close()

    def connections(self, name: str) -> list[str]:
        """What the connections of that name did last."""
        every = client.Redis(port=self.port, protocol=2)
        try:
            return [one["cmd"] for one in every.client_list() if one["name"] == name]
        finally:
            every.close()

    def commands(self) -> dict[str, int]:
        """How often each command was called so far."""
        said = client.Redis(port=self.port, protocol=2)
        try:
            stats = said.info("commandstats")
        finally:
            said.close()
        return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
