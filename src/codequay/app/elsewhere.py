"""A lexical index that somebody else fills: whether it is of what we have indexed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..ports.errors import NotFound, PortError
from ..ports.generations import ScopeEntry
from .freshness import seen_in
from .messages import Coverage
from .openings import REVISION

if TYPE_CHECKING:
    from ..kernel.lifecycle import Ports
    from ..ports.metadata import Published, Repo
    from ..retrieval.scope import View
    from .openings import Openings, Where

REMEDY = "have the lexical index filled anew by whoever fills it"


def is_ours(ports: Ports, port: str) -> bool:
    """Whether we fill the store behind the port."""
    return bool(getattr(ports.capabilities(port), "writable", True))


async def covered(openings: Openings, where: Where, view: View, coverage: Coverage) -> tuple[Coverage, list[str]]:
    """The coverage of the lexical arm, and a line for each repository of which it holds something else than we do."""
    ports = where.ports
    if is_ours(ports, "lexical"):
        return coverage, []
    line = (await ports.metadata.identity()).store_id
    told = [await difference(openings, ports, s.published, s.repo, s.root, line=line) for s in seen_in(view, where)]
    notes = [what for what in told if what]
    return (replace(coverage, state="partial", remedy=REMEDY), notes) if notes else (coverage, [])


async def difference(openings: Openings, ports: Ports, one: Published, repo: Repo, root: str, *, line: str) -> str:
    """What the index lacks of a published generation, for a person; "" when nothing is known to be missing.

    :param ports: where the lexical index is open
    :param line: id of the metadata store
    :raises NotIndexed: it does not have the repository
    """
    name = f"{one.repo_id}: {ports.adapter_name('lexical')}, which somebody else fills,"
    there = (await ports.lexical.stats(scope=(ScopeEntry(one.repo_id, one.generation),))).revision
    if there != one.revision:
        return f"{name} has {there[:12] or 'no commit'} and not {one.revision[:12] or 'files without one'}"
    try:
        count = await _uncommitted(openings, ports, one, repo, root, line=line)
    except (PortError, OSError) as exc:
        return f"{name} cannot be compared with what was indexed: {exc}"
    files = "1 file as it was" if count == 1 else f"{count} files as they were"
    return f"{name} has {files} committed, and not as indexed" if count else ""


async def _uncommitted(openings: Openings, ports: Ports, one: Published, repo: Repo, root: str, *, line: str) -> int:
    """Files whose indexed bytes are not those of the commit.

    :raises PortError, OSError: nobody can tell
    """
    from ..indexing import manifest

    kept = manifest.load(ports.data, one.repo_id, one.snapshot, line=line, generation=one.generation)
    if one.snapshot.startswith(REVISION):
        return 0
    if kept is None:
        raise NotFound(f"the manifest of {one.repo_id} ({one.snapshot}) is missing")
    files = await (await openings.source(repo, root)).files(root, revision=one.revision)
    committed = {file.path: file.blob_id for file in files}
    return sum(entry.indexed and committed.get(path) != entry.blob_id for path, entry in kept.entries.items())
