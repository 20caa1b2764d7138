"""Behaviour of every lexical index."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from codequay.ports.chunks import Definition
from codequay.ports.errors import LockBusy, NotIndexed
from codequay.ports.generations import ScopeEntry, StageResult
from codequay.ports.lexical import AllOf, AnyOf, LexFile, LexRef, LexSpan, Literal_, Placed, Plan, Term, Where
from tests.behaviour.adapters import Case, assert_pages, behaviour, resolve, uncovered
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


class Texts:
    """Files by the text that their blob id names, as a chunk store would give them back."""

    def __init__(self) -> None:
        self.asked: list[LexRef] = []

    async def read(self, refs: Sequence[LexRef]) -> list[LexFile | None]:
        self.asked += refs
        return [file(ref.path, ref.blob_id.removeprefix("blob "), language=ref.language) for ref in refs]


def compacts(capabilities: Any) -> bool:
    found: bool = capabilities.compaction
    return found


async def age(store: Any) -> list[ScopeEntry]:
    """Two repositories after many changes, of which the last two generations of one are kept; the scope of all."""
    scope = [*await fill(store, file("other", "alpha needle\n"), repo=B)]
    await fill(store, *(file(f"f{n}", f"needle alpha{n}\nold text {n}\n") for n in range(12)))
    for generation in range(2, 8):
        await store.begin(A, generation=generation, base=generation - 1)
        changed = [file(f"f{n}", f"needle {generation}\n" * generation, language="go") for n in range(8)]
        await store.stage(A, generation=generation, files=changed, removed=[f"f{generation + 4}"])
        await store.seal(A, generation=generation)
        if generation > 2:
            await store.drop(A, generation=generation - 2)
    return [*scope, ScopeEntry(A, 6), ScopeEntry(A, 7)]


async def answers(store: Any, *scopes: ScopeEntry) -> list[Any]:
    """What can be seen of each generation, without the scores."""
    found: list[Any] = []
    for entry in scopes:
        found.append((await store.scan(scope=[entry])).files)
        found.append(await store.candidates(Literal_(" needle "), scope=[entry]))
        for unit in ("file", "chunk"):
            hits = await store.rank([Term("needle"), Term("old")], scope=[entry], unit=unit, k=99)
            found.append(sorted(hit._replace(score=0.0) for hit in hits))
    return found


@behaviour("lexical", "LX-12", needs=compacts)
async def test_compaction_keeps_what_is_shown_and_nothing_else(store: Any, case: Case) -> None:
    scope = await age(store)
    before = await answers(store, *scope)
    assert (await store.stats(scope=scope[:1])).dead > 0.2
    texts = Texts()
    written = await store.compact(texts.read)
    assert written == len(texts.asked) == len({(ref.repo_id, ref.path, ref.blob_id) for ref in texts.asked})
    assert {ref.generation for ref in texts.asked if ref.repo_id == A} <= {6, 7}
    assert await answers(store, *scope) == before
    assert (await store.stats(scope=scope[:1])).dead == 0
    await store.drop(A, generation=6)
    assert (await store.stats(scope=scope[:1])).dead > 0
    assert await store.compact(texts.read) == (await store.stats(scope=[scope[0], scope[2]])).files
    async with replace(case, folder=case.folder / "fresh").open() as fresh:
        await fill(fresh, file("other", "alpha needle\n"), repo=B)
        await fresh.begin(A, generation=7, base=None)
        shown = (await store.scan(scope=[scope[2]])).files
        again = [LexRef(one.repo_id, 7, one.path, one.blob_id, one.language, 0) for one in shown]
        await fresh.stage(A, generation=7, files=await texts.read(again))
        await fresh.seal(A, generation=7)
        for unit in ("file", "chunk"):
            for terms in ([Term("needle")], [Term("alpha", 2.0), Term("text")], [Term("old"), Term("7")]):
                hits = await store.rank(terms, scope=[scope[0], scope[2]], unit=unit, k=99)
                assert hits == await fresh.rank(terms, scope=[scope[0], scope[2]], unit=unit, k=99) != []


@behaviour("lexical", "LX-12", needs=compacts)
async def test_a_compaction_that_misses_a_text_changes_nothing(store: Any) -> None:
    scope = await age(store)
    before = await answers(store, *scope)
    dead = (await store.stats(scope=scope[:1])).dead

    async def nothing(refs: Sequence[LexRef]) -> list[LexFile | None]:
        return [None for _ in refs]

    async def another(refs: Sequence[LexRef]) -> list[LexFile | None]:
        return [file(ref.path, "another text\n\n\n") for ref in refs]

    for read in (nothing, another):
        with pytest.raises(NotIndexed):
            await store.compact(read)
        assert await answers(store, *scope) == before
        assert (await store.stats(scope=scope[:1])).dead == dead
    await fill(store, file("new", "alpha"), repo="c")
    assert await store.compact(Texts().read) > 0


@behaviour("lexical", "LX-12", needs=compacts)
async def test_nothing_is_compacted_while_a_generation_is_staged(store: Any) -> None:
    scope = await age(store)
    await store.begin(B, generation=2, base=1)
    with pytest.raises(LockBusy):
        await store.compact(Texts().read)
    await store.stage(B, generation=2, files=[file("b", "beta")])
    with pytest.raises(LockBusy):
        await store.compact(Texts().read)
    await store.seal(B, generation=2)
    assert await paths(store, "beta", [ScopeEntry(B, 2)]) == ["b"]
    texts = Texts()

    async def meanwhile(refs: Sequence[LexRef]) -> list[LexFile | None]:
        with pytest.raises(LockBusy):
            await store.begin(A, generation=9, base=7)
        return await texts.read(refs)

    await store.compact(meanwhile)
    assert sorted(await paths(store, "beta alpha", [ScopeEntry(B, 2)])) == ["b", "other"]
    assert await answers(store, *scope)


def prepares(capabilities: Any) -> bool:
    return bool(capabilities.prepare)


@behaviour("lexical", "LX-13", needs=prepares)
async def test_a_prepared_file_is_found_like_any_other(store: Any, case: Case) -> None:
    prepare = resolve(case.capabilities.prepare)
    names = [Definition("getSession", "function", 1), Definition("größe", "function", 2)]
    texts = ["alpha\nbeta\n", "", "größe = getSession(1)\n\n# näher\n", "x" * 3000 + "\nalpha\n", "\n\n__\n"]
    paths_ = ["src/mod.py", "a/__init__.py", "k", "Ünï/x.go", "src/index.js"]
    files = [replace(file(p, t), definitions=tuple(names)) for p, t in zip(paths_, texts, strict=True)]
    unknown = [replace(one, mode=0) for one in files]
    ready = [
        replace(one, prepared=marshal.loads(marshal.dumps(prepare(two))))
        for one, two in zip(files, unknown, strict=True)
    ]
    scope = await fill(store, *ready)
    async with replace(case, folder=case.folder / "plain").open() as plain:
        await fill(plain, *files)
        for word in ("alpha", "getSession", "session", "größe", "näher", "mod", "src", "x" * 3000, "a"):
            for unit in ("file", "chunk"):
                hits = await store.rank([Term(word)], scope=scope, unit=unit, k=20)
                assert hits == await plain.rank([Term(word)], scope=scope, unit=unit, k=20), word
        for text in (" = getSession(", "alpha", "\n\n# n"):
            found = await store.candidates(Literal_(text), scope=scope)
            assert found == await plain.candidates(Literal_(text), scope=scope)


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
