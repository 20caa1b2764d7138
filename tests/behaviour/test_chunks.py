"""Behaviour of every chunk store."""

from __future__ import annotations

import sys
from random import Random
from typing import Any

import pytest

from codequay.ports.chunks import (
    Chunk,
    ChunkRef,
    ChunkStats,
    Definition,
    DefinitionHit,
    FileChunks,
    FileRef,
    Location,
    PlacedChunk,
    PlacedFile,
)
from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import ScopeEntry, StageResult
from tests.behaviour.adapters import assert_pages, behaviour, uncovered
from tests.behaviour.generation_cases import A, B, Stager, generation_tests


def blob_id(text: str) -> str:
    return f"blob {text}"


def chunk(text: str, start: int, end: int, lines: tuple[int, int], kind: str = "block", **more: Any) -> Chunk:
    """Bytes ``start`` to ``end`` of ``text``; the id is told by the span unless given."""
    raw = text.encode()
    more.setdefault("id", f"{blob_id(text)}@{start}-{end}")
    piece = raw[start:end].decode()
    return Chunk(
        blob_id=blob_id(text),
        language="python",
        start_byte=start,
        end_byte=end,
        start_line=lines[0],
        end_line=lines[1],
        text=piece,
        kind=kind,
        content_hash=f"hash {piece}",
        **more,
    )


def file(path: str, text: str, *chunks: Chunk, mode: int = 0o100644) -> FileChunks:
    """A file with the chunks, or with its whole text as one."""
    if not chunks and text:
        chunks = (chunk(text, 0, len(text.encode()), (1, text.count("\n") + 1)),)
    return FileChunks(path, blob_id(text), "python", mode, chunks)


def random_text(size: int, seed: int) -> str:
    """Text that does not compress well."""
    return Random(seed).randbytes(size // 2).hex() + "\n"


globals().update(generation_tests(Stager("chunks", file, blob_id)))


async def fill(store: Any, *files: FileChunks, repo: str = A) -> list[ScopeEntry]:
    """Generation 1 of the repository; its scope."""
    await store.begin(repo, generation=1, base=None)
    await store.stage(repo, generation=1, files=list(files))
    await store.seal(repo, generation=1)
    return [ScopeEntry(repo, 1)]


def ids(placed: list[PlacedChunk | None]) -> list[str | None]:
    return [None if p is None else p.chunk.id for p in placed]


@behaviour("chunks", "CH-01")
async def test_get_answers_in_the_order_asked(store: Any) -> None:
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
    assert await store.get([], scope=scope) == []


@behaviour("chunks", "CH-01", "GE-11")
async def test_a_scope_hides_chunks_of_other_repositories_and_generations(store: Any) -> None:
    old, new = file("k", "old"), file("k", "new")
    scope = await fill(store, old)
    await fill(store, file("k", "other"), repo=B)
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[new])
    await store.seal(A, generation=2)
    refs = [ChunkRef(A, "k", old.chunks[0].id), ChunkRef(A, "k", new.chunks[0].id), ChunkRef(B, "k", "blob other@0-5")]
    assert ids(await store.get(refs, scope=scope)) == [old.chunks[0].id, None, None]
    assert ids(await store.get(refs, scope=[ScopeEntry(A, 2)])) == [None, new.chunks[0].id, None]
    assert ids(await store.get(refs, scope=[ScopeEntry(B, 1)])) == [None, None, "blob other@0-5"]
    assert await store.get(refs, scope=[]) == [None, None, None]
    assert await store.of_file([FileRef(A, "k"), FileRef(B, "k")], scope=[]) == [None, None]
    assert await store.at([Location(A, "k", 1)], scope=[ScopeEntry(B, 1)]) == [None]
    assert (await store.stats(scope=[])) == ChunkStats(0, 0, 0)


@behaviour("chunks", "GE-10")
async def test_every_read_at_an_unsealed_generation_raises(store: Any) -> None:
    await store.begin(A, generation=1, base=None)
    await store.stage(A, generation=1, files=[file("k", "one")])
    scope = [ScopeEntry(A, 1)]
    for read in (
        store.get([ChunkRef(A, "k", "blob one@0-3")], scope=scope),
        store.of_file([FileRef(A, "k")], scope=scope),
        store.at([Location(A, "k", 1)], scope=scope),
        store.defined(["x"], scope=scope, limit=10),
    ):
        with pytest.raises(NotIndexed):
            await read


