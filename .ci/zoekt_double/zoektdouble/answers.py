"""Answers in the server's shape: matching files, best first, with their matches by chunk or by line."""

from __future__ import annotations

import base64
import bisect
import posixpath
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from .matching import Found, Match, of_shard, search
from .queries import Const, Query
from .scoring import file_bm25, file_score, line_bm25, line_score, line_start
from .shards import Document, Shard

NOVEL_PLACE, NOVEL_RATIO = 2, 0.9
SMALL = 10_000
"""Documents up to which the limits that follow from ``MaxDocDisplayCount`` grow with them."""
COUNTERS = (
    "ContentBytesLoaded", "IndexBytesLoaded", "Crashes", "Duration", "FileCount", "ShardFilesConsidered",
    "FilesConsidered", "FilesLoaded", "FilesSkipped", "ShardsScanned", "ShardsSkipped", "ShardsSkippedFilter",
    "MatchCount", "NgramMatches", "NgramLookups", "Wait", "MatchTreeConstruction", "MatchTreeSearch",
    "RegexpsConsidered", "FlushReason",
)  # fmt: skip


def answer(query: Query, shards: Sequence[Shard], options: Mapping[str, Any]) -> dict[str, Any]:
    """The ``Result`` of a search."""
    opts = _limits(query, shards, options)
    stats = dict.fromkeys(COUNTERS, 0)
    files: list[dict[str, Any]] = []
    repos = []
    for shard in shards:
        if stats["MatchCount"] > opts["TotalMaxMatchCount"]:
            break
        here = _of_shard(query, shard, opts, stats)
        files += here
        repos += [shard.repo] * bool(here)
    stats["FileCount"] = len(files)
    files.sort(key=lambda file: -file["Score"])
    _boost_novel(files)
    shown = opts.get("MaxDocDisplayCount") or len(files)
    files = _limited(files[:shown], opts.get("MaxMatchDisplayCount") or 0)
    for file in files:
        if not file["Score"]:
            del file["Score"]
    names = dict.fromkeys(repos, "")
    return {**stats, "Files": files or None, "RepoURLs": names, "LineFragments": dict(names)}


def _limits(query: Query, shards: Sequence[Shard], options: Mapping[str, Any]) -> dict[str, Any]:
    opts = dict(options)
    shown = opts.get("MaxDocDisplayCount") or 0
    if shown and not opts.get("ShardMaxMatchCount"):
        documents = sum(len(shard.documents) for shard in shards if next(search(query, shard), None))
        most = documents + shown * 100
        if documents > SMALL:
            most = shown * 5 + 5 * shown // (documents // 1000)
        opts["ShardMaxMatchCount"] = opts["TotalMaxMatchCount"] = most
    opts["ShardMaxMatchCount"] = opts.get("ShardMaxMatchCount") or 100_000
    opts["TotalMaxMatchCount"] = opts.get("TotalMaxMatchCount") or 10 * opts["ShardMaxMatchCount"]
    return opts


def _of_shard(query: Query, shard: Shard, opts: Mapping[str, Any], stats: dict[str, int]) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    if of_shard(query, shard) == Const(False):
        return files
    count = 0
    for place, document, found in search(query, shard):
        if count >= opts["ShardMaxMatchCount"]:
            stats["FilesSkipped"] += len(shard.documents) - place
            break
        file, matches = _file(place, document, found, shard, opts)
        files.append(file)
        count += matches
    stats["MatchCount"] += count
    stats["ShardsScanned" if files else "ShardsSkippedFilter"] += 1
    return files


