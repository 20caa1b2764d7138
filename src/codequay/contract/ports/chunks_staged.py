"""The clauses of the port ``chunks`` about what is staged: its texts, one blob at several places, calls that write
nothing."""

from __future__ import annotations

from typing import Any

from codequay.ports.chunks import PORT, ChunkRef, FileRef, Location, PlacedChunk
from codequay.ports.errors import Conflict, PortError
from codequay.ports.generations import ScopeEntry, StageResult

from ..clauses import Suite
from ..expect import raises
from .chunk_files import blob_id, chunk, file, fill, ids, whole
from .staging import A, B

STAGED = Suite(PORT)


@STAGED.trial("CH-05")
async def text_is_assembled_from_tiles_and_from_overlaps(store: Any) -> None:
    texts = {
        "tiles": ("abcdefghij", [(0, 4), (4, 7), (7, 10)]),
        "overlap": ("ABCDEFGHIJ", [(0, 6), (3, 8), (6, 10)]),
        "nested": ("0123456789", [(0, 10), (2, 5), (3, 4)]),
        "same start": ("klmnopqrst", [(0, 3), (0, 8), (5, 10), (5, 6)]),
        "wide": ("äöü€🔑x", [(0, 6), (2, 9), (4, 14)]),
    }
    files = [file(path, text, *(chunk(text, s, e, (1, 1)) for s, e in spans)) for path, (text, spans) in texts.items()]
    await fill(store, *files, file("empty", ""))
    held = [text for text, _ in texts.values()]
    asked = ["nothing", *map(blob_id, held), blob_id(""), blob_id("never"), blob_id(held[0])]
    assert await store.text(asked) == [None, *held, "", None, held[0]]


@STAGED.trial("CH-05")
async def text_that_no_generation_shows_is_forgotten(store: Any) -> None:
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
    await store.begin(A, generation=3, base=2)
    await store.stage(A, generation=3, files=[file("k", "abandoned")])
    await store.begin(A, generation=4, base=2)
    assert await store.text([blob_id("abandoned"), blob_id("three")]) == [None, "three"]


@STAGED.trial("CH-06")
async def staging_what_is_there_writes_nothing(store: Any) -> None:
    files = [file("k", "one"), file("l", "two"), file("m", "two")]
    await store.begin(A, generation=1, base=None)
    assert await store.stage(A, generation=1, files=files) == StageResult(2, 3)
    assert await store.stage(A, generation=1, files=files) == StageResult(0, 0)
    await store.seal(A, generation=1)
    await store.begin(A, generation=2, base=1)
    assert await store.stage(A, generation=2, files=files) == StageResult(0, 0)
    changed = [file("k", "new"), file("l", "two", mode=0o100755), file("m", "two")]
    assert await store.stage(A, generation=2, files=changed, removed=["nowhere"]) == StageResult(1, 2)
    assert await store.stage(A, generation=2, files=[file("n", "one"), file("o", "")], removed=["m"]) in (
        StageResult(0, 2),
        StageResult(1, 2),
    )
    await store.seal(A, generation=2)
    shown = (await store.scan(scope=[ScopeEntry(A, 2)])).files
    assert [(f.path, f.blob_id, f.mode) for f in shown] == [
        ("k", blob_id("new"), 0o100644),
        ("l", blob_id("two"), 0o100755),
        ("n", blob_id("one"), 0o100644),
        ("o", blob_id(""), 0o100644),
    ]


@STAGED.trial("CH-07", needs=lambda caps: caps.atomic_batch)
async def a_refused_stage_call_leaves_nothing(store: Any) -> None:
    scope = await fill(store, file("k", "one"))
    with raises(Conflict):
        await store.stage(A, generation=2, files=[file("l", "two")], removed=["k"])
    assert await store.text([blob_id("two")]) == [None]
    assert [f.path for f in (await store.scan(scope=scope)).files] == ["k"]


class _Breaking(list[Any]):
    """Files that come from a disk which fails after the first: whole for the guard, broken for the adapter."""

    seen = 0

    def __iter__(self) -> Any:
        self.seen += 1
        for number, one in enumerate(super().__iter__()):
            if self.seen > 1 and number:
                raise OSError("read error")
            yield one


@STAGED.trial("CH-07", needs=lambda caps: caps.atomic_batch, hint="one transaction for the whole call")
async def a_stage_call_that_breaks_in_the_middle_leaves_nothing(store: Any) -> None:
    scope = await fill(store, file("k", "one"))
    await store.begin(A, generation=2, base=1)
    staged = True
    try:
        await store.stage(A, generation=2, files=_Breaking([file("l", "two"), file("m", "three")]), removed=["k"])
    except PortError:
        staged = False
    await store.seal(A, generation=2)
    shown = [f.path for f in (await store.scan(scope=[ScopeEntry(A, 2)])).files]
    assert shown == (["l", "m"] if staged else ["k"])
    assert [f.path for f in (await store.scan(scope=scope)).files] == ["k"]
    if not staged:
        assert await store.text([blob_id("two"), blob_id("three")]) == [None, None]


@STAGED.trial("CH-11")
async def one_blob_at_two_paths_is_stored_once_and_found_at_both(store: Any) -> None:
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
    await store.drop(B, generation=1)
    assert await store.text([blob_id("same")]) == [None]


@STAGED.trial("CH-15")
async def a_blob_in_two_languages_or_cuts_shows_what_was_staged_at_each_path(store: Any) -> None:
    text = "aaa\nbbb\n"
    tiles = [chunk(text, 0, 4, (1, 1)), chunk(text, 4, 8, (2, 2))]
    other = whole(text, language="text", id="other")
    files = [file("k", text, *tiles), file("l", text, other, language="text"), file("m", text, whole(text))]
    scope = await fill(store, *files)
    refs = [FileRef(A, one.path) for one in files]
    expected = [[PlacedChunk(A, one.path, c) for c in one.chunks] for one in files]
    assert await store.of_file(refs, scope=scope) == expected
    assert ids(await store.at([Location(*ref, 2) for ref in refs], scope=scope)) == [
        tiles[1].id,
        "other",
        whole(text).id,
    ]
    asked = [ChunkRef(*ref, one.id) for ref in refs for one in (tiles[0], other)]
    assert ids(await store.get(asked, scope=scope)) == [tiles[0].id, None, None, "other", None, None]
    assert [(f.language, f.chunks) for f in (await store.scan(scope=scope)).files] == [
        ("python", 2),
        ("text", 1),
        ("python", 1),
    ]
    assert await store.text([blob_id(text)]) == [text]
    await store.begin(A, generation=2, base=1)
    await store.stage(A, generation=2, files=[file("k", text, whole(text))], removed=["l"])
    await store.seal(A, generation=2)
    assert await store.of_file(refs[:2], scope=[ScopeEntry(A, 2)]) == [[PlacedChunk(A, "k", whole(text))], None]
    assert await store.of_file(refs, scope=scope) == expected
    await store.drop(A, generation=1)
    assert await store.text([blob_id(text)]) == [text]
    assert await store.of_file(refs[2:], scope=[ScopeEntry(A, 2)]) == expected[2:]
