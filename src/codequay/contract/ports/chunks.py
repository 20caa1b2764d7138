"""The clauses of the port ``chunks``, as trials."""

from __future__ import annotations

from typing import Any

from codequay.ports.chunks import (
    PORT,
    Chunk,
    ChunkRef,
    ChunkStats,
    Definition,
    DefinitionHit,
    FileChunks,
    FilePage,
    FileRef,
    Location,
    PlacedChunk,
    PlacedFile,
)
from codequay.ports.errors import NotIndexed
from codequay.ports.generations import ScopeEntry, StageResult

from ..clauses import Suite
from ..crash import Acknowledge
from ..expect import NotOffered, assert_pages, raises
from ..models.chunks import STEPS, ChunkModel
from .chunk_files import blob_id, chunk, file, fill, ids, named, reads, whole
from .chunks_limits import LIMITS
from .chunks_staged import STAGED
from .generations import generation_trials
from .staging import A, B, Stager, write_generations

SUITE = Suite(PORT)


async def seal_one_after_the_other(store: Any, acknowledge: Acknowledge) -> None:
    """The child of GE-14."""
    await write_generations(STAGER, store, acknowledge)


STAGER = Stager(named, blob_id, seal_one_after_the_other, reads)
generation_trials(SUITE, STAGER)


@SUITE.trial("CH-01")
async def get_answers_in_the_order_asked(store: Any) -> None:
    one, two = file("k", "one"), file("k/x", "two")
    scope = await fill(store, one, two)
    x, y = one.chunks[0], two.chunks[0]
    refs = [
        ChunkRef(A, "k/x", y.id),
        ChunkRef(A, "k/x", x.id),
        ChunkRef(B, "k", x.id),
        ChunkRef(A, "k", x.id),
        ChunkRef(A, "k", x.id.upper()),
        ChunkRef(A, "K", x.id),
        ChunkRef(A, "k/x", y.id),
    ]
    there = PlacedChunk(A, "k/x", y)
    assert await store.get(refs, scope=scope) == [there, None, None, PlacedChunk(A, "k", x), None, None, there]
    for ref, found in zip(refs, await store.get(refs, scope=scope), strict=True):
        assert await store.get([ref], scope=scope) == [found]


@SUITE.trial("CH-01")
async def an_empty_batch_gives_an_empty_answer(store: Any) -> None:
    scope = await fill(store, file("k", "one"))
    await store.begin(A, generation=2, base=1)
    assert await store.stage(A, generation=2, files=[]) == StageResult(0, 0)
    for answer in (
        await store.get([], scope=scope),
        await store.of_file([], scope=scope),
        await store.at([], scope=scope),
        await store.defined([], scope=scope, limit=1),
        await store.text([]),
        await store.defined(["name"], scope=[], limit=1),
    ):
        assert answer == []


@SUITE.trial("CH-01")
async def a_scope_hides_chunks_of_other_repositories_and_generations(store: Any) -> None:
    old, new = file("k", "old"), file("k", "new")
    scope = await fill(store, old)
    await fill(store, file("k", "other"), repo=B)
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[new])
    await store.seal(A, generation=2)
    other = whole("other").id
    refs = [ChunkRef(A, "k", old.chunks[0].id), ChunkRef(A, "k", new.chunks[0].id), ChunkRef(B, "k", other)]
    assert ids(await store.get(refs, scope=scope)) == [old.chunks[0].id, None, None]
    assert ids(await store.get(refs, scope=[ScopeEntry(A, 2)])) == [None, new.chunks[0].id, None]
    assert ids(await store.get(refs, scope=[ScopeEntry(B, 1)])) == [None, None, other]
    assert await store.get(refs, scope=[]) == [None, None, None]
    assert await store.of_file([FileRef(A, "k"), FileRef(B, "k")], scope=[]) == [None, None]
    assert await store.at([Location(A, "k", 1)], scope=[ScopeEntry(B, 1)]) == [None]
    assert (await store.stats(scope=[])) == ChunkStats(0, 0, 0)


