"""Reading what is indexed without a query: a file, a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..ports.chunks import FileRef, Location
from ..ports.errors import NotFound
from ..ports.generations import ScopeEntry
from ..ports.paths import stored_path
from .engine import assemble
from .scope import Place, StoresInUse, View, is_inside, resolve, tops
from .steps import Call, Steps


class Shown(NamedTuple):
    """Lines of a file as indexed."""

    repo_id: str
    path: str
    start_line: int
    end_line: int
    language: str
    kind: str
    symbol: str
    text: str
    generation: int
    snapshot: str


def show(place: Place, stores: StoresInUse, file: str, line: int | None) -> Steps[tuple[View, Shown]]:
    """The file, or the chunk that covers the line, with what was in view. ``file`` is an absolute path, or one inside a
    repository.

    :raises NotFound: no repository of the index has the file, or the file has no such line
    """
    view = yield from resolve(place, stores)
    published = {one.repo_id: one for one in view.published}
    refs = [ref for ref in _refs(file, tops(view.repos.values(), place)) if ref.repo_id in published]
    scope = tuple(ScopeEntry(ref.repo_id, published[ref.repo_id].generation) for ref in refs)
    (files,) = yield (Call("chunks", "of_file", (refs,), {"scope": scope}),)
    for ref, placed in zip(refs, files, strict=True):
        if placed is None:
            continue
        chunks = [p.chunk for p in placed]
        one = published[ref.repo_id]
        if line is None:
            end = max((c.end_line for c in chunks), default=0)
            language = chunks[0].language if chunks else ""
            text = assemble(chunks)
            return view, Shown(*ref, min(1, end), end, language, "file", "", text, one.generation, one.snapshot)
        (found,) = yield (Call("chunks", "at", ([Location(*ref, line)],), {"scope": scope}),)
        if found[0] is None:
            raise NotFound(f"{ref.path} has no line {line}", remedy=f"codequay show {ref.path}")
        c = found[0].chunk
        what = (c.start_line, c.end_line, c.language, c.kind, c.symbol, c.text)
        return view, Shown(*ref, *what, one.generation, one.snapshot)
    raise NotFound(
        f"the index has no file {file}", remedy="codequay status shows what was skipped; codequay index reads again"
    )


def _refs(file: str, roots: Mapping[str, str]) -> list[FileRef]:
    """What a path may mean: in the innermost repository that holds it, or relative to each. ``roots`` are by id."""
    if os.path.isabs(file):
        holding = sorted((one for one in roots if is_inside(file, roots[one])), key=lambda one: -len(roots[one]))
        return [FileRef(one, stored_path(os.path.relpath(file, roots[one]))) for one in holding if file != roots[one]]
    path = stored_path(os.path.normpath(file))
    return [] if path in (".", "..") or path.startswith("../") else [FileRef(one, path) for one in roots]
