"""The server's HTTP face: searches, the list of repositories, and what a wrong or half answer means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

from codequay.ports.errors import FailedPrecondition, InvalidArgument, Unavailable

from .errors import START

UNLIMITED = 1 << 40
"""Matches before Zoekt stops looking: never. Without it the server cuts a large answer and calls it whole."""
CONNECTIONS = 16
DECIMALS = 9
"""Of a score. Zoekt adds its shares up in any order, so the last digits of one score differ between two answers."""
_JSON = {"content-type": "application/json"}
_FILE = b'{"FileName":"'
VERSION = b'","Version":"'
"""Between a repository and its version."""
_REPOSITORY = b'","Repository":"'
_LANGUAGE = b'","Language":"'
_CHECKSUM = b'"Checksum":"'
_SCORE = b'","Score":'


class File(NamedTuple):
    """A file of an answer: name and repository as JSON wrote them, without the quotes."""

    name: bytes
    repository: bytes
    """And after ``VERSION`` the version of what was indexed."""
    score: float


class Answer(NamedTuple):
    """A whole answer, best file first."""

    files: list[File]
    found: int
    """Files that matched, shown or not."""
    shards: int
    """Shards that were looked into."""


class Listed(NamedTuple):
    """A repository as the server lists it."""

    name: str
    version: str
    shards: int
    documents: int


class Client:
    """One server. ``trips`` counts what was asked; waiting for a shard to be listed counts once."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.trips = 0
        self._timeout = timeout
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self.http = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)

    async def close(self) -> None:
        await self.http.aclose()

    async def ping(self) -> None:
        """
        :raises Unavailable: the server says that it is not well
        """
        self.trips += 1
        reply = await self.http.get(f"{self.url}/healthz")
        if reply.status_code != 200:
            raise Unavailable(f"{self.url} is not well: {reply.status_code}", remedy=START)

    async def ranked(self, query: str, limit: int) -> Answer:
        """The ``limit`` best files by BM25."""
        return await self._search(query, {"UseBM25Scoring": True, "MaxDocDisplayCount": limit})

    async def lines(self, query: str, limit: int) -> list[dict[str, Any]]:
        """The same with the lines that matched, as Zoekt gives them; and every file's language and checksum."""
        content = await self._searched(query, {"UseBM25Scoring": True, "MaxDocDisplayCount": limit})
        try:
            result: dict[str, Any] = json.loads(content)["Result"]
            _check_whole(result)
            return list(result["Files"] or ())
        except (ValueError, KeyError, TypeError) as exc:
            raise self._strange(content) from exc

    async def names(self, query: str) -> Answer:
        """Every file that matches."""
        return await self._search(query, {})

    async def _search(self, query: str, options: dict[str, Any]) -> Answer:
        content = await self._searched(query, options)
        files, result = _files(content)
        try:
            shards = result["ShardsScanned"] + result["ShardsSkippedFilter"]
            _check_whole(result)
            return Answer(files, result["FileCount"], shards)
        except (KeyError, TypeError) as exc:
            raise self._strange(content) from exc

    async def _searched(self, query: str, options: dict[str, Any]) -> bytes:
        limits = {
            "ShardMaxMatchCount": UNLIMITED,
            "TotalMaxMatchCount": UNLIMITED,
            "MaxWallTime": int(self._timeout * 1e9),
        }
        return await self._post("/api/search", {"Q": query, "Opts": {**limits, **options}})

    async def listed(self, query: str) -> list[Listed]:
        """The repositories that the query admits.

        :raises Unavailable: the server has not read all of its shards yet
        """
        self.trips += 1
        return await self._listed(query)

    async def listed_again(self, query: str) -> list[Listed]:
        """The same for one who waits, which counts as no trip of its own."""
        return await self._listed(query)

    async def _listed(self, query: str) -> list[Listed]:
        content = await self._post("/api/list", {"Q": query}, counted=False)
        try:
            found = json.loads(content)["List"]
            if found["Crashes"]:
                raise Unavailable("Zoekt has not loaded all of its shards", remedy="try again in a moment")
            return [
                Listed(
                    one["Repository"]["Name"],
                    next((b["Version"] for b in one["Repository"]["Branches"] or ()), ""),
                    one["Stats"]["Shards"],
                    one["Stats"]["Documents"],
                )
                for one in found["Repos"] or ()
            ]
        except (ValueError, KeyError, TypeError) as exc:
            raise self._strange(content) from exc

    async def _post(self, path: str, body: dict[str, Any], *, counted: bool = True) -> bytes:
        self.trips += counted
        async with asyncio.timeout(self._timeout):
            reply = await self.http.post(self.url + path, content=json.dumps(body).encode(), headers=_JSON)
        if reply.status_code == 200:
            return reply.content
        said = _said(reply.content)
        if reply.status_code == 400:
            raise InvalidArgument(f"Zoekt rejects the query: {said}", remedy="ask for fewer or shorter words")
        if reply.status_code in (404, 405):
            raise FailedPrecondition(f"{self.url} has no {path}", remedy=START)
        raise Unavailable(f"Zoekt answers {reply.status_code}: {said}", remedy="look into the server's log")

    def _strange(self, content: bytes) -> FailedPrecondition:
        return FailedPrecondition(
            f"{self.url} does not answer as zoekt-webserver does: {content[:80].decode('utf-8', 'replace')!r}",
            remedy=START,
        )


