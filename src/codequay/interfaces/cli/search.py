"""``codequay search``."""

from __future__ import annotations

from . import exit_codes
from .command import REFRESH, REV, Argument, Command, Invocation, Option
from .parse import usage_error

UNITS = ("file", "chunk", "symbol")


def run(call: Invocation) -> int:
    from codequay.app import SearchRequest

    from . import render, runtime

    values = call.values
    if not values["QUERY"].strip():
        raise usage_error("QUERY is empty", command="search", remedy=f"for example: {COMMAND.examples[0][0]}")
    if values.get("index"):
        from .index import one

        indexed = one(call, values["PATH"], rev=values.get("rev"))
        call.out.detail(f"indexed {indexed.repo}: {indexed.files} files")
    settings = runtime.settings(call, values["PATH"])
    request = SearchRequest(
        query=values["QUERY"],
        path=values["PATH"],
        limit=values.get("limit", settings.retrieval.limit),
        unit=values.get("unit", "file"),
        literal=bool(values.get("literal")),
        rev=values.get("rev"),
        refresh=values.get("refresh", settings.retrieval.refresh),
    )
    answer = runtime.ask(call, settings, lambda quay: quay.search(request), readonly=request.refresh == "never")
    render.search(call.out, answer)
    if render.behind(answer):
        return exit_codes.INCOMPLETE
    return exit_codes.OK if answer.hits else exit_codes.NO_MATCH


COMMAND = Command(
    name="search",
    summary="find code by words",
    run=run,
    arguments=(
        Argument("QUERY", "words to rank by, as one argument", required=True),
        Argument("PATH", "search below this path (default: here)", default="."),
    ),
    options=(
        Option(("-n", "--limit"), "at most N hits (default: 10)", metavar="N", number=True),
        Option(("-F", "--literal"), "take the query as it stands: no quotes, exclusions or fields"),
        Option(("--index",), "index first"),
        Option(("--unit",), "what a hit is (default: file)", choices=UNITS),
        REV,
        REFRESH,
    ),
    examples=(
        ('codequay search "where are retries delayed"', "words rank; a file needs not have all of them"),
        ("codequay search 'connect -test lang:python'", "without a word, in one language"),
        ("codequay search '\"def connect\" file:net/'", "a required phrase, below a path"),
        ('codequay search -F "a[i] = -1" src', "literally these words"),
        ('codequay search --rev v2.1 "session store"', "as of a tag, after codequay index --rev v2.1"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 1, 2, 3, 4, 6, 7, 124)},
    notes=(
        'Query: words, "phrases", -exclusions, repo: file: lang: sym: case:, or, parentheses.\n'
        "What does not parse is searched as words, with a note.\n"
        "Output: path:start-end: line. Under jsonl the hits come first and the envelope last.\n"
        "Files that changed since the last index are indexed first, at most index.refresh_files of them. With more,\n"
        "or while another process is indexing, the answer comes as indexed, says so, and marks hits whose text is gone."
    ),
)
