"""An index that somebody else fills, by ``zoekt-git-index`` or a server of its own: reads only, without a spool.

What is a word is judged by the lines that Zoekt answers with. Every generation that is asked for is taken: which commit
the server has is told by ``stats``, and whoever asks compares it with its own.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from codequay.ports.chunks import FileRef
from codequay.ports.errors import FailedPrecondition, NotIndexed, Unsupported
from codequay.ports.generations import GenerationState, Scope, StageResult, StoreIdentity
from codequay.ports.lexical import (
    LexFile,
    LexPage,
    LexStats,
    Placed,
    Plan,
    RankHit,
    RankPlace,
    Term,
    Unit,
    Where,
)

from . import queries
from .client import Client, scored
from .config import ZoektConfig
from .ranking import Scale
from .words import ODD, TOKENIZER, keys_of, vocabulary

if TYPE_CHECKING:
    from codequay.ports.diagnose import Finding

LEFT_OUT = 'content:"NOT-INDEXED: "'


class _There(NamedTuple):
    """A repository of the scope, as the server has it."""

    repo_id: str
    zoekt: str
    version: str
    documents: int


class ExternalLexical:
    """The reads; each asks the server first whether it has the repositories of the scope."""

    def __init__(self, config: ZoektConfig, client: Client) -> None:
        self.client = client
        self._config = config

    async def ping(self) -> None:
        await self.client.ping()

    async def identity(self) -> StoreIdentity:
        """Who fills the index names no store, so its address stands for it."""
        said = blake2b(f"{self._config.url} {self._config.repository}".encode(), digest_size=16)
        return StoreIdentity(said.hexdigest(), f"zoekt-external {TOKENIZER}")

    async def generations(self, repo_id: str) -> list[GenerationState]:
        return []

    async def begin(self, repo_id: str, *, generation: int, base: int | None) -> None:
        raise _refused()

    async def stage(
        self, repo_id: str, *, generation: int, files: Sequence[LexFile], removed: Sequence[str] = ()
    ) -> StageResult:
        raise _refused()

    async def seal(self, repo_id: str, *, generation: int) -> None:
        raise _refused()

    async def drop(self, repo_id: str, *, generation: int) -> None:
        raise _refused()

    async def purge(self, repo_id: str) -> None:
        raise _refused()

    async def rank(
        self, terms: Sequence[Term], *, scope: Scope, unit: Unit, k: int, where: Where | None = None
    ) -> list[RankHit]:
        if unit != "file":
            raise Unsupported("Zoekt ranks files: chunks are scored from their stored text")
        keys = keys_of(terms)
        if not keys or not scope:
            return []
        repos = {one.zoekt: one.repo_id for one in await self._there(scope)}
        scale = Scale(keys)
        query = " ".join(filter(None, (queries.repositories(list(repos)), queries.any_key(keys), queries.paths(where))))
        hits: list[RankHit] = []
        limit = scale.first(k)
        while limit:
            files = await self.client.lines(query, limit)
            hits = []
            for file in files:
                place = RankPlace(FileRef(repos[file["Repository"]], file["FileName"]), 0, "", 0, _language(file))
                if where and not where.admits(place.file.path, place.language):
                    continue
                score = scale.of(_words(file), scored(file))
                if score:
                    hits.append(RankHit(place, score))
            hits.sort(key=lambda hit: (-hit.score, hit.place))
            limit = scale.more(limit, len(files), scored(files[-1]) if files else 0.0, hits, k)
        return hits[:k]

    async def candidates(self, plan: Plan, *, scope: Scope, where: Where | None = None) -> list[Placed]:
        if not scope:
            return []
        required = queries.required(plan)
        if required is True:
            asked = queries.everything()
        elif required is False:
            asked = LEFT_OUT
        else:
            asked = f'({required} or (case:yes {LEFT_OUT}) or (case:yes content:"{ODD.pattern}"))'
        there = await self._there(scope)
        return [placed for placed in await self._named(there, asked, where) if _admits(where, placed)]

    async def scan(self, *, scope: Scope, after: tuple[str, str] | None = None, limit: int = 1000) -> LexPage:
        if not scope:
            return LexPage((), None)
        files = await self._named(await self._there(scope), queries.everything(), None)
        above = [one for one in files if after is None or (one.repo_id, one.path) > after]
        last = above[limit - 1] if len(above) > limit else None
        return LexPage(tuple(above[:limit]), (last.repo_id, last.path) if last else None)

    async def stats(self, *, scope: Scope) -> LexStats:
        there = await self._there(scope)
        revision = there[0].version if len(there) == 1 else ""
        return LexStats(sum(one.documents for one in there), 0, 0.0, revision)

    async def diagnose(self) -> list[Finding]:
        from .diagnose import diagnose_external

        return await diagnose_external(self.client)

    async def _there(self, scope: Scope) -> list[_There]:
        """The repositories of the scope.

        :raises NotIndexed: the server does not have one
        :raises FailedPrecondition: two would be the same one there
        """
        if not scope:
            return []
        names: dict[str, str] = {}
        for repo, _ in scope:
            name = (self._config.repository or "{repo}").replace("{repo}", repo)
            if names.setdefault(name, repo) != repo:
                raise FailedPrecondition(
                    f"{names[name]!r} and {repo!r} would both be {name!r} at {self.client.url}",
                    remedy="write {repo} into adapters.zoekt.repository where the names differ",
                )
        listed = {one.name: one for one in await self.client.listed(queries.repositories(list(names)))}
        for name, repo in names.items():
            if name not in listed:
                raise NotIndexed(
                    f"the server at {self.client.url} has no repository {name!r}",
                    remedy=f"have {repo!r} indexed there, or set adapters.zoekt.repository to its name there",
                )
        return [_There(repo, name, listed[name].version, listed[name].documents) for name, repo in names.items()]

    async def _named(self, there: Sequence[_There], asked: str, where: Where | None) -> list[Placed]:
        """The files that match, by place."""
        repos = {one.zoekt: one.repo_id for one in there}
        parts = (queries.repositories(list(repos)), f"(type:file {asked})", queries.paths(where))
        files = await self.client.lines(" ".join(filter(None, parts)), 0)
        found = [
            Placed(repos[one["Repository"]], one["FileName"], f"crc64:{one['Checksum']}", _language(one))
            for one in files
        ]
        return sorted(found, key=attrgetter("repo_id", "path"))


def _admits(where: Where | None, placed: Placed) -> bool:
    return not where or where.admits(placed.path, placed.language)


def _language(file: dict[str, Any]) -> str:
    """Zoekt's name of the language as ours are written; where the two differ, a filter by language finds less."""
    return str(file["Language"]).lower().replace(" ", "")


def _words(file: dict[str, Any]) -> frozenset[str]:
    """The words of the lines that matched, and of the path."""
    lines = (b64decode(one["Line"]).decode("utf-8", "replace") for one in file.get("LineMatches") or ())
    return vocabulary("\n".join((file["FileName"].replace("/", " "), *lines)))


def _refused() -> Unsupported:
    return Unsupported("this index is filled by somebody else", remedy="set adapters.zoekt.mode = managed")