@behaviour("chunks", "CH-02")
async def test_of_file_gives_every_chunk_by_place_and_tells_empty_from_absent(store: Any) -> None:
    text = "aaa\nbbb\nccc\n"
    spans = [(4, 8), (0, 12), (0, 4), (8, 12)]
    chunks = [chunk(text, s, e, (s // 4 + 1, e // 4)) for s, e in spans]
    twins = [chunk(text, 4, 8, (2, 2), "function", id=name) for name in ("z", "b")]
    scope = await fill(store, file("k", text, *chunks, *twins), file("empty", ""))
    found = await store.of_file([FileRef(A, "x"), FileRef(A, "k"), FileRef(A, "empty"), FileRef(B, "k")], scope=scope)
    assert found[0] is None and found[3] is None
    assert found[2] == []
    ordered = [chunks[2], chunks[1], *sorted([chunks[0], *twins], key=lambda c: c.id), chunks[3]]
    assert found[1] == [PlacedChunk(A, "k", c) for c in ordered]


@behaviour("chunks", "CH-03")
async def test_at_prefers_functions_then_classes_then_the_smallest_then_the_later_then_the_id(store: Any) -> None:
    text = "0123456789\n" * 10
    lines = (1, 9)
    cases: dict[str, tuple[list[Chunk], str]] = {
        "function before smaller class": (
            [chunk(text, 0, 60, lines, "method", id="f"), chunk(text, 0, 30, lines, "class", id="c")],
            "f",
        ),
        "class before smaller block": (
            [chunk(text, 0, 60, lines, "trait", id="c"), chunk(text, 0, 30, lines, "block", id="b")],
            "c",
        ),
        "smallest function": (
            [chunk(text, 0, 60, lines, "function", id="a"), chunk(text, 9, 60, lines, "method", id="b")],
            "b",
        ),
        "smallest by bytes, not by lines": (
            [chunk(text, 0, 60, (2, 2), "function", id="a"), chunk(text, 0, 50, (1, 9), "function", id="b")],
            "b",
        ),
        "later start": (
            [chunk(text, 0, 40, lines, "function", id="a"), chunk(text, 10, 50, lines, "function", id="b")],
            "b",
        ),
        "smaller id": (
            [chunk(text, 0, 40, lines, "function", id="b"), chunk(text, 0, 40, lines, "method", id="a")],
            "a",
        ),
        "smaller id of blocks": ([chunk(text, 0, 40, lines, id="y"), chunk(text, 0, 40, lines, "other", id="x")], "x"),
    }
    for name, (chunks, best) in cases.items():
        for order in (chunks, chunks[::-1]):
            scope = await fill(store, file("k", text, *order))
            assert ids(await store.at([Location(A, "k", 2)], scope=scope)) == [best], name
            await store.purge(A)


@behaviour("chunks", "CH-03")
async def test_at_covers_the_first_and_the_last_line_and_nothing_beside(store: Any) -> None:
    text = "\n" * 20
    scope = await fill(
        store,
        file("k", text, chunk(text, 2, 5, (3, 5), "function", id="f"), chunk(text, 6, 7, (7, 7), id="b")),
        file("l", text, chunk(text, 2, 5, (3, 5), "function", id="f"), chunk(text, 6, 7, (7, 7), id="b")),
    )
    asked = [Location(A, "k", line) for line in (8, 7, 6, 5, 4, 3, 2)]
    assert ids(await store.at(asked, scope=scope)) == [None, "b", None, "f", "f", "f", None]
    elsewhere = [Location(A, "l", 3), Location(A, "m", 3), Location(B, "k", 3)]
    found = await store.at(elsewhere, scope=scope)
    assert ids(found) == ["f", None, None]
    assert found[0].path == "l"


@behaviour("chunks", "CH-04")
async def test_defined_matches_whole_names_with_case_in_order_up_to_the_limit(store: Any) -> None:
    def defining(path: str, text: str, *definitions: Definition) -> FileChunks:
        return file(path, text, chunk(text, 0, len(text), (1, 9), definitions=definitions))

    names = (Definition("get", "function", 4), Definition("Get", "class", 2), Definition("get", "x", 1))
    first = defining("k", "1", *names)
    second = defining("k/x", "2", Definition("get_all", "function", 1), Definition("put", "method", 1))
    names = (Definition("put", "method", 7), Definition("get", "method", 7), Definition("größe", "v", 3))
    third = defining("B", "3", *names)
    await fill(store, defining("k", "4", Definition("get", "function", 5)), repo=B)
    scope = [*await fill(store, first, second, third)]

    def hit(f: FileChunks, name: str, kind: str, line: int, repo: str = A) -> DefinitionHit:
        return DefinitionHit(repo, f.path, f.chunks[0].id, name, kind, line)

    expected = [
        hit(third, "get", "method", 7),
        hit(third, "put", "method", 7),
        hit(first, "get", "x", 1),
        hit(first, "get", "function", 4),
        hit(second, "put", "method", 1),
    ]
    for limit in range(1, 7):
        assert await store.defined(["put", "get", "put"], scope=scope, limit=limit) == expected[:limit]
    both = [ScopeEntry(B, 1), *scope]
    other = DefinitionHit(B, "k", "blob 4@0-1", "get", "function", 5)
    assert await store.defined(["get", "put"], scope=both, limit=10) == [*expected, other]
    assert await store.defined(["größe"], scope=scope, limit=9) == [hit(third, "größe", "v", 3)]
    for absent in ("ge", "GET", "get_", "g%", "", "GRÖSSE"):
        assert await store.defined([absent], scope=scope, limit=10) == []
    assert await store.defined([], scope=scope, limit=10) == []
    assert await store.defined(["get"], scope=[], limit=10) == []


@behaviour("chunks", "CH-05")
async def test_text_is_assembled_from_tiles_and_from_overlaps(store: Any) -> None:
    texts = {
        "tiles": ("abcdefghij", [(0, 4), (4, 7), (7, 10)]),
        "overlap": ("ABCDEFGHIJ", [(0, 6), (3, 8), (6, 10)]),
        "nested": ("0123456789", [(0, 10), (2, 5), (3, 4)]),
        "same start": ("klmnopqrst", [(0, 3), (0, 8), (5, 10), (5, 6)]),
        "wide": ("äöü€🔑x", [(0, 6), (2, 9), (4, 14)]),
    }
    files = [
        file(path, text, *(chunk(text, s, e, (1, 1)) for s, e in sorted(spans)))
        for path, (text, spans) in texts.items()
    ]
    await fill(store, *files, file("empty", ""))
    asked = ["nothing", *(blob_id(text) for text, _ in texts.values()), blob_id(""), "blob"]
    assert await store.text(asked) == [None, *(text for text, _ in texts.values()), "", None]


@behaviour("chunks", "CH-05", "GE-05")
async def test_text_that_no_generation_shows_is_forgotten(store: Any) -> None:
    await fill(store, file("k", "one"), file("l", "two"))
    await fill(store, file("k", "two"), repo=B)
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("k", "three")], removed=["l"])
    await store.seal(A, generation=2)
    asked = [blob_id(text) for text in ("one", "two", "three")]
    assert await store.text(asked) == ["one", "two", "three"]
    await store.drop(A, generation=1)
    assert await store.text(asked) == [None, "two", "three"]
    await store.purge(B)
    assert await store.text(asked) == [None, None, "three"]


@behaviour("chunks", "CH-06")
async def test_staging_what_is_there_writes_nothing(store: Any) -> None:
    files = [file("k", "one"), file("l", "two"), file("m", "")]
    await store.begin(A, generation=1, base=None)
    assert (await store.stage(A, generation=1, files=files)).placements == 3
    assert await store.stage(A, generation=1, files=files) == StageResult(0, 0)
    await store.seal(A, generation=1)
    await store.begin(A, generation=2, base=1)
    assert await store.stage(A, generation=2, files=files) == StageResult(0, 0)
    changed = [file("k", "new"), file("l", "two", mode=0o100755), file("m", "")]
    assert await store.stage(A, generation=2, files=changed) == StageResult(1, 2)
    assert await store.stage(A, generation=2, files=[file("n", "one")]) == StageResult(0, 1)
    await store.seal(A, generation=2)
    shown = (await store.scan(scope=[ScopeEntry(A, 2)])).files
    assert [(f.path, f.blob_id, f.mode) for f in shown] == [
        ("k", blob_id("new"), 0o100644),
        ("l", blob_id("two"), 0o100755),
        ("m", blob_id(""), 0o100644),
        ("n", blob_id("one"), 0o100644),
    ]


@behaviour("chunks", "CH-07", needs=lambda caps: caps.atomic_batch)
async def test_a_refused_stage_call_leaves_nothing(store: Any) -> None:
    scope = await fill(store, file("k", "one"))
    with pytest.raises(Conflict):
        await store.stage(A, generation=2, files=[file("l", "two")], removed=["k"])
    assert await store.text([blob_id("two")]) == [None]
    assert [f.path for f in (await store.scan(scope=scope)).files] == ["k"]


@behaviour("chunks", "CH-07", needs=lambda caps: caps.atomic_batch)
async def test_a_stage_call_that_breaks_in_the_middle_leaves_nothing(store: Any) -> None:
    scope = await fill(store, file("k", "one"))
    await store.begin(A, generation=2, base=1)

    class Breaking(list[FileChunks]):
        """A sequence whose storage fails after its first item."""

        def __iter__(self) -> Any:
            yield file("l", "two")
            raise OSError("read error")

    with pytest.raises(OSError, match="read error"):
        await store.stage(A, generation=2, files=Breaking([file("l", "two")]), removed=["k"])
    await store.seal(A, generation=2)
    assert [f.path for f in (await store.scan(scope=[ScopeEntry(A, 2)])).files] == ["k"]
    assert [f.path for f in (await store.scan(scope=scope)).files] == ["k"]
    assert await store.text([blob_id("two")]) == [None]


@behaviour("chunks", "CH-08")
async def test_scan_is_complete_and_ordered_at_any_page_size(store: Any) -> None:
    paths = ["k", "k/x", "k.x", "K", "kä", "k\U0001f511", "k\uffff", "k x"]
    scope = [*await fill(store, *(file(p, "same") for p in paths), repo=B), *await fill(store, file("z", ""))]

    async def scan(*, after: Any, limit: int) -> Any:
        return await store.scan(scope=scope, after=after, limit=limit)

    same = [PlacedFile(B, p, blob_id("same"), "python", 0o100644, 1) for p in sorted(paths)]
    await assert_pages(scan, "files", [PlacedFile(A, "z", blob_id(""), "python", 0o100644, 0), *same])


@behaviour("chunks", "CH-09")
async def test_stats_counts_what_the_scope_shows(store: Any) -> None:
    tiles = [chunk("aäb", 0, 3, (1, 1)), chunk("aäb", 3, 4, (1, 1))]
    scope = await fill(store, file("k", "aäb", *tiles), file("l", "aäb", *tiles), file("m", ""))
    await fill(store, file("k", "other"), repo=B)
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("n", "12345")], removed=["k"])
    await store.seal(A, generation=2)
    assert await store.stats(scope=scope) == ChunkStats(3, 4, 8)
    assert await store.stats(scope=[ScopeEntry(A, 2)]) == ChunkStats(3, 3, 9)
    assert await store.stats(scope=[ScopeEntry(B, 1), ScopeEntry(A, 2)]) == ChunkStats(4, 4, 14)


