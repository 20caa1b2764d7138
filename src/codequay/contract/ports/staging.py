"""How the trials that chunks and lexical share stage their files, and look at what is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codequay.ports.generations import ScopeEntry, StageResult

from ..crash import Acknowledge, Scenario

A, B = "a", "ab"
"""Two repositories, one's id a prefix of the other's."""
Reads = Callable[[Any, Sequence[ScopeEntry]], Mapping[str, Callable[[], Awaitable[Any]]]]
"""(store, scope) -> each read of the port by name, asking for what the trials stage at "k" and "l"."""


@dataclass(frozen=True)
class Stager:
    """``file(path, text)`` makes what the port stages; a blob's id is made of its text."""

    file: Callable[[str, str], Any]
    blob_id: Callable[[str], str]
    scenario: Scenario
    """The child of GE-14: a function at the top of the port's module that calls ``write_generations``."""
    reads: Reads
    """Answers compare equal while a generation stays as it is: without scores, and in a fixed order."""

    async def answers(self, store: Any, repo: str, generation: int) -> dict[str, Any]:
        """What every read gives at the generation."""
        return {name: await read() for name, read in self.reads(store, [ScopeEntry(repo, generation)]).items()}

    async def stage(
        self, store: Any, repo: str, generation: int, texts: Mapping[str, str], removed: Sequence[str] = ()
    ) -> StageResult:
        files = [self.file(path, text) for path, text in texts.items()]
        result: StageResult = await store.stage(repo, generation=generation, files=files, removed=removed)
        return result

    async def fill(
        self,
        store: Any,
        repo: str,
        generation: int,
        texts: Mapping[str, str],
        *,
        base: int | None = None,
        removed: Sequence[str] = (),
    ) -> StageResult:
        """A whole generation: begin, stage, seal."""
        await store.begin(repo, generation=generation, base=base)
        result = await self.stage(store, repo, generation, texts, removed)
        await store.seal(repo, generation=generation)
        return result

    async def shown(self, store: Any, *scope: tuple[str, int]) -> dict[tuple[str, str], str]:
        """(repository, path) -> blob id, as ``scan`` has it."""
        page = await store.scan(scope=[ScopeEntry(*entry) for entry in scope], limit=1000)
        assert page.after is None
        return {(f.repo_id, f.path): f.blob_id for f in page.files}

    async def assert_shows(self, store: Any, repo: str, generation: int, texts: Mapping[str, str]) -> None:
        expected = {(repo, path): self.blob_id(text) for path, text in texts.items()}
        assert await self.shown(store, (repo, generation)) == expected


async def write_generations(s: Stager, store: Any, acknowledge: Acknowledge) -> None:
    """What the child of GE-14 does: goes on from the newest sealed generation, seals one after the other."""
    sealed = [one.generation for one in await store.generations(A) if one.sealed]
    newest = max((one.generation for one in await store.generations(A)), default=0)
    base = max(sealed, default=None)
    for number in range(newest + 1, newest + 200):
        await store.begin(A, generation=number, base=base)
        await s.stage(store, A, number, {"k": "one", "l": f"text {number}"})
        await store.seal(A, generation=number)
        base = number
        acknowledge(str(number))
