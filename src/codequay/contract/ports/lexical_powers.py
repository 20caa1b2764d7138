"""The clauses of the port ``lexical`` about what an index declares (compaction, preparation, limits) and of turns."""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from codequay.ports.chunks import Definition
from codequay.ports.errors import InvalidArgument, LockBusy, NotIndexed, Unsupported
from codequay.ports.generations import ScopeEntry, StageResult
from codequay.ports.lexical import PORT, AnyOf, LexFile, LexRef, Literal_, Term

from ..budget import MOST_PER_BATCH, THOUSAND, batches, level, thousand, within
from ..case import Case
from ..clauses import Suite
from ..expect import near, raises
from ..many import Many
from .lexical_files import blob_id, file, fill, paths
from .staging import A, B

POWERS = Suite(PORT)


class _Texts:
    """Files by their blob, as a chunk store would give them back."""

    def __init__(self) -> None:
        self.asked: list[LexRef] = []
        self._texts: dict[str, str] = {}

    def file(self, path: str, text: str, language: str = "python") -> LexFile:
        """A file whose text is remembered."""
        self._texts[blob_id(text)] = text
        return file(path, text, language=language)

    async def read(self, refs: Sequence[LexRef]) -> list[LexFile | None]:
        self.asked += refs
        return [file(ref.path, self._texts[ref.blob_id], language=ref.language, mode=ref.mode) for ref in refs]


def compacts(capabilities: Any) -> bool:
    found: bool = capabilities.compaction
    return found


async def _age(store: Any, texts: _Texts) -> list[ScopeEntry]:
    """Two repositories after many changes, of which the last two generations of one are kept; the scope of all."""
    scope = await fill(store, texts.file("other", "alpha needle\n"), repo=B)
    await fill(store, *(texts.file(f"f{n}", f"needle alpha{n}\nold text {n}\n") for n in range(8)))
    for generation in (2, 3, 4):
        await store.begin(A, generation=generation, base=generation - 1)
        changed = [texts.file(f"f{n}", f"needle {generation}\n" * generation, language="go") for n in range(5)]
        await store.stage(A, generation=generation, files=changed, removed=[f"f{generation + 3}"])
        await store.seal(A, generation=generation)
        if generation > 2:
            await store.drop(A, generation=generation - 2)
    return [*scope, ScopeEntry(A, 3), ScopeEntry(A, 4)]


async def _answers(case: Case, store: Any, *scopes: ScopeEntry) -> list[Any]:
    """What can be seen of each generation, without the scores."""
    found: list[Any] = []
    for entry in scopes:
        found.append((await store.scan(scope=[entry])).files)
        found.append(await store.candidates(Literal_(" needle "), scope=[entry]))
        for unit in case.capabilities.units:
            hits = await store.rank([Term("needle"), Term("old")], scope=[entry], unit=unit, k=99)
            found.append(sorted(hit.place for hit in hits))
    return found


@POWERS.trial("LX-12", needs=compacts)
async def compaction_keeps_what_is_shown_and_nothing_else(case: Case, store: Any) -> None:
    texts = _Texts()
    scope = await _age(store, texts)
    before = await _answers(case, store, *scope)
    written = await store.compact(texts.read)
    assert written == len(texts.asked) == len({(ref.repo_id, ref.path, ref.blob_id) for ref in texts.asked})
    assert {ref.generation for ref in texts.asked if ref.repo_id == A} <= {3, 4}
    assert await _answers(case, store, *scope) == before
    assert (await store.stats(scope=scope[:1])).dead == 0
    await store.drop(A, generation=3)
    assert await store.compact(texts.read) == (await store.stats(scope=[scope[0], scope[2]])).files
    async with case.another() as elsewhere, elsewhere.open() as fresh:
        await fill(fresh, texts.file("other", "alpha needle\n"), repo=B)
        shown = (await store.scan(scope=[scope[2]])).files
        again = [LexRef(one.repo_id, 4, one.path, one.blob_id, one.language, 0o100644) for one in shown]
        await fresh.begin(A, generation=4, base=None)
        await fresh.stage(A, generation=4, files=await texts.read(again))
        await fresh.seal(A, generation=4)
        for unit in case.capabilities.units:
            for terms in ([Term("needle")], [Term("alpha", 2.0), Term("text")], [Term("old"), Term("4")]):
                hits = await store.rank(terms, scope=[scope[0], scope[2]], unit=unit, k=99)
                due = await fresh.rank(terms, scope=[scope[0], scope[2]], unit=unit, k=99)
                assert hits
                assert [hit.place for hit in hits] == [hit.place for hit in due]
                assert [hit.score for hit in hits] == [near(hit.score, 1e-3 * hit.score) for hit in due]


