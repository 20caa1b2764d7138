"""The double of Zoekt answers as the real server does, on generated trees and queries. Needs the real programs."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .programs import DOUBLE, Programs, Server, Tree, comparable, pack, report, shards
from .record import LIMITS

EXAMPLES = 40
FOUND = shutil.which("zoekt-webserver")
REAL = Path(FOUND).parent if FOUND and shutil.which("zoekt-archive-index") else None

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        REAL is None or REAL.resolve() == DOUBLE.resolve(), reason="unverified: Zoekt's own programs are not on PATH"
    ),
]

WORDS = (
    "session", "Session", "getSession", "sessions", "sess", "ab", "a", "Straße", "STRASSE", "über", "日本語", "x.y",
    "f(g)", "\\", '"', "-", "or", "repo:x", "_a_1", "İstanbul", "\u03a3\u03c3\u03c2", "\u00e9", "e\u0301", "1f4d7",
    "TODO:",
)  # fmt: skip
SPACES = (" ", "\n", "\r\n", "\t", "", "\n\n", " \u00a0")
NAMES = (
    "a.py", "src/session.go", "src/session_test.go", "b c.txt", "ünder/straße.md", "vendor/x/session.c", "x.test.js",
    "Makefile", "noext", "test_a.py", "deep/er/est/Session.java", "lib/a.rb", "lib/a_spec.rb", "q.d.ts",
)  # fmt: skip
ODD = (
    b"", b"a", b"ab", b"abc", b"session\0", b"\0", b"session " * 200, b"x" * 1600, b"caf\xe9 session \xff",
    " ".join(map(str, range(350))).encode(), b"\n", b"\r\n", b"session", b"\n\n\nsession", b"session\n" * 9,
)  # fmt: skip

texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SPACES)), max_size=25).map(
    lambda pairs: "".join(itertools.chain.from_iterable(pairs)).encode()
)
trees = st.dictionaries(st.sampled_from(NAMES), texts | st.sampled_from(ODD), min_size=1, max_size=len(NAMES))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(text: str) -> str:
    return "".join(f"\\{c}" if c.isascii() and not c.isalnum() and c not in "_ " else c for c in text)


literals = st.sampled_from(WORDS).map(lambda word: quoted(escaped(word)))
regexps = st.sampled_from((
    "s.ssion", "^session", "session$", r"\bsession\b", "[Ss]ession", "session|getSession", "(?:^|[^a-z])session", "s+",
    r"\w+", r"[^\n]*", "(?i)straße.", "a|b", r"\s+session", "sessions?", "(?s)a.*b", "x*", r"\d{2,3}", "日.語",
)).map(quoted)  # fmt: skip
words = st.builds(str.__add__, st.sampled_from(("", "content:", "f:", "-content:", "-f:")), literals | regexps)
filters = st.sampled_from(
    ("lang:go", "lang:python", "-lang:java", "branch:main", "b:x", "f:src", "-f:test", "case:yes")
)
groups = st.lists(words, min_size=1, max_size=4).map(lambda parts: f"({' or '.join(parts)} )")
queries = st.lists(words | groups | filters, min_size=1, max_size=3).map(" ".join)
options = st.fixed_dictionaries(
    {},
    optional={
        "UseBM25Scoring": st.just(True),
        "ChunkMatches": st.booleans(),
        "NumContextLines": st.integers(0, 2),
        "Whole": st.just(True),
    },
)


def without_scores(value: Any) -> Any:
    """Zoekt's own scores depend on which trigrams a shard has; the double's are near them."""
    if isinstance(value, dict):
        return {key: without_scores(one) for key, one in value.items() if key.lower() not in ("score", "scores")}
    return [without_scores(one) for one in value] if isinstance(value, list) else value


class Pair:
    """The real programs and the double, each with a server of a folder of its own."""

    def __init__(self, folder: Path, real: Server, double: Server) -> None:
        assert REAL is not None
        self.folder = folder
        self.sides = ((Programs(REAL), folder / "real", real), (Programs(DOUBLE), folder / "double", double))
        self.counter = itertools.count()

    def index(self, tree: Tree) -> str:
        """Index the tree on both sides; the name of the repository."""
        repo = f"r{next(self.counter)}@ü {len(tree)}"
        tar = pack(self.folder / "tree.tar", tree)
        said = []
        for programs, index, server in self.sides:
            code, stderr = programs.index(index, "-name", repo, "-commit", "c", "-branch", "main", *LIMITS, tar=tar)
            said.append((code, report(stderr), shards(index)))
            server.wait_for(repo)
        assert said[0] == said[1]
        return repo

    def ask(self, path: str, body: Any) -> list[Any]:
        return [comparable(path, server.post(path, body)) for _, _, server in self.sides]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    assert REAL is not None
    folder = tmp_path_factory.mktemp("pair")
    with Programs(REAL).serve(folder / "real") as real, Programs(DOUBLE).serve(folder / "double") as double:
        yield Pair(folder, real, double)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(tree=trees, asked=st.lists(st.tuples(queries, options), min_size=1, max_size=20))
def test_any_tree_and_queries(pair: Pair, tree: dict[str, bytes], asked: list[tuple[str, dict[str, Any]]]) -> None:
    repo = pair.index(tree)
    scope = f'repo:"^{escaped(repo)}$"'
    for query, opts in asked:
        body = {"Q": f"{scope} ({query} )", "Opts": opts}
        real, double = pair.ask("/api/search", body)
        if not opts.get("UseBM25Scoring"):
            real, double = without_scores(real), without_scores(double)
        assert double == real, json.dumps(body, ensure_ascii=False)
    real, double = pair.ask("/api/list", {"Q": scope})
    assert double == real


def test_a_removed_shard_is_shown_no_more(pair: Pair) -> None:
    repo = pair.index({"a.txt": b"unheard word"})
    for _, index, server in pair.sides:
        (index / next(name for name in shards(index) if name.startswith(repo.partition("@")[0] + "%40"))).unlink()
        while server.post("/api/search", {"Q": "unheard"})[1]["Result"]["Files"]:
            pass
    real, double = pair.ask("/api/search", {"Q": "unheard"})
    assert double == real
