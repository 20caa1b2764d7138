"""A password that is changed while the store is open: it is looked up again when the server refuses the old one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from codequay.kernel.lifecycle import open_ports
from codequay.kernel.plan import make_plan
from codequay.kernel.registry import default_registry
from codequay.kernel.settings import load_settings
from codequay.ports.errors import PermissionDenied, SecretError
from tests.contexts import run

from .server import Server
from .stores import schema_name

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'"


def test_a_password_in_a_file_may_be_changed_while_the_store_is_open(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("first\n")
    server.administer("CREATE ROLE rotated LOGIN PASSWORD 'first'", "GRANT CREATE ON DATABASE codequay TO rotated")
    schema = schema_name()
    options = {"dsn": server.url(user="rotated"), "password": f"file:{secret}", "schema": schema, "min_pool": "0"}
    sets = ["ports.lock=postgres", *(f"adapters.postgres.{name}={value}" for name, value in options.items())]

    async def change(password: str) -> None:
        await asyncio.to_thread(server.administer, f"ALTER ROLE rotated PASSWORD '{password}'", END)
        await asyncio.sleep(0.3)  # until the farewell is here: what is sent before it is ambiguous

    async def body() -> None:
        settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=sets)
        plan = make_plan(settings, default_registry(), ports=["lock"])
        async with open_ports(plan, data=tmp_path / "data", readonly=False) as ports:
            assert await ports.lock.acquire("a", ttl=60) is not None
            await change("second")
            with pytest.raises(PermissionDenied) as failed:
                await ports.lock.acquire("b", ttl=60)
            assert "first" not in str(failed.value)
            secret.write_text("second\n")
            assert await ports.lock.acquire("b", ttl=60) is not None
            await change("third")
            secret.unlink()
            with pytest.raises(SecretError, match="cannot be read"):
                await ports.lock.acquire("c", ttl=60)
            secret.write_text("third")
            assert await ports.lock.acquire("c", ttl=60) is not None

    try:
        run(body())
    finally:
        server.administer("DROP OWNED BY rotated CASCADE", database="codequay")
        server.administer("REVOKE ALL ON DATABASE codequay FROM rotated", "DROP ROLE rotated")
