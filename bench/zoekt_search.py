"""A search through the port beside the same query sent by httpx itself, on one server, in turns.

    CODEQUAY_TEST_ZOEKT_URL=http://127.0.0.1:6070 CODEQUAY_TEST_ZOEKT_INDEX_DIR=/srv/zoekt \\
        python -m bench.zoekt_search [FOLDER]

FOLDER (default: the sources of this project) is indexed as one generation. Raw httpx posts the very bytes that the port
has posted, over a client with the same settings, and reads the answer's JSON. Goal: at most 1.15 times raw httpx. For
comparison: raw httpx when nobody reads the JSON.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from hashlib import sha1
from pathlib import Path
from typing import Any

import httpx

from codequay.adapters.zoekt.config import ZoektConfig
from codequay.adapters.zoekt.lexical import open_lexical
from codequay.kernel.context import Context, Shared, Threads
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import LexFile, Term
from codequay.ports.spec import SystemClock

REPO = "codequay-bench"
WORDS = """
session timeout lock pool cache token parser config error retry reader writer stream index query path folder generation
branch commit server client request response header buffer schema field value object array string thread process signal
event loop task cancel close open default option
"""
KS = (10, 50, 200)
QUERIES = 30
LARGEST = 1_000_000


def files(folder: Path) -> list[LexFile]:
    """The texts below the folder."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".git" not in path.parts and path.stat().st_size <= LARGEST:
            data = path.read_bytes()
            if b"\0" not in data:
                text = data.decode("utf-8", "replace")
                blob = sha1(data, usedforsecurity=False).hexdigest()
                found.append(LexFile(str(path.relative_to(folder)), blob, "", 0o100644, text, (), ()))
    return found


async def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "src").resolve()
    config = ZoektConfig(
        url=os.environ["CODEQUAY_TEST_ZOEKT_URL"], index_dir=os.environ["CODEQUAY_TEST_ZOEKT_INDEX_DIR"]
    )
    with tempfile.TemporaryDirectory() as data:
        threads, shared = Threads(), Shared()
        context = Context(
            data=Path(data), readonly=False, instance="zoekt", clock=SystemClock(), shared=shared, threads=threads
        )
        try:
            async with open_lexical(config, context) as store:
                await measure(store, folder)
                await store.purge(REPO)
        finally:
            await shared.close(5)
            await threads.close(5)


async def measure(store: Any, folder: Path) -> None:
    texts = files(folder)
    started = time.perf_counter()
    await store.begin(REPO, generation=1, base=None)
    for at in range(0, len(texts), 500):
        await store.stage(REPO, generation=1, files=texts[at : at + 500])
    staged = time.perf_counter()
    await store.seal(REPO, generation=1)
    size = sum(len(one.text) for one in texts) / 1e6
    print(f"{len(texts)} files, {size:.1f} MB: staged in {staged - started:.2f} s, sealed in", end=" ")
    print(f"{time.perf_counter() - staged:.2f} s")
    posted: list[bytes] = []

    async def keep(request: httpx.Request) -> None:
        posted.append(request.content)

    hook = store.client.http.event_hooks
    order = random.Random(0)
    asked = [[Term(word) for word in order.sample(WORDS.split(), 1 + n % 4)] for n in range(QUERIES)]
    scope = [ScopeEntry(REPO, 1)]
    async with httpx.AsyncClient(timeout=30, trust_env=False) as raw:
        for k in KS:
            spent: dict[str, list[float]] = {"port": [], "raw": [], "unread": []}
            bodies = []
            for terms in asked:
                posted.clear()
                store.client.http.event_hooks = {"request": [keep]}
                await store.rank(terms, scope=scope, unit="file", k=k)
                bodies.append(list(posted))
            store.client.http.event_hooks = hook
            for who_first in range(3):
                for terms, sent in zip(asked, bodies, strict=True):
                    for who in (*spent, *spent)[who_first : who_first + 3]:
                        started = time.perf_counter()
                        if who == "port":
                            await store.rank(terms, scope=scope, unit="file", k=k)
                        else:
                            for body in sent:
                                reply = await raw.post(
                                    f"{store.client.url}/api/search",
                                    content=body,
                                    headers={"content-type": "application/json"},
                                )
                                if who == "raw":
                                    reply.json()
                        spent[who].append(time.perf_counter() - started)
            port, alone, unread = (statistics.median(spent[who]) * 1e3 for who in ("port", "raw", "unread"))
            exchanges = sum(map(len, bodies)) / len(bodies)
            print(
                f"k={k}: port {port:.2f} ms, raw httpx {alone:.2f} ms: {port / alone:.2f}x (1.15);"
                f" unread {unread:.2f} ms; {exchanges:.2f} exchanges a search"
            )


if __name__ == "__main__":
    asyncio.run(main())
