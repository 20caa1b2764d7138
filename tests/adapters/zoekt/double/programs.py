"""Zoekt's programs, real or double: index a tree, ask a server, and compare two answers."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOUBLE = Path(__file__).parents[4] / ".ci" / "zoekt_double"
WAIT_S = 10.0

Tree = Mapping[str, bytes]
Answer = tuple[int, Any]


def pack(path: Path, tree: Tree) -> Path:
    """A tar of exactly these files."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in tree.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@dataclass(frozen=True)
class Programs:
    """A folder that holds ``zoekt-archive-index`` and ``zoekt-webserver``."""

    folder: Path

    def index(self, index: Path, *arguments: str, tar: Path) -> tuple[int, str]:
        """Exit code and stderr of the indexer."""
        done = subprocess.run(
            [self.folder / "zoekt-archive-index", "-index", index, "-disable_ctags", *arguments, tar],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr

    @contextmanager
    def serve(self, index: Path) -> Iterator[Server]:
        """A server of the folder on a free port, ended afterwards."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [self.folder / "zoekt-webserver", "-rpc", "-html=false", "-index", index, "-listen", f"127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = Server(f"http://127.0.0.1:{port}")
        try:
            server.wait_until_ready()
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)


@dataclass(frozen=True)
class Server:
    url: str

    def post(self, path: str, body: object) -> Answer:
        """Status and parsed answer. A body that is text goes out as it is."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def wait_until_ready(self) -> None:
        until = time.monotonic() + WAIT_S
        while True:
            try:
                if not self.post("/api/list", {"Q": ""})[1]["List"]["Crashes"]:
                    return
            except OSError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def wait_for(self, repo: str) -> None:
        """Until the server shows a repository."""
        until = time.monotonic() + WAIT_S
        while not self.post("/api/list", {"Q": f'repo:"^{re.escape(repo)}$"'})[1]["List"]["Repos"]:
            assert time.monotonic() < until, f"{repo} is not shown"
            time.sleep(0.005)


COMPARED = ("Crashes", "FileCount", "MatchCount", "FilesSkipped", "ShardsSkipped", "FlushReason")
"""The counters that do not tell how an answer was found."""
DIGITS = 12


def comparable(path: str, answer: Answer) -> Any:
    """An answer without what may differ: times, work done, sizes, and the order of what scores alike."""
    status, found = answer
    if status != 200:
        return {"status": status, **found}
    return _listed(found["List"]) if path == "/api/list" else _searched(found["Result"])


def _searched(result: dict[str, Any]) -> dict[str, Any]:
    files = [_rounded(file) for file in result["Files"] or ()]
    for file in files:
        file.get("ChunkMatches", []).sort(key=lambda one: one["ContentStart"]["ByteOffset"])
        file.get("LineMatches", []).sort(key=lambda one: one["LineStart"])
    return {
        **{name: result[name] for name in COMPARED},
        "shards": result["ShardsScanned"] + result["ShardsSkippedFilter"],
        "scores": [file.get("Score", 0.0) for file in files],
        "files": sorted(files, key=lambda file: (file["Repository"], file["FileName"])),
        "RepoURLs": result["RepoURLs"],
        "LineFragments": result["LineFragments"],
        "counters": sorted(set(result) - {"Files"}),
    }


def _listed(found: dict[str, Any]) -> dict[str, Any]:
    repos = []
    for entry in sorted(found["Repos"], key=lambda one: one["Repository"]["Name"]):
        repo = entry["Repository"]
        repos.append({
            **{name: repo[name] for name in ("Name", "Branches", "HasSymbols", "Tombstone", "ID", "Source")},
            "languages": sorted(entry["IndexMetadata"]["LanguageMap"]),
            "format": entry["IndexMetadata"]["IndexFormatVersion"],
            "fields": [sorted(repo), sorted(entry["IndexMetadata"])],
            "stats": {name: count for name, count in entry["Stats"].items() if name != "IndexBytes"},
        })  # fmt: skip
    stats = {name: count for name, count in found["Stats"].items() if name != "IndexBytes"}
    return {"repos": repos, "Crashes": found["Crashes"], "ReposMap": found["ReposMap"], "stats": stats}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def report(stderr: str) -> str:
    """What the indexer says, without times, sizes and places in its sources."""
    line = stderr.strip().splitlines()[0] if stderr.strip() else ""
    line = re.sub(r"^\S+ \S+ \S+\.go:\d+: ", "", line)
    line = re.sub(r"\d+ index bytes \(overhead [\d.]+\)", "N index bytes (overhead X)", line)
    return re.sub(r"(?<=shard ).*/", "DIR/", line).strip()


def shards(index: Path) -> Sequence[str]:
    return sorted(path.name for path in index.iterdir()) if index.is_dir() else []
