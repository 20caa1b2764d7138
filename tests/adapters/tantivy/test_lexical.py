"""What is Tantivy's own: its writer and lock, crashes between the two commits, over-fetch, read-only folders."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import tantivy
from hypothesis import given, settings
from hypothesis import strategies as st

from codequay.adapters.tantivy.errors import classify
from codequay.ports.errors import Conflict, FingerprintMismatch, LockBusy, NotFound, NotIndexed, ResourceExhausted
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import AllOf, AnyOf, Literal_, Plan, Term, Where
from tests.contexts import run
from tests.permissions import open_folder, without_override

from .stores import SCOPE, index, lex_file, publish


def test_a_dead_writer_is_replaced_and_its_generation_must_begin_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            await store.begin("r", generation=1, base=None)
            await store.stage("r", generation=1, files=[lex_file("a.py", "lost")])
            assert store.staging._writers is not None
            broken = tantivy.Document(id=5)  # a signed value in an unsigned fast field kills the writer's thread
            store.staging._writers._writers["chunk"].add_document(broken)
            with pytest.raises(ValueError, match="thread"):
                await store.seal("r", generation=1)
            with pytest.raises(Conflict):
                await store.seal("r", generation=1)
            await publish(store, [lex_file("a.py", "found")])
            assert [h.path for h in await store.rank([Term("found")], scope=SCOPE, unit="chunk", k=5)] == ["a.py"]
            assert await store.rank([Term("lost")], scope=SCOPE, unit="chunk", k=5) == []

    run(body())


def test_a_second_writer_is_told_that_the_index_is_busy(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as one, index(tmp_path) as two:
            await one.begin("r", generation=1, base=None)
            with pytest.raises(LockBusy, match=f"process {os.getpid()} is writing") as caught:
                await two.begin("q", generation=1, base=None)
            assert caught.value.details["pid"] == os.getpid()
            await one.seal("r", generation=1)
            await publish(two, [lex_file("b.py", "free again")], "q")
            assert await one.rank([Term("free")], scope=(ScopeEntry("q", 1),), unit="file", k=5)

    run(body())


def deleted(data: Path) -> list[int]:
    """Of each index, documents that Tantivy itself counts as deleted."""
    found = []
    for folder in ("chunks", "files"):
        described = json.loads((data / "lexical" / folder / "meta.json").read_bytes())["segments"]
        found.append(sum((one["deletes"] or {"num_deleted_docs": 0})["num_deleted_docs"] for one in described))
    return found


def test_documents_that_no_generation_shows_are_deleted_and_counted_as_dead(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file(f"{n}.py", f"alpha {n}") for n in range(50)])
            await publish(store, [lex_file(f"{n}.py", f"beta {n}") for n in range(10)], generation=2)
            assert deleted(tmp_path) == [0, 0]
            assert (await store.stats(scope=())).dead == 0
            await store.drop("r", generation=1)
            assert deleted(tmp_path) == [10, 10]
            assert (await store.stats(scope=())).dead == 20 / 120

    run(body())


def test_a_full_disk_loses_nothing_and_hides_nothing(tmp_path: Path) -> None:
    async def fill() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file("a.py", "alpha")])
            await store.begin("r", generation=2, base=1)
            assert store.staging._placements is not None
            store.staging._placements._connection.execute("pragma max_page_count=1")
            with pytest.raises(sqlite3.OperationalError, match="full") as caught:
                await store.stage("r", generation=2, files=[lex_file(f"dir/{n}.py", f"beta {n}") for n in range(999)])
            verdict = classify(caught.value)
            assert verdict is not None and verdict.error is ResourceExhausted

    async def check() -> None:
        async with index(tmp_path) as store:
            assert [h.path for h in await store.rank([Term("alpha")], scope=SCOPE, unit="file", k=5)] == ["a.py"]
            await publish(store, [lex_file("b.py", "alpha")], generation=2)

    run(fill())
    run(check())


HOLD = """
import asyncio, sys
from pathlib import Path
from tests.adapters.tantivy.stores import index
from tests.contexts import run

async def body():
    async with index(Path(sys.argv[1])) as store:
        await store.begin("r", generation=1, base=None)
        print("held", flush=True)
        sys.stdin.read()

