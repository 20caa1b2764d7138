"""Behaviour of every lexical index."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from codequay.ports.errors import NotIndexed
from codequay.ports.generations import ScopeEntry, StageResult
from codequay.ports.lexical import AllOf, AnyOf, LexFile, LexSpan, Literal_, Placed, Plan, Term, Where
from tests.behaviour.adapters import assert_pages, behaviour, uncovered
from tests.behaviour.generation_cases import A, B, Stager, generation_tests


def blob_id(text: str) -> str:
    return f"blob {text}"


def file(path: str, text: str, *, language: str = "python") -> LexFile:
    """A file with one chunk per line; the ids are the blob's and the line's."""
    spans, start = [], 0
    for number, line in enumerate(text.encode().splitlines(keepends=True), 1):
        spans.append(LexSpan(f"{blob_id(text)}:{number}", start, start + len(line), number, number))
        start += len(line)
    return LexFile(path, blob_id(text), language, 0o100644, text, (), tuple(spans))


globals().update(generation_tests(Stager("lexical", file, blob_id)))


async def fill(store: Any, *files: LexFile, repo: str = A) -> list[ScopeEntry]:
    """Generation 1 of the repository; its scope."""
    await store.begin(repo, generation=1, base=None)
    await store.stage(repo, generation=1, files=list(files))
    await store.seal(repo, generation=1)
    return [ScopeEntry(repo, 1)]


async def paths(store: Any, words: str, scope: list[ScopeEntry], **more: Any) -> list[str]:
    """Paths of the ranked files that hold one of the words."""
    more.setdefault("k", 100)
    hits = await store.rank([Term(word) for word in words.split()], scope=scope, unit="file", **more)
    return [hit.path for hit in hits]


@behaviour("lexical", "LX-01")
async def test_what_is_staged_is_found_once_sealed(store: Any) -> None:
    scope = await fill(store, file("k", "alpha"))
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("l", "alpha beta")])
    assert await paths(store, "alpha beta", scope) == ["k"]
    with pytest.raises(NotIndexed):
        await paths(store, "alpha", [ScopeEntry(A, 2)])
    with pytest.raises(NotIndexed):
        await store.candidates(Literal_("alpha"), scope=[ScopeEntry(A, 2)])
    await store.seal(A, generation=2)
    assert await paths(store, "beta", [ScopeEntry(A, 2)]) == ["l"]
    assert sorted(await paths(store, "alpha", [ScopeEntry(A, 2)])) == ["k", "l"]
    assert await paths(store, "alpha beta", scope) == ["k"]


@behaviour("lexical", "LX-02")
async def test_rank_is_best_first_positive_and_at_most_k(store: Any) -> None:
    filler = " ".join(f"filler{c}" for c in "abcdefgh")
    scope = await fill(
        store,
        file("many", f"needle needle needle needle {filler}"),
        file("once", f"needle {filler} other other other"),
        file("none", f"thread {filler}"),
    )
    hits = await store.rank([Term("needle")], scope=scope, unit="file", k=10)
    assert [hit.path for hit in hits] == ["many", "once"]
    assert hits[0].score > hits[1].score > 0
    places = [(h.repo_id, h.language, h.chunk_id, h.start_line, h.end_line) for h in hits]
    assert places == [(A, "python", "", 0, 0)] * 2
    assert await paths(store, "needle", scope, k=1) == ["many"]
    assert await paths(store, "nothing", scope) == []
    assert await store.rank([], scope=scope, unit="file", k=5) == []
    weighted = await store.rank([Term("thread", 100.0), Term("needle", 0.01)], scope=scope, unit="file", k=1)
    assert [hit.path for hit in weighted] == ["none"]


@behaviour("lexical", "LX-02")
async def test_equal_scores_are_ordered_by_place_at_every_k(store: Any) -> None:
    names = ["k", "k/x", "K", "kx", "a"]
    await fill(store, *(file(name, "needle\nneedle\n") for name in names), repo=B)
    scope = [ScopeEntry(B, 1), *await fill(store, *(file(name, "needle\nneedle\n") for name in names))]
    expected = [(repo, name) for repo in (A, B) for name in sorted(names)]
    blob = blob_id("needle\nneedle\n")
    lines = [(*place, line, f"{blob}:{line}") for place in expected for line in (1, 2)]
    for k in range(1, len(lines) + 2):
        hits = await store.rank([Term("needle")], scope=scope, unit="file", k=k)
        assert [(h.repo_id, h.path) for h in hits] == expected[:k]
        hits = await store.rank([Term("needle")], scope=scope, unit="chunk", k=k)
        assert [(h.repo_id, h.path, h.start_line, h.chunk_id) for h in hits] == lines[:k]
        assert all(h.end_line == h.start_line and h.score > 0 for h in hits)


@behaviour("lexical", "LX-02")
async def test_a_chunk_is_found_by_its_own_words_only(store: Any) -> None:
    scope = await fill(store, file("k", "alpha\nbeta\ngamma alpha\n"))
    hits = await store.rank([Term("alpha")], scope=scope, unit="chunk", k=10)
    assert sorted((h.start_line, h.end_line) for h in hits) == [(1, 1), (3, 3)]
    hits = await store.rank([Term("beta"), Term("gamma")], scope=scope, unit="chunk", k=10)
    assert sorted(h.start_line for h in hits) == [2, 3]


@behaviour("lexical", "LX-03")
async def test_a_word_is_found_without_case_and_inside_compounds(store: Any) -> None:
    scope = await fill(
        store,
        file("camel", "x = getSessionId()"),
        file("snake", "x = max_retry_count"),
        file("upper", "x = HTTPServerError"),
        file("plain", "The Parser parses"),
        file("const", "MAX_SIZE = 3"),
    )
    for word, path in {
        "session": "camel",
        "SESSION": "camel",
        "getsessionid": "camel",
        "getSessionId": "camel",
        "retry": "snake",
        "Max_Retry_Count": "snake",
        "server": "upper",
        "http": "upper",
        "httpservererror": "upper",
        "PARSER": "plain",
        "size": "const",
        "max_size": "const",
    }.items():
        assert path in await paths(store, word, scope), word
    for absent in ("ession", "retr", "arser"):
        assert await paths(store, absent, scope) == [], absent


@behaviour("lexical", "LX-04", "GE-11")
async def test_another_repository_never_takes_a_place(store: Any) -> None:
    await fill(store, *(file(f"n{i}", "needle " * 9) for i in range(30)), repo=B)
    scope = await fill(store, *(file(f"k{i}", "needle and much other text beside it") for i in range(3)))
    assert await paths(store, "needle", scope, k=3) == ["k0", "k1", "k2"]
    assert [p.repo_id for p in await store.candidates(Literal_("needle"), scope=scope)] == [A] * 3
    assert await paths(store, "needle", [], k=3) == []
    assert await store.candidates(AllOf(()), scope=[]) == []
    chunks = await store.rank([Term("needle")], scope=scope, unit="chunk", k=3)
    assert [h.path for h in chunks] == ["k0", "k1", "k2"]


@behaviour("lexical", "LX-05")
async def test_where_applies_before_top_k(store: Any) -> None:
    better = [file(f"b{i}", "needle " * 9) for i in range(30)]
    names = {"src/a": "python", "src/a/Test_x.go": "go", "src/ab": "python", "lib/src/a": "c", "ü/Test": "go"}
    placed = [file(name, "needle and much other text", language=lang) for name, lang in names.items()]
    scope = await fill(store, *better, *placed)
    everything = {f.path: f.language for f in [*better, *placed]}
    for where in (
        Where(prefix="src/a"),
        Where(prefix="src"),
        Where(prefix="ü"),
        Where(contains=("test",)),
        Where(contains=("SRC", "/a")),
        Where(excludes=("b",)),
        Where(languages=("go", "c")),
        Where(not_languages=("python",)),
        Where(prefix="src", not_languages=("go",), excludes=("AB",)),
        Where(prefix="none"),
    ):
        expected = sorted(path for path, language in everything.items() if where.admits(path, language))
        found = await paths(store, "needle", scope, k=len(expected) or 1, where=where)
        assert sorted(found) == expected, where
        hits = await store.rank([Term("needle")], scope=scope, unit="chunk", k=len(expected) or 1, where=where)
        assert sorted(hit.path for hit in hits) == expected, where
        candidates = await store.candidates(Literal_("needle"), scope=scope, where=where)
        assert [p.path for p in candidates] == expected, where


@behaviour("lexical", "LX-06")
async def test_candidates_never_miss_a_placement(store: Any) -> None:
    texts = {
        "a": "def getSessionId(): pass",
        "b": "x += 1  # -> ÜBER größe\n",
        "c": "",
        "d": "if (a && b) {\n\treturn a;\n}\n",
        "e": "x",
        "f": "long" + "er" * 300 + "Tail",
        "g": "日本語のテキスト 🔑",
    }
    scope = await fill(store, *(file(path, text) for path, text in texts.items()))

    def holds(text: str, plan: Plan) -> bool:
        if isinstance(plan, Literal_):
            return plan.text.lower() in text.lower() if plan.ignore_case else plan.text in text
        parts = [holds(text, part) for part in plan.parts]
        return all(parts) if isinstance(plan, AllOf) else any(parts)

    literals = ["sionI", "getSessionId():", "x", "+=", "\n\t", "&& b", "erTail", "erer", "größe"]
    literals += ["本語", "🔑", " ", "a;\n}"]
    folded = ["SESSION", "über", "GRÖSSE"[:3], "ERTAIL", "X", "IF (A"]
    plans: list[Plan] = [*(Literal_(text) for text in literals), *(Literal_(text, True) for text in folded)]
    plans += [
        AllOf(()),
        AnyOf(()),
        AllOf((Literal_("x"), Literal_("größe"))),
        AnyOf((Literal_("erTail"), Literal_("🔑"))),
        AllOf((AnyOf((Literal_("def"), Literal_("IF", True))), Literal_("a"))),
        AnyOf((AllOf(()), Literal_("nowhere"))),
    ]
    for plan in plans:
        found = await store.candidates(plan, scope=scope)
        assert found == sorted(found, key=lambda p: (p.repo_id, p.path))
        assert len({p.path for p in found}) == len(found)
        missed = {path for path, text in texts.items() if holds(text, plan)} - {p.path for p in found}
        assert not missed, plan
        assert all(p == Placed(A, p.path, blob_id(texts[p.path]), "python") for p in found)


@behaviour("lexical", "LX-07")
async def test_scan_is_complete_and_ordered_at_any_page_size(store: Any) -> None:
    names = ["k", "k/x", "k.x", "K", "kä", "k\U0001f511", "k\uffff", "k x"]
    scope = [*await fill(store, *(file(p, "same") for p in names), repo=B), *await fill(store, file("z", ""))]

    async def scan(*, after: Any, limit: int) -> Any:
        return await store.scan(scope=scope, after=after, limit=limit)

    same = [Placed(B, p, blob_id("same"), "python") for p in sorted(names)]
    await assert_pages(scan, "files", [Placed(A, "z", blob_id(""), "python"), *same])


@behaviour("lexical", "LX-08")
async def test_stats_counts_what_the_scope_shows(store: Any) -> None:
    scope = await fill(store, file("k", "a\nb\n"), file("l", "a\nb\n"), file("m", ""))
    await fill(store, file("k", "other"), repo=B)
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("n", "1\n2\n3\n")], removed=["k"])
    await store.seal(A, generation=2)
    new, other = ScopeEntry(A, 2), ScopeEntry(B, 1)
    expected = {(): (0, 0), (scope[0],): (3, 4), (new,): (3, 5), (other, new): (4, 6)}
    for entries, counts in expected.items():
        found = await store.stats(scope=entries)
        assert (found.files, found.chunks) == counts
        assert 0 <= found.dead <= 1


@behaviour("lexical", "LX-09")
async def test_one_blob_at_two_paths_is_found_at_both(store: Any) -> None:
    await store.begin(A, generation=1, base=None)
    same = [file("k", "same needle"), file("l", "same needle")]
    assert (await store.stage(A, generation=1, files=same)).placements == 2
    await store.seal(A, generation=1)
    scope = [ScopeEntry(A, 1), *await fill(store, file("m", "same needle"), repo=B)]
    for unit in ("file", "chunk"):
        hits = await store.rank([Term("needle")], scope=scope, unit=unit, k=10)
        assert [(h.repo_id, h.path) for h in hits] == [(A, "k"), (A, "l"), (B, "m")]
    await store.begin(A, generation=2, base=1)
    assert await store.stage(A, generation=2, files=same) == StageResult(0, 0)
    await store.stage(A, generation=2, files=[], removed=["k"])
    await store.seal(A, generation=2)
    await store.drop(A, generation=1)
    assert await paths(store, "needle", [ScopeEntry(A, 2)]) == ["l"]


@behaviour("lexical", "LX-10")
async def test_non_ascii_words_are_found_and_paths_come_back(store: Any) -> None:
    path = "Ünï/ко д/\\xff 鍵.py"
    scope = await fill(store, file(path, "größe = überGröße(привет)"), file("other", "nothing"))
    for word in ("größe", "GRÖßE", "привет", "ПРИВЕТ", "übergröße"):
        assert await paths(store, word, scope) == [path], word
    hits = await store.rank([Term("привет")], scope=scope, unit="chunk", k=5)
    assert [(hit.path, hit.start_line) for hit in hits] == [(path, 1)]


@behaviour("lexical", "LX-11")
async def test_removed_and_replaced_texts_are_found_no_more(store: Any) -> None:
    scope = await fill(store, file("k", "alpha"), file("l", "beta"), file("m", "gamma"))
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("k", "delta")], removed=["l"])
    await store.seal(A, generation=2)
    new = [ScopeEntry(A, 2)]
    assert await paths(store, "alpha beta", new) == []
    assert await paths(store, "gamma delta", new, k=2) == await paths(store, "delta gamma", new, k=2)
    assert sorted(await paths(store, "gamma delta", new)) == ["k", "m"]
    assert await paths(store, "delta", scope) == []
    assert sorted(await paths(store, "alpha beta", scope)) == ["k", "l"]
    assert [p.blob_id for p in await store.candidates(AllOf(()), scope=new)] == [blob_id("delta"), blob_id("gamma")]


@behaviour("lexical", "LX-02", "LX-06", "LX-07", "LX-08")
async def test_the_sync_face_answers_the_same(store: Any) -> None:
    scope = await fill(store, file("k", "alpha\nbeta\n"))
    sync = store.sync
    assert sync.identity() == await store.identity()
    assert sync.generations(A) == await store.generations(A)
    for unit in ("file", "chunk"):
        hits = sync.rank([Term("beta")], scope=scope, unit=unit, k=3)
        assert [h.path for h in hits] == ["k"]
        assert hits == await store.rank([Term("beta")], scope=scope, unit=unit, k=3)
    assert [p.path for p in sync.candidates(Literal_("eta"), scope=scope)] == ["k"]
    assert sync.scan(scope=scope) == await store.scan(scope=scope)
    assert sync.stats(scope=scope) == await store.stats(scope=scope)
    with pytest.raises(NotIndexed):
        sync.stats(scope=[ScopeEntry(A, 2)])


def test_every_clause_has_a_test() -> None:
    assert uncovered("lexical", sys.modules[__name__]) == []
