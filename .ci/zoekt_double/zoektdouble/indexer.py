"""``zoekt-archive-index``: one tar file becomes one shard."""

from __future__ import annotations

import argparse
import base64
import fnmatch
import hashlib
import re
import sys
import tarfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from .languages import category_of, language_of
from .shards import Document, Shard, log, read, shard_name, write

SIZE_LIMIT = 2 << 20
TRIGRAM_LIMIT = 20_000
LEAST_BYTES = 3
_ORDER = ("generated", "vendored", "test")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{message}\n{self.format_usage()}")
        raise SystemExit(2)


def _flag(text: str) -> bool:
    return text.lower() in ("1", "t", "true")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="zoekt-archive-index", allow_abbrev=False)
    for name in ("index", "name", "commit", "branch", "url"):
        parser.add_argument(f"-{name}", default="")
    for name, default in (("file_limit", SIZE_LIMIT), ("max_trigram_count", TRIGRAM_LIMIT), ("shard_limit", 100 << 20)):
        parser.add_argument(f"-{name}", type=int, default=default)
    parser.add_argument("-parallelism", type=int, default=4)
    parser.add_argument("-strip_components", type=int, default=0)
    parser.add_argument("-large_file", action="append", default=[])
    for name in ("incremental", "disable_ctags", "require_ctags"):
        parser.add_argument(f"-{name}", nargs="?", type=_flag, const=True, default=name == "incremental")
    parser.add_argument("archives", nargs="*")
    # Go's flags may have one dash or two and stop at the first argument; a switch takes its value only after "="
    return parser.parse_args([re.sub(r"^--(?=\w)", "-", one) for one in _switches(argv)])


def _switches(argv: Sequence[str]) -> list[str]:
    return [one + "=true" if re.fullmatch("--?(incremental|disable_ctags|require_ctags)", one) else one for one in argv]


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    if len(args.archives) != 1:
        _fatal("expected argument for archive location")
    if not args.name and not args.url:
        _fatal("-name or -url required")
    if not args.branch:
        _fatal("-branch required")
    index = Path(args.index or Path.home() / ".zoekt")
    kept = (args.file_limit, args.max_trigram_count, args.large_file)
    options = hashlib.sha1(repr((*kept, args.disable_ctags)).encode(), usedforsecurity=False).hexdigest()
    name = args.name or args.url
    present = index / shard_name(name)
    if args.incremental and present.exists():
        before = read(present)
        if (before.options, before.branch, before.commit) == (options, args.branch, args.commit):
            return
    try:
        documents = _documents(args.archives[0], args)
    except OSError as error:
        _fatal(f"open {args.archives[0]}: {(error.strerror or str(error)).lower()}")
    except tarfile.TarError:
        _fatal("archive/tar: invalid tar header")
    if not documents:
        sys.stderr.write("panic: runtime error: invalid memory address or nil pointer dereference\n")
        raise SystemExit(2)
    path = write(index, Shard(name, args.branch, args.commit, args.archives[0], options, time.time(), documents))
    size = path.stat().st_size
    ratio = size / (sum(len(d.content) + len(d.name.encode()) for d in documents) + 1)
    log(
        "builder.go:1100",
        f"finished shard {path}: {size} index bytes (overhead {ratio:3.1f}), {len(documents)} files processed ",
    )


def _documents(archive: str, args: argparse.Namespace) -> tuple[Document, ...]:
    found = []
    with tarfile.open(archive, errors="surrogateescape") as tar:
        for order, member in enumerate(tar):
            file = tar.extractfile(member) if member.isreg() else None
            name = "/".join(member.name.split("/")[args.strip_components :])
            if file is None or not name:
                continue
            content = file.read()
            large = _is_large(name, args.large_file)
            reason = _reason(content, args, large=large)
            category = category_of(name, content, binary="binary" in reason)
            length = 0 if reason else len(content)
            if reason:
                content = f"NOT-INDEXED: {reason}".encode()
            rank = (bool(reason), *(category == one for one in _ORDER), len(name.encode()), length, order)
            found.append((rank, Document(name, content, language_of(name), category, _checksum(content))))
    return tuple(document for _, document in sorted(found, key=lambda pair: pair[0]))


def _is_large(name: str, globs: Sequence[str]) -> bool:
    for glob in reversed(globs):
        bare = glob.strip()
        if fnmatch.fnmatchcase(name, bare.removeprefix("!")):
            return not bare.startswith("!")
    return False


def _reason(content: bytes, args: argparse.Namespace, *, large: bool) -> str:
    """Why the content is left out, or ""."""
    if len(content) > args.file_limit and not large:
        return "exceeds the maximum size limit"
    if not content:
        return ""
    if len(content) < LEAST_BYTES:
        return "contains too few trigrams"
    if b"\0" in content:
        return "contains binary content"
    if len(content) - LEAST_BYTES + 1 > args.max_trigram_count and not large:
        text = content.decode("utf-8", "replace")
        if len({text[at : at + 3] for at in range(len(text) - 2)}) > args.max_trigram_count:
            return "contains too many trigrams"
    return ""


@cache
def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xD800000000000000 if crc & 1 else 0)
        found.append(crc)
    return tuple(found)


def _checksum(content: bytes) -> str:
    """CRC-64 (ISO), as the server prints it."""
    table, crc = _table(), 0xFFFFFFFFFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return base64.b64encode((crc ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")).decode()


def _fatal(message: str) -> NoReturn:
    log("main.go:75", message)
    raise SystemExit(1)