run(body())
"""


@pytest.mark.durability
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="says who is paused through /proc")
def test_a_paused_writer_is_named(tmp_path: Path) -> None:
    async def begin() -> None:
        async with index(tmp_path) as store:
            await store.begin("q", generation=1, base=None)

    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "held\n"
        with pytest.raises(LockBusy, match=f"process {writer.pid} is writing"):
            run(begin())
        writer.send_signal(signal.SIGSTOP)
        os.waitpid(writer.pid, os.WUNTRACED)
        with pytest.raises(LockBusy, match=f"process {writer.pid}, which is paused") as caught:
            run(begin())
        assert f"kill -CONT {writer.pid}" in caught.value.remedy
        writer.kill()
    run(begin())


def test_a_selective_scope_or_filter_still_gets_its_best_hits(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file(f"big/{n}.py", "needle needle") for n in range(600)])
            await publish(store, [lex_file("x.py", "needle in a long text of many other words")], "small")
            small = await store.rank([Term("needle")], scope=(ScopeEntry("small", 1),), unit="chunk", k=1)
            assert [h.path for h in small] == ["x.py"]
            both = (*SCOPE, ScopeEntry("small", 1))
            where = Where(contains=("x.py",))
            filtered = await store.rank([Term("needle")], scope=both, unit="file", k=3, where=where)
            assert [h.repo_id for h in filtered] == ["small"]
            tied = await store.rank([Term("needle")], scope=SCOPE, unit="chunk", k=3)
            assert [h.path for h in tied] == sorted(f"big/{n}.py" for n in range(600))[:3]

    run(body())


CRASH = """
import os, signal, sys
from pathlib import Path
from codequay.adapters.tantivy.placing import Writer
from tests.adapters.tantivy.stores import index, lex_file
from tests.contexts import run

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def body():
    async with index(Path(sys.argv[1])) as store:
        await store.begin("r", generation=2, base=1)
        await store.stage("r", generation=2, files=[lex_file("ghost.py", "ghost")], removed=["a.py"])
        setattr(Writer, sys.argv[2], die)
        await store.seal("r", generation=2)

run(body())
"""


@pytest.mark.durability
@pytest.mark.parametrize("point", ["sync", "buried", "seal"])
def test_a_writer_killed_before_between_or_after_the_commits_leaves_the_sealed_generation_whole(
    tmp_path: Path, point: str
) -> None:
    async def prepare() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file("a.py", "alpha")])

    async def verify() -> None:
        async with index(tmp_path) as store:
            with pytest.raises(NotIndexed):
                await store.scan(scope=(ScopeEntry("r", 2),))
            assert [h.path for h in await store.rank([Term("alpha")], scope=SCOPE, unit="chunk", k=5)] == ["a.py"]
            assert await store.rank([Term("ghost")], scope=SCOPE, unit="chunk", k=5) == []
            if point != "seal":
                with pytest.raises(Conflict):
                    await store.seal("r", generation=2)
            await store.begin("r", generation=3, base=1)
            await store.stage("r", generation=3, files=[lex_file("new.py", "fresh")])
            await store.seal("r", generation=3)
            scope = (ScopeEntry("r", 3),)
            assert [f.path for f in (await store.scan(scope=scope)).files] == ["a.py", "new.py"]
            assert [h.path for h in await store.rank([Term("fresh")], scope=scope, unit="chunk", k=5)] == ["new.py"]
            assert await store.rank([Term("ghost")], scope=scope, unit="file", k=5) == []

    run(prepare())
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), point], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    run(verify())


def test_a_reader_neither_creates_nor_accepts_another_format(tmp_path: Path) -> None:
    async def open_reader() -> None:
        async with index(tmp_path / "none", readonly=True):
            pass

    async def make() -> None:
        async with index(tmp_path / "none"):
            pass

    with pytest.raises(NotFound):
        run(open_reader())
    assert not (tmp_path / "none").exists()
    run(make())
    with closing(sqlite3.connect(tmp_path / "none/lexical/placements.db")) as db, db:
        db.execute("update store set fingerprint = 'older'")
    with pytest.raises(FingerprintMismatch) as caught:
        run(open_reader())
    assert caught.value.remedy


READ = """
import sys
from pathlib import Path
from codequay.ports.lexical import Term
from tests.adapters.tantivy.stores import SCOPE, index
from tests.contexts import run