def _said(content: bytes) -> str:
    """The message of an error."""
    try:
        return str(json.loads(content)["Error"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode("utf-8", "replace").strip()


def _check_whole(result: dict[str, Any]) -> None:
    """
    :raises Unavailable: a shard was not searched or not to its end: what is missing would look as if it were not there
    """
    if result["Crashes"]:
        raise Unavailable(
            "Zoekt could not search all of its shards: it is still loading them, or one has crashed",
            remedy="try again in a moment; look into the server's log when it stays so",
        )
    if result["FilesSkipped"] or result["ShardsSkipped"] or result["FlushReason"]:
        raise Unavailable(
            f"Zoekt has stopped before the end: {result['FilesSkipped']} files and {result['ShardsSkipped']} shards"
            " were not searched",
            remedy="try again, or raise adapters.zoekt.timeout",
        )


def _files(content: bytes) -> tuple[list[File], dict[str, Any]]:
    """The files of an answer, and the rest of it.

    The lines that matched are most of an answer, and nobody needs them: what lies between the names and the scores
    is skipped, which takes a twentieth of the time that reading all of it does. An answer written in another way than
    Go writes it is read whole.
    """
    head, *tails = content.split(_FILE)
    if not tails or not head.endswith(b'"Files":['):
        return _read_whole(content)
    files = []
    for tail in tails:
        name, _, rest = tail.partition(_REPOSITORY)
        end = rest.rpartition(_CHECKSUM)[2]
        closed = end.find(b'"')
        if closed < 0:
            return _read_whole(content)
        score = 0.0
        if end.startswith(_SCORE, closed):
            start = closed + len(_SCORE)
            score = round(float(end[start : _number_end(end, start)]), DECIMALS)
        files.append(File(name, rest[: rest.find(_LANGUAGE)], score))
    result: dict[str, Any] = json.loads(head + b"]}}")["Result"]
    return files, result


def _number_end(text: bytes, start: int) -> int:
    comma, brace = text.find(b",", start), text.find(b"}", start)
    return brace if comma < 0 else min(comma, brace)


def _read_whole(content: bytes) -> tuple[list[File], dict[str, Any]]:
    try:
        result = json.loads(content)["Result"]
        files = [
            File(
                _bytes(one["FileName"]),
                _bytes(one["Repository"]) + VERSION + _bytes(one["Version"]),
                scored(one),
            )
            for one in result["Files"] or ()
        ]
    except (ValueError, KeyError, TypeError) as exc:
        raise FailedPrecondition("the answer is not one of zoekt-webserver", remedy=START) from exc
    return files, result


def scored(file: dict[str, Any]) -> float:
    """The score of a file; Zoekt leaves 0 out."""
    return round(float(file.get("Score", 0.0)), DECIMALS)


def _bytes(text: str) -> bytes:
    """The text as JSON, without its quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")


def decoded(names: Sequence[bytes]) -> list[str]:
    """The texts of JSON strings."""
    return [name.decode() if b"\\" not in name else str(json.loads(b'"' + name + b'"')) for name in names]
