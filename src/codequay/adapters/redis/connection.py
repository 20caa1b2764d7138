"""One client per instance: its pool, its deadline, and scripts that the server keeps."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from redis import exceptions as redis
from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from codequay.ports.spec import BuildContext, PoolStats, SupportsReload

from .config import RedisConfig
from .errors import Closed, PoolExhausted, Unreachable

T = TypeVar("T")

LISTENERS = 2
"""Connections beside ``max_pool``: the cache and the lock listen on one each."""
LARGE = 65_536
"""Bytes from which a value is not copied into the command."""
_SAID_SO = redis.AuthenticationError, redis.BusyLoadingError, redis.AuthorizationError
"""Connection errors by which a server that was reached refuses."""


async def client(config: RedisConfig, ctx: BuildContext) -> Client:
    """The client of this instance, shared by its ports. Nothing is connected yet."""
    reload = ctx.reload if isinstance(ctx, SupportsReload) else None
    return await ctx.shared("client", lambda: _open(config, reload))


@asynccontextmanager
async def _open(config: RedisConfig, reload: Callable[[], Any] | None) -> AsyncIterator[Client]:
    found = Client(config, reload)
    try:
        yield found
    finally:
        await found.close()


class Login(CredentialProvider):
    """User and password of every new connection. They are looked up again when the server has refused them, because
    they may have been changed since."""

    def __init__(self, config: RedisConfig, reload: Callable[[], Any] | None) -> None:
        self._reload = reload
        self.current = _login(config)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        user, password = self.current
        return (user, password) if user else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()

    def renewed(self, refused: tuple[str, str]) -> bool:
        """Whether there are others now than those that were refused.

        :raises SecretError: they cannot be looked up again
        """
        if self.current == refused and self._reload is not None and (config := self._reload()) is not None:
            self.current = _login(config)
        return self.current != refused


def _login(config: RedisConfig) -> tuple[str, str]:
    return config.username or config.address.username, config.password.get_secret_value() if config.password else ""


def connections(config: RedisConfig, login: Login) -> BlockingConnectionPool:
    """A pool; nothing is connected yet.

    Retries are off: they belong to the layers, and would multiply. So is the client's own read timeout, which swallows
    a cancellation on Python 3.11; ``Client.command`` has a deadline instead.
    """
    address = config.address
    options: dict[str, Any] = {
        "max_connections": config.max_pool + LISTENERS,
        "timeout": config.timeout,
        "db": address.database,
        **_manner(config),
        "credential_provider": login if any(login.current) else None,
    }
    if address.scheme == "sentinel":
        asked = Sentinels(config)
        return SentinelPool(address.service, asked, ssl=address.tls, **options)  # type: ignore[no-untyped-call]  # redis-py has no types there
    if address.scheme == "unix":
        return BlockingConnectionPool(connection_class=UnixDomainSocketConnection, path=address.path, **options)
    ((host, port),) = address.hosts
    if address.tls:
        options["connection_class"] = SSLConnection
    return BlockingConnectionPool(host=host, port=port, **options)


def _manner(config: RedisConfig) -> dict[str, Any]:
    """How every connection behaves, those to Sentinels included."""
    manner: dict[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": config.connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "client_name": config.client_name,
    }
    if config.ca_file:
        manner["ssl_ca_certs"] = config.ca_file
    if config.cert_file:
        manner |= {"ssl_certfile": config.cert_file, "ssl_keyfile": config.key_file or config.cert_file}
    return manner


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """redis-py's pool behind Sentinel raises when it is full; this one waits."""


class Sentinels:
    """Asks the Sentinels for the primary, one after the other, each within ``connect_timeout``."""

    def __init__(self, config: RedisConfig) -> None:
        self._config = config

    async def discover_master(self, service: str) -> tuple[str, int]:
        """Host and port of the primary.

        :raises Unreachable: no Sentinel answers, or none that does knows the service
        """
        said = []
        for host, port in self._config.address.hosts:
            try:
                async with asyncio.timeout(self._config.connect_timeout):
                    found = await self._ask(host, port, service)
            except (redis.RedisError, OSError) as exc:
                said.append(f"{host}:{port}: {str(exc) or 'no answer'}")
                continue
            if found is not None:
                return found[0].decode(), int(found[1])
            said.append(f"{host}:{port}: unknown service")
        raise Unreachable(f"no Sentinel names the primary of {service!r} ({'; '.join(said)})")

    async def _ask(self, host: str, port: int, service: str) -> Any:
        config, password = self._config, self._config.sentinel_password
        kind: Any = SSLConnection if config.address.tls else Connection
        connection = kind(
            host=host,
            port=port,
            **_manner(config),
            username=config.sentinel_username or None,
            password=password.get_secret_value() if password else None,
        )
        try:
            await connection.connect()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)