@SUITE.trial("CH-02")
async def of_file_gives_every_chunk_by_place_and_tells_empty_from_absent(store: Any) -> None:
    text = "aaa\nbbb\nccc\n"
    spans = [(4, 8), (0, 12), (0, 4), (8, 12)]
    chunks = [chunk(text, s, e, (s // 4 + 1, e // 4)) for s, e in spans]
    twins = [chunk(text, 4, 8, (2, 2), "function", id=name) for name in ("z", "B", "b")]
    scope = await fill(store, file("k", text, *chunks, *twins), file("empty", ""))
    refs = [FileRef(A, "x"), FileRef(A, "k"), FileRef(A, "empty"), FileRef(B, "k"), FileRef(A, "K"), FileRef(A, "k")]
    found = await store.of_file(refs, scope=scope)
    (found_again,) = await store.of_file(refs[1:2], scope=scope)
    found_again.clear()
    assert await store.of_file(refs, scope=scope) == found
    ordered = [chunks[2], chunks[1], *sorted([chunks[0], *twins], key=lambda c: c.id), chunks[3]]
    placed = [PlacedChunk(A, "k", c) for c in ordered]
    assert found == [None, placed, [], None, None, placed]


@SUITE.trial("CH-03")
async def at_prefers_functions_then_classes_then_the_smallest_then_the_later_then_the_id(store: Any) -> None:
    texts = [f"{number:019}\n" * 3 for number in range(7)]
    whole_text, lines = (0, 60), (1, 3)
    cases: dict[str, list[Chunk]] = {
        "a function to a smaller class": [
            chunk(texts[0], *whole_text, lines, "method", id="best 0"),
            chunk(texts[0], 0, 40, (1, 2), "class", id="0"),
        ],
        "a class to a smaller block": [
            chunk(texts[1], *whole_text, lines, "trait", id="best 1"),
            chunk(texts[1], 0, 40, (1, 2), id="1"),
        ],
        "the smallest function": [
            chunk(texts[2], *whole_text, lines, "function", id="2"),
            chunk(texts[2], 9, 60, lines, "method", id="best 2"),
        ],
        "the smallest by bytes, not by lines": [
            chunk(texts[3], 0, 40, (1, 2), "function", id="3"),
            chunk(texts[3], 15, 45, lines, "function", id="best 3"),
            chunk(texts[3], 40, 60, (3, 3), "function", id="3 beside"),
        ],
        "the later start": [
            chunk(texts[4], 0, 40, (1, 2), "function", id="4"),
            chunk(texts[4], 20, 60, (2, 3), "function", id="best 4"),
        ],
        "the smaller id": [
            chunk(texts[5], *whole_text, lines, "function", id="best 5"),
            chunk(texts[5], *whole_text, lines, "method", id="c5"),
        ],
        "the smaller id of blocks": [
            chunk(texts[6], *whole_text, lines, id="Best 6"),
            chunk(texts[6], *whole_text, lines, "other", id="a6"),
        ],
    }
    files = [
        file(f"{name}/{n}", text, *order)
        for text, (name, chunks) in zip(texts, cases.items(), strict=True)
        for n, order in enumerate((chunks, chunks[::-1]))
    ]
    scope = await fill(store, *files)
    found = await store.at([Location(A, one.path, 2) for one in files], scope=scope)
    assert [placed and placed.path for placed in found] == [one.path for one in files]
    assert [placed.path for placed in found if "est" not in placed.chunk.id] == []


@SUITE.trial("CH-03")
async def at_covers_the_first_and_the_last_line_and_nothing_beside(store: Any) -> None:
    text = "\n" * 7
    cut = [chunk(text, 0, 2, (1, 2)), chunk(text, 2, 5, (3, 5), "function"), chunk(text, 5, 7, (6, 7))]
    scope = await fill(store, file("k", text, *cut), file("l", text, *cut), file("empty", ""))
    first, second, third = (one.id for one in cut)
    asked = [Location(A, "k", line) for line in (9, 8, 7, 6, 5, 4, 3, 2, 1)]
    assert ids(await store.at(asked, scope=scope)) == [None, None, third, third, second, second, second, first, first]
    elsewhere = [Location(A, "l", 3), Location(A, "m", 3), Location(B, "k", 3), Location(A, "empty", 1)]
    assert await store.at(elsewhere, scope=scope) == [PlacedChunk(A, "l", cut[1]), None, None, None]


@SUITE.trial("CH-04")
async def defined_matches_whole_names_with_case_in_order_up_to_the_limit(store: Any) -> None:
    def defining(path: str, text: str, *definitions: Definition) -> FileChunks:
        return file(path, text, whole(text, definitions=definitions))

    names = (Definition("get", "function", 4), Definition("Get", "class", 2), Definition("get", "x", 1))
    first = defining("k", "1", *names)
    names = (Definition("get_all", "function", 1), Definition("put", "method", 9), Definition("get", "method", 10))
    second = defining("k/x", "2", *names)
    names = (Definition("put", "method", 7), Definition("get", "method", 7), Definition("größe", "v", 3))
    third = defining("B", "3", *names)
    for repo in (B, "A"):
        await fill(store, defining("k", "4", Definition("get", "function", 5)), repo=repo)
    scope = [*await fill(store, first, second, third)]

    def hit(f: FileChunks, name: str, kind: str, line: int, repo: str = A) -> DefinitionHit:
        return DefinitionHit(repo, f.path, f.chunks[0].id, name, kind, line)

    expected = [
        hit(third, "get", "method", 7),
        hit(third, "put", "method", 7),
        hit(first, "get", "x", 1),
        hit(first, "get", "function", 4),
        hit(second, "put", "method", 9),
        hit(second, "get", "method", 10),
    ]
    for limit in range(1, 8):
        assert await store.defined(["put", "get", "put"], scope=scope, limit=limit) == expected[:limit]
    both = [ScopeEntry(B, 1), *scope]
    other = DefinitionHit(B, "k", whole("4").id, "get", "function", 5)
    assert await store.defined(["get", "put"], scope=both, limit=10) == [*expected, other]
    assert await store.defined(["größe"], scope=scope, limit=9) == [hit(third, "größe", "v", 3)]
    for absent in ("ge", "GET", "get_", "g%", "", "GRÖSSE"):
        assert await store.defined([absent], scope=scope, limit=10) == []


@SUITE.trial("CH-04")
async def a_definition_of_overlapping_chunks_is_a_hit_of_each(store: Any) -> None:
    text = "class C:\n    def f(): pass\n"
    one, two = Definition("C", "class", 1), Definition("f", "method", 2)
    cut = [chunk(text, 0, 27, (1, 2), definitions=[one, two]), chunk(text, 9, 27, (2, 2), definitions=[two])]
    scope = await fill(store, file("k", text, *cut), file("l", text, *cut))
    found = await store.defined(["f"], scope=scope, limit=10)
    expected = [DefinitionHit(A, path, c.id, *two) for path in ("k", "l") for c in cut]
    assert len(found) == 4 and set(found) == set(expected)
    assert [hit.path for hit in found] == ["k", "k", "l", "l"]
    assert await store.defined(["f", "C"], scope=scope, limit=1) == [DefinitionHit(A, "k", cut[0].id, *one)]


@SUITE.trial("CH-08")
async def scan_is_complete_and_ordered_at_any_page_size(store: Any) -> None:
    paths = ["k", "k/x", "k.x", "K", "Z", "k ", "kä", "ka\u0308", "k\U0001f511", "k\uffff", "k x", "k%"]
    scope = [*await fill(store, *(file(p, "same") for p in paths), repo=B), *await fill(store, file("z", ""))]

    async def scan(*, after: Any, limit: int) -> Any:
        return await store.scan(scope=scope, after=after, limit=limit)

    same = [PlacedFile(B, p, blob_id("same"), "python", 0o100644, 1) for p in sorted(paths)]
    await assert_pages(scan, "files", [PlacedFile(A, "z", blob_id(""), "python", 0o100644, 0), *same])


@SUITE.trial("CH-08")
async def a_page_begins_above_any_place_and_says_where_it_ends(store: Any) -> None:
    await fill(store, file("b", "one"), file("d", "two"))
    scope = [ScopeEntry(B, 1), *await fill(store, file("b", "one"), file("d", "two"), file("f", "three"))]
    await fill(store, file("c", "one"), repo=B)
    found = {after: await store.scan(scope=scope, after=after, limit=2) for after in (None, (A, "b"), (A, "c"))}
    assert [[(f.repo_id, f.path) for f in one.files] for one in found.values()] == [
        [(A, "b"), (A, "d")],
        [(A, "d"), (A, "f")],
        [(A, "d"), (A, "f")],
    ]
    assert [one.after for one in found.values()] == [(A, "d"), (A, "f"), (A, "f")]
    last = await store.scan(scope=scope, after=(A, "f"), limit=1)
    assert ([f.repo_id for f in last.files], last.after) == ([B], None)
    for after in ((A, "f/x"), (A + "a", "z"), (B, "b")):
        assert [f.repo_id for f in (await store.scan(scope=scope, after=after)).files] == [B]
    for after in ((B, "c"), ("b", "a")):
        assert (await store.scan(scope=scope, after=after)) == FilePage((), None)


@SUITE.trial("CH-09")
async def stats_counts_what_the_scope_shows(store: Any) -> None:
    tiles = [chunk("aäb", 0, 3, (1, 1)), chunk("aäb", 3, 4, (1, 1))]
    overlapping = [chunk("class ä", 0, 8, (1, 1), "class"), chunk("class ä", 6, 8, (1, 1))]
    scope = await fill(store, file("k", "aäb", *tiles), file("l", "aäb", *tiles), file("m", ""))
    await fill(store, file("k", "other"), file("l", "class ä", *overlapping), repo=B)
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("n", "12345")], removed=["k"])
    await store.seal(A, generation=2)
    assert await store.stats(scope=scope) == ChunkStats(3, 4, 8)
    assert await store.stats(scope=[ScopeEntry(A, 2)]) == ChunkStats(3, 3, 9)
    assert await store.stats(scope=[ScopeEntry(B, 1), ScopeEntry(A, 2)]) == ChunkStats(5, 6, 22)


@SUITE.trial("CH-10")
async def text_names_and_paths_come_back_unchanged(store: Any) -> None:
    text = "größe = '€🔑'\r\n\tкод\0\x7f\ufeff\u2028e\u0301 \n\n "
    names = [Definition("größe", "variable", 1), Definition("e\u0301", "x", 2), Definition("\u00e9", "X", 2)]
    one = whole(text, definitions=names)
    paths = ["Ünï/ко д/\\xff 鍵\n.py", "U\u0308nï", "\u00dcnï", " ", "'\"\\%_;--"]
    scope = await fill(store, *(file(path, text, one) for path in paths))
    assert [f.path for f in (await store.scan(scope=scope)).files] == sorted(paths)
    for path in paths:
        placed = PlacedChunk(A, path, one)
        assert await store.get([ChunkRef(A, path, one.id)], scope=scope) == [placed]
        assert await store.of_file([FileRef(A, path)], scope=scope) == [[placed]]
        assert await store.at([Location(A, path, 2)], scope=scope) == [placed]
    assert await store.text([blob_id(text)]) == [text]
    for name in names:
        assert [(h.path, h.name, h.kind) for h in await store.defined([name.name], scope=scope, limit=9)] == [
            (path, name.name, name.kind) for path in sorted(paths)
        ]
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[], removed=paths[1:2])
    await store.seal(A, generation=2)
    left = (await store.scan(scope=[ScopeEntry(A, 2)])).files
    assert [f.path for f in left] == sorted([paths[0], *paths[2:]])


