"""Decoding, languages, cutting, ignoring, workers."""

from __future__ import annotations

import hashlib
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codequay.indexing.analyse import analyse
from codequay.indexing.blob import blob_id_of
from codequay.indexing.chunk import pieces
from codequay.indexing.decode import decode
from codequay.indexing.ignore import Ignore
from codequay.indexing.languages import language_of
from codequay.indexing.pool import Pool
from codequay.indexing.scan import Found
from tests.contexts import run


@pytest.mark.parametrize(
    ("raw", "text", "codec"),
    [
        (b"plain", "plain", "utf-8-sig"),
        (b"\xef\xbb\xbfmark", "mark", "utf-8-sig"),
        ("wide é".encode("utf-16"), "wide é", "utf-16"),
        (b"\xfe\xff\0a", "a", "utf-16"),
        (b"caf\xe9", "café", "latin-1"),
    ],
)
def test_text_is_decoded_and_the_codec_gives_the_same(raw: bytes, text: str, codec: str) -> None:
    found = decode(raw)
    assert found.data is not None
    assert (found.data.decode(), found.codec) == (text, codec)
    assert raw.decode(codec) == text


@pytest.mark.parametrize(("raw", "at"), [(b"\0", 0), (b"a" * 20_000 + b"\0b", 20_000)])
def test_a_nul_anywhere_makes_a_file_binary(raw: bytes, at: int) -> None:
    found = analyse("x", raw, chunk_bytes=1500, budget_ms=1000)
    assert (found.reason, found.detail) == ("binary", f"NUL at byte {at}")


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a/b.py", "", "python"),
        ("Makefile", "", "make"),
        ("x.h", "int f();\n", "c"),
        ("x.h", "\nnamespace a {", "cpp"),
        ("run", "#!/usr/bin/env python3\n", "python"),
        ("run", "#!/bin/sh -e\n", "bash"),
        (".py", "", "text"),
        ("X.JAVA", "", "java"),
        ("none", "text", "text"),
    ],
)
def test_the_language_is_by_name_extension_and_first_line(path: str, text: str, language: str) -> None:
    assert language_of(path, text.encode()) == language


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aé𝄞\n ", max_size=400), st.lists(st.integers(0, 400), max_size=8), st.integers(8, 60))
def test_chunks_tile_the_text_at_characters_and_count_lines(text: str, marks: list[int], size: int) -> None:
    data = text.encode()
    starts = sorted({0, *(i + 1 for i, byte in enumerate(data) if byte == 10)} & {*marks, 0})
    found = [Found(at, at, "x", "function") for at in starts if at < len(data)]
    cuts = pieces(data, found, language="text", blob_id="b", size=size)
    assert b"".join(data[one.start : one.end] for one in cuts) == data
    line = 1
    for one in cuts:
        part = data[one.start : one.end]
        assert 0 < len(part) <= size
        part.decode()
        assert (one.start_line, one.end_line) == (
            line,
            line + part.rstrip(b"\n").count(b"\n") + max(len(part) - len(part.rstrip(b"\n")) - 1, 0),
        )
        line += part.count(b"\n")
    assert sum(len(one.definitions) for one in cuts) == len(found)
    assert all(
        name[2] == data.count(b"\n", 0, f.at) + 1
        for name, f in zip([d for c in cuts for d in c.definitions], found, strict=True)
    )


def test_a_line_of_five_megabytes_is_cut_at_characters() -> None:
    raw = ("é" * 2_500_000).encode()
    found = analyse("x.js", raw, chunk_bytes=1500, budget_ms=2000)
    assert not found.reason
    assert len(found.pieces) == pytest.approx(5_000_000 / 1500, rel=0.01)


def test_a_chunk_begins_at_a_definition() -> None:
    text = "".join(f"def f{n}():\n" + "    x = 1\n" * 60 for n in range(10))
    found = analyse("x.py", text.encode(), chunk_bytes=1500, budget_ms=2000)
    assert [one.definitions[0][0] for one in found.pieces if one.definitions] == [f"f{n}" for n in range(0, 10, 2)]


def test_a_blob_has_gits_id() -> None:
    assert blob_id_of(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert hashlib.sha1(b"blob 0\0").hexdigest() == blob_id_of(b"")


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("*.log", "a/b.log", True),
        ("/a", "b/a", False),
        ("a/b", "x/a/b", False),
        ("a/**/c", "a/x/y/c", True),
        ("a/**/c", "a/c", True),
        ("build/", "x/build/f", True),
        ("build/", "build", False),
        ("*\n!keep", "keep", False),
        ("d/\n!d/keep", "d/keep", True),
        ("[ab]?.c", "ax.c", True),
        ("[!ab].c", "a.c", False),
        ("# c\n\\#x", "#x", True),
        ("a*b*c", "aXbYc", True),
    ],
)
def test_ignore_patterns(patterns: str, path: str, ignored: bool) -> None:
    assert Ignore(patterns).ignored(path) is ignored


@pytest.mark.parametrize("reason", ["worker_died", "worker_stuck"])
def test_a_lost_worker_costs_one_file(reason: str) -> None:
    act = "os._exit(1)" if reason == "worker_died" else "time.sleep(60)"
    code = (
        "import os, sys, time\nfrom codequay.indexing import worker\nreal = worker.analyse\n"
        f"def broken(path, raw, **options):\n    if path == 'bad': {act}\n    return real(path, raw, **options)\n"
        "worker.analyse = broken\nworker.main()\n"
    )

    async def check() -> None:
        pool = Pool(1, chunk_bytes=1500, budget_ms=500, stuck_s=1.0, command=(sys.executable, "-c", code))
        async with pool:
            found = await pool.analyse([("a", b"x"), ("bad", b"x"), ("b", b"x")])
        assert [one.reason for one in found] == ["", reason, ""]

    run(check())
