"""How the contract kit opens the adapter: every trial under a namespace of its own, on the server of the tests.

``CODEQUAY_TEST_ZOEKT_URL`` names the server and ``CODEQUAY_TEST_ZOEKT_INDEX_DIR`` the folder that it serves;
``CODEQUAY_TEST_ZOEKT_DOUBLE=1`` says that it is a stand-in, ``CODEQUAY_TEST_ZOEKT_RESTART`` how to end and start it.
"""

from __future__ import annotations

import os
import re
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

from codequay.contract import Harness, Unverified

from .config import ZoektConfig
from .lexical import open_lexical

URL = "CODEQUAY_TEST_ZOEKT_URL"
INDEX_DIR = "CODEQUAY_TEST_ZOEKT_INDEX_DIR"
DOUBLE = "CODEQUAY_TEST_ZOEKT_DOUBLE"
TIMEOUT_S = 10.0
_SERVER = "zoekt-webserver"
_NOTED = (
    re.compile(rb"\tgithub\.com/sourcegraph/zoekt\t(v[\w.+-]+)"),
    re.compile(rb"vcs\.revision=([0-9a-f]{12})"),
    re.compile(rb"vcs\.time=(\d{4}-\d\d-\d\d)"),
)
"""Of the module, the commit and its date."""


class ZoektHarness(Harness):
    port = "lexical"
    adapter = "zoekt"
    restarts = "CODEQUAY_TEST_ZOEKT_RESTART"
    double = os.environ.get(DOUBLE, "") == "1"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._opened: list[Any] = []
        address = urlsplit(os.environ.get(URL, ""))
        if address.hostname:
            self.endpoint = (address.hostname, address.port or 80)

    @property
    def name(self) -> str:
        """Several processes may run trials at once; a trial's folder is its own, also in the child of a trial."""
        return "ct" + blake2b(f"{self.namespace} {self.folder}".encode(), digest_size=8).hexdigest()

    def options(self) -> dict[str, Any]:
        if self.endpoint is None or not os.environ.get(INDEX_DIR):
            raise Unverified(f"no server: set {URL}=http://HOST:PORT and {INDEX_DIR}=FOLDER")
        host, port = self.endpoint
        return {
            "url": f"http://{host}:{port}",
            "index_dir": os.environ[INDEX_DIR],
            "namespace": f"{self.name}.",
            "timeout": self.timeout or TIMEOUT_S,
        }

    async def open(self) -> Any:
        return await self.reopen()

    async def reopen(self, *, readonly: bool = False) -> Any:
        config = ZoektConfig(**self.options())
        if shutil.which(config.indexer) is None:
            raise Unverified(f"there is no program {config.indexer} on PATH")
        store = await self.enter(open_lexical(config, await self.context(readonly=readonly)))
        self._opened.append(store)
        return store

    async def turns(self) -> int:
        """Hops to a thread, and what was asked of the server; waiting for a new shard counts once."""
        hops: int = self.hops.made if self.hops is not None else 0
        trips: int = sum(store.client.trips for store in self._opened)
        return hops + trips

    async def leftovers(self) -> list[str]:
        """Half-written shards, and tars. Whole shards are no leftovers: the server keeps what it was given."""
        half = [path.name for path in self._shards() if not path.name.endswith(".zoekt")]
        return half + [path.name for path in self.folder.rglob("*.tar")]

    async def discard(self) -> None:
        for path in self._shards():
            path.unlink(missing_ok=True)

    def _shards(self) -> list[Path]:
        folder = os.environ.get(INDEX_DIR, "")
        return list(Path(folder).glob(f"{quote_plus(self.name)}.*")) if folder else []

    @classmethod
    def server(cls) -> str:
        """``Zoekt VERSION COMMIT DATE`` as Go has noted them in the program on PATH; "" when there is none."""
        program = shutil.which(_SERVER)
        if program is None or not os.environ.get(URL):
            return ""
        noted = Path(program).read_bytes()
        found = [match[1].decode() if (match := one.search(noted)) else "" for one in _NOTED]
        version = " ".join(filter(None, found)) or "of unknown version"
        return f"{'double of ' if cls.double else ''}Zoekt {version}"
