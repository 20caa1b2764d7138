"""What ranks and what is a candidate, beside a look at every text; and a smaller k is the beginning of a larger one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import codequay.ports
from codequay.adapters._words import WORD
from codequay.adapters.zoekt import spool
from codequay.adapters.zoekt.words import held, keys_of, vocabulary
from codequay.ports.lexical import Literal_, Term, Where
from tests.contexts import run

from .stores import SCOPE, Server, fill, opened, paths, text

FOLDER = Path(codequay.ports.__file__).parents[1]
QUESTIONS = 25
WEIGHTS = (1.0, 1.0, 1.0, 2.0, 100.0, 0.1)
FILTERS = (None, None, Where(prefix="ports"), Where(contains=("Lock",)), Where(excludes=("sqlite", "cli")))


def test_random_questions_over_our_own_sources(server: Server, tmp_path: Path) -> None:
    folders = ("ports", "adapters", "retrieval", "interfaces")
    sources = [path for folder in folders for path in sorted((FOLDER / folder).rglob("*.py"))]
    files = [text(str(path.relative_to(FOLDER)), path.read_text()) for path in sources]
    known = {one.path: vocabulary(one.text) | vocabulary(one.path.replace("/", " ")) for one in files}
    order = random.Random(6)
    words = sorted({word for one in order.sample(files, 20) for word in WORD.findall(one.text)})

    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await fill(store, *files)
            for _ in range(QUESTIONS):
                terms = [Term(order.choice(words), order.choice(WEIGHTS)) for _ in range(order.randint(1, 5))]
                where = order.choice(FILTERS)
                keys = keys_of(terms)
                admitted = {path for path in known if not where or where.admits(path, "python")}
                hits = await store.rank(terms, scope=SCOPE, unit="file", k=10_000, where=where)
                assert {hit.path for hit in hits} == {path for path in admitted if held(keys, known[path])}, terms
                for k in (1, 7, 40):
                    assert await store.rank(terms, scope=SCOPE, unit="file", k=k, where=where) == hits[:k], (k, terms)
                one = order.choice(files).text or " "
                start = order.randrange(len(one))
                literal = one[start : start + order.randint(1, 12)]
                for ignore_case in (False, True):
                    plan = Literal_(literal, ignore_case)
                    found = {file.path for file in await store.candidates(plan, scope=SCOPE, where=where)}
                    holding = {file.path for file in files if _holds(file.text, literal, ignore_case)} & admitted
                    assert holding <= found <= admitted, plan

    run(body())


def test_a_reader_that_begins_to_remember_anew_forgets_no_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "KNOWN_FILES", 6)
    some = [text(f"a{n}.py", f"alpha beta number{n}\n") for n in range(5)]
    others = [text(f"b{n}.py", f"alpha number{n}\n") for n in range(5)]

    async def body() -> None:
        async with opened(server.config(), tmp_path / "data") as store:
            await fill(store, *some, *others)
            assert len(await paths(store, "beta")) == 5
            assert len(await paths(store, "alpha")) == 10

    run(body())


def _holds(content: str, literal: str, ignore_case: bool) -> bool:
    return literal.casefold() in content.casefold() if ignore_case else literal in content
