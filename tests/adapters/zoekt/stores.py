"""A Zoekt server of our own, real or double, that a test may end, and stores on it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from codequay.adapters.zoekt.config import ZoektConfig
from codequay.adapters.zoekt.errors import classify
from codequay.adapters.zoekt.lexical import open_lexical
from codequay.ports.errors import PortError, Verdict
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, LexicalIndex, Term
from tests.contexts import build_context

REPO = "repo"
SCOPE = [ScopeEntry(REPO, 1)]
WAIT_S = 10.0


def programs() -> Path:
    """The folder of the programs: the real ones on PATH, else the double's."""
    if shutil.which("zoekt-webserver") and (found := shutil.which("zoekt-archive-index")):
        return Path(found).parent
    return Path(__file__).parents[3] / ".ci" / "zoekt_double"


class Server:
    """``zoekt-webserver`` over a folder, on one port also when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [programs() / "zoekt-webserver", "-rpc", "-html=false", "-index", self.folder]
        self._process = subprocess.Popen(
            [*command, "-listen", f"127.0.0.1:{self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + WAIT_S
        while True:
            try:
                if not httpx.post(f"{self.url}/api/list", json={"Q": ""}).json()["List"]["Crashes"]:
                    return
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def stop(self, how: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(WAIT_S)
            self._process = None

    def shards(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def config(self, **options: Any) -> ZoektConfig:
        given = {"url": self.url, "index_dir": str(self.folder), "indexer": str(programs() / "zoekt-archive-index")}
        return ZoektConfig(**{**given, "timeout": WAIT_S, **options})


def text(path: str, content: str, *, language: str = "python") -> LexFile:
    return LexFile(path, blake2b(content.encode(), digest_size=20).hexdigest(), language, 0o100644, content, (), ())


@asynccontextmanager
async def opened(config: ZoektConfig, data: Path, *, readonly: bool = False) -> AsyncIterator[LexicalIndex]:
    async with build_context(data, readonly=readonly) as ctx, open_lexical(config, ctx) as one:
        yield one


async def fill(store: LexicalIndex, *files: LexFile, repo: str = REPO) -> None:
    await store.begin(repo, generation=1, base=None)
    await store.stage(repo, generation=1, files=files)
    await store.seal(repo, generation=1)


async def paths(store: LexicalIndex, words: str, scope: Sequence[ScopeEntry] = SCOPE) -> list[str]:
    hits = await store.rank([Term(word) for word in words.split()], scope=scope, unit="file", k=100)
    return [hit.path for hit in hits]


async def failed(work: Any) -> Verdict:
    """How the work fails, as a user is told."""
    try:
        await work
    except PortError as exc:
        return Verdict(type(exc), exc.message, exc.remedy, exc.ambiguous)
    except (httpx.HTTPError, OSError) as exc:
        found = classify(exc)
        if found is None:
            raise
        return found
    raise AssertionError("it did not fail")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """The URL of a server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
