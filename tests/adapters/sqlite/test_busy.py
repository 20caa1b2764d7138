"""A write that another process is in the way of says which one, and whether it is paused."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codequay.adapters.sqlite.chunks import open_chunks
from codequay.adapters.sqlite.defaults import SqliteDefaults
from codequay.ports.errors import LockBusy
from tests.adapters.sqlite.stores import REPO
from tests.contexts import build_context, run

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.durability
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("paused", [False, True])
def test_who_writes_is_named(tmp_path: Path, paused: bool) -> None:
    async def main() -> None:
        async with (
            build_context(tmp_path) as ctx,
            open_chunks(SqliteDefaults(busy_timeout=0.05), ctx) as store,
        ):
            with subprocess.Popen(
                [sys.executable, "-c", HOLD, str(tmp_path / "codequay.db")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as other:
                assert other.stdout is not None and other.stdout.readline() == b"held\n"
                if paused:
                    other.send_signal(signal.SIGSTOP)
                    _until_stopped(other.pid)
                try:
                    with pytest.raises(LockBusy) as caught:
                        await store.begin(REPO, generation=1, base=None)
                finally:
                    other.kill()
            state = ", which is paused," if paused else ""
            assert caught.value.message == f"process {other.pid}{state} is writing to the index"
            assert (f"kill -CONT {other.pid}" in caught.value.remedy) is paused
            assert caught.value.details["pid"] == other.pid
            await store.begin(REPO, generation=1, base=None)

    run(main())


def _until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        pass
