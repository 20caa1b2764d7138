"""A TCP proxy in front of a server, on which the kit breaks the network as networks break.

It passes bytes on without looking into them, so TLS passes through, and counts turns: a turn begins when the client
sends after the server has spoken, or for the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PIECE = 65_536
APPLIED_S = 0.02
"""Seconds of silence after which the server has said all of an answer, and so has done what it was asked."""


class Proxy:
    """Listens on a port of the loopback interface; see ``proxy``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._port = 0
        self._cut_after: int | None = None
        self._loses_in = 0
        self.silent = False
        """Connections are accepted and stay open, and nothing arrives anywhere."""
        self.latency = 0.0
        """Seconds by which every piece is late, in each direction."""
        self.broken = False
        """What ``cut`` or ``lose_reply`` ordered last has happened."""
        self.turns = 0
        self.sent = 0
        """Bytes that clients have sent."""
        self.made = 0
        """Connections that were accepted."""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Where a client connects to."""
        return "127.0.0.1", self._port

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    async def refuse(self) -> None:
        """The server is gone: living connections are reset, new ones refused."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.reset()

    async def reset(self) -> None:
        """Reset every living connection; both ends have been told when this returns."""
        links = tuple(self._links)
        for link in links:
            link.reset()
        await asyncio.gather(*(link.ended.wait() for link in links))

    def black_hole(self) -> None:
        """From now on nothing arrives, in either direction, and nothing is closed."""
        self.silent = True

    def lose_reply(self, turn: int = 1) -> None:
        """What is sent in that turn from now on arrives and is applied; its answer is lost with the connection."""
        self._loses_in, self.broken = turn, False

    def cut(self, after: int) -> None:
        """So many bytes more arrive, over all connections; then they are reset as soon as they send, until ``heal``."""
        self._cut_after, self.broken = after, False

    async def heal(self) -> None:
        """Whatever was broken works again; connections that hung are reset, as by a router that has restarted."""
        hung = self.silent
        self.silent, self.latency, self._cut_after, self._loses_in = False, 0.0, None, 0
        if hung:
            await self.reset()
        await self._start()

    async def _start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await link.run(self._target)
        finally:
            self._links.discard(link)
            link.ended.set()

    def begin_turn(self) -> bool:
        """Count a turn; whether its answer is to be lost."""
        self.turns += 1
        if not self._loses_in:
            return False
        self._loses_in -= 1
        self.broken = not self._loses_in
        return self.broken

    def spend(self, count: int) -> int:
        """How many of so many bytes may still go to the server."""
        self.sent += count
        if self._cut_after is None:
            return count
        allowed = min(count, self._cut_after)
        self._cut_after -= allowed
        self.broken = self.broken or allowed < count
        return allowed


class _Link:
    """One connection of a client and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = reader, writer
        self._server_spoke = True
        self._loses = False
        self._reset = asyncio.Event()
        self.ended = asyncio.Event()

    def reset(self) -> None:
        self._reset.set()

    async def run(self, target: tuple[str, int]) -> None:
        reader, writer = self._client
        try:
            upstream = await asyncio.open_connection(*target)
        except OSError:
            _abort(writer)
            return
        tasks = [
            asyncio.create_task(self._forward(reader, upstream[1])),
            asyncio.create_task(self._backward(upstream[0], writer)),
            asyncio.create_task(self._reset.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            broken = self._reset.is_set()
            for one in (writer, upstream[1]):
                _abort(one) if broken else one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the client to the server."""
        while piece := await _read(reader):
            if self._proxy.silent:
                continue
            if self._server_spoke:
                self._server_spoke = False
                self._loses = self._proxy.begin_turn()
            allowed = self._proxy.spend(len(piece))
            await self._late()
            await _write(writer, piece[:allowed])
            if allowed < len(piece):
                await asyncio.sleep(APPLIED_S)  # What did arrive is read before the reset overtakes it.
                self.reset()
                return

    async def _backward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the client."""
        while piece := await _read(reader):
            if self._proxy.silent:
                continue
            self._server_spoke = True
            if self._loses:
                while piece:
                    piece = await _read(reader, APPLIED_S)
                self.reset()
                return
            await self._late()
            await _write(writer, piece)

    async def _late(self) -> None:
        if self._proxy.latency:
            await asyncio.sleep(self._proxy.latency)


async def _read(reader: asyncio.StreamReader, seconds: float | None = None) -> bytes:
    """What has come; b"" at the end, or when nothing comes for so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(PIECE)
    except (OSError, TimeoutError):
        return b""


async def _write(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with contextlib.suppress(OSError):
        writer.write(piece)
        await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an end."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxy(target: tuple[str, int]) -> AsyncIterator[Proxy]:
    """A proxy in front of ``target`` (host, port), closed with all its connections."""
    found = Proxy(target)
    await found._start()
    try:
        yield found
    finally:
        await found.refuse()
