"""A password that is changed while the store is open: it is looked up again when the server refuses the old one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from codequay.kernel.lifecycle import open_ports
from codequay.kernel.plan import make_plan
from codequay.kernel.registry import default_registry
from codequay.kernel.settings import load_settings
from codequay.ports.errors import PermissionDenied, SecretError
from tests.contexts import run


def test_a_password_in_a_file_may_be_changed_while_the_store_is_open(make: Any, tmp_path: Path) -> None:
    server = make()
    server.start()
    server.ask("ACL", "SETUSER", "rotated", "on", ">first", "~*", "&*", "+@all")
    secret = tmp_path / "password"
    secret.write_text("first\n")
    options = {"url": server.url, "username": "rotated", "password": f"file:{secret}"}
    sets = ["ports.lock=redis", *(f"adapters.redis.{name}={value}" for name, value in options.items())]

    async def change(password: str) -> None:
        await asyncio.to_thread(server.ask, "ACL", "SETUSER", "rotated", "resetpass", f">{password}")
        await asyncio.to_thread(server.ask, "CLIENT", "KILL", "USER", "rotated")

    async def body() -> None:
        settings = load_settings(env={}, project=tmp_path, user=tmp_path, sets=sets)
        plan = make_plan(settings, default_registry(), ports=["lock"])
        async with open_ports(plan, data=tmp_path / "data", readonly=False) as ports:
            held = await ports.lock.acquire("a", ttl=60)
            waiting = asyncio.create_task(ports.lock.acquire("a", ttl=60, wait=30))
            await asyncio.sleep(0.1)
            await change("second")
            with pytest.raises(PermissionDenied) as failed:
                await ports.lock.acquire("b", ttl=60)
            assert "first" not in str(failed.value)
            secret.write_text("second\n")
            several = await asyncio.gather(*(ports.lock.acquire(f"b{number}", ttl=60) for number in range(8)))
            assert None not in several
            assert await ports.lock.release(held)
            assert await waiting is not None
            await change("third")
            secret.unlink()
            with pytest.raises(SecretError, match="cannot be read"):
                await ports.lock.acquire("c", ttl=60)
            secret.write_text("third")
            assert await ports.lock.acquire("c", ttl=60) is not None

    run(body())
