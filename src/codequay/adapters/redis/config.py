"""Options of the Redis adapters: ``[adapters.redis]``."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

SCHEMES = ("redis", "rediss", "unix", "sentinel")
PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379}
_ASKED = {"unix": {"db"}, "sentinel": {"tls"}}
"""What may follow a question mark."""


class Address(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    """One, or with ``sentinel`` one or more; none with ``unix``."""
    path: str
    """Of the socket, with ``unix``."""
    service: str
    """What Sentinel calls the primary."""
    database: int
    username: str
    tls: bool


def parse(url: str) -> Address:
    """What the URL says.

    :raises ValueError: it is none of the forms that ``RedisConfig.url`` names. Nothing of it is quoted: a password
        that does not belong there may stand anywhere
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"the scheme must be one of {', '.join(SCHEMES)}")
    if parts.password is not None:
        raise ValueError("no password in the url: set password = 'env:NAME' or 'file:PATH'")
    if parts.fragment:
        raise ValueError("there is nothing that a # could mean")
    asked = parse_qs(parts.query, keep_blank_values=True)
    known = _ASKED.get(parts.scheme, set())
    if set(asked) - known:
        raise ValueError(f"after the question mark may stand {' or '.join(sorted(known)) or 'nothing'}")
    user, _, netloc = parts.netloc.rpartition("@")
    if parts.scheme == "unix":
        if netloc or not parts.path.strip("/"):
            raise ValueError("name the socket: unix:///PATH")
        database = _database(asked.get("db", ["0"])[0])
        return Address("unix", (), unquote(parts.path), "", database, unquote(user), False)
    hosts = tuple(_host(one, PORTS[parts.scheme]) for one in netloc.split(","))
    path = unquote(parts.path).strip("/")
    if parts.scheme == "sentinel":
        service, _, number = path.partition("/")
        if not service:
            raise ValueError("name the service: sentinel://HOST:PORT,HOST:PORT/SERVICE")
        tls = asked.get("tls", ["false"])[0]
        if tls not in ("true", "false"):
            raise ValueError("tls must be true or false")
        return Address("sentinel", hosts, "", service, _database(number or "0"), unquote(user), tls == "true")
    if len(hosts) > 1:
        raise ValueError("one host only; several Sentinels are named by sentinel://")
    return Address(parts.scheme, hosts, "", "", _database(path or "0"), unquote(user), parts.scheme == "rediss")


def _host(text: str, port: int) -> tuple[str, int]:
    one = urlsplit(f"//{text}")
    if not one.hostname:
        raise ValueError("name the host")
    try:
        return one.hostname, one.port or port
    except ValueError:
        raise ValueError("the port must be a number up to 65535") from None


def _database(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("the database must be a number")
    return int(text)


def _url(url: str) -> str:
    parse(url)
    return url


class RedisConfig(BaseModel):
    """One server (or a primary that Sentinel names) for every port that Redis serves."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_url)] = "redis://127.0.0.1:6379/0"
    """``redis://[USER@]HOST[:PORT][/DB]``, ``rediss://`` (TLS), ``unix:///PATH[?db=DB]``, or
    ``sentinel://HOST[:PORT],HOST[:PORT]/SERVICE[/DB][?tls=true]``."""
    username: str = ""
    """The ACL user; empty: the one in the url, else the default user."""
    password: SecretStr | None = None
    """``env:NAME`` or ``file:PATH``; never in the url."""
    sentinel_username: str = ""
    """The ACL user of the Sentinels themselves, where they ask for one."""
    sentinel_password: SecretStr | None = None
    """Of the Sentinels themselves, where they ask for one."""
    ca_file: str = ""
    """Certificates that are trusted with TLS; empty: the system's."""
    cert_file: str = ""
    """Our own certificate, for a server that asks for one."""
    key_file: str = ""
    """The key to ``cert_file``; empty: it is in the same file."""
    prefix: str = Field("codequay:", min_length=1, max_length=64)
    """What every key and channel begins with, so that deployments share a server."""
    client_name: str = Field("codequay", pattern=r"^[!-~]{1,64}$")
    """What ``CLIENT LIST`` calls the connections."""
    max_pool: int = Field(50, ge=1, le=10_000)
    """Connections for calls at most; a call beyond waits for one, within its timeout. Each port that listens has one
    more."""
    timeout: float = Field(5.0, gt=0, le=600)
    """Seconds for one call, waiting for a connection and connecting included."""
    connect_timeout: float = Field(5.0, gt=0, le=600)
    """Seconds to connect; with Sentinel, to ask each of them."""

    @model_validator(mode="after")
    def _whole(self) -> RedisConfig:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file")
        if (self.ca_file or self.cert_file) and not self.address.tls:
            raise ValueError("ca_file and cert_file need TLS: rediss://, or sentinel:// with ?tls=true")
        return self

    @property
    def address(self) -> Address:
        return parse(self.url)