@SUITE.trial("CH-01")
async def the_sync_face_answers_the_same(store: Any) -> None:
    sync = store.sync
    if sync is None:
        raise NotOffered("it has no synchronous face")
    text = "def f(): pass"
    scope = await fill(store, named("k", text), file("l", "two"), file("m", ""))
    refs = [ChunkRef(A, "k", named("k", text).chunks[0].id), ChunkRef(A, "l", "none")]
    files = [FileRef(A, "k"), FileRef(A, "m"), FileRef(A, "n")]
    at = [Location(A, "k", 1), Location(A, "l", 2)]
    blobs = [blob_id(text), blob_id("three")]
    assert sync.identity() == await store.identity()
    assert sync.generations(A) == await store.generations(A)
    assert sync.get(refs, scope=scope) == await store.get(refs, scope=scope)
    assert sync.of_file(files, scope=scope) == await store.of_file(files, scope=scope)
    assert sync.at(at, scope=scope) == await store.at(at, scope=scope)
    assert sync.defined(["def"], scope=scope, limit=5) == await store.defined(["def"], scope=scope, limit=5)
    assert sync.text(blobs) == await store.text(blobs)
    for after, limit in ((None, 2), ((A, "k"), 1)):
        assert sync.scan(scope=scope, after=after, limit=limit) == await store.scan(
            scope=scope, after=after, limit=limit
        )
    assert sync.stats(scope=scope) == await store.stats(scope=scope)
    with raises(NotIndexed):
        sync.get(refs, scope=[ScopeEntry(A, 2)])


SUITE.trials += STAGED.trials + LIMITS.trials
SUITE.machine("CH-01", ChunkModel, STEPS)
