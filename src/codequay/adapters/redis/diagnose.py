"""A look at the server: is it one that serves us, and does it keep what it is given."""

from __future__ import annotations

from contextlib import suppress

from redis.exceptions import ResponseError

from codequay.ports.diagnose import Finding, Level
from codequay.ports.errors import FailedPrecondition

from .connection import Client

OLDEST = (6, 2)
"""Older servers get no repairs; the scripts need 5.0, ACL users 6.0."""
_UPGRADE = "use Redis 6.2 or later, or Valkey"
_SINGLE = "use a single server, or a primary behind Sentinel (sentinel://)"


async def check(client: Client) -> None:
    """Refuse a server that cannot serve. One that may not be asked is taken as it is.

    :raises FailedPrecondition: it is too old, part of a cluster, or a Sentinel
    """
    with suppress(ResponseError):  # INFO is not permitted
        for what, remedy in _unfit(await _info(client, "server")):
            raise FailedPrecondition(what, remedy=remedy)


async def look(client: Client, component: str) -> list[Finding]:
    """What is wrong for one port; at least one finding.

    :raises RedisError: the look was not possible
    """
    said = await _info(client)
    found = [Finding(Level.ERROR, component, what, remedy) for what, remedy in _unfit(said)]
    if said.get("role") == "slave":
        what = "the server is a replica: it takes no writes"
        found.append(Finding(Level.ERROR, component, what, "point adapters.redis.url at the primary, or at Sentinel"))
    if component.startswith("lock."):
        found += await _of_leases(client, said, component)
    most = int(said.get("maxclients", 0))
    if 0 < most < client.max_pool:
        what = f"max_pool is {client.max_pool}, and the server takes {most} connections of all its clients"
        remedy = "lower adapters.redis.max_pool, or raise the server's maxclients"
        found.append(Finding(Level.WARNING, component, what, remedy))
    version = f"Redis {said.get('redis_version', '?')}"
    return found or [Finding(Level.OK, component, f"{version}, {said.get('maxmemory_policy', 'noeviction')}")]


async def _of_leases(client: Client, said: dict[str, str], component: str) -> list[Finding]:
    found = []
    policy = said.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        what = f"the server evicts keys ({policy}): a lease may vanish while it is held"
        remedy = "set maxmemory-policy noeviction, or use another server for locks"
        found.append(Finding(Level.ERROR, component, what, remedy))
    if said.get("aof_enabled") == "0" and await _saves_nothing(client):
        what = "the server keeps nothing on disk: a restart forgets who holds what (fences still rise)"
        found.append(Finding(Level.WARNING, component, what, "set appendonly yes"))
    return found


async def _saves_nothing(client: Client) -> bool:
    """False also when the server does not say: hosted ones forbid CONFIG."""
    try:
        return bool(await client.command("CONFIG", "GET", "save") == [b"save", b""])
    except ResponseError:
        return False


def _unfit(said: dict[str, str]) -> list[tuple[str, str]]:
    """Why the server cannot serve, and the remedy."""
    found = []
    version = tuple(int(part) for part in said.get("redis_version", "").split(".")[:2] if part.isdecimal())
    if version < OLDEST:
        found.append((f"the server is too old: Redis {said.get('redis_version', '?')}", _UPGRADE))
    if said.get("redis_mode") == "cluster":
        found.append(("the server is part of a cluster, which would part a lease from its fence", _SINGLE))
    if said.get("redis_mode") == "sentinel":
        found.append(("this is a Sentinel, not a server", "write sentinel://HOST:PORT/SERVICE"))
    return found


async def _info(client: Client, *sections: str) -> dict[str, str]:
    text = (await client.command("INFO", *sections)).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
