"""Reading answers without reading their lines, and what words are, without a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codequay.adapters.zoekt.client import VERSION, Client, decoded
from codequay.adapters.zoekt.queries import literal, quoted, required
from codequay.adapters.zoekt.words import held, keys_of, stem, vocabulary
from codequay.ports.lexical import AllOf, AnyOf, Literal_, Term
from tests.contexts import run

from .stores import answering

NAMES = ["plain.py", 'a"b', "back\\", '","Repository":"x', '{"FileName":"', "ä\n", "<&>", '"Checksum":"']


def _answer(separators: tuple[str, str]) -> bytes:
    files: list[dict[str, Any]] = []
    for n, name in enumerate(NAMES):
        line = {"Line": "e30=", "FileName": False, "Score": 7.5, "SymbolInfo": [{"Sym": '{"FileName":"'}]}
        file = {"FileName": name, "Repository": f"r{name}@1", "Version": "v1", "Language": "", "LineMatches": [line]}
        files.append({**file, "Checksum": "AxkEEN0r4zo=", **({"Score": n / 4} if n else {})})
    counts = {"Crashes": 0, "FilesSkipped": 0, "ShardsSkipped": 0, "FlushReason": 0, "FileCount": 99}
    result = {**counts, "ShardsScanned": 2, "ShardsSkippedFilter": 1, "Files": files, "RepoURLs": {"Score": "Score"}}
    return json.dumps({"Result": result}, ensure_ascii=False, separators=separators).encode()


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_names_and_scores_are_read_however_the_answer_is_written(separators: tuple[str, str]) -> None:
    async def body() -> None:
        with answering(200, _answer(separators)) as url:
            client = Client(url, 5.0)
            answer = await client.ranked("x", 10)
            await client.close()
        assert decoded([file.name for file in answer.files]) == NAMES
        assert [decoded(file.repository.split(VERSION)) for file in answer.files] == [[f"r{n}@1", "v1"] for n in NAMES]
        assert [file.score for file in answer.files] == [n / 4 for n in range(len(NAMES))]
        assert (answer.found, answer.shards) == (99, 3)

    run(body())


@pytest.mark.parametrize(
    ("asked", "there", "not_there"),
    [
        ("session", "getSessionId sessions SESSION_ID session2", "obsession sess"),
        ("getuser", "getUser GETUSER", "getting forgetuser get_user"),
        ("getUser", "getuser user get users", "target us"),
        ("retr", "retr", "retry retries"),
        ("retry", "retries Retry", "retr"),
        ("HTTP", "HTTPServer http", "httpd xhttp"),
        ("x", "x", "xx"),
        ("größe", "GRÖẞE überGröße", "größer"),
    ],
)
def test_what_is_a_word_or_a_part(asked: str, there: str, not_there: str) -> None:
    keys = keys_of([Term(asked)])
    for word in there.split():
        assert held(keys, vocabulary(f"({word})")), word
    for word in not_there.split():
        assert not held(keys, vocabulary(f"({word})")), word


def test_zoekt_is_asked_for_a_beginning_of_every_form() -> None:
    for forms in (
        "retry retries retried",
        "route router routes routing",
        "Session sessions",
        "parse parser parsing",
        "create creation creating",
        "organize organization",
    ):
        for asked in forms.split():
            (key,) = keys_of([Term(asked)])
            assert all(word.lower().startswith(key.text) for word in forms.split()), (asked, key.text)
            assert all(held([key], vocabulary(word)) for word in forms.split()), asked
    assert stem("class") == "class"


def test_what_a_plan_requires() -> None:
    assert required(AllOf(())) is True and required(AnyOf(())) is False
    assert required(Literal_("")) is True and required(Literal_("a\0b")) is False
    assert required(Literal_("ß", True)) is True
    assert required(AnyOf((Literal_("a\0"), Literal_("abc")))) == '((case:yes content:"abc"))'
    assert required(AllOf((Literal_("a\0"), Literal_("abc")))) is False
    assert required(Literal_("Straße no", True)) == '((case:no content:"Stra") (case:no content:"e no"))'
    assert quoted(literal('a.b"\\')) == '"a\\\\.b\\"\\\\\\\\"'
