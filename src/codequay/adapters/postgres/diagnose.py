"""A look at the server: may it be written, by this role, durably, with room for our connections; do the rows fit."""

from __future__ import annotations

from codequay.ports.diagnose import Finding, Level

from .migrations import APPLY, Store
from .privileges import missing_grants
from .schema import STEPS

_SERVER = """
SELECT current_setting('server_version'),
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,
    current_setting('fsync')::boolean, current_setting('synchronous_commit') <> 'off',
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
"""
_DANGLING = {
    "chunks": {
        "a file without its content": """
SELECT count(*) FROM {s}.placement p LEFT JOIN {s}.content c ON c.id = p.content WHERE c.id IS NULL""",
        "content without its chunks": """
SELECT count(*) FROM {s}.content c WHERE c.chunks <> (SELECT count(*) FROM {s}.chunk k WHERE k.content = c.id)""",
    },
    "metadata": {
        "a name that shows a generation that is not there": """
SELECT count(*) FROM {s}.shown w LEFT JOIN {s}.publication p ON p.repo = w.repo AND p.generation = w.generation
WHERE p.repo IS NULL""",
    },
}


async def look(store: Store, component: str) -> list[Finding]:
    """What is wrong for one port; at least one finding.

    :raises PortError: the look was not possible
    """
    found = await _of_server(store, component)
    for grant in await missing_grants(store.pool):
        found.append(Finding(Level.ERROR, component, "the role lacks a privilege", f"{grant};"))
    if any(one.level is Level.ERROR for one in found):
        return found
    steps = await store.migrations()
    if any(not step.applied for step in steps):
        version = sum(step.applied for step in steps)
        what = f"the tables in {store.place} have version {version} of {len(STEPS)}"
        return [*found, Finding(Level.ERROR, component, what, APPLY)]
    damage = await _damage(store, component)
    return [*found, *damage] or [Finding(Level.OK, component, f"{await _version(store)}, {store.place}: all is well")]


async def _version(store: Store) -> str:
    return f"PostgreSQL {(await store.pool.read(_SERVER))[0][0].partition(' ')[0]}"


async def _of_server(store: Store, component: str) -> list[Finding]:
    _, read_only, fsync, synchronous, connections = (await store.pool.read(_SERVER))[0]
    found = []
    if read_only:
        what = "the server is a read-only replica, or read-only by its settings"
        found.append(Finding(Level.ERROR, component, what, "point adapters.postgres.dsn at the primary"))
    if not (fsync and synchronous):
        which = "fsync" if not fsync else "synchronous_commit"
        what = f"{which} is off: what was acknowledged may be lost when the server crashes"
        found.append(Finding(Level.WARNING, component, what, f"set {which} = on"))
    if store.max_pool > connections:
        what = f"max_pool is {store.max_pool}, and the server takes {connections} connections of all its clients"
        remedy = "lower adapters.postgres.max_pool, raise the server's max_connections, or put a pooler between"
        found.append(Finding(Level.WARNING, component, what, remedy))
    return found


async def _damage(store: Store, component: str) -> list[Finding]:
    found = []
    for what, sql in _DANGLING.get(component.partition(".")[0], {}).items():
        count = (await store.pool.read(sql.format(s=store.pool.schema)))[0][0]
        if count:
            remedy = "purge the repository and index it again: codequay repos rm, codequay index"
            found.append(Finding(Level.ERROR, component, f"the rows are damaged: {count} times {what}", remedy))
    return found
