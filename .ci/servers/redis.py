"""Redis. Durable: every acknowledged write is in its log on disk; otherwise it forgets all when it ends."""

from __future__ import annotations

import pwd
import secrets

from . import process
from .service import Service, State, file_of


class Redis(Service):
    name = "redis"
    package = "redis-server"
    user = "redis"

    def prepare(self, owner: pwd.struct_passwd | None, state: State) -> State:
        password = secrets.token_urlsafe(18)
        kept = "appendonly yes\nappendfsync always\n" if state["durable"] else "appendonly no\n"
        process.secret_file(
            self.home / "conf",
            f'bind 127.0.0.1\nport {state["port"]}\ndir "{process.make(self.home / "data", owner)}"\nsave ""\n'
            f"requirepass {password}\n{kept}",
            owner,
        )
        return {"password": password}

    def command(self, state: State) -> list[str]:
        return [process.program("redis-server", self.package), str(self.home / "conf")]

    def answers(self, state: State) -> bool:
        # While it reads its log, PING is refused.
        return process.says(state["port"], f"AUTH {state['password']}\r\nPING\r\n".encode(), b"+OK\r\n+PONG\r\n")

    def test_settings(self, state: State) -> dict[str, str]:
        return {"CODEQUAY_TEST_REDIS_URL": _url(state), "CODEQUAY_TEST_REDIS_PASSWORD": state["password"]}

    def settings(self, state: State) -> dict[str, str]:
        options = {"URL": _url(state), "PASSWORD": file_of(self, state["password"])}
        return {f"CODEQUAY_ADAPTERS__REDIS__{key}": value for key, value in options.items()}


def _url(state: State) -> str:
    return f"redis://127.0.0.1:{state['port']}/0"
