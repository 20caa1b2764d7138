"""Options of the adapter: the table ``[adapters.mariadb]``."""

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from codequay.ports.chunks import ChunkCapabilities

from . import CHUNKS


class MariadbConfig(BaseModel):
    """Where the server is, and how it is used. The defaults suit a server on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(3306, ge=1, le=65_535)
    unix_socket: str = ""
    """Path of the server's socket; then ``host`` and ``port`` are not used."""
    user: str = "codequay"
    password: SecretStr = SecretStr("")
    """The password, or ``env:NAME`` or ``file:PATH`` for where it is."""
    database: str = Field("codequay", min_length=1, max_length=64)
    """It must exist."""
    prefix: str = Field("codequay_", pattern=r"^[a-z0-9_]{0,40}$")
    """What the names of the tables begin with. Stores with different prefixes may share a database."""
    tls: Literal["off", "require", "verify"] = "off"
    """``require`` encrypts; ``verify`` also checks the server's certificate and name."""
    ca: str = ""
    """File of the authority that ``verify`` trusts; the system's when empty."""
    reach: Literal["network", "host"] = "network"
    """Who uses this store. ``host``: this machine alone, so that generations may be published beside the repository."""
    max_connections: int = Field(8, ge=1, le=1000)
    """Connections of this process; a call beyond them waits."""
    connect_timeout: float = Field(5.0, gt=0, le=600)
    """Seconds to wait for a connection, free or new."""
    timeout: float = Field(60.0, gt=0, le=3600)
    """Seconds to wait for the answer to one statement."""
    lock_timeout: int = Field(10, ge=1, le=600)
    """Seconds that a writer waits for another writer's rows before ``lock_busy``."""
    migrations: Literal["auto", "check"] = "auto"
    """Tables of an older release are migrated when they are opened for writing; ``check`` refuses them until
    ``codequay migrations --apply``. Tables that are missing are made in either case."""


def narrow(config: MariadbConfig) -> ChunkCapabilities:
    """What the store can do with these options."""
    declared = CHUNKS.capabilities
    if not isinstance(declared, ChunkCapabilities):
        raise TypeError("the port's own capabilities are declared")
    return replace(declared, reach=config.reach)