@POWERS.trial("LX-12", needs=compacts)
async def a_compaction_that_misses_a_text_changes_nothing(case: Case, store: Any) -> None:
    texts = _Texts()
    scope = await _age(store, texts)
    before = await _answers(case, store, *scope)
    dead = (await store.stats(scope=scope[:1])).dead

    async def nothing(refs: Sequence[LexRef]) -> list[LexFile | None]:
        return [None for _ in refs]

    async def another(refs: Sequence[LexRef]) -> list[LexFile | None]:
        return [file(ref.path, "another text\n\n\n") for ref in refs]

    for read in (nothing, another):
        with raises(NotIndexed):
            await store.compact(read)
        assert await _answers(case, store, *scope) == before
        assert (await store.stats(scope=scope[:1])).dead == dead
    await fill(store, texts.file("new", "alpha"), repo="c")
    assert await store.compact(texts.read) > 0
    assert await _answers(case, store, *scope) == before


@POWERS.trial("LX-12", needs=compacts)
async def nothing_is_compacted_while_a_generation_is_staged(case: Case, store: Any) -> None:
    texts = _Texts()
    scope = await _age(store, texts)
    await store.begin(B, generation=2, base=1)
    await store.stage(B, generation=2, files=[texts.file("b", "beta")])
    with raises(LockBusy):
        await store.compact(texts.read)
    await store.seal(B, generation=2)
    assert await paths(store, "beta", [ScopeEntry(B, 2)]) == ["b"]
    begun = False

    async def meanwhile(refs: Sequence[LexRef]) -> list[LexFile | None]:
        nonlocal begun
        try:
            await store.begin(A, generation=9, base=4)
            begun = True
        except LockBusy:
            pass
        return await texts.read(refs)

    try:
        await store.compact(meanwhile)
    except LockBusy:
        assert begun
    assert sorted(await paths(store, "beta alpha", [ScopeEntry(B, 2)])) == ["b", "other"]
    assert await _answers(case, store, *scope)


@POWERS.trial("LX-12", needs=lambda caps: not caps.compaction, reads=True)
async def compact_is_refused_where_it_is_not_declared(store: Any) -> None:
    with raises(Unsupported):
        await store.compact(_Texts().read)


@POWERS.trial("LX-13", needs=lambda caps: bool(caps.prepare))
async def a_prepared_file_is_found_like_any_other(case: Case, store: Any) -> None:
    module, _, name = case.capabilities.prepare.partition(":")
    prepare = getattr(import_module(module), name)
    names = (Definition("getSession", "function", 1), Definition("größe", "function", 2))
    texts = {
        "src/mod.py": "alpha\nbeta\n",
        "a/__init__.py": "",
        "k": "größe = getSession(1)\n\n# näher\n",
        "Ünï/x.go": "x" * 3000 + "\nalpha\n",
        "src/index.js": "\n\n__\n",
    }
    files = [replace(file(path, text), definitions=names) for path, text in texts.items()]
    ready = [replace(f, prepared=marshal.loads(marshal.dumps(prepare(replace(f, mode=0))))) for f in files]  # noqa: S302
    scope = await fill(store, *ready)
    async with case.another() as elsewhere, elsewhere.open() as plain:
        await fill(plain, *files)
        for word in ("alpha", "getSession", "session", "größe", "näher", "mod", "src", "x" * 3000, "a"):
            for unit in case.capabilities.units:
                hits = await store.rank([Term(word)], scope=scope, unit=unit, k=20)
                assert hits == await plain.rank([Term(word)], scope=scope, unit=unit, k=20), word
        for text in (" = getSession(", "alpha", "\n\n# n"):
            found = await store.candidates(Literal_(text), scope=scope)
            assert found == await plain.candidates(Literal_(text), scope=scope)


@POWERS.trial("LX-15", needs=lambda caps: not caps.writable, reads=True)
async def an_index_that_somebody_else_fills_refuses_writes(store: Any) -> None:
    with raises(Unsupported):
        await store.begin(A, generation=1, base=None)
    with raises(Unsupported):
        await store.stage(A, generation=1, files=[file("k", "one")])
    for write in (store.seal, store.drop):
        with raises(Unsupported):
            await write(A, generation=1)
    with raises(Unsupported):
        await store.purge(A)


