"""The clauses of the port ``lexical``, as trials."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from codequay.ports.errors import NotIndexed
from codequay.ports.generations import ScopeEntry, StageResult
from codequay.ports.lexical import PORT, AllOf, AnyOf, LexPage, LexSpan, Literal_, Placed, Plan, Term, Where

from ..case import Case
from ..clauses import Suite
from ..crash import Acknowledge
from ..expect import NotOffered, assert_pages, raises
from ..models.lexical import STEPS, LexicalModel
from .generations import generation_trials
from .lexical_files import blob_id, file, fill, paths, reads
from .lexical_powers import POWERS
from .lexical_ranking import RANKING
from .staging import A, B, Stager, write_generations

SUITE = Suite(PORT)


async def seal_one_after_the_other(store: Any, acknowledge: Acknowledge) -> None:
    """The child of GE-14."""
    await write_generations(STAGER, store, acknowledge)


STAGER = Stager(file, blob_id, seal_one_after_the_other, reads)
generation_trials(SUITE, STAGER)


@SUITE.trial("LX-01")
async def what_is_staged_is_found_once_sealed(store: Any) -> None:
    scope = await fill(store, file("k", "alpha"))
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("l", "alpha beta")])
    assert await paths(store, "alpha beta", scope) == ["k"]
    with raises(NotIndexed):
        await paths(store, "alpha", [ScopeEntry(A, 2)])
    assert [p.path for p in await store.candidates(AllOf(()), scope=scope)] == ["k"]
    await store.seal(A, generation=2)
    assert await paths(store, "beta", [ScopeEntry(A, 2)]) == ["l"]
    assert sorted(await paths(store, "alpha", [ScopeEntry(A, 2)])) == ["k", "l"]
    assert await paths(store, "alpha beta", scope) == ["k"]


@SUITE.trial("LX-03")
async def a_term_has_no_syntax_and_no_word_is_left_out(store: Any) -> None:
    scope = await fill(store, file("k", "if not needle and thread or the other"), file("l", "cotton"))
    for word in ("not", "NOT", "AND", "or", "the", "if"):
        assert await paths(store, word, scope) == ["k"], word
    forms = (
        "{}:",
        ":{}",
        '"{}',
        "({}",
        "{})",
        "{}*",
        "-{}",
        "+{}",
        "{}~2",
        "/{}/",
        "[{}",
        "{}^9",
        "{}\\",
        "'{}",
        "{}\0",
        "!{}",
    )
    for form in forms:
        term = Term(form.format("needle"))
        assert [hit.path for hit in await store.rank([term], scope=scope, unit="file", k=9)] == ["k"], term
    for nothing in ("*", ":", '"', "(", "-", "\\", "?", " ", "[ ]", "{{"):
        assert await store.rank([Term(nothing)], scope=scope, unit="file", k=9) == [], nothing


@SUITE.trial("LX-03")
async def a_word_is_found_without_case_and_inside_compounds(store: Any) -> None:
    scope = await fill(
        store,
        file("camel", "x = getSessionId()"),
        file("snake", "x = max_retry_count"),
        file("upper", "x = HTTPServerError"),
        file("plain", "The Parser parses"),
        file("const", "MAX_SIZE = 3"),
        file("digits", "utf8Decoder of sha256"),
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
        "decoder": "digits",
        "utf8decoder": "digits",
        "SHA256": "digits",
        "utf": "digits",
    }.items():
        assert path in await paths(store, word, scope), word
    for absent in ("ession", "retr", "arser"):
        assert await paths(store, absent, scope) == [], absent


@SUITE.trial("LX-04")
async def another_repository_never_takes_a_place(case: Case, store: Any) -> None:
    await fill(store, *(file(f"n{i}", "needle thread " * 9) for i in range(30)), repo=B)
    scope = await fill(store, *(file(f"k{i}", "needle and much other text beside it") for i in range(3)))
    assert [p.repo_id for p in await store.candidates(Literal_("needle"), scope=scope)] == [A] * 3
    assert await paths(store, "needle thread", [], k=3) == []
    assert await store.candidates(AllOf(()), scope=[]) == []
    for unit in case.capabilities.units:
        hits = await store.rank([Term("needle"), Term("thread")], scope=scope, unit=unit, k=3)
        assert sorted(h.path for h in hits) == ["k0", "k1", "k2"]


@SUITE.trial("LX-05")
async def where_applies_before_top_k(case: Case, store: Any) -> None:
    better = [file(f"b{i}", "needle thread " * 9) for i in range(30)]
    names = {"src/a": "python", "src/a/Test_x.go": "go", "src/ab": "python", "lib/src/a": "c", "ü/Test": "go"}
    names |= {"a_b/x": "c", "axb/x": "c", "a%/x": "go"}
    placed = [file(name, "needle and much other text", language=lang) for name, lang in names.items()]
    scope = await fill(store, *better, *placed)
    everything = {f.path: f.language for f in [*better, *placed]}
    for where in (
        Where(prefix="src/a"),
        Where(prefix="src"),
        Where(prefix="ü"),
        Where(contains=("test",)),
        Where(contains=("SRC", "/a")),
        Where(contains=("src", "b")),
        Where(contains=("_",)),
        Where(excludes=("%", "_b")),
        Where(prefix="a_b"),
        Where(prefix="a%"),
        Where(languages=("go", "c"), not_languages=("c",)),
        Where(contains=("Ü",), excludes=("none",)),
        Where(excludes=("b",)),
        Where(excludes=("B", "LIB", "c")),
        Where(languages=("go", "c")),
        Where(not_languages=("python",)),
        Where(prefix="src", not_languages=("go",), excludes=("AB",)),
        Where(prefix="none"),
    ):
        expected = sorted(path for path, language in everything.items() if where.admits(path, language))
        for unit in case.capabilities.units:
            for k in (len(expected) or 1, 100):
                found = await paths(store, "needle thread", scope, k=k, where=where, unit=unit)
                assert sorted(found) == expected, where
        candidates = await store.candidates(Literal_("needle"), scope=scope, where=where)
        assert [p.path for p in candidates] == expected, where


@SUITE.trial("LX-06")
async def candidates_never_miss_a_placement(store: Any) -> None:
    texts = {
        "a": "def getSessionId(): pass",
        "b": "x += 1  # -> ÜBER größe\n",
        "c": "",
        "d": "if (a && b) {\n\treturn a;\n}\n",
        "e": "x",
        "f": "long" + "er" * 300 + "Tail",
        "g": "日本語のテキスト 🔑",
        "h": "nul \0 and\r\nreturn\ttab \ufeff \u2028",
        "i": "die straße nach DİKİLİ, ﬁn, ſein, \u212aelvin ǅ",
        "j": "%_*?.[(\\ '\"; -- e\u0301",
    }
    scope = await fill(store, *(file(path, text) for path, text in texts.items()))

    def holds(text: str, plan: Plan) -> bool:
        if isinstance(plan, Literal_):
            return plan.text in text or (plan.ignore_case and _alike(plan.text, text))
        parts = [holds(text, part) for part in plan.parts]
        return all(parts) if isinstance(plan, AllOf) else any(parts)

    literals = ["sionI", "getSessionId():", "x", "+=", "\n\t", "&& b", "erTail", "erer", "größe"]
    literals += ["本語", "🔑", " ", "a;\n}", "", "\0", "d\r\nr", "%_", "[(\\ '", "e\u0301", "\u00e9", "語のテキスト 🔑"]
    folded = ["SESSION", "über", "GRÖSSE"[:3], "ERTAIL", "X", "IF (A", "STRASSE", "strasse", "dikili", "DIKILI"]
    folded += ["FIN", "SEIN", "kelvin", "Kelvin", "", "É", "dž"]
    plans: list[Plan] = [*(Literal_(text) for text in literals), *(Literal_(text, True) for text in folded)]
    plans += [
        AllOf(()),
        AnyOf(()),
        AllOf((Literal_("x"), Literal_("größe"))),
        AnyOf((Literal_("erTail"), Literal_("🔑"))),
        AllOf((AnyOf((Literal_("def"), Literal_("IF", True))), Literal_("a"))),
        AnyOf((AllOf(()), Literal_("nowhere"))),
        AnyOf((AnyOf(()), Literal_("x"))),
        AnyOf((Literal_("nowhere"), Literal_("erTail"))),
        AllOf((Literal_("", True), Literal_("strasse", True))),
    ]
    for plan in plans:
        found = await store.candidates(plan, scope=scope)
        assert found == sorted(found, key=lambda p: (p.repo_id, p.path))
        assert len({p.path for p in found}) == len(found)
        missed = {path for path, text in texts.items() if holds(text, plan)} - {p.path for p in found}
        assert not missed, plan
        assert all(p == Placed(A, p.path, blob_id(texts[p.path]), "python") for p in found)


def _alike(literal: str, text: str) -> bool:
    """Whether the text holds the literal without regard to case, as ``Literal_`` has it."""
    folded = literal.casefold() in text.casefold()
    return folded or re.search(re.escape(literal), text, re.IGNORECASE) is not None


@SUITE.trial("LX-07")
async def scan_is_complete_and_ordered_at_any_page_size(store: Any) -> None:
    names = ["k", "k/x", "k.x", "K", "Z", "k ", "kä", "ka\u0308", "k\U0001f511", "k\uffff", "k x", "k%"]
    scope = [*await fill(store, *(file(p, "same") for p in names), repo=B), *await fill(store, file("z", ""))]

    async def scan(*, after: Any, limit: int) -> Any:
        return await store.scan(scope=scope, after=after, limit=limit)

    same = [Placed(B, p, blob_id("same"), "python") for p in sorted(names)]
    await assert_pages(scan, "files", [Placed(A, "z", blob_id(""), "python"), *same])


@SUITE.trial("LX-07")
async def a_page_begins_above_any_place_and_says_where_it_ends(store: Any) -> None:
    await fill(store, file("c", "one"), repo=B)
    scope = [ScopeEntry(B, 1), *await fill(store, file("b", "one"), file("d", "two"), file("f", "three"))]
    for after, shown in ((None, ["b", "d"]), ((A, "b"), ["d", "f"]), ((A, "c"), ["d", "f"])):
        found = await store.scan(scope=scope, after=after, limit=2)
        assert [f.path for f in found.files] == shown
        assert found.after == (A, shown[-1])
    for after in ((A, "f"), (A, "f/x"), (A + "a", "z"), (B, "b")):
        assert await store.scan(scope=scope, after=after, limit=1) == LexPage(
            (Placed(B, "c", blob_id("one"), "python"),), None
        )
    for after in ((B, "c"), ("b", "a")):
        assert await store.scan(scope=scope, after=after) == LexPage((), None)


@SUITE.trial("LX-08")
async def stats_counts_what_the_scope_shows(store: Any) -> None:
    scope = await fill(store, file("k", "a\nb\n"), file("l", "a\nb\n"), file("m", ""))
    await fill(store, file("k", "other"), repo=B)
    assert (await store.stats(scope=scope)).dead == 0
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("n", "1\n2\n3\n")], removed=["k"])
    await store.seal(A, generation=2)
    new, other = ScopeEntry(A, 2), ScopeEntry(B, 1)
    expected = {(): (0, 0), (scope[0],): (3, 4), (new,): (3, 5), (other, new): (4, 6)}
    for entries, counts in expected.items():
        found = await store.stats(scope=entries)
        assert (found.files, found.chunks) == counts
        assert 0 <= found.dead <= 1


@SUITE.trial("LX-09")
async def one_blob_at_two_paths_is_found_at_both(case: Case, store: Any) -> None:
    await store.begin(A, generation=1, base=None)
    same = [file("k", "same needle"), file("l", "same needle")]
    assert await store.stage(A, generation=1, files=same) == StageResult(1, 2)
    assert await store.stage(A, generation=1, files=same) == StageResult(0, 0)
    await store.seal(A, generation=1)
    scope = [ScopeEntry(A, 1), *await fill(store, file("m", "same needle"), repo=B)]
    for unit in case.capabilities.units:
        hits = await store.rank([Term("needle")], scope=scope, unit=unit, k=10)
        assert sorted((h.repo_id, h.path) for h in hits) == [(A, "k"), (A, "l"), (B, "m")]
    await store.begin(A, generation=2, base=1)
    assert await store.stage(A, generation=2, files=same, removed=["nowhere"]) == StageResult(0, 0)
    await store.stage(A, generation=2, files=[], removed=["k"])
    await store.seal(A, generation=2)
    await store.drop(A, generation=1)
    assert await paths(store, "needle", [ScopeEntry(A, 2)]) == ["l"]


@SUITE.trial("LX-09")
async def a_file_that_differs_in_one_field_is_staged_anew(case: Case, store: Any) -> None:
    text = "same needle\nand more\n"
    staged = [file("k", text), file("k", text, mode=0o100755), file("k", text, mode=0o100755, language="go")]
    staged.append(replace(staged[-1], spans=(LexSpan("whole", 0, len(text), 1, 2),)))
    base = None
    for generation, changed in enumerate(staged, 1):
        await store.begin(A, generation=generation, base=base)
        assert (await store.stage(A, generation=generation, files=[changed])).placements == 1
        assert (await store.stage(A, generation=generation, files=[changed])).placements == 0
        await store.seal(A, generation=generation)
        base = generation
    for generation, one in enumerate(staged, 1):
        scope = [ScopeEntry(A, generation)]
        assert [f.language for f in (await store.scan(scope=scope)).files] == [one.language]
        assert (await store.stats(scope=scope)).chunks == len(one.spans)
        for unit in case.capabilities.units:
            hits = await store.rank([Term("needle")], scope=scope, unit=unit, k=9)
            chunk_id = "" if unit == "file" else one.spans[0].chunk_id
            assert [(h.chunk_id, h.language) for h in hits] == [(chunk_id, one.language)]
    where = Where(languages=("go",))
    assert await paths(store, "needle", [ScopeEntry(A, 3)], where=where) == ["k"]
    assert await paths(store, "needle", [ScopeEntry(A, 2)], where=where) == []


@SUITE.trial("LX-10")
async def non_ascii_words_are_found_and_paths_come_back(case: Case, store: Any) -> None:
    path = "Ünï/ко д/\\xff 鍵\n.py"
    long = "/".join(["ordner mit ä" * 16] * 19)
    scope = await fill(store, file(path, "größe = überGröße(привет)\r\n"), file("other", "nothing"), file(long, "weit"))
    assert [f.path for f in (await store.scan(scope=scope)).files] == sorted([path, "other", long])
    assert await paths(store, "weit", scope) == [long]
    for word in ("größe", "GRÖßE", "привет", "ПРИВЕТ", "übergröße"):
        assert await paths(store, word, scope) == [path], word
    for unit in case.capabilities.units:
        assert await paths(store, "привет", scope, unit=unit) == [path]
    assert path in [p.path for p in await store.candidates(Literal_("ПРИ", True), scope=scope)]


@SUITE.trial("LX-11")
async def removed_and_replaced_texts_are_found_no_more(store: Any) -> None:
    scope = await fill(store, file("k", "alpha"), file("l", "beta"), file("m", "gamma"))
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("k", "epsilon"), file("n", "zeta")])
    await store.stage(A, generation=2, files=[file("k", "delta")], removed=["l", "n"])
    await store.seal(A, generation=2)
    new = [ScopeEntry(A, 2)]
    assert await paths(store, "alpha beta epsilon zeta", new) == []
    assert sorted(await paths(store, "gamma delta", new)) == ["k", "m"]
    assert await paths(store, "delta", scope) == []
    assert sorted(await paths(store, "alpha beta", scope)) == ["k", "l"]
    assert [p.blob_id for p in await store.candidates(AllOf(()), scope=new)] == [blob_id("delta"), blob_id("gamma")]


@SUITE.trial("LX-02")
async def the_sync_face_answers_the_same(case: Case, store: Any) -> None:
    sync = store.sync
    if sync is None:
        raise NotOffered("it has no synchronous face")
    scope = await fill(store, file("k", "alpha\nbeta\n"), file("l", "beta"))
    assert sync.identity() == await store.identity()
    assert sync.generations(A) == await store.generations(A)
    for unit in case.capabilities.units:
        for where in (None, Where(prefix="l")):
            hits = await store.rank([Term("beta")], scope=scope, unit=unit, k=3, where=where)
            assert sync.rank([Term("beta")], scope=scope, unit=unit, k=3, where=where) == hits
    assert sync.candidates(Literal_("eta"), scope=scope) == await store.candidates(Literal_("eta"), scope=scope)
    for after, limit in ((None, 1), ((A, "k"), 1)):
        page = await store.scan(scope=scope, after=after, limit=limit)
        assert sync.scan(scope=scope, after=after, limit=limit) == page
    assert sync.stats(scope=scope) == await store.stats(scope=scope)
    with raises(NotIndexed):
        sync.stats(scope=[ScopeEntry(A, 2)])


SUITE.trials += RANKING.trials
SUITE.trials += POWERS.trials
SUITE.machine("LX-01", LexicalModel, STEPS)
SUITE.fill_only(lambda capabilities: capabilities.writable)