async def body():
    async with index(Path(sys.argv[1]), readonly=True) as store:
        print([h.path for h in await store.rank([Term("alpha")], scope=SCOPE, unit="chunk", k=5)])

run(body())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files")
def test_an_index_in_a_read_only_folder_is_searched() -> None:
    async def prepare(data: Path) -> None:
        async with index(data) as store:
            await publish(store, [lex_file("a.py", "alpha")])

    with open_folder() as home:
        data = home / "data"
        run(prepare(data))
        subprocess.run(["chmod", "-R", "a+rX,a-w", str(home)], check=True)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", READ, str(data)]
        done = subprocess.run(
            command, env=env, check=False, capture_output=True, text=True, preexec_fn=without_override
        )
        subprocess.run(["chmod", "-R", "u+w", str(home)], check=True)
        assert done.stdout == "['a.py']\n", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_a_reader_that_may_not_write_sees_what_another_user_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with index(tmp_path) as writer:
            await publish(writer, [lex_file("a.py", "alpha")])
            with monkeypatch.context() as patch:
                patch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
                async with index(tmp_path, readonly=True) as reader:
                    for generation, name in ((2, "b.py"), (3, "c.py")):
                        await publish(writer, [lex_file(name, "alpha")], generation=generation)
                        scope = [ScopeEntry("r", generation)]
                        hits = await reader.rank([Term("alpha")], scope=scope, unit="chunk", k=9)
                        assert name in {h.path for h in hits}

    run(body())


def test_reads_run_in_many_threads_while_a_writer_publishes(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            await publish(store, [lex_file("a.py", "alpha")])

            def read() -> None:
                for _ in range(50):
                    hits = store.sync.rank([Term("alpha")], scope=SCOPE, unit="chunk", k=5)
                    assert [h.path for h in hits] == ["a.py"]

            readers = [asyncio.to_thread(read) for _ in range(3)]
            await asyncio.gather(*readers, publish(store, [lex_file("b.py", "alpha")], generation=2))

    run(body())


TEXTS = st.lists(
    st.text(alphabet="aBuU1_ .-(éÉſKßk\n", max_size=12)
    | st.sampled_from(["getUser", "getuser", "GET_USER", " foo.getUser(x) ", "Straße", "STRASSE", "naïve"]),
    max_size=4,
).map(" ".join)
LITERALS = st.builds(Literal_, TEXTS.filter(bool), st.booleans())
PLANS: st.SearchStrategy[Plan] = st.recursive(
    LITERALS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda p: AllOf(tuple(p)))
        | st.lists(inner, max_size=3).map(lambda p: AnyOf(tuple(p)))
    ),
    max_leaves=4,
)


def holds(text: str, plan: Plan) -> bool:
    if isinstance(plan, Literal_):
        if not plan.ignore_case:
            return plan.text in text
        folded = plan.text.casefold() in text.casefold()
        return folded or re.search(re.escape(plan.text), text, re.IGNORECASE) is not None
    return (all if isinstance(plan, AllOf) else any)(holds(text, part) for part in plan.parts)


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(PLANS, min_size=1, max_size=15))
def test_candidates_miss_nothing(texts: list[str], plans: list[Plan]) -> None:
    async def body(data: Path) -> None:
        async with index(data) as store:
            await publish(store, [lex_file(f"{n}.py", text) for n, text in enumerate(texts)])
            for plan in [*plans, *(Literal_(t[2:-2] or "a", i) for t in texts for i in (False, True))]:
                found = {p.path for p in await store.candidates(plan, scope=SCOPE)}
                assert found >= {f"{n}.py" for n, text in enumerate(texts) if holds(text, plan)}, plan

    with tempfile.TemporaryDirectory() as data:
        run(body(Path(data)))


def test_candidates_are_few_when_a_whole_word_is_given(tmp_path: Path) -> None:
    async def body() -> None:
        async with index(tmp_path) as store:
            texts = {"a.py": "x = getUser(1)", "b.py": "getuser ()", "c.py": ""}
            await publish(store, [lex_file(path, text) for path, text in texts.items()])
            assert [p.path for p in await store.candidates(Literal_("= getUser("), scope=SCOPE)] == ["a.py"]
            assert len(await store.candidates(Literal_(" GETUSER(", True), scope=SCOPE)) == 2
            assert len(await store.candidates(Literal_("getUse"), scope=SCOPE)) == 3

    run(body())
