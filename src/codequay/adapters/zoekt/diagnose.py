"""Looking for damage: the spool, the server, and whether it has every shard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from codequay.ports.diagnose import Finding, Level
from codequay.ports.errors import PortError

from . import queries
from .client import Client, Listed
from .config import ZoektConfig
from .errors import REBUILD, START, classify
from .spool import Reader

_COMPONENT = "lexical.zoekt"


async def diagnose(
    config: ZoektConfig, reader: Reader, client: Client, run: Callable[[Callable[[], list[str]]], Awaitable[list[str]]]
) -> list[Finding]:
    """What is wrong with the index that we fill; one finding of level ok when nothing is."""
    damage = await run(reader.damage)
    if damage:
        return [Finding(Level.ERROR, _COMPONENT, f"the spool is damaged: {line}", REBUILD) for line in damage]
    shown = [one for one in reader.known().sealed.values() if one.shards]
    listed = await _listed(client, queries.repositories([one.zoekt for one in shown]))
    if isinstance(listed, Finding):
        return [listed]
    there = {one.name: (one.version, one.shards) for one in listed}
    lost = [one.zoekt for one in shown if there.get(one.zoekt) != (one.version, one.shards)]
    if lost:
        what = f"the server lacks shards of {', '.join(sorted(lost)[:5])}"
        return [Finding(Level.ERROR, _COMPONENT, what, f"see that it serves {config.index_dir}; else: {REBUILD}")]
    many = "1 generation" if len(shown) == 1 else f"{len(shown)} generations"
    return [Finding(Level.OK, _COMPONENT, f"{many}, every shard on {client.url}")]


async def diagnose_external(client: Client) -> list[Finding]:
    """The same for an index that somebody else fills: whether the server answers, and what it has."""
    listed = await _listed(client, "")
    if isinstance(listed, Finding):
        return [listed]
    if not listed:
        remedy = "index there: zoekt-git-index -index INDEX_DIR -branches HEAD REPO"
        return [Finding(Level.WARNING, _COMPONENT, f"the server at {client.url} has no repository", remedy)]
    names = ", ".join(f"{one.name} at {one.version[:12]}" for one in listed[:5])
    return [Finding(Level.OK, _COMPONENT, f"{client.url} is filled by somebody else and has {names}")]


async def _listed(client: Client, query: str) -> list[Listed] | Finding:
    """What the server lists, or why it does not."""
    try:
        return await client.listed(query)
    except PortError as exc:
        return Finding(Level.ERROR, _COMPONENT, exc.message, exc.remedy)
    except Exception as exc:
        verdict = classify(exc)
        if verdict is None:
            raise
        return Finding(Level.ERROR, _COMPONENT, verdict.message, verdict.remedy or START)
