"""Zoekt's web server where its programs are on PATH; else the double in ``.ci/zoekt_double``."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
import urllib.request
from pathlib import Path

from . import process
from .service import Service, State, owner_only

DOUBLE = Path(__file__).resolve().parents[1] / "zoekt_double"
PROGRAMS = ("zoekt-archive-index", "zoekt-webserver")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The caller's proxy does not know our address."""


class Zoekt(Service):
    """It only reads its index: whoever runs the indexer writes it."""

    name = "zoekt"
    package = "no package: its programs have to be on PATH"
    user = "nobody"

    @classmethod
    def is_real(cls) -> bool:
        return _server() is not None

    def prepare(self, owner: pwd.struct_passwd | None, state: State) -> State:
        index = self.home / "index"
        index.mkdir()
        for folder in (self.home, index):
            folder.chmod(0o755)  # whatever the umask
        server = _server()
        if server is not None:
            if owner and owner_only(Path(server)):
                raise process.Failed(f"{server} lies where user {self.user} cannot run it, and it does not run as root")
            return {"program": [server], "folder": str(Path(server).parent), "double": False}
        # A copy, because our own folder need not be open to the server's user.
        copied = shutil.copytree(DOUBLE, self.home / "double", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (copied, *copied.rglob("*")):
            path.chmod(0o755)
        return {"program": [_python(owner), str(copied / "zoekt-webserver")], "folder": str(DOUBLE), "double": True}

    def command(self, state: State) -> list[str]:
        index = str(self.home / "index")
        return [*state["program"], "-rpc", "-html=false", "-index", index, "-listen", f"127.0.0.1:{state['port']}"]

    def answers(self, state: State) -> bool:
        asked = urllib.request.Request(  # noqa: S310 - our own address
            f"{_url(state)}/api/list", json.dumps({"Q": ""}).encode(), {"Content-Type": "application/json"}
        )
        try:
            with _DIRECT.open(asked, timeout=2) as answer:
                # It answers before every shard is there, and counts the missing.
                return not json.load(answer)["List"].get("Crashes")
        except (OSError, ValueError, KeyError):
            return False

    def test_settings(self, state: State) -> dict[str, str]:
        settings = {"CODEQUAY_TEST_ZOEKT_URL": _url(state), "CODEQUAY_TEST_ZOEKT_INDEX_DIR": str(self.home / "index")}
        if state["double"]:
            settings["CODEQUAY_TEST_ZOEKT_DOUBLE"] = "1"
        return settings | self._path(state)

    def settings(self, state: State) -> dict[str, str]:
        options = {"URL": _url(state), "INDEX_DIR": str(self.home / "index"), "MODE": "managed"}
        return {f"CODEQUAY_ADAPTERS__ZOEKT__{key}": value for key, value in options.items()} | self._path(state)

    def note(self, state: State) -> str:
        return "double: zoekt's programs are not on PATH" if state["double"] else ""

    def _path(self, state: State) -> dict[str, str]:
        """Where the indexer of the same kind is found."""
        path = os.environ.get("PATH", "")
        return {} if state["folder"] in path.split(":") else {"PATH": f"{state['folder']}:{path}"}


def _server() -> str | None:
    """The real server where the real indexer is there, too."""
    found = [shutil.which(name) for name in PROGRAMS]
    return found[1] if all(one and Path(one).resolve().parent != DOUBLE for one in found) else None


def _url(state: State) -> str:
    return f"http://127.0.0.1:{state['port']}"


def _python(owner: pwd.struct_passwd | None) -> str:
    """An interpreter that the server's user can run; the double needs the standard library only."""
    for path in (Path(sys.executable).resolve(), Path("/usr/bin/python3"), Path("/usr/local/bin/python3")):
        if path.exists() and not (owner and owner_only(path)):
            return str(path)
    raise process.Failed(f"there is no Python that user {Zoekt.user} can run, and the double does not run as root")