@POWERS.trial("LX-15")
async def declared_limits_are_reached_and_one_more_is_refused(case: Case, store: Any) -> None:
    caps = case.capabilities
    scope = await fill(store, file("k", "one"), file("l", "two"))
    assert len(await store.rank([Term("one"), Term("two")], scope=scope, unit="file", k=caps.max_k)) == 2
    assert len((await store.scan(scope=scope, limit=caps.max_k)).files) == 2
    await store.begin(A, generation=2, base=1)
    last = [file("k", "last")] if caps.max_batch > 1 else []
    files = Many(file("k", "again"), caps.max_batch - len(last), *last)
    assert (await store.stage(A, generation=2, files=files)).placements == 1
    await store.stage(A, generation=2, files=[], removed=["l"])
    await store.seal(A, generation=2)
    shown = (await store.scan(scope=[ScopeEntry(A, 2)])).files
    assert [(f.path, f.blob_id) for f in shown] == [("k", files[-1].blob_id)]
    await store.begin(A, generation=3, base=2)
    for refused in (
        store.rank([Term("one")], scope=scope, unit="file", k=caps.max_k + 1),
        store.rank(Many(Term("one"), caps.max_batch + 1), scope=scope, unit="file", k=1),
        store.scan(scope=scope, limit=caps.max_k + 1),
        store.stage(A, generation=3, files=Many(file("k", "too many"), caps.max_batch + 1)),
        store.stage(A, generation=3, files=[], removed=Many("k", caps.max_batch + 1)),
    ):
        with raises(InvalidArgument):
            await refused
    for unit in {"file", "chunk"} - set(caps.units):
        with raises(Unsupported):
            await store.rank([Term("one")], scope=scope, unit=unit, k=1)


@POWERS.trial("LX-15")
async def a_large_batch_is_taken_and_answered_whole(case: Case, store: Any) -> None:
    most = min(300, case.capabilities.max_batch)
    words = ["q" + "".join("abcdefghij"[int(digit)] for digit in f"{n:03}") for n in range(most)]
    files = [file(f"f{n:03}", f"{word}\nneedle") for n, word in enumerate(words)]
    await store.begin(A, generation=1, base=None)
    assert await store.stage(A, generation=1, files=files) == StageResult(most, most)
    await store.seal(A, generation=1)
    scope = [ScopeEntry(A, 1)]
    names = [one.path for one in files]
    for unit in case.capabilities.units:
        assert sorted(await paths(store, "needle", scope, k=1000, unit=unit)) == names
    assert [p.path for p in await store.candidates(Literal_("needle"), scope=scope)] == names
    assert sorted(await paths(store, " ".join(words), scope, k=1000)) == names
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[], removed=names[1:])
    await store.seal(A, generation=2)
    assert await paths(store, "needle", [ScopeEntry(A, 2)]) == ["f000"]


@POWERS.trial("LX-16", hint="fetch what a hit shows with the hits, not one by one")
async def the_turns_of_a_search_do_not_grow_with_the_answer(case: Case, store: Any) -> None:
    scope = await fill(store, *(file(f"f{n:03}", f"word{n}\nneedle") for n in range(100)))
    for unit in case.capabilities.units:
        await level(case, f"rank by {unit}", lambda n: store.rank([Term("needle")], scope=scope, unit=unit, k=n))  # noqa: B023
    terms = [Term(f"word{n}") for n in range(100)]
    await level(case, "rank of n terms", lambda n: store.rank(terms[:n], scope=scope, unit="file", k=10))
    await level(case, "scan", lambda n: store.scan(scope=scope, limit=n))
    await level(
        case,
        "candidates",
        lambda n: store.candidates(AnyOf(tuple(Literal_(term.text) for term in terms[:n])), scope=scope),
    )


@POWERS.trial("LX-17", hint="one statement for the batch, not one for each file")
async def stage_takes_a_turn_per_batch(case: Case, store: Any) -> None:
    old = [file(f"f{n:03}", f"word{n}\nneedle") for n in range(100)]
    await fill(store, *old)
    await store.begin(A, generation=2, base=1)
    staged = 0

    async def stage(n: int) -> None:
        nonlocal staged
        fresh = [file(f"g{staged + number}", f"g{staged + number} text") for number in range(n)]
        staged += n
        await store.stage(A, generation=2, files=fresh, removed=[one.path for one in old[:n]])

    await level(case, "stage", stage, slack=batches(100, case.capabilities.max_batch) - 1)


@POWERS.trial("LX-17", hint="one request for the batch, not one for each file")
async def a_thousand_files_take_a_turn_per_batch_and_a_constant(case: Case, store: Any) -> None:
    files = [file(f"f{n:04}", f"word{n}\nneedle") for n in range(THOUSAND)]
    await store.begin(A, generation=1, base=None)

    async def stage(first: int, count: int) -> None:
        await store.stage(A, generation=1, files=files[first : first + count])

    await thousand(case, "stage", stage)
    await within(case, "seal of 1000", MOST_PER_BATCH, lambda: store.seal(A, generation=1))
    assert (await store.stats(scope=[ScopeEntry(A, 1)])).files == THOUSAND
