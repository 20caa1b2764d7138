"""What every server has in common: its state on disk, and how it goes up, down, and up again after a kill."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

from . import process

State = dict[str, Any]
SCRIPT = Path(__file__).resolve().parents[1] / "services"


class Service:
    """One server. Its state is ``NAME.json`` beside its data, which lie in the folder ``NAME``."""

    name: ClassVar[str]
    package: ClassVar[str]
    """Debian's package that holds it."""
    user: ClassVar[str]
    """Whom it runs as when we are root."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Servers that must run before it, and end after it."""
    stop: ClassVar[signal.Signals] = signal.SIGTERM
    """What asks it to end now, open connections or not."""

    @classmethod
    def is_real(cls) -> bool:
        """Whether ``up`` starts the real server, and not its double."""
        return True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / self.name
        self.log = self.home / "server.log"
        self.file = folder / f"{self.name}.json"

    def prepare(self, owner: pwd.struct_passwd | None, state: State) -> State:
        """Make its data below ``home``; what ``command`` and the settings need of them.

        ``state`` has ``port`` and ``durable``.
        """
        raise NotImplementedError

    def command(self, state: State) -> list[str]:
        """The command that serves those data."""
        raise NotImplementedError

    def bury(self) -> None:
        """Remove what a killed server has left that would keep the next from its data."""

    def answers(self, state: State) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def test_settings(self, state: State) -> dict[str, str]:
        """What tests read."""
        raise NotImplementedError

    def settings(self, state: State) -> dict[str, str]:
        """What a user of codequay sets. No secret: a reference to the file that has it."""
        raise NotImplementedError

    def note(self, state: State) -> str:
        """What a person should know of this one; "" for nothing."""
        return ""

    def state(self) -> State | None:
        """The state of the running server; None when it does not run."""
        found = self._kept()
        return found if found and process.born(found["pid"]) == found["born"] else None

    def up(self, *, durable: bool) -> State:
        found = self.state()
        if found is None:
            shutil.rmtree(self.home, ignore_errors=True)
            self.secret.unlink(missing_ok=True)
            owner = process.user_of(self.user)
            process.make(self.home, owner)
            asked = {"port": process.free_port(), "durable": durable}
            found = self._launch(owner, asked | self.prepare(owner, asked))
        elif durable and not found["durable"]:
            raise process.Failed(f"it runs, and not durably: .ci/services down {self.name}")
        return found

    def restart(self) -> State:
        """Kill it as a failing machine would, and start it on the same port with the same data."""
        found = self._kept()
        if found is None:
            raise process.Failed(f"it was never started: .ci/services up {self.name}")
        process.kill(found["pid"], found["born"])
        self.bury()
        return self._launch(process.user_of(self.user), found)

    def down(self) -> None:
        """End the server, if it is the process that ``up`` has started, and remove its data."""
        found = self.state()
        if found is not None:
            process.end(found["pid"], found["born"], self.stop)
        self.file.unlink(missing_ok=True)
        self.secret.unlink(missing_ok=True)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def secret(self) -> Path:
        """Where its password lies for a user of codequay."""
        return self.folder / f"{self.name}.password"

    def restart_line(self) -> str:
        """The command line that kills and starts it again."""
        here = f"CODEQUAY_TEST_SERVICES_DIR={self.folder}"
        return shlex.join(["env", here, sys.executable, str(SCRIPT), "restart", self.name])

    def _launch(self, owner: pwd.struct_passwd | None, state: State) -> State:
        pid = process.spawn(owner, self.command(state), self.log)
        process.wait_for(lambda: self.answers(state), pid, self.log)
        state = state | {"pid": pid, "born": process.born(pid)}
        fresh = process.secret_file(self.file.with_suffix(".new"), json.dumps(state))
        fresh.replace(self.file)
        return state

    def _kept(self) -> State | None:
        with contextlib.suppress(OSError, ValueError):
            found: State = json.loads(self.file.read_text())
            return found
        return None


def file_of(service: Service, password: str) -> str:
    """A reference to the password, in a file of ours."""
    if not service.secret.exists():
        process.secret_file(service.secret, password)
    return f"file:{service.secret}"


def owner_only(path: Path) -> bool:
    """Whether nobody but its owner can enter a folder above the path."""
    return not all(os.stat(parent).st_mode & 0o001 for parent in path.resolve().parents)
