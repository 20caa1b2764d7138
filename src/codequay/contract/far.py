"""The reference adapters behind a wire: what the trials of level faults are measured on, without any real server.

Server and client live in the process of the trial. What crosses the wire is a frame as long as the call is large, with
a number in it; call and answer lie under that number in a table, so that nothing is encoded or decoded. The server acts
on a frame when it has arrived whole. It keeps what it was told over a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from codequay.kernel.registry import Registry, default_registry
from codequay.ports.errors import DeadlineExceeded, Internal, PortError, Unavailable
from codequay.ports.op import Effect, Op, operations

from .harness import Harness, Subject

HEAD = struct.Struct(">QI")
LONGEST = 200_000
"""Bytes of a frame at most."""
POOL = 8
TIMEOUT_S = 30.0


@dataclass
class Asked:
    """A call on its way, and what became of it."""

    op: Op
    args: tuple[Any, ...]
    options: dict[str, Any]
    answer: Any = None
    error: BaseException | None = None


class Server:
    """Keeps one store and does with it what frames ask for."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls: dict[int, Asked] = {}
        self.number = count(1)
        self._port = 0
        self._listening: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Event] = {}

    async def start(self, listening: socket.socket | None = None) -> None:
        """Serve on a socket that listens, the first time; then again on its port."""
        listening = listening or socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self._listening = await asyncio.start_server(self._serve, sock=listening)

    async def stop(self) -> None:
        """As a SIGKILL does: connections end, calls that run are never answered."""
        if self._listening is not None:
            self._listening.close()
        ended = list(self._connections.values())
        for writer in self._connections:
            writer.transport.abort()
        await asyncio.gather(*(one.wait() for one in ended))

    async def restarted(self) -> None:
        """For what a server forgets when it is killed."""

    async def partly(self, asked: Asked, part: float) -> None:
        """For what a server does with the part of a call that arrived."""

    async def apply(self, asked: Asked) -> None:
        try:
            asked.answer = await getattr(self.store, asked.op.name)(*asked.args, **asked.options)
        except Exception as exc:  # noqa: BLE001 - it is raised where the call came from
            asked.error = exc

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = self._connections[writer] = asyncio.Event()
        ahead = b""
        try:
            while True:
                number, size = HEAD.unpack(ahead + await reader.readexactly(HEAD.size - len(ahead)))
                asked = self.calls[number]
                arrived = await _arrived(reader, size)
                if arrived < size:
                    await self.partly(asked, arrived / size)
                    return
                applying, coming = asyncio.ensure_future(self.apply(asked)), asyncio.ensure_future(reader.read(1))
                await asyncio.wait({applying, coming}, return_when=asyncio.FIRST_COMPLETED)
                if not applying.done() and not coming.exception() and coming.result():
                    await applying
                applying.cancel()  # Only one that waits for a client which is gone is not done.
                coming.cancel()
                await asyncio.wait({applying, coming})
                ahead = b"" if coming.cancelled() else coming.result()
                if applying.cancelled():
                    return
                writer.write(HEAD.pack(number, 0))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._connections[writer]
            ended.set()


async def _arrived(reader: asyncio.StreamReader, size: int) -> int:
    """How many of so many bytes come before the connection ends."""
    got = 0
    with contextlib.suppress(OSError):
        while got < size and (piece := await reader.read(size - got)):
            got += len(piece)
    return got


