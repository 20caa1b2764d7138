"""MariaDB, for the adapter of ``contrib/codequay-mariadb``."""

from __future__ import annotations

import pwd
import secrets

from . import process
from .service import Service, State, file_of


class MariaDB(Service):
    name = "mariadb"
    package = "mariadb-server"
    user = "mysql"

    def prepare(self, owner: pwd.struct_passwd | None, state: State) -> State:
        data = process.make(self.home / "data", owner)
        process.run_as(owner, [
            process.program("mariadb-install-db", self.package), "--no-defaults", f"--datadir={data}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
        ], self.log)  # fmt: skip
        password = secrets.token_urlsafe(18)
        process.secret_file(
            self.home / "init.sql",
            f"ALTER USER root@localhost IDENTIFIED BY '{secrets.token_urlsafe(18)}';\n"
            "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';\n"
            f"CREATE USER codequay@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON `codequay%`.* TO codequay@'127.0.0.1';\n"
            "GRANT PROCESS, CONNECTION ADMIN ON *.* TO codequay@'127.0.0.1';\n"
            "CREATE DATABASE codequay;\n"
            "FLUSH PRIVILEGES;\n",
            owner,
        )
        return {"password": password}

    def command(self, state: State) -> list[str]:
        data, init = self.home / "data", self.home / "init.sql"
        first = [f"--init-file={init}"] if init.exists() else []
        return [
            process.program("mariadbd", self.package), "--no-defaults", f"--datadir={data}", f"--port={state['port']}",
            "--bind-address=127.0.0.1", "--socket=s.sock", f"--pid-file={data / 's.pid'}",
            "--skip-name-resolve", *first,
        ]  # fmt: skip  # the socket is in the data's folder; an absolute path may be too long for one

    def answers(self, state: State) -> bool:
        # The port is open before the init file has been run; the first byte comes after.
        if not process.says(state["port"], b"", b""):
            return False
        (self.home / "init.sql").unlink(missing_ok=True)
        return True

    def test_settings(self, state: State) -> dict[str, str]:
        url = f"mariadb://codequay:{state['password']}@127.0.0.1:{state['port']}/codequay"
        return {"CODEQUAY_TEST_MARIADB_URL": url}

    def settings(self, state: State) -> dict[str, str]:
        options = {"HOST": "127.0.0.1", "PORT": str(state["port"]), "USER": "codequay", "DATABASE": "codequay"}
        options["PASSWORD"] = file_of(self, state["password"])
        return {f"CODEQUAY_ADAPTERS__MARIADB__{key}": value for key, value in options.items()}
