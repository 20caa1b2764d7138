"""What the suites of chunks and lexical rest on, and what the guard refuses that no adapter of ours can show."""

from __future__ import annotations

import asyncio

import pytest

from codequay.adapters.memory.lexical import MemoryLexical
from codequay.contract.clauses import suite
from codequay.contract.concurrency import Call, Done, check_linearizable
from codequay.contract.expect import Failed
from codequay.contract.many import Many
from codequay.contract.model import Model, Step
from codequay.contract.models.chunks import ChunkModel
from codequay.contract.models.lexical import LexicalModel
from codequay.contract.ports.chunks import STAGER
from codequay.contract.ports.generations_writers import State, _sequentially
from codequay.kernel.compose import compose
from codequay.kernel.guard import Gate
from codequay.kernel.translate import Translator, no_classify
from codequay.ports.chunks import ChunkCapabilities
from codequay.ports.errors import Unsupported
from codequay.ports.generations import ScopeEntry
from codequay.ports.lexical import PORT, LexicalCapabilities, Term

START: State = frozenset({(1, True, frozenset())})


@pytest.mark.parametrize("port", ["chunks", "lexical"])
def test_every_clause_has_a_trial(port: str) -> None:
    assert suite(port).uncovered() == []


@pytest.mark.parametrize("model", [ChunkModel(ChunkCapabilities()), LexicalModel(LexicalCapabilities())])
def test_a_model_skips_reads_while_nothing_is_sealed(model: Model) -> None:
    assert model.ready(Step("stats", (), {"scope": [("a", 0)]})) is None


def test_many_is_short_in_print_and_whole_in_use() -> None:
    batch = Many("x", 100_000)
    assert (len(batch), batch[-1], repr(batch)) == (100_000, "x", "('x',) * 100000")
    assert eval(repr(Many("x", 3))) == Many("x", 3)


def test_an_answer_that_no_order_explains_is_found() -> None:
    history = [
        Done(Call("begin", (2,)), 1, 4, "done"),
        Done(Call("begin", (3,)), 2, 5, "done"),
        Done(Call("seal", (2,)), 6, 7, "done"),
        Done(Call("known"), 8, 9, ((1, True), (2, True))),
    ]
    check_linearizable([history[0], *history[2:]], START, _sequentially(STAGER))
    with pytest.raises(Failed):
        check_linearizable(history, START, _sequentially(STAGER))


def test_the_guard_refuses_what_an_index_does_not_declare() -> None:
    caps = LexicalCapabilities(units=("file",), writable=False)

    async def refused() -> None:
        translator = Translator("lexical.memory", "the test", no_classify)
        store = compose(PORT, MemoryLexical(), caps, translator, Gate())
        for write in (
            store.begin("a", generation=1, base=None),
            store.stage("a", generation=1, files=[]),
            store.seal("a", generation=1),
            store.drop("a", generation=1),
            store.purge("a"),
            store.rank([Term("x")], scope=[ScopeEntry("a", 1)], unit="chunk", k=1),
        ):
            with pytest.raises(Unsupported):
                await write
        assert await store.generations("a") == []

    asyncio.run(refused())