def _file(
    place: int, document: Document, found: Found, shard: Shard, opts: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    bm25 = bool(opts.get("UseBM25Scoring"))
    context = opts.get("NumContextLines") or 0
    shown = [m for m in found.matches if not m.in_name] or list(found.matches)
    if opts.get("ChunkMatches"):
        kind, parts = "ChunkMatches", _chunks(document, shown, context, bm25=bm25)
        matches = len(shown)
    else:
        kind, parts = "LineMatches", _lines(document, shown, context, bm25=bm25)
        matches = len(parts)
    best = max((part["Score"] for part in parts), default=0.0)
    if bm25:
        score = file_bm25(document, found.matches, shard)
    else:
        score = file_score(place, found.atoms, best, shard)
        for order, part in enumerate(parts):
            part["Score"] += 1.0 - order / len(parts)
    parts.sort(key=lambda part: -part["Score"])
    file = {
        "FileName": document.name, "Repository": shard.repo, "Version": shard.commit, "Language": document.language,
        "Branches": [shard.branch], **({kind: parts} if parts else {}), "Checksum": document.checksum, "Score": score,
    }  # fmt: skip
    if opts.get("Whole") and document.content:
        file["Content"] = base64.b64encode(document.content).decode()
    return file, matches


def _score_lines(document: Document, matches: Sequence[Match], *, bm25: bool) -> tuple[float, int]:
    """The best line's score and number; (0, 0) when none scores."""
    best, number = 0.0, 0
    for line, on_line in groupby(matches, lambda m: _line_at(document, m.start)):
        here = list(on_line)
        score = line_bm25(document, here, line) if bm25 else line_score(document, here)
        if score > best:
            best, number = score, line
    return best, number


def _line_at(document: Document, offset: int) -> int:
    return bisect.bisect_left(document.newlines, offset) + 1


def _lines_of(document: Document, start: int, end: int) -> tuple[int, int]:
    return _line_at(document, start), _line_at(document, max(start, max(end, 1) - 1))


def _location(data: bytes, line: int, line_begins: int, offset: int) -> dict[str, int]:
    column = len(data[line_begins:offset].decode("utf-8", "surrogateescape")) + 1
    return {"ByteOffset": offset, "LineNumber": line, "Column": column}


def _encoded(data: bytes) -> str | None:
    return base64.b64encode(data).decode()


def _name_score(document: Document, matches: Sequence[Match], *, bm25: bool) -> float:
    return 0.0 if bm25 else line_score(document, matches)


def _chunks(document: Document, matches: Sequence[Match], context: int, *, bm25: bool) -> list[dict[str, Any]]:
    if matches[0].in_name:
        name = document.name.encode()
        ranges = [{"Start": _location(name, 1, 0, m.start), "End": _location(name, 1, 0, m.end)} for m in matches]
        score = _name_score(document, matches, bm25=bm25)
        return [_chunk(name, ranges, _location(name, 1, 0, 0), score, 0, in_name=True)]
    groups: list[tuple[list[Match], int, int, int]] = []
    for match in matches:
        first, last = _lines_of(document, match.start, match.end)
        if groups and groups[-1][2] + context >= first - context:
            held, begun, until, end = groups[-1]
            groups[-1] = ([*held, match], begun, last if match.end > end else until, max(end, match.end))
        else:
            groups.append(([match], first, last, match.end))
    found = []
    for held, first, last, _ in groups:
        ranges = []
        for match in held:
            one, other = _lines_of(document, match.start, match.end)
            ranges.append({
                "Start": _location(document.content, one, line_start(document, one), match.start),
                "End": _location(document.content, other, line_start(document, other), match.end),
            })  # fmt: skip
        top = max(first - context, 1)
        begins = line_start(document, top)
        content = document.content[begins : line_start(document, last + context + 1)]
        score, best = _score_lines(document, held, bm25=bm25)
        start = {"ByteOffset": begins, "LineNumber": top, "Column": 1}
        found.append(_chunk(content, ranges, start, score, best, in_name=False))
    return found


def _chunk(
    content: bytes, ranges: list[Any], start: dict[str, int], score: float, best: int, *, in_name: bool
) -> dict[str, Any]:
    return {
        "DebugScore": "", "Content": _encoded(content), "Ranges": ranges, "SymbolInfo": None, "FileName": in_name,
        "ContentStart": start, "Score": score, "BestLineMatch": best,
    }  # fmt: skip


def _lines(document: Document, matches: Sequence[Match], context: int, *, bm25: bool) -> list[dict[str, Any]]:
    if matches[0].in_name:
        score = _name_score(document, matches, bm25=bm25)
        fragments = [_fragment(m, 0) for m in matches]
        return [_line(_encoded(document.name.encode()), 0, 0, 0, (None, None), score, fragments, in_name=True)]
    content, found = document.content, []
    for number, on_line in groupby(_broken(document, matches), lambda m: _line_at(document, m.start)):
        held = list(on_line)
        begins, ends = line_start(document, number), line_start(document, number + 1)
        around: tuple[str | None, str | None] = (None, None)
        if context:
            before = content[line_start(document, number - context) : begins]
            after = content[ends : line_start(document, number + 1 + context)]
            around = (_encoded(before), _encoded(after))
        score = line_bm25(document, held, number) if bm25 else line_score(document, held)
        fragments = [_fragment(m, begins) for m in held]
        found.append(_line(_encoded(content[begins:ends]), begins, ends, number, around, score, fragments))
    return found


def _broken(document: Document, matches: Sequence[Match]) -> list[Match]:
    """The matches cut at the ends of lines, without those ends."""
    found = []
    for match in matches:
        start = match.start
        for piece in document.content[match.start : match.end].split(b"\n"):
            if piece:
                found.append(Match(False, start, start + len(piece), match.term))
            start += len(piece) + 1
    return found


def _fragment(match: Match, begins: int) -> dict[str, Any]:
    return {
        "LineOffset": match.start - begins, "Offset": match.start, "MatchLength": match.end - match.start,
        "SymbolInfo": None,
    }  # fmt: skip


def _line(
    line: str | None, start: int, end: int, number: int, around: tuple[str | None, str | None], score: float,
    fragments: list[dict[str, Any]], *, in_name: bool = False,
) -> dict[str, Any]:  # fmt: skip
    return {
        "Line": line, "LineStart": start, "LineEnd": end, "LineNumber": number, "Before": around[0],
        "After": around[1], "FileName": in_name, "Score": score, "DebugScore": "", "LineFragments": fragments,
    }  # fmt: skip


def _boost_novel(files: list[dict[str, Any]]) -> None:
    """Move the best file of an extension new to the first two to the third place, if it scores nearly as well."""
    if len(files) <= NOVEL_PLACE + 1:
        return
    known = {posixpath.splitext(file["FileName"])[1] for file in files[:NOVEL_PLACE]}
    least = files[NOVEL_PLACE]["Score"] * NOVEL_RATIO
    for place in range(NOVEL_PLACE, len(files)):
        file = files[place]
        if file["Score"] >= least and posixpath.splitext(file["FileName"])[1] not in known:
            files.insert(NOVEL_PLACE, files.pop(place))
            return


def _limited(files: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """As many files and matches as may be shown; 0 is no limit."""
    if not most:
        return files
    for count, file in enumerate(files, 1):
        kind, inner = ("ChunkMatches", "Ranges") if "ChunkMatches" in file else ("LineMatches", "LineFragments")
        for shown, part in enumerate(file.get(kind, ()), 1):
            part[inner] = part[inner][:most]
            most -= len(part[inner])
            if not most:
                file[kind] = file[kind][:shown]
                return files[:count]
    return files