@behaviour("chunks", "CH-10")
async def test_text_names_and_paths_come_back_unchanged(store: Any) -> None:
    text = "größe = '€🔑'\r\n\tкод\0\x7f\ufeff\u2028e\u0301\n"
    names = (Definition("größe", "variable", 1), Definition("e\u0301", "x", 2), Definition("\u00e9", "x", 2))
    whole = chunk(text, 0, len(text.encode()), (1, 3), "method", symbol="größe", definitions=names)
    path = "Ünï/ко д/\\xff 鍵\n.py"
    scope = await fill(store, file(path, text, whole))
    ref = ChunkRef(A, path, whole.id)
    assert await store.get([ref], scope=scope) == [PlacedChunk(A, path, whole)]
    assert await store.of_file([FileRef(A, path)], scope=scope) == [[PlacedChunk(A, path, whole)]]
    assert await store.text([blob_id(text)]) == [text]
    assert [h.name for h in await store.defined(["e\u0301"], scope=scope, limit=9)] == ["e\u0301"]
    assert [f.path for f in (await store.scan(scope=scope)).files] == [path]


@behaviour("chunks", "CH-11")
async def test_one_blob_at_two_paths_is_stored_once_and_found_at_both(store: Any) -> None:
    one = file("k", "same")
    await store.begin(A, generation=1, base=None)
    assert await store.stage(A, generation=1, files=[one, file("l", "same")]) == StageResult(1, 2)
    await store.seal(A, generation=1)
    await store.begin(B, generation=1, base=None)
    assert await store.stage(B, generation=1, files=[file("m", "same")]) == StageResult(0, 1)
    await store.seal(B, generation=1)
    scope = [ScopeEntry(A, 1), ScopeEntry(B, 1)]
    places = [(A, "k"), (A, "l"), (B, "m")]
    refs = [ChunkRef(*place, one.chunks[0].id) for place in places]
    expected = [PlacedChunk(*place, one.chunks[0]) for place in places]
    assert await store.get(refs, scope=scope) == expected
    assert await store.at([Location(*place, 1) for place in places], scope=scope) == expected
    await store.drop(A, generation=1)
    assert await store.text([blob_id("same")]) == ["same"]


