"""What a long run asks of the allocator."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from codequay.indexing import memory
from codequay.indexing.pool import Pool
from tests.contexts import run

FREED = """
import sys
from codequay.indexing import memory

memory.owned = sys.argv[1] == "ours"
memory.save()

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

b"x" * 8_000_000
before = resident()
large, kept = [], []
for _ in range(60):
    large.append(b"x" * 1_000_000)
    kept.append(b"x" * 10_000)
large.clear()
print(resident() - before)
"""


def growth(whose: str) -> int:
    """kB that a process, ours or a host of the library, keeps after it has freed 60 MB."""
    done = subprocess.run([sys.executable, "-c", FREED, whose], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux" or not platform.libc_ver()[0], reason="glibc")
def test_what_is_freed_is_given_back_where_the_process_is_ours() -> None:
    assert growth("ours") < 5_000 < growth("a host's")


def test_workers_are_started_with_it() -> None:
    code = (
        "import os; from codequay.indexing.frames import write_frame; import sys;"
        f"ok = all(os.environ[k] == v for k, v in {memory.WORKER_ENVIRONMENT!r}.items());"
        "write_frame(sys.stdout.buffer, [('', '', 'ok' if ok else '', 0, [], '', '', None)])"
    )

    async def body() -> str:
        async with Pool(1, chunk_bytes=1500, budget_ms=500, command=(sys.executable, "-c", code)) as pool:
            return (await pool.analyse([("a", b"")]))[0].codec

    assert run(body()) == "ok"
