"""The proxy that stands between an adapter and its server, in front of a server that says everything back."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from codequay.contract.proxy import Proxy, proxy

Dial = Callable[[], Awaitable["Line"]]
LONG_S = 5.0


class Line:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes) -> bytes:
        """Send it, and read as much back."""
        await self.send(data)
        async with asyncio.timeout(LONG_S):
            return await self.reader.readexactly(len(data))

    async def close(self) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


class Echo:
    """What the server behind the proxy has heard."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def echoed(**tls: Any) -> AsyncIterator[tuple[Proxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0, **tls)
    try:
        async with proxy(server.sockets[0].getsockname()[:2]) as net:
            yield net, echo
    finally:
        server.close()


async def dial(net: Proxy, **tls: Any) -> Line:
    return Line(*await asyncio.open_connection(*net.endpoint, **tls))


def through(body: Callable[[Proxy, Echo], Awaitable[None]]) -> None:
    """Run it, and see that every connection is gone."""

    async def main() -> None:
        async with echoed() as (net, echo):
            await body(net, echo)
        assert net.open == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_bytes_pass_and_turns_and_connections_are_counted() -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line, other = await dial(net), await dial(net)
        assert await line.ask(b"x" * 300_000) == b"x" * 300_000
        before = net.turns
        for _ in range(3):
            await line.ask(b"ping")
        await other.ask(b"pong")
        assert (net.turns - before, net.made, net.open) == (4, 2, 2)
        assert net.sent == len(echo.heard) == 300_016
        for one in (line, other):
            await one.close()
        while net.open:
            await asyncio.sleep(0.001)

    through(body)


def test_refused_and_healed() -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line = await dial(net)
        await line.ask(b"a")
        await net.refuse()
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await line.ask(b"b")
        with pytest.raises(OSError):
            await dial(net)
        await net.heal()
        line = await dial(net)
        assert await line.ask(b"c") == b"c"
        assert echo.heard == b"ac"
        await line.close()

    through(body)


def test_a_reset_ends_what_is_open_and_lets_others_in() -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line = await dial(net)
        await line.ask(b"a")
        await net.reset()
        assert net.open == 0
        with pytest.raises(ConnectionResetError):
            await line.reader.read()
        line = await dial(net)
        assert await line.ask(b"b") == b"b"
        await line.close()

    through(body)


def test_a_black_hole_swallows_and_closes_nothing() -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line = await dial(net)
        await line.ask(b"a")
        net.black_hole()
        late = await dial(net)
        for one in (line, late):
            await one.send(b"lost")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await one.reader.read(1)
        assert (net.open, echo.heard) == (2, b"a")
        await net.heal()
        with pytest.raises(ConnectionResetError):
            await line.reader.read()
        line = await dial(net)
        assert await line.ask(b"b") == b"b"
        await line.close()

    through(body)


def test_latency_delays_both_directions() -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line = await dial(net)
        net.latency = 0.05
        began = asyncio.get_running_loop().time()
        assert await line.ask(b"a") == b"a"
        assert asyncio.get_running_loop().time() - began >= 0.1
        await line.close()

    through(body)


@pytest.mark.parametrize("after", [0, 1, 7, 10])
def test_a_cut_lets_so_many_bytes_through(after: int) -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line = await dial(net)
        await line.ask(b"before")
        net.cut(after)
        assert not net.broken
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await line.ask(b"x" * 11)
        assert net.broken
        assert echo.heard == b"before" + b"x" * after
        again = await dial(net)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await again.ask(b"y")
        await net.heal()
        again = await dial(net)
        assert await again.ask(b"z") == b"z"
        await again.close()

    through(body)


def test_a_lost_reply_is_that_of_a_call_which_arrived() -> None:
    async def body(net: Proxy, echo: Echo) -> None:
        line = await dial(net)
        net.lose_reply(2)
        assert await line.ask(b"one") == b"one"
        assert not net.broken
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await line.ask(b"two")
        assert net.broken
        assert echo.heard == b"onetwo"
        line = await dial(net)
        assert await line.ask(b"three") == b"three"
        await line.close()

    through(body)


def test_a_server_that_is_gone_looks_gone() -> None:
    async def main() -> None:
        async with echoed() as (net, _):
            pass
        async with proxy(net.endpoint) as nowhere:
            line = await dial(nowhere)
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await line.ask(b"a")
            await line.close()

    asyncio.run(main())


def test_tls_passes_through_and_its_turns_count(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def main() -> None:
        async with echoed(ssl=serving) as (net, echo):
            line = await dial(net, ssl=trusting, server_hostname="localhost")
            await line.ask(b"warm")
            before = net.turns
            assert await line.ask(b"secret words") == b"secret words"
            assert net.turns == before + 1
            assert echo.heard == b"warmsecret words"
            assert net.sent > len(echo.heard)
            net.lose_reply()
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await line.ask(b"lost")
            assert echo.heard.endswith(b"lost")

    asyncio.run(main())