@behaviour("chunks", "CH-12", needs=lambda caps: caps.reclaim)
async def test_room_that_was_given_back_changes_no_answer(store: Any) -> None:
    kept = [file(f"kept{n}", f"text {n}\n" * 50) for n in range(20)]
    await store.begin(B, generation=1, base=None)
    await store.stage(B, generation=1, files=kept)
    await store.seal(B, generation=1)
    await store.begin(A, generation=1, base=None)
    await store.stage(A, generation=1, files=[file(f"f{n}", random_text(20_000, n)) for n in range(200)])
    await store.seal(A, generation=1)
    assert await store.reclaim() == 0, "nothing is empty"
    scope = [ScopeEntry(B, 1)]
    refs = [FileRef(B, one.path) for one in kept]
    before = (await store.of_file(refs, scope=scope), await store.scan(scope=scope), await store.identity())
    await store.purge(A)
    assert await store.reclaim() > 1_000_000
    assert (await store.of_file(refs, scope=scope), await store.scan(scope=scope), await store.identity()) == before
    assert await store.reclaim() == 0
    await store.begin(A, generation=2, base=None)
    await store.stage(A, generation=2, files=kept)
    await store.seal(A, generation=2)
    assert (await store.stats(scope=[ScopeEntry(A, 2)])).files == 20


