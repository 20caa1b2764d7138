"""An index that somebody else fills: it is read, and never written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from codequay.adapters.zoekt.config import ZoektConfig, narrow
from codequay.ports.diagnose import Level
from codequay.ports.errors import FailedPrecondition, NotIndexed, Unsupported
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import AllOf, LexStats, Literal_, Term, Where
from tests.contexts import run

from .double.programs import Server as Asked
from .double.programs import pack
from .stores import Server, failed, fill, opened, paths, programs, text

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "src/session.py": b"class Session:\n    timeout = 3\n",
    "src/other.py": b"obsession = 1\nNeedle = 2\n",
    "go.go": b"package session\n",
    "nul": b"session \0",
    "odd": "Straße und \u212aelvin\n".encode(),
}
SCOPE = [ScopeEntry("ours", 7)]


def index(server: Server, tmp_path: Path, name: str = "github.com/x/ours") -> None:
    tar = pack(tmp_path / "tree.tar", FILES)
    options = ("-name", name, "-commit", COMMIT, "-branch", "HEAD", "-incremental=false", "-disable_ctags")
    command = [programs() / "zoekt-archive-index", "-index", server.folder, *options, tar]
    subprocess.run(command, check=True, capture_output=True)
    Asked(server.url).wait_for(name)


def config(server: Server) -> ZoektConfig:
    return ZoektConfig(url=server.url, mode="external", repository="github.com/x/{repo}", timeout=10)


def test_it_reads_what_is_there_and_says_of_which_commit(server: Server, tmp_path: Path) -> None:
    index(server, tmp_path)

    async def body() -> None:
        async with opened(config(server), tmp_path / "data", readonly=True) as store:
            assert sorted(await paths(store, "session", SCOPE)) == ["go.go", "src/session.py"]
            assert await paths(store, "timeout nothing", SCOPE) == ["src/session.py"]
            hits = await store.rank([Term("session")], scope=SCOPE, unit="file", k=9, where=Where(languages=("go",)))
            assert [hit.path for hit in hits] == ["go.go"]
            assert await store.stats(scope=SCOPE) == LexStats(len(FILES), 0, 0.0, COMMIT)
            found = await store.candidates(Literal_("eedle ="), scope=SCOPE)
            assert {"src/other.py", "nul"} <= {one.path for one in found} <= {"src/other.py", "nul", "odd"}
            assert "odd" in {one.path for one in await store.candidates(Literal_("kelvin", True), scope=SCOPE)}
            every = await store.candidates(AllOf(()), scope=SCOPE)
            assert [one.path for one in every] == sorted(FILES)
            first = await store.scan(scope=SCOPE, limit=2)
            two = (*SCOPE, ScopeEntry("other", 1))
            one_name = config(server).model_copy(update={"repository": "github.com/x/ours"})
            async with opened(one_name, tmp_path / "data", readonly=True) as alike:
                with pytest.raises(FailedPrecondition, match="would both be"):
                    await alike.stats(scope=two)
            assert first.after == ("ours", sorted(FILES)[1])
            assert (await store.scan(scope=SCOPE, after=first.after)).files == tuple(every[2:])
            assert not (tmp_path / "data").exists()
            (said,) = await store.diagnose()  # type: ignore[attr-defined]
            assert said.level is Level.OK and f"github.com/x/ours at {COMMIT[:12]}" in said.what

    run(body())


def test_a_repository_that_is_not_there(server: Server, tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(config(server), tmp_path / "data", readonly=True) as store:
            for call in (paths(store, "session", SCOPE), store.stats(scope=SCOPE), store.scan(scope=SCOPE)):
                said = await failed(call)
                assert said.error is NotIndexed and "adapters.zoekt.repository" in said.remedy
            assert (await store.diagnose())[0].level is Level.WARNING  # type: ignore[attr-defined]

    run(body())


def test_it_takes_no_write(server: Server, tmp_path: Path) -> None:
    assert not narrow(config(server)).writable and narrow(server.config()).writable

    async def body() -> None:
        async with opened(config(server), tmp_path / "data", readonly=True) as store:
            with pytest.raises(Unsupported):
                await fill(store, text("a", "needle"))

    run(body())


def test_managed_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="index_dir"):
        ZoektConfig()
    with pytest.raises(ValueError, match="no user or password"):
        ZoektConfig(url="http://me:secret@host", mode="external")
    with pytest.raises(ValueError, match=r"no \? and no #"):
        ZoektConfig(url="http://host/?token=secret", mode="external")
