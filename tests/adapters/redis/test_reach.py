"""How a server is reached: sockets, TLS, ACL users, Sentinel."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import codequay.adapters.redis
from codequay.adapters.redis.config import RedisConfig
from codequay.ports.diagnose import Level
from codequay.ports.errors import FailedPrecondition, PermissionDenied, Unavailable
from tests.contexts import run

from .server import Server, free_port
from .stores import FAILURES, cache, config, failed, lock

RULES = "resetchannels &codequay:* ~codequay:* +get +mget +set +unlink +del +exists +pttl +pexpire +scan +eval +evalsha"
MORE_RULES = "+publish +subscribe +time +ping +info +select +client|setname +config|get"


async def works(chosen: RedisConfig) -> None:
    async with cache(chosen) as store, lock(chosen) as leases:
        await store.set("k", b"v")
        assert await store.get("k") == b"v" and await store.exists("k")
        assert (await store.scan()).keys == ("k",)
        lease = await leases.acquire("k", ttl=10)
        assert lease is not None
        waiting = asyncio.create_task(leases.acquire("k", ttl=10, wait=10))
        await asyncio.sleep(0.05)
        assert await leases.release(lease)
        again = await waiting
        assert again is not None and again.fence is not None and lease.fence is not None and again.fence > lease.fence
        await leases.extend(again, ttl=20)
        assert (await store.diagnose())[0].level is not Level.ERROR
        await leases.diagnose()
        await store.purge()


async def refusal(chosen: RedisConfig) -> Any:
    async def opening() -> None:
        async with lock(chosen):
            pass

    return await failed(opening())


def test_a_socket_of_this_machine(server: Server) -> None:
    run(works(config(server, url=f"unix://{server.socket}?db=2")))
    assert server.ask("DBSIZE") is not None
    said = run(refusal(config(server, url=f"unix://{server.folder}/none")))
    assert said.error is Unavailable and "none" in said.message and not said.ambiguous


def test_other_databases_are_apart(server: Server) -> None:
    async def body() -> None:
        chosen = config(server, url=server.url.replace("/0", "/3"))
        async with cache(chosen) as store, cache(chosen.model_copy(update={"url": server.url})) as other:
            await store.set("k", b"v")
            assert await other.get("k") is None

    run(body())
    said = run(refusal(config(server, url=server.url.replace("/0", "/999"))))
    assert said.error is FailedPrecondition and "database" in said.message


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """``ca.crt``, and key and certificate of a server called localhost that it has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl(*new, "-subj", "/CN=an authority", *usage, "-keyout", "ca.key", "-out", "ca.crt")
    names = ("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.crt")
    openssl(*new, "-subj", "/CN=localhost", *names, *signed)
    return tmp_path


def test_tls_and_a_certificate_of_our_own(make: Any, certificates: Path) -> None:
    ca, key, crt = (str(certificates / name) for name in ("ca.crt", "server.key", "server.crt"))
    port = free_port()
    server = make(tls_port=str(port), tls_cert_file=crt, tls_key_file=key, tls_ca_cert_file=ca)
    server.start()
    url = f"rediss://localhost:{port}"
    ours = {"cert_file": crt, "key_file": key}
    run(works(config(url=url, ca_file=ca, **ours)))

    said = run(refusal(config(url=url, **ours)))
    assert said.error is FailedPrecondition and "not trusted" in said.message and "ca_file" in said.remedy
    said = run(refusal(config(url=f"rediss://127.0.0.1:{port}", ca_file=ca, **ours)))
    assert said.error is FailedPrecondition and "not trusted" in said.message
    said = run(refusal(config(url=url, ca_file=ca)))
    assert said.error in (FailedPrecondition, Unavailable)
    said = run(refusal(config(url=f"rediss://localhost:{server.port}", ca_file=ca, timeout=0.5)))
    assert said.error is Unavailable and "no connection within" in said.message


def test_the_rights_of_the_documentation_are_enough(make: Any) -> None:
    docs = Path(codequay.adapters.redis.__file__).with_name("docs.md").read_text()
    assert RULES in docs and MORE_RULES in docs
    server = make()
    server.start()
    server.ask("ACL", "SETUSER", "app", "on", '>it\'s "secret"', *RULES.split(), *MORE_RULES.split())
    chosen = config(server, username="app", password='it\'s "secret"', prefix="codequay:")
    run(works(chosen))
    run(works(chosen.model_copy(update={"url": f"redis://app@127.0.0.1:{server.port}", "username": ""})))
    denied = run(refusal(chosen.model_copy(update={"prefix": "other:"})))
    assert denied.error is PermissionDenied and "docs.md" in denied.remedy


def test_who_is_not_let_in_is_told_so_without_the_password(make: Any) -> None:
    server = make(requirepass="right")
    server.configure("user idle off")

    server.start(answers=False)
    for options in ({}, {"password": "s3cr3t"}, {"password": "right", "username": "nobody"}):
        said = run(refusal(config(server, **options)))
        assert said.error is PermissionDenied, said
        assert "username and password" in said.remedy
        assert "s3cr3t" not in repr(said) and "right" not in said.message
    run(works(config(server, password="right")))