@behaviour("chunks", "CH-01", "CH-02", "CH-03", "CH-04", "CH-05", "CH-08", "CH-09")
async def test_the_sync_face_answers_the_same(store: Any) -> None:
    text = "def f(): pass"
    names = (Definition("f", "function", 1),)
    scope = await fill(store, file("k", text, chunk(text, 0, 13, (1, 1), definitions=names)))
    sync = store.sync
    ref = [ChunkRef(A, "k", f"{blob_id(text)}@0-13")]
    assert sync.identity() == await store.identity()
    assert sync.generations(A) == await store.generations(A)
    assert sync.get(ref, scope=scope) == await store.get(ref, scope=scope) != [None]
    assert sync.of_file([FileRef(A, "k")], scope=scope) == await store.of_file([FileRef(A, "k")], scope=scope)
    assert sync.at([Location(A, "k", 1)], scope=scope) == await store.get(ref, scope=scope)
    assert len(sync.defined(["f"], scope=scope, limit=5)) == 1
    assert sync.text([blob_id(text)]) == [text]
    assert sync.scan(scope=scope) == await store.scan(scope=scope)
    assert sync.stats(scope=scope) == ChunkStats(1, 1, 13)
    with pytest.raises(NotIndexed):
        sync.get(ref, scope=[ScopeEntry(A, 2)])


def test_every_clause_has_a_test() -> None:
    assert uncovered("chunks", sys.modules[__name__]) == []