class Script:
    """A Lua script and the name under which the server keeps it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Client:
    """Commands within a deadline."""

    def __init__(self, config: RedisConfig, reload: Callable[[], Any] | None = None) -> None:
        self._login = Login(config, reload)
        self.connections: Any = connections(config, self._login)
        self.prefix = config.prefix
        self.timeout = config.timeout
        self.max_pool = config.max_pool
        self.trips = 0
        """Exchanges so far."""
        self._permits = asyncio.Semaphore(config.max_pool)
        self._waiting = self._active = 0
        self._closed = False

    @property
    def stats(self) -> PoolStats:
        size = len(self.connections._available_connections) + self._active
        return PoolStats(size, self._active, size - self._active, self._waiting, self._active / self.max_pool)

    async def command(self, *words: bytes | str | int) -> Any:
        """Send one command and read its answer.

        :raises PoolExhausted: every connection was in use until the deadline; nothing was sent
        :raises Unreachable: there is no connection to the server; nothing was sent
        :raises TimeoutError: the deadline has passed; a write may have been applied
        :raises redis.RedisError: what the server says, or that it is gone
        """
        if self._closed:
            raise Closed
        packed = _packed(words)
        return await self.logged_in(lambda: self._exchange(packed))

    async def logged_in(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work, and once more when its login was refused and there is another password now. A server that
        refuses a login has done nothing."""
        used = self._login.current
        try:
            return await work()
        except redis.AuthenticationError:
            if not self._login.renewed(used):
                raise
        return await work()

    async def _exchange(self, packed: list[bytes]) -> Any:
        self.trips += 1
        self._waiting += 1
        stage = _Stage()
        try:
            async with asyncio.timeout(self.timeout), self._permits:
                stage.permitted = True
                self._waiting -= 1
                self._active += 1
                try:
                    connection = await self.connections.get_connection()
                    try:
                        await _send(connection, packed, stage)
                        return await connection.read_response()
                    finally:
                        await self.connections.release(connection)
                finally:
                    self._active -= 1
        except (redis.ConnectionError, redis.TimeoutError, OSError) as exc:
            if stage.sent:
                raise
            if not stage.permitted:
                raise PoolExhausted(f"all {self.max_pool} connections were in use for {self.timeout:g} s") from exc
            raise self.unreachable(exc) from exc.__cause__
        finally:
            if not stage.permitted:
                self._waiting -= 1

    def unreachable(self, exc: Exception) -> Exception:
        """What an exception means that came before anything was sent."""
        if isinstance(exc, (_SAID_SO, Unreachable)):
            return exc
        return Unreachable(str(exc) or f"no connection within {self.timeout:g} s")

    async def script(self, script: Script, keys: Sequence[str], args: Sequence[bytes | str | int] = ()) -> Any:
        """Run a script; its text is sent only when the server does not know it."""
        try:
            return await self.command("EVALSHA", script.digest, len(keys), *keys, *args)
        except redis.NoScriptError:
            return await self.command("EVAL", script.text, len(keys), *keys, *args)

    async def close(self) -> None:
        self._closed = True
        await self.connections.disconnect()


def _packed(words: Sequence[bytes | str | int]) -> list[bytes]:
    """A command as it is sent: for a short one in less time than redis-py takes."""
    packed, short = [], [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        if len(raw) < LARGE:
            short.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
        else:
            packed += [b"".join(short), b"$%d\r\n" % len(raw), raw]
            short = [b"\r\n"]
    return [*packed, b"".join(short)]


class _Stage:
    """How far a call has come."""

    __slots__ = ("permitted", "sent")

    def __init__(self) -> None:
        self.permitted = self.sent = False


async def _send(connection: Any, packed: list[bytes], stage: _Stage) -> None:
    """Send a command, on a new connection when this one was lost since it was last used."""
    for last in (False, True):
        if connection._writer.is_closing():  # to write there raises AttributeError on Python 3.12
            await connection.disconnect(nowait=True)
            await connection.connect()
        stage.sent = True  # also what a deadline cuts off may still arrive
        try:
            await connection.send_packed_command(packed)
            return
        except (redis.ConnectionError, OSError):
            # a connection that is lost takes nothing, and a part of a command is none
            stage.sent = False
            if last or connection.is_connected:
                raise
            await connection.connect()
