"""The double of Zoekt answers as the real server did when it was recorded. Needs no server."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .programs import DOUBLE, Programs, Server, comparable
from .record import RECORDED, TREE, requests, run_indexer, without_folder

RECORD = json.loads(gzip.decompress(RECORDED.read_bytes()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("double")


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[Any]:
    return run_indexer(Programs(DOUBLE), folder)


@pytest.fixture(scope="module")
def server(folder: Path, runs: list[Any]) -> Iterator[Server]:
    with Programs(DOUBLE).serve(folder / "index") as server:
        yield server


def test_the_record_is_of_this_tree_and_these_requests() -> None:
    assert RECORD["tree"] == {name: base64.b64encode(content).decode() for name, content in TREE.items()}
    assert [[path, body] for path, body, _ in RECORD["exchanges"]] == [[path, body] for path, body in requests()]


def test_the_indexer_does_and_says_the_same(folder: Path, runs: list[Any]) -> None:
    assert without_folder(runs, folder) == RECORD["runs"]


@pytest.mark.parametrize(
    ("path", "body", "expected"), RECORD["exchanges"], ids=[f"{i}" for i in range(len(RECORD["exchanges"]))]
)
def test_the_answer_is_the_same(server: Server, folder: Path, path: str, body: Any, expected: Any) -> None:
    assert without_folder(comparable(path, server.post(path, body)), folder) == expected