class Connection:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def lost(self) -> bool:
        return self.writer.is_closing() or self.reader.at_eof() or self.reader.exception() is not None

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Client:
    """A port over the wire. What it does at each fault can be overridden: see ``saboteurs.faults``."""

    def __init__(self, server: Server, endpoint: tuple[str, int], timeout: float, protocol: type) -> None:
        self.server = server
        self.endpoint = endpoint
        self.timeout: float | None = timeout
        self._operations = operations(protocol)
        self._idle: list[Connection] = []
        self._permits = asyncio.Semaphore(POOL)

    def __getattr__(self, name: str) -> Any:
        op = self.__dict__.get("_operations", {}).get(name)
        if op is None:
            raise AttributeError(name)
        if op.stream:
            return getattr(self.server.store, name)

        async def call(*args: Any, **options: Any) -> Any:
            async with self._permits:
                return await self.call(Asked(op, args, options))

        return call

    async def call(self, asked: Asked) -> Any:
        """Send it, and wait for the answer."""
        connection = self.idle()
        try:
            async with asyncio.timeout(self.timeout):
                connection = connection or await self.connect()
        except (OSError, TimeoutError) as exc:
            raise self.unreached(exc) from exc
        try:
            async with asyncio.timeout(self.timeout):
                await self.exchange(connection, asked)
        except TimeoutError as exc:
            await self.throw_away(connection)
            raise self.lost(asked, exc) from exc
        except (OSError, asyncio.IncompleteReadError) as exc:
            await self.throw_away(connection)
            return await self.in_doubt(asked, exc)
        except BaseException:
            await self.given_up(connection)
            raise
        self._idle.append(connection)
        if asked.error is not None:
            raise asked.error
        return asked.answer

    def idle(self) -> Connection | None:
        """A living connection that nobody uses."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
            connection.writer.transport.abort()
        return None

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(*self.endpoint))

    async def exchange(self, connection: Connection, asked: Asked) -> None:
        number = next(self.server.number)
        self.server.calls[number] = asked
        size = min(len(repr((asked.args, asked.options))), LONGEST)
        connection.writer.write(HEAD.pack(number, size) + bytes(size))
        await connection.writer.drain()
        await self.answered(connection, number)

    async def answered(self, connection: Connection, number: int) -> None:
        found, _ = HEAD.unpack(await connection.reader.readexactly(HEAD.size))
        if found != number:
            raise Internal(f"the answer to call {found} came for call {number}")

    def unreached(self, exc: Exception) -> PortError:
        """The error when nothing was sent."""
        kind = DeadlineExceeded if isinstance(exc, TimeoutError) else Unavailable
        return kind("the server cannot be reached", remedy="start it")

    def lost(self, asked: Asked, exc: Exception) -> PortError:
        """The error when nobody knows what the server did."""
        kind = DeadlineExceeded if isinstance(exc, TimeoutError) else Unavailable
        ambiguous = asked.op.effect is Effect.WRITE
        return kind("the connection was lost", remedy="look whether it was applied", ambiguous=ambiguous)

    async def in_doubt(self, asked: Asked, exc: Exception) -> Any:
        """The connection went after something was sent."""
        raise self.lost(asked, exc)

    async def throw_away(self, connection: Connection) -> None:
        """The connection is of no more use."""
        await connection.close()

    async def given_up(self, connection: Connection) -> None:
        """The caller was cancelled while the answer was outstanding."""
        await connection.close()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


class FarHarness(Harness):
    """A reference with a server of its own, on a port that is there before it is opened."""

    server_type: type[Server] = Server
    client_type: type[Client] = Client

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._listening: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.endpoint = self._listening.getsockname()[:2]
        self._server: Server | None = None

    async def open(self) -> Client:
        if self._server is None:
            self._server = self.server_type(await self._from_spec(readonly=False))
            listening, self._listening = self._listening, None
            await self._server.start(listening)
        if self.endpoint is None or self.spec is None:
            raise NotImplementedError("it needs the spec of a reference")
        timeout = TIMEOUT_S if self.timeout is None else self.timeout
        protocol = default_registry().port(self.port).protocol
        client = self.client_type(self._server, self.endpoint, timeout, protocol)
        return await self.enter(_closing(client))

    async def restart(self) -> None:
        if self._server is not None:
            await self._server.stop()
            await self._server.restarted()
            await self._server.start()

    async def discard(self) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._server is not None:
            await self._server.stop()


@asynccontextmanager
async def _closing(client: Client) -> AsyncIterator[Client]:
    try:
        yield client
    finally:
        await client.close()


def far(component: str, registry: Registry, harness: type[FarHarness] = FarHarness) -> Subject:
    """A reference behind a wire: durable, as its server keeps everything."""
    port, _, adapter = component.partition(".")
    spec = registry.spec(port, adapter)
    more = {"port": port, "adapter": adapter, "capabilities": replace(spec.capabilities, durable=True)}
    return Subject(port, adapter, spec, type(harness.__name__, (harness,), more))
