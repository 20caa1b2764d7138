"""The writes of a store of generations, as the trials of level faults make them."""

from __future__ import annotations

from typing import Any

from codequay.ports.generations import GenerationState, StageResult

from ..case import Case
from ..expect import Failed
from ..faults import Change
from .faults import Faulty
from .staging import Stager

FILES = 12
LONG = "some words of a text that is long enough to be cut in its middle "


def faulty(s: Stager) -> Faulty:
    """The writes of the port that ``s`` stages for."""

    def texts(n: int) -> dict[str, str]:
        return {f"f{number:02}": f"word{n} file{number} {LONG * 8}" for number in range(FILES)}

    async def begun(store: Any, n: int) -> None:
        await store.begin(f"r{n}", generation=1, base=None)

    async def staged(store: Any, n: int) -> None:
        await begun(store, n)
        await s.stage(store, f"r{n}", 1, texts(n))

    async def filled(store: Any, n: int) -> None:
        await staged(store, n)
        await store.seal(f"r{n}", generation=1)

    async def shows(store: Any, n: int, *, whole: bool) -> bool:
        expected = {(f"r{n}", path): s.blob_id(text) for path, text in texts(n).items()}
        found = await s.shown(store, (f"r{n}", 1))
        if found and found != expected and whole:
            raise Failed(f"{len(found)} of {FILES} files are there, or others: a half call that claims to be whole")
        return found == expected

    async def is_begun(store: Any, n: int, before: Any) -> bool:
        return bool(await store.generations(f"r{n}") == [GenerationState(1, False)])

    async def is_sealed(store: Any, n: int, before: Any) -> bool:
        if await store.generations(f"r{n}") != [GenerationState(1, True)]:
            return False
        if not await shows(store, n, whole=True):
            raise Failed("a generation is sealed without the files that were staged")
        return True

    async def is_gone(store: Any, n: int, before: Any) -> bool:
        left = await store.generations(f"r{n}")
        if left and not await shows(store, n, whole=True):
            raise Failed("a generation was forgotten in part")
        return not left

    def changes(case: Case) -> list[Change]:
        whole = case.capabilities.atomic_batch

        async def is_staged(store: Any, n: int, before: Any) -> bool:
            await store.seal(f"r{n}", generation=1)
            return await shows(store, n, whole=whole)

        async def stage(store: Any, n: int, before: Any) -> StageResult:
            return await s.stage(store, f"r{n}", 1, texts(n))

        return [
            Change("seal", lambda store, n, _: store.seal(f"r{n}", generation=1), is_sealed, staged),
            Change("stage", stage, is_staged, begun),
            Change("begin", lambda store, n, _: store.begin(f"r{n}", generation=1, base=None), is_begun),
            Change("drop", lambda store, n, _: store.drop(f"r{n}", generation=1), is_gone, filled),
            Change("purge", lambda store, n, _: store.purge(f"r{n}"), is_gone, filled),
        ]

    async def reads(store: Any, n: int) -> Any:
        return await s.shown(store, (f"r{n}", 1))

    return Faulty(changes, reads)
