"""``zoekt-webserver``: the folder's shards behind ``/healthz``, ``/api/search`` and ``/api/list``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from .answers import answer
from .matching import of_shard, search
from .queries import BadQuery, Const, Query, Repos, Typed, mapped, parse, simplified
from .regexps import BadRegexp
from .shards import VERSION, Folder, Shard, log


class _Refused(ValueError):
    """A request that is answered with an error; the message is the server's."""


def _body(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        text = data.decode("utf-8", "replace").strip()
        at = min(getattr(error, "pos", 0), len(text))
        if not text:
            raise _Refused("EOF") from None
        if at >= len(text):
            raise _Refused("unexpected EOF") from None
        raise _Refused(f"invalid character '{text[at]}' looking for beginning of value") from None
    if not isinstance(found, dict):
        raise _Refused("json: cannot unmarshal into Go value of type json.jsonSearchArgs")
    return {key.lower(): value for key, value in found.items()}


def _parsed(text: object) -> Query:
    if not isinstance(text, str):
        raise _Refused("json: cannot unmarshal into Go struct field jsonSearchArgs.Q of type string")
    try:
        return parse(text)
    except (BadQuery, BadRegexp) as error:
        raise _Refused(str(error)) from None


def _repos_named(query: Query, shards: Sequence[Shard]) -> Query:
    """The query with each ``type:repo`` replaced by the repositories that hold its part."""

    def change(part: Query) -> Query:
        if isinstance(part, Typed) and part.kind == "repo":
            return Repos(frozenset(shard.repo for shard in shards if next(search(part.part, shard), None)))
        return part

    return simplified(mapped(query, change))


def searched(data: bytes, shards: Sequence[Shard]) -> dict[str, Any]:
    asked = _body(data)
    if not asked.get("q"):
        raise _Refused("missing query")
    query = _repos_named(_parsed(asked["q"]), shards)
    if asked.get("repoids") is not None and 0 not in asked["repoids"]:
        query = Const(False)  # no repository that an indexer of archives makes has another id
    started = time.perf_counter_ns()
    result = answer(query, shards, asked.get("opts") or {})
    result["Duration"] = time.perf_counter_ns() - started
    return {"Result": result}


def listed(data: bytes, shards: Sequence[Shard]) -> dict[str, Any]:
    query = _repos_named(_parsed(_body(data).get("q", "")), shards)
    held = [
        shard for shard in shards
        if of_shard(query, shard) == Const(True) or next(search(query, shard), None)
    ]  # fmt: skip
    total = {name: sum(_stats(shard)[name] for shard in held) for name in _stats(None)}
    total["Repos"] = len(held)
    return {"List": {"Repos": [_entry(s) for s in held], "ReposMap": {}, "Crashes": 0, "Stats": total}}


def _stats(shard: Shard | None) -> dict[str, int]:
    documents = shard.documents if shard else ()
    lines = sum(len(d.newlines) for d in documents)
    return {
        "Repos": 0, "Shards": 1 if shard else 0, "Documents": len(documents), "IndexBytes": shard.size if shard else 0,
        "ContentBytes": sum(len(d.content) + len(d.name.encode()) for d in documents), "NewLinesCount": lines,
        "DefaultBranchNewLinesCount": lines, "OtherBranchesNewLinesCount": 0,
    }  # fmt: skip


def _entry(shard: Shard) -> dict[str, Any]:
    indexed = datetime.fromtimestamp(shard.indexed, UTC).isoformat().replace("+00:00", "Z")
    return {
        "Repository": {
            "TenantID": 0, "ID": 0, "Name": shard.repo, "URL": "", "Metadata": None, "Source": shard.source,
            "Branches": [{"Name": shard.branch, "Version": shard.commit}], "SubRepoMap": {}, "CommitURLTemplate": "",
            "FileURLTemplate": "", "LineFragmentTemplate": "", "RawConfig": None, "Rank": 0,
            "IndexOptions": shard.options, "HasSymbols": False, "Tombstone": False, "LatestCommitDate": indexed,
        },
        "IndexMetadata": {
            "IndexFormatVersion": VERSION, "IndexFeatureVersion": 12, "IndexMinReaderVersion": 10,
            "IndexTime": indexed, "PlainASCII": all(d.content.isascii() for d in shard.documents),
            "LanguageMap": {name: place for place, name in enumerate(sorted(shard.languages))},
            "ZoektVersion": "double", "ID": "double",
        },
        "Stats": _stats(shard),
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: ClassVar[Folder]
    reading: ClassVar[threading.Lock] = threading.Lock()

    def log_message(self, format: str, *args: object) -> None:
        """The real server logs no requests."""

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _say(self, status: int, what: dict[str, Any]) -> None:
        self._send(
            status, json.dumps(what, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        )

    def _shards(self) -> Sequence[Shard]:
        with self.reading:
            return self.folder.shards()

    def _answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answers = {"/api/search": searched, "/api/list": listed}
        path = self.path.partition("?")[0]
        if path in ("/healthz", "/readyz"):
            shards = self._shards()
            opts = {"ShardMaxMatchCount": 1, "TotalMaxMatchCount": 1, "MaxDocDisplayCount": 1}
            self._say(200, answer(Const(True), shards, opts) if path == "/healthz" else {})
        elif path not in answers:
            self._send(404, b"404 page not found\n", "text/plain; charset=utf-8")
        elif self.command != "POST":
            self._say(405, {"Error": "Only POST is supported"})
        else:
            try:
                self._say(200, answers[path](data, self._shards()))
            except _Refused as error:
                self._say(400, {"Error": str(error)})

    do_GET = do_POST = do_PUT = do_DELETE = _answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="zoekt-webserver", allow_abbrev=False)
    parser.add_argument("-index", default=str(Path.home() / ".zoekt"))
    parser.add_argument("-listen", default=":6070")
    for name in ("rpc", "html", "print", "pprof"):
        parser.add_argument(f"-{name}", nargs="?", const="true", default="false")
    args = parser.parse_args(argv)
    folder = Path(args.index)
    folder.mkdir(parents=True, exist_ok=True)
    _Handler.folder = Folder(folder)
    host, _, port = args.listen.rpartition(":")
    try:
        server = _Server((host, int(port)), _Handler)
    except OSError as error:
        log("main.go:314", f"ListenAndServe: listen tcp {args.listen}: bind: {str(error.strerror).lower()}")
        sys.exit(1)

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        server.serve_forever(poll_interval=0.05)