async def outlives(chosen: RedisConfig, primary: Server, sentinel: Server) -> None:
    """The primary is killed while somebody waits for a lease, and the fence goes on rising at the next one."""
    async with lock(chosen) as store:
        first = await store.acquire("k", ttl=1)
        assert first is not None and first.fence is not None
        waiting = asyncio.create_task(store.acquire("k", ttl=1, wait=60))
        deadline = time.monotonic() + 20
        while int(primary.ask("INFO", "replication")["connected_slaves"]) < 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        while (said := sentinel.ask("SENTINEL", "MASTER", "main"))[said.index(b"num-other-sentinels") + 1] != b"2":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        primary.stop()
        second = None
        while second is None:
            assert time.monotonic() < deadline + 20
            try:
                second = await waiting if not waiting.done() else await store.acquire("k", ttl=1)
            except FAILURES:
                await asyncio.sleep(0.1)
        assert second.fence is not None and second.fence > first.fence


def test_sentinel_names_the_primary_also_after_a_failover(make: Any) -> None:
    primary, replica = make(), make()
    primary.start()
    replica.configure(f"replicaof 127.0.0.1 {primary.port}")
    replica.start()
    sentinels = [make(sentinel=True) for _ in range(3)]
    for one in sentinels:
        one.configure(
            f"sentinel monitor main 127.0.0.1 {primary.port} 2",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 3000",
        )
        one.start()
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)
    chosen = config(url=f"sentinel://127.0.0.1:1,{hosts}/main", timeout=3)
    run(works(chosen))
    said = run(refusal(chosen.model_copy(update={"url": f"sentinel://{hosts}/other"})))
    assert said.error is Unavailable and "unknown service" in said.message and not said.ambiguous
    said = run(refusal(chosen.model_copy(update={"url": "sentinel://127.0.0.1:1/main"})))
    assert said.error is Unavailable and "127.0.0.1:1" in said.message
    said = run(refusal(config(sentinels[0])))
    assert said.error is FailedPrecondition and "Sentinel" in said.message

    run(outlives(chosen, primary, sentinels[0]))


def test_sentinel_over_tls_to_every_server(make: Any, certificates: Path) -> None:
    """Sentinels, primary and replica speak TLS, among themselves too, and ask each client for a certificate."""
    ca, key, crt = (str(certificates / name) for name in ("ca.crt", "server.key", "server.crt"))
    tls = {"tls_cert_file": crt, "tls_key_file": key, "tls_ca_cert_file": ca, "tls_replication": "yes"}

    def over_tls(**more: Any) -> tuple[Server, int]:
        port = free_port()
        return make(tls_port=str(port), **tls, **more), port

    primary, at = over_tls(replica_announce_ip="localhost")
    replica, _ = over_tls(replica_announce_ip="localhost", replicaof=f"localhost {at}")
    primary.start()
    replica.start()
    sentinels = [over_tls(sentinel=True) for _ in range(3)]
    for one, _ in sentinels:
        one.configure(
            "sentinel resolve-hostnames yes",
            "sentinel announce-hostnames yes",
            f"sentinel monitor main localhost {at} 2",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 3000",
        )
        one.start()
    hosts = ",".join(f"localhost:{port}" for _, port in sentinels)
    chosen = config(
        url=f"sentinel://{hosts}/main?tls=true", ca_file=ca, cert_file=crt, key_file=key, timeout=3, connect_timeout=1
    )
    run(works(chosen))

    def refused(**wrong: Any) -> Any:
        return run(refusal(chosen.model_copy(update=wrong)))

    bare = {"cert_file": "", "key_file": ""}
    for wrong in ({"ca_file": ""}, {"url": chosen.url.replace("localhost", "127.0.0.1")}):
        said = refused(**wrong)
        assert said.error is FailedPrecondition and "not trusted" in said.message and "ca_file" in said.remedy
    assert refused(**bare).error in (FailedPrecondition, Unavailable), "what it says may be lost with the connection"
    said = refused(url=chosen.url.replace("?tls=true", ""), ca_file="", **bare)
    assert said.error is Unavailable and "no Sentinel names the primary" in said.message
    asked = sentinels[0][0]
    said = refused(url=f"sentinel://localhost:{asked.port}/main?tls=true")
    assert said.error is Unavailable and "no answer" in said.message

    for one, _ in sentinels:
        one.ask("SENTINEL", "CONFIG", "SET", "announce-hostnames", "no")
    said = refused()
    assert said.error is FailedPrecondition and "not trusted" in said.message, "the certificate has no address"
    for one, _ in sentinels:
        one.ask("SENTINEL", "CONFIG", "SET", "announce-hostnames", "yes")

    run(outlives(chosen, primary, asked))
