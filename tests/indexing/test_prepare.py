"""What workers do for the lexical index."""

from __future__ import annotations

import asyncio
from pathlib import Path

from codequay.adapters.tantivy import LEXICAL
from codequay.adapters.tantivy.preparation import prepare
from codequay.indexing.pool import Inline, Pool
from codequay.indexing.staging import as_lexical
from codequay.ports.lexical import Term
from tests.contexts import run
from tests.indexing.test_compaction import STORES, guarded
from tests.indexing.world import Options, world

FILES = {
    "a/mod.py": b"class SessionStore:\n    def get_session(self):\n        return self.gr\xc3\xb6\xc3\x9fe\n",
    "latin.txt": b"caf\xe9 und gr\xf6\xdfe\n",
    "empty.py": b"",
    "binary": b"\0\1\2" * 100,
    "long.js": b"function veryLongName() { return 1; }\n" * 200,
}
DOTTED = "codequay.adapters.tantivy.preparation:prepare"


def parts(prepared: object) -> object:
    """With the distinct words, whose order means nothing, in order."""
    if not isinstance(prepared, tuple):
        return prepared
    return *prepared[:-1], sorted(prepared[-1].split())


def test_the_index_names_its_preparation() -> None:
    assert LEXICAL.capabilities.to_json()["prepare"] == DOTTED


def test_a_worker_prepares_what_the_index_would_have_made_of_the_file() -> None:
    async def body() -> None:
        raw = list(FILES.items())
        async with Inline(chunk_bytes=1500, budget_ms=2000) as inline:
            plain = await inline.analyse(raw)
        async with Pool(1, chunk_bytes=1500, budget_ms=2000, prepare=DOTTED) as pool:
            prepared = await pool.analyse(raw)
        assert [one._replace(prepared=None) for one in prepared] == plain
        for (path, data), one, bare in zip(raw, prepared, plain, strict=True):
            expected = prepare(as_lexical(path, data.decode(bare.codec), bare, 0)) if bare.codec else None
            assert parts(one.prepared) == parts(expected), path
        assert [bool(one.prepared) for one in prepared] == [True, True, True, False, True]

    asyncio.run(body())


def test_an_index_filled_by_workers_answers_as_one_filled_without(tmp_path: Path) -> None:
    root = tmp_path / "t"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)

    async def answers(data: Path, workers: int) -> list[object]:
        async with world(root, data, **STORES) as w:
            await guarded(w).index(Options(workers=workers))
            scope = await w.scope()
            return [
                await w.lexical.rank([Term(word)], scope=scope, unit=unit, k=20)
                for word in ("session", "get_session", "größe", "café", "long", "veryLongName", "mod", "a")
                for unit in ("file", "chunk")
            ]

    alone = run(answers(tmp_path / "alone", 0))
    assert run(answers(tmp_path / "worker", 1)) == alone
    assert all(alone[:10])
