"""Any file's bytes: what indexing hands to the stores is what their pages say that a caller guarantees."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from codequay.indexing.analyse import analyse
from codequay.indexing.decode import decode
from codequay.indexing.staging import as_chunks, as_lexical
from codequay.ports.chunks import PORT, ChunkCapabilities

ENDINGS = "py js ts go rs c h cpp java rb php md sh sql toml cs kt swift hs lua pl ipynb x"
PATHS = st.sampled_from([*(f"a.{end}" for end in ENDINGS.split()), "Makefile", "run", "é/ü.py"])
PARTS = st.sampled_from([
    "def f():\n", "class A {\n", "}\n", "\n\n", "\r\n", "\r", "fn x(a: u8) {\n", "func (r *T) m() {\n", "int main()\n{",
    "# title #\n", "static void* operator<<(T a) {\n", "function g", "const h = (a) => {\n", "é" * 40, "🔑" * 20,
    "\u2028", "\x0b", "\x85", "  public int a(b c) throws D {\n", "x" * 90, "#!/bin/sh\n", "SELECT 1;\n", "\x1b[0m",
])  # fmt: skip
TEXTS = st.lists(PARTS | st.text(max_size=9), max_size=30).map("".join)
CODECS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
FILES = st.builds(lambda text, codec: text.encode(codec, "replace"), TEXTS, CODECS) | st.binary(max_size=300)


@given(PATHS, FILES, st.integers(64, 400))
@example("a.py", b"", 64)
@example("a.x", ("a" + "é" * 100).encode(), 64)
@example("a.md", b"#  #\n# \t\r\n#", 64)
def test_what_the_stores_are_given_of_any_file(path: str, raw: bytes, size: int) -> None:
    found = analyse(path, raw, chunk_bytes=size, budget_ms=60_000)
    data = decode(raw).data
    if data is None:
        assert found.reason == "binary" and not found.pieces
        return
    text = data.decode()
    file = as_chunks(path, text, found, 0o100644)
    PORT.checks["stage"](ChunkCapabilities(), "repo", generation=1, files=[file])
    assert "".join(chunk.text for chunk in file.chunks) == text
    assert [chunk.start_byte for chunk in file.chunks] == [0, *(chunk.end_byte for chunk in file.chunks)][
        : len(file.chunks)
    ]
    assert len({chunk.id for chunk in file.chunks}) == len(file.chunks)
    for chunk in file.chunks:
        assert chunk.text.encode() == data[chunk.start_byte : chunk.end_byte]
        assert chunk.start_line == 1 + data.count(b"\n", 0, chunk.start_byte)
        assert chunk.end_line == 1 + data.count(b"\n", 0, chunk.end_byte - 1)
        for name, kind, line in chunk.definitions:
            assert name.encode()
            assert kind
            assert chunk.start_line <= line <= chunk.end_line
    indexed = as_lexical(path, text, found, 0o100644)
    assert [span.chunk_id for span in indexed.spans] == [chunk.id for chunk in file.chunks]
    assert indexed.definitions == tuple(one for chunk in file.chunks for one in chunk.definitions)


@given(PATHS, FILES)
def test_the_same_bytes_give_the_same_chunks_wherever_they_lie(path: str, raw: bytes) -> None:
    one = analyse(path, raw, chunk_bytes=200, budget_ms=60_000)
    other = analyse(f"elsewhere/{path}", raw, chunk_bytes=200, budget_ms=60_000)
    assert one == other
