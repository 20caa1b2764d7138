"""Where the server is and how to log in: what the dsn says, read here and not by asyncpg.

What asyncpg is not told it takes from libpq's variables (``PGHOST``, ``PGSSLMODE``, ...) and from files in the home
folder (``.pgpass``, ``.postgresql``). A plan shows neither, so nothing is left for it to look up.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

from codequay.ports.errors import FailedPrecondition

SCHEMES = ("postgresql", "postgres")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERSIONS = ("TLSv1.2", "TLSv1.3")
PORT = 5432
_SOCKETS = ("/run/postgresql", "/var/run/postgresql", "/tmp", "/private/tmp")  # noqa: S108 - where servers put them
_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_PORT = re.compile(r"[0-9]{1,5}")
_CHOICES = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    "ssl_min_protocol_version": VERSIONS,
    "ssl_max_protocol_version": VERSIONS,
    "gsslib": ("gssapi", "sspi"),
}
_TAKEN = (*_CHOICES, "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "krbsrvname")
_PASSED_OVER = (
    *("connect_timeout", "fallback_application_name", "keepalives", "keepalives_count", "keepalives_idle"),
    *("keepalives_interval", "load_balance_hosts", "sslcompression", "sslsni", "tcp_user_timeout"),
)
"""Of libpq alone: without them the same is done on the same server, as safely."""
_REFUSED = (
    *("channel_binding", "gssdelegation", "gssencmode", "hostaddr", "passfile", "replication", "require_auth"),
    *("requirepeer", "requiressl", "service", "sslcertmode", "sslcrldir"),
)
"""Of libpq alone: they ask for safety that is not had here, or for another server."""
_WITHOUT = {"channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer"), "sslcertmode": ("allow",)}
"""With these values they are passed over too."""


@dataclass(frozen=True)
class Address:
    """A dsn, read."""

    hosts: tuple[tuple[str, int], ...]
    """Names or addresses, or folders of sockets, each with its port."""
    user: str
    """"" for the system's name of whoever runs this."""
    database: str
    """"" for the user's name."""
    password: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    """Parameters that concern this end."""
    settings: Mapping[str, str] = field(repr=False)
    """Parameters for the session of the server."""

    @property
    def direct_tls(self) -> bool:
        return self.options.get("sslnegotiation") == "direct"

    @property
    def session(self) -> str:
        """Which of several servers is wanted."""
        return self.options.get("target_session_attrs", "any")

    def login(self) -> tuple[str, str]:
        """User and database.

        :raises FailedPrecondition: the dsn names no user, and the system has no name for ours
        """
        user = self.user or _system_user()
        return user, self.database or user


class Unreadable(ValueError):
    """A dsn of another form. The text says nothing of it, because that may be a part of the password."""


def parse(dsn: str) -> Address:
    """
    :raises Unreadable: it has another form
    :raises ValueError: one of its parameters is not known, or has another value; the text names the parameter
    """
    try:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError:
        raise Unreadable from None
    login, _, named = parts.netloc.rpartition("@")
    if parts.scheme not in SCHEMES or parts.fragment or "@" in login + parts.path:
        raise Unreadable
    user, _, password = login.partition(":")
    said = {name: values[-1] for name, values in query.items()}
    _check(said)
    also = {name: said.pop(name, "") for name in ("host", "port", "user", "password", "dbname", "database")}
    return Address(
        _hosts(named or quote(also["host"], safe="/:,[]"), also["port"]),
        unquote(user) or also["user"],
        unquote(parts.path.removeprefix("/")) or also["dbname"] or also["database"],
        unquote(password) or also["password"],
        {name: value for name, value in said.items() if name in _TAKEN},
        {name: value for name, value in said.items() if name not in (*_TAKEN, *_PASSED_OVER, *_REFUSED)},
    )


def _hosts(named: str, port: str) -> tuple[tuple[str, int], ...]:
    """Each with its port; ``port``, a parameter of the dsn, is of those that have none of their own."""
    read = [_HOST.fullmatch(one) for one in named.split(",")]
    ports = port.split(",") if port else [str(PORT)]
    if len(ports) == 1:
        ports *= len(read)
    if len(ports) != len(read):
        raise Unreadable
    found = []
    for match, other in zip(read, ports, strict=True):
        if match is None or not (match[1] or len(read) == 1):
            raise Unreadable
        said = match[2] or other
        if not _PORT.fullmatch(said) or not 0 < int(said) < 1 << 16:
            raise Unreadable
        number = int(said)
        host = match[1].removeprefix("[").removesuffix("]")
        places = [unquote(host)] if host else [*(_SOCKETS if os.name == "posix" else ()), "localhost"]
        found += [(place, number) for place in places]
    return tuple(found)


def _check(said: Mapping[str, str]) -> None:
    for name in _REFUSED:
        if name in said and said[name] not in _WITHOUT.get(name, ()):
            raise ValueError(f"leave out its parameter {name}, which only libpq knows")
    for name, values in _CHOICES.items():
        if said.get(name, values[0]) not in values:
            raise ValueError(f"its parameter {name} is none of {', '.join(values)}")


def _system_user() -> str:
    """Whom the system takes us for, whatever ``LOGNAME`` says.

    :raises FailedPrecondition: it has no name for us
    """
    if os.name != "posix":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise FailedPrecondition(
            "adapters.postgres.dsn names no user, and the system has no name for ours",
            remedy="name the user in the dsn: postgresql://USER@HOST:PORT/DATABASE",
        ) from None
